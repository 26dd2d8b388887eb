/** Whether a VM can have its cards now. Pure: the answer is a list of refusals, empty when it can. */
import { type Card, cardsOf, obstaclesOf, usedByHost } from './detect.js';
import type { FailureName } from './errors.js';
import type { Address, HardwareFacts, VirtualMachine } from './facts.js';
import { type HolderReport, holderRefusal } from './holders.js';
import { printable, type Sentence, say, sentence } from './words.js';

export interface Refusal {
  /** The obstacle, for programs: `held`, `no-iommu`, `other-vm`, … */
  readonly code: string;
  readonly failure: FailureName;
  readonly sentence: Sentence;
}

/** What is known beside the hardware when a VM asks for its cards. */
export interface Circumstances {
  /** Cards that a guest has now, by the VM that has them. */
  readonly guests: ReadonlyMap<Address, { readonly uuid: string; readonly name: string }>;
  readonly stuck: ReadonlyMap<Address, Sentence>;
}

function refusal(code: string, failure: FailureName, what: Sentence): Refusal {
  return { code, failure, sentence: what };
}

/** Refusals that need no look at processes: the cards, their groups, the VM's definition, other guests. */
export function preflight(
  vm: VirtualMachine,
  cards: readonly Card[],
  facts: HardwareFacts,
  circumstances: Circumstances,
): Refusal[] {
  const name = printable(vm.name);
  const leaving = cardsOf(vm, cards);
  if (leaving.length === 0)
    return [refusal('vm-without-card', 'Refused', sentence('refuse.vm-without-cards', { vm: name }))];
  if (vm.running === true)
    return [refusal('vm-running', 'Refused', sentence('refuse.vm-running', { vm: name }))];

  const refusals: Refusal[] = [];
  const taken = vm.devices.map((device) => device.address);
  for (const card of leaving) {
    const why = circumstances.stuck.get(card.id);
    if (why !== undefined)
      refusals.push(refusal('stuck', 'Stuck', sentence('refuse.stuck', { card: card.name, why: say(why) })));
    const owner = circumstances.guests.get(card.id);
    if (owner !== undefined && owner.uuid !== vm.uuid) {
      const values = { card: card.name, owner: printable(owner.name) };
      refusals.push(refusal('other-vm', 'Refused', sentence('refuse.other-vm', values)));
    }
    for (const obstacle of obstaclesOf(card, leaving, cards, facts, taken))
      refusals.push(refusal(obstacle.code, 'Refused', obstacle.sentence));
    // VFIO gives a group to a guest only when no function of it is left with a driver of the host; and no card goes
    // without its display function.
    const missing = card.functions.filter(
      (fn) =>
        (fn === card.main || fn.iommuGroup === card.main.iommuGroup) &&
        usedByHost(fn) &&
        taken.indexOf(fn.address) < 0,
    );
    if (missing.length > 0) {
      const values = {
        vm: name,
        card: card.name,
        missing: missing.map((fn) => `${fn.deviceName ?? 'the function'} at ${fn.address}`).join(', '),
      };
      refusals.push(refusal('group-not-whole', 'Refused', sentence('refuse.group-not-whole', values)));
    }
    const unmanaged = vm.devices.filter((device) => !device.managed).map((device) => device.address);
    if (card.functions.some((fn) => usedByHost(fn) && unmanaged.indexOf(fn.address) >= 0))
      refusals.push(
        refusal('not-managed', 'Refused', sentence('refuse.not-managed', { vm: name, card: card.name })),
      );
  }
  return refusals;
}

/** The refusal that the holders give, or null. */
export function refusalByHolders(cards: readonly Card[], report: HolderReport): Refusal | null {
  const names = cards.map((card) => card.name).join(', ');
  const what = holderRefusal(names, report);
  if (what === null) return null;
  if (what.key === 'refuse.could-not-look') return refusal('could-not-look', 'Refused', what);
  return refusal('held', 'Held', what);
}
