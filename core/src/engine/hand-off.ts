/** Host → VM: look, plan, do, and bring everything back when a step fails. */
import { type Card, cardsOf, leavesByUnloading } from '../detect.js';
import { failure, HandoffError, reasonOf } from '../errors.js';
import type { VirtualMachine } from '../facts.js';
import { type HolderReport, NOBODY, withoutExcuse } from '../holders.js';
import { isUuid } from '../journal.js';
import { ActError } from '../machine.js';
import {
  EVERY_STEP,
  type HandOffPlan,
  isAway,
  isNothing,
  type Memory,
  mergeMemories,
  planHandOff,
  planReturn,
  remember,
  sliceMemory,
} from '../plan.js';
import { preflight, type Refusal, refusalByHolders } from '../preflight.js';
import { printable, sentence } from '../words.js';
import { lookForHolders } from './look.js';
import { asHandoffError, hangingStep, runAll, runSteps, viewsOf, worstOf } from './runner.js';
import { see } from './see.js';
import { tellReturned } from './take-back.js';
import type { Run, Workshop } from './workshop.js';

/** What a hand-off would do, or why it cannot. */
export interface Intention {
  readonly vm: VirtualMachine;
  readonly cards: readonly string[];
  readonly refusals: readonly Refusal[];
  readonly holders: HolderReport;
  /** Null where there are refusals. */
  readonly plan: HandOffPlan | null;
}

/** Looks at everything a hand-off depends on and plans it. Touches nothing. */
export async function intend(workshop: Workshop, vm: VirtualMachine, startsVm: boolean): Promise<Intention> {
  const { machine, config } = workshop;
  await workshop.refresh();
  const { facts, cards } = workshop;
  const leaving = cardsOf(vm, cards);
  const refusals = preflight(vm, cards, facts, { guests: workshop.guestRefs(), stuck: workshop.stuck });
  let holders = NOBODY;
  // Asked while the processes are looked at: both take a moment.
  const services = refusals.length === 0 ? activeServices(workshop, leaving) : Promise.resolve([]);
  services.catch(() => {});
  if (refusals.length === 0) {
    holders = await lookForHolders(machine, leaving, facts, config.services);
    const held = refusalByHolders(leaving, holders);
    if (held !== null) refusals.push(held);
  }
  let plan: HandOffPlan | null = null;
  if (refusals.length === 0) {
    const { memory, remembered } = memoryFor(workshop, leaving, await services);
    const planned = planHandOff(vm, leaving, facts, memory, config, startsVm);
    // Undoing this one undoes the earlier one too, which was not undone.
    plan = remembered ? Object.assign({}, planned, { begun: EVERY_STEP }) : planned;
  }
  return { vm, cards: leaving.map((card) => card.id), refusals, holders, plan };
}

/** The units that a hand-off of these cards stops, of those that are active now. */
async function activeServices(workshop: Workshop, leaving: readonly Card[]): Promise<string[]> {
  if (!leaving.some(leavesByUnloading)) return [];
  const { services } = workshop.config;
  try {
    const units = await workshop.machine.eyes.services(services);
    return units.filter((unit) => unit.active).map((unit) => unit.unit);
  } catch (fault) {
    if (!(fault instanceof ActError)) throw fault;
    throw failure('Failed', 'fail.services', { units: services.join(', '), why: reasonOf(fault) });
  }
}

/**
 * Reads what the way back will need. What is remembered still of a card's last leaving goes before what is seen now: it
 * is away, or did not come back whole.
 */
function memoryFor(
  workshop: Workshop,
  leaving: readonly Card[],
  active: readonly string[],
): { readonly memory: Memory; readonly remembered: boolean } {
  const { machine, facts } = workshop;
  const memories: Memory[] = [];
  const fresh: Card[] = [];
  for (const card of leaving) {
    const before = workshop.heldWith(card.id)?.memory ?? null;
    if (before !== null) memories.push(sliceMemory(before, [card.id]));
    // Of a card that is away nothing is to be seen.
    if (before === null || !isAway(card)) fresh.push(card);
  }
  const remembered = memories.some((memory) => !isNothing(memory));
  memories.push(remember(fresh, facts, active, (node) => machine.eyes.nodeMode(node)));
  return { memory: mergeMemories(memories), remembered };
}

/**
 * Executes a hand-off as the running operation. Rejects with the reason after everything was brought back.
 * `resolve` finds the VM: by name through libvirt, or from what libvirt gave its hook.
 */
export async function handOff(
  workshop: Workshop,
  run: Run,
  resolve: () => Promise<VirtualMachine>,
): Promise<void> {
  const { operation } = run;
  operation.steps = [
    { id: 'preflight', title: sentence('step.preflight'), state: 'running', sentence: null },
  ];
  workshop.publish();
  const first = operation.steps[0];
  let plan: HandOffPlan;
  try {
    const vm = await resolve();
    operation.vm = { uuid: vm.uuid, name: vm.name };
    plan = await planOrRefuse(workshop, run, vm);
  } catch (fault) {
    if (first !== undefined) {
      first.state = 'failed';
      first.sentence = fault instanceof HandoffError ? fault.sentence : null;
    }
    throw fault;
  }
  if (first !== undefined) first.state = 'done';
  operation.steps = operation.steps.concat(viewsOf(plan.steps));

  const started: string[] = [];
  const { memory } = plan;
  run.touching = true;
  try {
    await runSteps(
      {
        machine: workshop.machine,
        operation,
        publish: () => workshop.publish(),
        begin: (step) => {
          started.push(step.id);
          workshop.writeJournal({ operation: operation.id, kind: 'hand-off', vm: plan.vm, memory, started });
          // All that libvirt waits for is done once only the guest itself is missing.
          if (step.id === 'start-vm' || step.id === 'guest-has') {
            operation.cancellable = false;
            run.handOver();
          }
        },
        see: async (check, step) => {
          // libvirt gets its answer before the machine is looked at again.
          if (step.id === 'guest-has') await workshop.machine.clock.sleep(0);
          await see(workshop, run, check, step);
        },
        cancelled: () => run.cancelRequested && operation.cancellable,
      },
      plan.steps,
    );
  } catch (fault) {
    run.handover = 'revoked';
    operation.cancellable = false;
    const reason = await explain(workshop, plan, fault, started);
    throw await bringBack(workshop, run, plan, started, reason);
  }
  workshop.keep(plan.vm, memory);
  workshop.removeJournal();
}

