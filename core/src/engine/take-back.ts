/** VM → host: the guest leaves, then everything that the hand-off changed is put back. Safe to run twice. */

import type { HandoffError } from '../errors.js';
import { failure } from '../errors.js';
import type { Address } from '../facts.js';
import { assume, EVERY_STEP, type Memory, planGuestLeaves, planReturn, type Step } from '../plan.js';
import type { GuestRef } from '../state.js';
import { printable, say, sentence } from '../words.js';
import { type RunContext, runAll, runSteps, viewsOf } from './runner.js';
import { see } from './see.js';
import type { Run, Workshop } from './workshop.js';

/** Where a card is, as the way back needs it. */
export interface Away {
  readonly vm: GuestRef | null;
  readonly memory: Memory;
  /** A guest has it now. */
  readonly guest: boolean;
}

/** Looks where a card is. Rejects when it is at the host already. */
export async function locate(workshop: Workshop, id: Address): Promise<Away> {
  await workshop.refresh();
  const card = workshop.cards.filter((one) => one.id === id)[0];
  if (card === undefined) throw failure('NoSuchCard', 'error.no-such-card', { card: printable(id) });
  const stuck = workshop.stuck.get(id);
  if (stuck !== undefined) throw failure('Stuck', 'refuse.stuck', stuck.values);
  const guest = workshop.guestRefs().get(id) ?? null;
  const held = workshop.heldWith(id);
  const driver = card.main.driver;
  const home = driver !== null && driver !== 'vfio-pci' && driver !== 'pci-stub';
  if (guest === null && held === null && home)
    throw failure('Refused', 'refuse.not-in-vm', { card: card.name });
  const ref = held?.vm ?? guest;
  const together = workshop.cards.filter(
    (one) => one.id === id || (guest !== null && workshop.guestRefs().get(one.id)?.uuid === guest.uuid),
  );
  return {
    vm: ref !== null && ref.uuid !== '' ? ref : null,
    memory: held?.memory ?? assume(together, workshop.facts),
    guest: guest !== null,
  };
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
    await runSteps(context, leave);
  } catch (fault) {
    // The guest keeps the card: the journal of this attempt would only mislead a successor.
    workshop.removeJournal();
    throw fault;
  }
  operation.cancellable = false;
  await returnHome(workshop, run, vm, memory, back);
}

function contextOf(workshop: Workshop, run: Run): RunContext {
  return {
    machine: workshop.machine,
    operation: run.operation,
    publish: () => workshop.publish(),
    begin: () => {},
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
  if (vm !== null)
    workshop.writeJournal({
      operation: run.operation.id,
      kind: 'take-back',
      vm,
      memory,
      started: EVERY_STEP,
    });
  const failures = await runAll(contextOf(workshop, run), steps);
  const fault = worstOf(failures);
  if (fault?.failure === 'Stuck')
    workshop.markStuck(
      memory.cards.map((card) => card.id),
      say(fault.sentence),
    );
  // After a failure the claim stays, so that a second attempt still knows the way.
  if (vm !== null && fault === null) workshop.forget(vm.uuid);
  workshop.removeJournal();
  if (fault !== null) {
    if (fault.failure === 'Stuck') throw fault;
    throw failure('Failed', 'fail.return', { why: fault.message });
  }
}

function worstOf(failures: readonly HandoffError[]): HandoffError | null {
  return failures.filter((one) => one.failure === 'Stuck')[0] ?? failures[0] ?? null;
}
