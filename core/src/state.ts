/** The state of a card, from what was seen. Never from what was commanded. */
import { type Card, isAsleep, isKept } from './detect.js';
import type { Address } from './facts.js';
import type { Sentence } from './words.js';

/** `unknown`: it is kept for guests, and it could not be seen whether one has it. */
export type CardState = 'host' | 'vm' | 'detached' | 'switching' | 'stuck' | 'unknown';

export interface GuestRef {
  readonly uuid: string;
  readonly name: string;
}

/** What is known beside the hardware. */
export interface Seen {
  /** Cards whose VFIO group a guest's process has open now. */
  readonly guests: ReadonlyMap<Address, GuestRef>;
  readonly stuck: ReadonlyMap<Address, Sentence>;
  /** Cards of the running operation, with its title. */
  readonly switching: ReadonlyMap<Address, Sentence>;
  /** Cards of which it could not be seen whether a guest has them, and why. */
  readonly unsure?: ReadonlyMap<Address, Sentence>;
}

/** A card with its state, as published. */
export interface CardView {
  readonly card: Card;
  readonly state: CardState;
  readonly asleep: boolean;
  readonly vm: GuestRef | null;
  /** Why it is stuck or unknown, or what it is changing to. */
  readonly why: Sentence | null;
}

export function viewOf(card: Card, seen: Seen): CardView {
  const asleep = isAsleep(card.main);
  const stuck = seen.stuck.get(card.id);
  if (stuck !== undefined) return { card, state: 'stuck', asleep: false, vm: null, why: stuck };
  const switching = seen.switching.get(card.id);
  const vm = seen.guests.get(card.id) ?? null;
  if (switching !== undefined) return { card, state: 'switching', asleep: false, vm, why: switching };
  if (vm !== null) return { card, state: 'vm', asleep: false, vm, why: null };
  const unsure = seen.unsure?.get(card.id);
  if (unsure !== undefined) return { card, state: 'unknown', asleep: false, vm: null, why: unsure };
  if (card.main.driver === null || isKept(card.main))
    return { card, state: 'detached', asleep, vm: null, why: null };
  return { card, state: 'host', asleep, vm: null, why: null };
}
