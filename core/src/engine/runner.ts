/** Executes steps one after the other. It decides nothing: what to do was planned, what to see is asked. */
import { failure, HandoffError, reasonOf } from '../errors.js';
import { ActError, type Machine } from '../machine.js';
import type { Operation, StepView } from '../operation.js';
import type { Check, Step } from '../plan.js';
import { type Sentence, say, sentence } from '../words.js';

export interface RunContext {
  readonly machine: Machine;
  readonly operation: Operation;
  /** Called after every change of the operation. */
  readonly publish: () => void;
  /** Written before the step begins. */
  readonly begin: (step: Step) => void;
  /** Rejects with a HandoffError when what should be seen is not seen in time. */
  readonly see: (check: Check, step: Step) => Promise<void>;
  /** True when the operation should stop before the next step. */
  readonly cancelled: () => boolean;
}

export function viewsOf(steps: readonly Step[]): StepView[] {
  return steps.map((step) => ({ id: step.id, title: step.title, state: 'waiting', sentence: null }));
}

/** A fault of an act as a failure of its step, in one sentence. */
function asFailure(fault: unknown, step: Step): HandoffError {
  if (fault instanceof HandoffError) return fault;
  if (fault instanceof ActError && fault.fault === 'stuck') {
    const values = { what: say(step.title), seconds: Math.round(step.limitMs / 1000) };
    return failure('Stuck', 'stuck.child', values);
  }
  const why: Sentence | null =
    fault instanceof ActError && fault.fault === 'time'
      ? sentence('fail.time-limit', { seconds: Math.round(step.limitMs / 1000) })
      : null;
  const text = why === null ? reasonOf(fault) : say(why);
  const held = fault instanceof ActError && fault.fault === 'busy';
  return failure(held ? 'Held' : 'Failed', 'fail.step', { step: say(step.title), why: text });
}

/**
 * Runs `steps`, whose views stand in the operation already. Stops at the first failure and rejects with it; the
 * views then say which step failed.
 */
export async function runSteps(context: RunContext, steps: readonly Step[]): Promise<void> {
  const { operation, machine } = context;
  for (const step of steps) {
    const view = operation.steps.filter((one) => one.id === step.id)[0];
    if (context.cancelled()) throw failure('Cancelled', 'fail.cancelled');
    context.begin(step);
    if (view !== undefined) view.state = 'running';
    context.publish();
    const fields = { operation: operation.id, step: step.id };
    const begun = machine.clock.now();
    try {
      if ('act' in step.task) await machine.hands.perform(step.task.act, step.limitMs);
      else await context.see(step.task.check, step);
    } catch (fault) {
      const failed = asFailure(fault, step);
      if (view !== undefined) {
        view.state = 'failed';
        view.sentence = failed.sentence;
      }
      machine.log.line('warning', `${say(step.title)}: ${failed.message}`, fields);
      context.publish();
      throw failed;
    }
    if (view !== undefined) view.state = 'done';
    const milliseconds = String(machine.clock.now() - begun);
    machine.log.line('info', `${say(step.title)}: done`, Object.assign({ milliseconds }, fields));
    context.publish();
  }
}

/**
 * Runs steps of a way back: each is tried even when an earlier one failed, since a service is worth starting also
 * when a module would not load; but not one that would do harm then. Returns the failures.
 */
export async function runAll(context: RunContext, steps: readonly Step[]): Promise<HandoffError[]> {
  const failures: HandoffError[] = [];
  const failed: string[] = [];
  for (const step of steps) {
    if (step.after?.some((id) => failed.indexOf(id) >= 0)) {
      failed.push(step.id);
      continue;
    }
    try {
      await runSteps(context, [step]);
    } catch (fault) {
      failed.push(step.id);
      failures.push(asHandoffError(fault));
      // Nothing more may touch a card whose driver hangs in the kernel.
      if (failures[failures.length - 1]?.failure === 'Stuck') break;
    }
  }
  return failures;
}

/** The failure that matters most: one that only a reboot mends, else the first. */
export function worstOf(failures: readonly HandoffError[]): HandoffError | null {
  return failures.filter((one) => one.failure === 'Stuck')[0] ?? failures[0] ?? null;
}

/** The step that hangs, for the note that is kept until the next boot. */
export function hangingStep(failed: HandoffError): string {
  return failed.sentence.values.what ?? failed.message;
}

/** Whatever was thrown, as a failure with a sentence. */
export function asHandoffError(fault: unknown): HandoffError {
  if (fault instanceof HandoffError) return fault;
  return failure('Failed', 'error.internal', { why: reasonOf(fault) });
}
