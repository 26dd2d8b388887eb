/** Ends what holds a card: politely first, by force only where that was asked for. */
import type { Power } from '../contract.js';
import { failure, type HandoffError, reasonOf } from '../errors.js';
import type { Address } from '../facts.js';
import { type Holder, type HolderReport, inTheWay, nameHolder, nameHolders } from '../holders.js';
import type { StepView } from '../operation.js';
import { printable, type Sentence, say, sentence } from '../words.js';
import { lookForHolders } from './look.js';
import type { Run, Workshop } from './workshop.js';

/** How long a process may take to go after SIGKILL, before it counts as hanging in the kernel. */
const KILL_MS = 5000;

/** Process number and start time. */
const HOLDER_ID = /^\d+:\d+$/;

export interface EndOptions {
  readonly force: boolean;
  /** Powers that the caller was granted. */
  readonly granted: readonly Power[];
}

/** The holders that a call means: those named, or all in the way but the session's own. */
export function choose(report: HolderReport, ids: readonly string[]): Holder[] {
  if (ids.length === 0) return inTheWay(report).filter((holder) => !holder.essential);
  return report.holders.filter((holder) => ids.indexOf(holder.id) >= 0);
}

/** The power that ending a holder takes. */
export function powerToEnd(holder: Holder, uid: number): Power {
  if (holder.owner.kind === 'service') return 'stop-services';
  return holder.uid === uid ? 'end-own' : 'end-others';
}

/** All holders, the services that a hand-off would stop among them. */
export async function everyHolder(workshop: Workshop, id: Address): Promise<HolderReport> {
  const cards = workshop.lookAtHardware().filter((card) => card.id === id);
  if (cards.length === 0) throw failure('NoSuchCard', 'error.no-such-card', { card: printable(id) });
  return lookForHolders(workshop.machine, cards, workshop.facts, workshop.config.services);
}

/** Executes the ending as the running operation; each holder is a step with its own result. */
export async function endHolders(
  workshop: Workshop,
  run: Run,
  id: Address,
  ids: readonly string[],
  options: EndOptions,
): Promise<void> {
  const { operation } = run;
  const report = await everyHolder(workshop, id);
  const chosen = choose(report, ids);
  refuseWrongChoice(workshop, id, report, chosen, ids, options, operation.uid);
  operation.steps = chosen.map(
    (holder): StepView => ({ id: holder.id, title: titleOf(holder), state: 'waiting', sentence: null }),
  );
  operation.cancellable = true;
  workshop.publish();

  let first: HandoffError | null = null;
  for (const holder of chosen) {
    const view = operation.steps.filter((one) => one.id === holder.id)[0];
    if (run.cancelRequested)
      throw failure('Cancelled', holder === chosen[0] ? 'fail.cancelled' : 'fail.cancelled-ending');
    if (view !== undefined) view.state = 'running';
    workshop.publish();
    const failed = await endOne(workshop, holder, options);
    const fields = { operation: operation.id, holder: holder.id };
    workshop.machine.log.line(
      failed === null ? 'info' : 'warning',
      `End ${nameHolder(holder)}: ${failed === null ? 'done' : failed.message}`,
      fields,
    );
    if (view !== undefined) {
      view.state = failed === null ? 'done' : 'failed';
      view.sentence = failed?.sentence ?? null;
    }
    first = first ?? failed;
    workshop.publish();
  }
  if (first !== null) throw first;
  await seeNothingCameBack(workshop, id, report, chosen, ids.length === 0);
}