async function planOrRefuse(workshop: Workshop, run: Run, vm: VirtualMachine): Promise<HandOffPlan> {
  const { operation } = run;
  const intention = await intend(workshop, vm, run.origin === 'call');
  operation.cards = intention.cards;
  const names = workshop.cards
    .filter((card) => intention.cards.indexOf(card.id) >= 0)
    .map((card) => card.name);
  operation.title = sentence('operation.hand-off', { card: names.join(', '), vm: printable(vm.name) });
  const refused = intention.refusals[0];
  if (refused !== undefined) throw new HandoffError(refused.failure, refused.sentence);
  if (intention.plan === null) throw failure('Failed', 'error.internal', { why: 'no plan was made' });
  return intention.plan;
}

/** A failure with who is to blame: a module that is in use names nobody, a second look may. */
async function explain(
  workshop: Workshop,
  plan: HandOffPlan,
  fault: unknown,
  started: readonly string[],
): Promise<HandoffError> {
  const failed = asHandoffError(fault);
  const last = started[started.length - 1] ?? '';
  if (last === 'start-vm') {
    const vm = printable(plan.vm.name);
    const why = failed.sentence.values.why ?? failed.message;
    if (failed.failure === 'Failed') return failure('Failed', 'fail.guest-start', { vm, why });
  }
  if (failed.failure !== 'Held' || last.indexOf('unload:') !== 0) return failed;
  const cards = workshop
    .lookAtHardware()
    .filter((card) => plan.memory.cards.some((one) => one.id === card.id));
  const report = await lookForHolders(workshop.machine, cards, workshop.facts, [], true);
  const refused = refusalByHolders(cards, withoutExcuse(report));
  if (refused !== null) return new HandoffError('Held', refused.sentence);
  const card = cards.map(({ name }) => name).join(', ');
  return failure('Held', 'fail.in-passing', { card, module: last.slice(last.indexOf(':') + 1) });
}

/**
 * Undoes what was begun, and returns how the whole ended: with the reason alone where everything is as it was. A
 * card that hangs in the kernel is left alone and marked.
 */
async function bringBack(
  workshop: Workshop,
  run: Run,
  plan: HandOffPlan,
  started: readonly string[],
  reason: HandoffError,
): Promise<HandoffError> {
  const { operation } = run;
  const { memory } = plan;
  const cards = memory.cards.map((card) => card.id);
  workshop.machine.log.line('warning', `Undoing: ${reason.message}`, { operation: operation.id });
  if (reason.failure === 'Stuck') {
    workshop.markStuck(cards, hangingStep(reason));
    workshop.removeJournal();
    return reason;
  }
  await workshop.refresh();
  if (cards.some((id) => workshop.guests.has(id) || workshop.unsure.has(id))) {
    // A guest has a card after all, or may have: taking it now would pull it from under it.
    keepForOwner(workshop, plan);
    workshop.removeJournal();
    return reason;
  }
  const steps = planReturn(memory, workshop.facts, workshop.config, plan.begun.concat(started));
  operation.steps = operation.steps.concat(viewsOf(steps));
  const failures = await runAll(
    {
      machine: workshop.machine,
      operation,
      publish: () => workshop.publish(),
      begin: (step) => tellReturned(run, step),
      see: (check, step) => see(workshop, run, check, step),
      cancelled: () => false,
    },
    steps,
  );
  const worst = worstOf(failures);
  if (worst === null) {
    for (const view of operation.steps)
      if (started.indexOf(view.id) >= 0 && view.state === 'done') view.state = 'undone';
    workshop.letGo(cards);
  } else if (worst.failure === 'Stuck') workshop.markStuck(cards, hangingStep(worst));
  // The way back is known still, for a second attempt.
  else workshop.keep(plan.vm, memory);
  workshop.removeJournal();
  if (worst === null) return reason;
  const values = { reason: reason.message, why: worst.message };
  return failure(worst.failure === 'Stuck' ? 'Stuck' : 'Failed', 'fail.and-return', values);
}

/** Writes the way back down under the VM that has the cards, which may be another than the one meant. */
function keepForOwner(workshop: Workshop, plan: HandOffPlan): void {
  const { memory, vm } = plan;
  const other = memory.cards
    .map((card) => workshop.guestRefs().get(card.id))
    .filter((ref) => ref !== undefined && isUuid(ref.uuid) && ref.uuid !== vm.uuid)[0];
  if (other === undefined) workshop.keep(vm, memory);
  else if (!workshop.held.has(other.uuid)) workshop.keep(other, memory);
}
