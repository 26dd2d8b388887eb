/** VM → host: the guest leaves, then everything that the hand-off changed is put back. Safe to run twice. */
import { usedByHost } from '../detect.js';
import { failure, HandoffError } from '../errors.js';
import type { Address } from '../facts.js';
import {
  assume,
  EVERY_STEP,
  isNothing,
  type Memory,
  planGuestLeaves,
  planReturn,
  type Step,
  sliceMemory,
} from '../plan.js';
import type { GuestRef } from '../state.js';
import { printable, say, sentence } from '../words.js';
import { hangingStep, type RunContext, runAll, runSteps, viewsOf, worstOf } from './runner.js';
import { see } from './see.js';
import type { Run, Workshop } from './workshop.js';

const NVIDIA = 0x10de;

/** Where a card is, as the way back needs it. */
export interface Away {
  readonly vm: GuestRef | null;
  readonly memory: Memory;
  /** A guest has it now. */
  readonly guest: boolean;
}

/** Looks where a card is. Rejects when it is at the host already, or when that could not be seen. */
export async function locate(workshop: Workshop, id: Address): Promise<Away> {
  await workshop.refresh();
  const card = workshop.cards.filter((one) => one.id === id)[0];
  if (card === undefined) throw failure('NoSuchCard', 'error.no-such-card', { card: printable(id) });
  const stuck = workshop.stuckRefusal(id);
  if (stuck !== null) throw new HandoffError('Stuck', stuck);
  const unsure = workshop.unsure.get(id);
  if (unsure !== undefined)
    throw failure('Refused', 'refuse.could-not-look', { card: card.name, why: say(unsure) });

  const refs = workshop.guestRefs();
  const guest = refs.get(id) ?? null;
  if (guest !== null && guest.uuid === '')
    throw failure('Refused', 'refuse.foreign-guest', { card: card.name, holder: guest.name });
  const held = workshop.heldWith(id);
  if (guest === null && held === null && usedByHost(card.main))
    throw failure('Refused', 'refuse.not-in-vm', { card: card.name });
  // What is with the guest comes back with it; what is not must not be mixed with what is.
  const isTogether = (other: Address): boolean => refs.get(other)?.uuid === guest?.uuid;
  if (held !== null && !isNothing(held.memory)) {
    const ids = held.memory.cards.map((one) => one.id).filter(isTogether);
    const memory = sliceMemory(held.memory, ids);
    refuseBesideGuest(workshop, memory);
    return { vm: guest ?? held.vm, memory, guest: guest !== null };
  }
  const cards = workshop.cards.filter((one) => one.id === id || (guest !== null && isTogether(one.id)));
  const memory = assume(cards, workshop.facts);
  refuseBesideGuest(workshop, memory);
  return { vm: guest ?? held?.vm ?? null, memory, guest: guest !== null };
}

/**
 * NVIDIA's driver would take the other card's first function as soon as libvirt gives that back, while vfio-pci has
 * its sound still: that can panic the kernel.
 */
function refuseBesideGuest(workshop: Workshop, memory: Memory): void {
  if (memory.modules.length === 0) return;
  const own = memory.cards.map((card) => card.id);
  workshop.guestRefs().forEach((vm, id) => {
    const other = workshop.cards.filter((card) => card.id === id)[0];
    if (other === undefined || other.main.vendorId !== NVIDIA || own.indexOf(id) >= 0) return;
    const card = memory.cards.map((one) => one.name).join(', ');
    throw failure('Refused', 'refuse.beside-guest', { card, other: other.name, vm: printable(vm.name) });
  });
}

/** Executes a take-back as the running operation. The guest is asked to leave unless libvirt said that it did. */
export async function takeBack(
  workshop: Workshop,
  run: Run,
  away: Away,
  options: { readonly force: boolean },
): Promise<void> {
  const { operation } = run;
  const { memory, vm } = away;
  const names = memory.cards.map((card) => card.name).join(', ');
  operation.cards = memory.cards.map((card) => card.id);
  operation.vm = vm;
  operation.title =
    vm === null
      ? sentence('operation.take-back-detached', { card: names })
      : sentence('operation.take-back', { card: names, vm: printable(vm.name) });
  const leave = away.guest && vm !== null ? planGuestLeaves(vm, memory, workshop.config, options.force) : [];
  const back = planReturn(memory, workshop.facts, workshop.config, EVERY_STEP);
  operation.steps = viewsOf(leave.concat(back));
  run.touching = true;
  operation.cancellable = leave.length > 0;
  const context = contextOf(workshop, run);
  try {
    // Nothing is written down yet: when this fails, the guest simply keeps its cards.
    await runSteps(context, leave);
  } finally {
    operation.cancellable = false;
  }
  await returnHome(workshop, run, vm, memory, back);
}

/** From its last look on, libvirt need not wait for the way back any more. */
export function tellReturned(run: Run, step: Step): void {
  if (step.id === 'host-has') run.returned();
}

function contextOf(workshop: Workshop, run: Run): RunContext {
  return {
    machine: workshop.machine,
    operation: run.operation,
    publish: () => workshop.publish(),
    begin: (step) => tellReturned(run, step),
    see: (check, step) => see(workshop, run, check, step),
    cancelled: () => run.cancelRequested && run.operation.cancellable,
  };
}

/** Runs the steps of the way back and forgets the VM's claim once the card was seen at the host. */
export async function returnHome(
  workshop: Workshop,
  run: Run,
  vm: GuestRef | null,
  memory: Memory,
  steps: readonly Step[],
): Promise<void> {
  const operation = run.operation.id;
  const cards = memory.cards.map((card) => card.id);
  workshop.writeJournal({ operation, kind: 'take-back', vm, memory, started: EVERY_STEP });
  const fault = worstOf(await runAll(contextOf(workshop, run), steps));
  if (fault?.failure === 'Stuck') workshop.markStuck(cards, hangingStep(fault));
  // After a failure the claim stays, so that a second attempt still knows the way.
  if (fault === null || fault.failure === 'Stuck') workshop.letGo(cards);
  else if (vm !== null && !cards.some((id) => workshop.heldWith(id) !== null)) workshop.keep(vm, memory);
  workshop.removeJournal();
  if (fault !== null) {
    if (fault.failure === 'Stuck') throw fault;
    throw failure('Failed', 'fail.return', { why: fault.message });
  }
}