function refuseWrongChoice(
  workshop: Workshop,
  id: Address,
  report: HolderReport,
  chosen: readonly Holder[],
  ids: readonly string[],
  options: EndOptions,
  uid: number,
): void {
  const card = workshop.cards.filter((one) => one.id === id)[0]?.name ?? id;
  // Who has ended or let go of the card meanwhile is as he was wanted: apps' helpers come and go all the time.
  const wrong = ids.filter((wanted) => !HOLDER_ID.test(wanted)).concat(chosen.length === 0 ? ids : [])[0];
  if (wrong !== undefined)
    throw failure('NoSuchHolder', 'error.no-such-holder', { holder: printable(wrong, 40) });
  if (chosen.length === 0) {
    const blocked = inTheWay(report)[0];
    if (blocked !== undefined)
      throw failure('Refused', 'error.essential-holder', { holder: nameHolder(blocked) });
    throw failure('Refused', 'error.nothing-to-end', { card });
  }
  for (const holder of chosen) {
    if (holder.pid === 1 || (holder.essential && !options.force))
      throw failure('Refused', 'error.essential-holder', { holder: nameHolder(holder) });
    const power = powerToEnd(holder, uid);
    // Looked at again, the holder may be another's than when polkit was asked.
    if (options.granted.indexOf(power) < 0)
      throw failure('NotAuthorized', 'error.not-authorized', {
        power: say(sentence(`power.${power}`)),
      });
  }
}

async function isGone(workshop: Workshop, holder: Holder, limitMs: number): Promise<boolean> {
  const { clock, eyes } = workshop.machine;
  const end = clock.now() + limitMs;
  let pause = 20;
  while (eyes.startTicks(holder.pid) === holder.startTicks) {
    if (clock.now() >= end) return false;
    await clock.sleep(pause);
    pause = Math.min(250, pause * 2);
  }
  return true;
}

async function endOne(workshop: Workshop, holder: Holder, options: EndOptions): Promise<HandoffError | null> {
  const { hands } = workshop.machine;
  const { config } = workshop;
  const politeMs = config.endHolderSeconds * 1000;
  const named = nameHolder(holder);
  const { pid, startTicks, owner } = holder;
  const refused = (): HandoffError =>
    failure('Failed', 'fail.refused-to-close', { holder: named, seconds: config.endHolderSeconds });
  try {
    if (owner.kind === 'service' && owner.unit !== null) {
      await hands.perform({ do: 'stop-services', units: [owner.unit] }, config.stepSeconds * 1000);
      return (await isGone(workshop, holder, politeMs)) ? null : refused();
    }
    await hands.perform({ do: 'signal-process', pid, startTicks, signal: 'TERM' }, 5000);
    if (await isGone(workshop, holder, politeMs)) return null;
    if (!options.force) return refused();
    await hands.perform({ do: 'signal-process', pid, startTicks, signal: 'KILL' }, 5000);
    if (await isGone(workshop, holder, KILL_MS)) return null;
    return failure('Stuck', 'fail.would-not-end', { holder: named });
  } catch (fault) {
    // A unit may be gone while its process is not.
    if (workshop.machine.eyes.startTicks(pid) !== startTicks) return null;
    return failure('Failed', 'fail.step', { step: say(titleOf(holder)), why: reasonOf(fault) });
  }
}

function titleOf(holder: Holder): Sentence {
  const values = { holder: nameHolder(holder) };
  return holder.owner.kind === 'service'
    ? sentence('step.end-service', values)
    : sentence('step.end-process', values);
}

/** An app that a supervisor starts again would be found only by the next hand-off; say it now. */
async function seeNothingCameBack(
  workshop: Workshop,
  id: Address,
  before: HolderReport,
  ended: readonly Holder[],
  all: boolean,
): Promise<void> {
  const report = await everyHolder(workshop, id);
  const names = ended.map((holder) => holder.process);
  const again = inTheWay(report).filter(
    (holder) =>
      !holder.essential &&
      !before.holders.some((one) => one.id === holder.id) &&
      (all || names.indexOf(holder.process) >= 0),
  );
  if (again.length === 0) return;
  const card = workshop.cards.filter((one) => one.id === id)[0]?.name ?? id;
  throw failure('Held', 'fail.came-back', {
    holder: nameHolders(ended),
    again: nameHolders(again),
    card,
  });
}
