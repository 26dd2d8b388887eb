/**
 * The eyes that see processes and libvirt, and what they tell of guests. A part of its own, which is loaded only where
 * sysfs alone does not say enough: most looks do not need it.
 */
import type { Card } from '../../core/src/detect.js';
import { guestOfProcess } from '../../core/src/engine/look.js';
import type { Address } from '../../core/src/facts.js';
import type { Eyes } from '../../core/src/machine.js';
import type { GuestRef } from '../../core/src/state.js';

/** The eyes for this machine, or for the simulated workstation in a directory. */
export async function eyesOf(simulate: string | null): Promise<Eyes> {
  if (simulate === null) {
    const { realMachine } = await import('../../core/src/linux/machine.js');
    return realMachine().eyes;
  }
  const { simulatedMachine } = await import('../../core/src/linux/simulated/machine.js');
  return simulatedMachine(simulate).eyes;
}

export interface GuestsSeen {
  readonly guests: ReadonlyMap<Address, GuestRef>;
  /** Every process could be looked into: a card that no guest was seen to have is with none. */
  readonly sure: boolean;
}

function vfioNumbers(card: Card): string[] {
  return card.functions.flatMap((fn) => fn.nodes.filter((n) => n.kind === 'vfio').map((n) => n.number));
}

/** Which guests have these cards, by the processes that have their VFIO groups open. */
export async function guestsAmong(cards: readonly Card[], eyes: Eyes): Promise<GuestsSeen> {
  const guests = new Map<Address, GuestRef>();
  const pass = await eyes.processes({ numbers: cards.flatMap(vfioNumbers), exporters: [] });
  for (const card of cards) {
    const own = vfioNumbers(card);
    const process = pass.found.find((one) => one.uses.some((use) => own.includes(use.number)));
    if (process !== undefined)
      guests.set(card.id, guestOfProcess(process) ?? { uuid: '', name: process.comm });
  }
  return { guests, sure: pass.complete && pass.unseen.length === 0 };
}
