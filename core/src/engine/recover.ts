/** After a crash: finishes or undoes what the predecessor left, so that a card ends at the host or with a guest. */
import type { HandoffError } from '../errors.js';
import type { Address } from '../facts.js';
import { type HeldNote, isUuid, type JournalNote } from '../journal.js';
import { EVERY_STEP, isNothing, planReturn } from '../plan.js';
import { sentence } from '../words.js';
import { isOnVfio } from './look.js';
import { asHandoffError, viewsOf, worstOf } from './runner.js';
import { returnHome } from './take-back.js';
import type { Run, Workshop } from './workshop.js';

/** How long libvirt may be between its hook's answer and the first sign of it on the card. */
const BEFORE_DETACH_MS = 3000;
/** How long QEMU may be between the detaching of the card and opening its group. */
const BEFORE_OPEN_MS = 20000;

type Note = JournalNote | HeldNote;

function idsOf(note: Note): Address[] {
  return note.memory.cards.map((card) => card.id);
}

/** True when a guest has one of the cards, or when that could not be seen: nothing may be pulled from under it. */
function guestMayHave(workshop: Workshop, note: Note): boolean {
  return idsOf(note).some((id) => workshop.guests.has(id) || workshop.unsure.has(id));
}

function guestHas(workshop: Workshop, note: Note): boolean {
  return idsOf(note).some((id) => workshop.guests.has(id));
}

function isStuck(workshop: Workshop, note: Note): boolean {
  return idsOf(note).some((id) => workshop.stuck.has(id));
}

/** True when there is something to mend. */
export function needsMending(workshop: Workshop, journal: JournalNote | null): boolean {
  if (journal !== null) return true;
  return Array.from(workshop.held.values()).some((note) => !guestMayHave(workshop, note));
}

/**
 * Waits until libvirt, which may be in the middle of starting the VM, has settled: a guest has a card, or no
 * function is on vfio-pci. libvirt itself is not asked: it may be waiting for us in its hook.
 */
async function settle(workshop: Workshop, note: Note, expecting: boolean): Promise<void> {
  const { clock } = workshop.machine;
  const begun = clock.now();
  for (;;) {
    await workshop.refresh();
    if (guestHas(workshop, note)) return;
    const onVfio = workshop.cards.some((card) => idsOf(note).indexOf(card.id) >= 0 && isOnVfio(card));
    const patience = onVfio ? BEFORE_OPEN_MS : expecting ? BEFORE_DETACH_MS : 0;
    if (clock.now() - begun >= patience) return;
    await clock.sleep(200);
  }
}

/** Mends as the running operation: all of it, though a part may fail. Rejects with the worst failure. */
export async function recover(workshop: Workshop, run: Run, journal: JournalNote | null): Promise<void> {
  run.touching = true;
  const failures: HandoffError[] = [];
  const attempt = async (what: () => Promise<void>): Promise<void> => {
    try {
      await what();
    } catch (fault) {
      failures.push(asHandoffError(fault));
    }
  };
  if (journal !== null) await attempt(() => mendJournal(workshop, run, journal));
  for (const uuid of Array.from(workshop.held.keys())) {
    const note = workshop.held.get(uuid);
    if (note !== undefined && !guestMayHave(workshop, note))
      await attempt(() => mendHeld(workshop, run, note));
  }
  const worst = worstOf(failures);
  if (worst !== null) throw worst;
}

function describe(workshop: Workshop, run: Run, note: Note): void {
  run.operation.cards = idsOf(note);
  run.operation.vm = note.vm;
  workshop.publish();
}

async function mendJournal(workshop: Workshop, run: Run, journal: JournalNote): Promise<void> {
  const { machine } = workshop;
  const last = journal.started[journal.started.length - 1];
  machine.log.line('warning', `Mending an interrupted ${journal.kind}, last step ${last ?? 'none'}`, {
    operation: journal.operation,
  });
  describe(workshop, run, journal);
  if (isStuck(workshop, journal)) {
    workshop.removeJournal();
    return;
  }
  await settle(workshop, journal, last === 'start-vm' || last === 'guest-has');
  if (guestMayHave(workshop, journal)) {
    keepForGuest(workshop, journal);
    workshop.removeJournal();
    return;
  }
  const started = journal.kind === 'take-back' ? EVERY_STEP : journal.started;
  await bringHome(workshop, run, journal, started);
}

/** A guest runs with the cards: what is known of the way back is kept until it ends. */
function keepForGuest(workshop: Workshop, journal: JournalNote): void {
  const seen = idsOf(journal)
    .map((id) => workshop.guestRefs().get(id))
    .filter((ref) => ref !== undefined && isUuid(ref.uuid))[0];
  const vm = seen ?? journal.vm;
  if (vm !== null) workshop.keep(vm, journal.memory);
}

async function mendHeld(workshop: Workshop, run: Run, note: HeldNote): Promise<void> {
  if (isStuck(workshop, note) || isNothing(note.memory)) {
    workshop.letGo(idsOf(note));
    return;
  }
  describe(workshop, run, note);
  await settle(workshop, note, false);
  if (guestMayHave(workshop, note)) return;
  workshop.machine.log.line('warning', `The VM ${note.vm.name} is gone; bringing its cards home`, {});
  await bringHome(workshop, run, note, EVERY_STEP);
}

async function bringHome(
  workshop: Workshop,
  run: Run,
  note: Note,
  started: readonly string[],
): Promise<void> {
  const { memory, vm } = note;
  const card = memory.cards.map((one) => one.name).join(', ');
  const steps = planReturn(memory, workshop.facts, workshop.config, started);
  run.operation.steps = viewsOf(steps);
  await returnHome(workshop, run, vm, memory, steps);
  run.operation.sentence = sentence('fail.helper-restarted', { card });
}
