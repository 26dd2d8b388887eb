/** The state of a card, from what was seen. Never from what was commanded. */
import { type Card, isAsleep } from './detect.js';
import type { Address } from './facts.js';
import type { Sentence } from './words.js';

export type CardState = 'host' | 'vm' | 'detached' | 'switching' | 'stuck';

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
}

/** A card with its state, as published. */
export interface CardView {
  readonly card: Card;
  readonly state: CardState;
  readonly asleep: boolean;
  readonly vm: GuestRef | null;
  /** Why it is stuck, or what it is changing to. */
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
  const driver = card.main.driver;
  if (driver === null || driver === 'vfio-pci' || driver === 'pci-stub')
    return { card, state: 'detached', asleep, vm: null, why: null };
  return { card, state: 'host', asleep, vm: null, why: null };
}
