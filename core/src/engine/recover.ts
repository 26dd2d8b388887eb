/** After a crash: finishes or undoes what the predecessor left, so that a card ends at the host or with a guest. */
import type { Address } from '../facts.js';
import type { HeldNote, JournalNote } from '../journal.js';
import { EVERY_STEP, planReturn } from '../plan.js';
import { sentence } from '../words.js';
import { viewsOf } from './runner.js';
import { returnHome } from './take-back.js';
import type { Run, Workshop } from './workshop.js';

/** How long libvirt may be between its hook's answer and the first sign of it on the card. */
const BEFORE_DETACH_MS = 3000;
/** How long QEMU may be between the detaching of the card and opening its group. */
const BEFORE_OPEN_MS = 20000;

/** True when there is something to mend. */
export function needsMending(workshop: Workshop, journal: JournalNote | null): boolean {
  if (journal !== null) return true;
  let open = false;
  workshop.held.forEach((note) => {
    if (!guestHasAll(workshop, note)) open = true;
  });
  return open;
}

function idsOf(note: JournalNote | HeldNote): Address[] {
  return note.memory.cards.map((card) => card.id);
}

function guestHasAll(workshop: Workshop, note: JournalNote | HeldNote): boolean {
  return idsOf(note).every((id) => workshop.guests.has(id));
}

/**
 * Waits until libvirt, which may be in the middle of starting the VM, has settled: a guest has the cards, or no
 * function is on vfio-pci. libvirt itself is not asked: it may be waiting for us in its hook.
 */
async function settle(workshop: Workshop, note: JournalNote | HeldNote, expecting: boolean): Promise<void> {
  const { clock } = workshop.machine;
  const begun = clock.now();
  for (;;) {
    await workshop.refresh();
    if (guestHasAll(workshop, note)) return;
    const onVfio = workshop.cards.some(
      (card) => idsOf(note).indexOf(card.id) >= 0 && card.functions.some((fn) => fn.driver === 'vfio-pci'),
    );
    const patience = onVfio ? BEFORE_OPEN_MS : expecting ? BEFORE_DETACH_MS : 0;
    if (clock.now() - begun >= patience) return;
    await clock.sleep(200);
  }
}

/** Mends as the running operation. */
export async function recover(workshop: Workshop, run: Run, journal: JournalNote | null): Promise<void> {
  run.touching = true;
  if (journal !== null) await mendJournal(workshop, run, journal);
  for (const note of Array.from(workshop.held.values())) {
    if (!guestHasAll(workshop, note)) await mendHeld(workshop, run, note);
  }
}

function describe(run: Run, note: JournalNote | HeldNote): void {
  run.operation.cards = idsOf(note);
  run.operation.vm = note.vm;
  const card = note.memory.cards.map((one) => one.name).join(', ');
  run.operation.sentence = sentence('fail.helper-restarted', { card });
}

async function mendJournal(workshop: Workshop, run: Run, journal: JournalNote): Promise<void> {
  const { machine } = workshop;
  const last = journal.started[journal.started.length - 1];
  machine.log.line('warning', `Mending an interrupted ${journal.kind}, last step ${last ?? 'none'}`, {
    operation: journal.operation,
  });
  describe(run, journal);
  workshop.publish();
  await settle(workshop, journal, last === 'start-vm' || last === 'guest-has');
  if (guestHasAll(workshop, journal)) {
    if (journal.vm !== null) workshop.keep(journal.vm, journal.memory);
    workshop.removeJournal();
    run.operation.sentence = null;
    return;
  }
  const started = journal.kind === 'take-back' ? EVERY_STEP : journal.started;
  const steps = planReturn(journal.memory, workshop.facts, workshop.config, started);
  run.operation.steps = viewsOf(steps);
  await returnHome(workshop, run, journal.vm, journal.memory, steps);
}

async function mendHeld(workshop: Workshop, run: Run, note: HeldNote): Promise<void> {
  describe(run, note);
  await settle(workshop, note, false);
  if (guestHasAll(workshop, note)) return;
  workshop.machine.log.line('warning', `The VM ${note.vm.name} is gone; bringing its cards home`, {});
  const steps = planReturn(note.memory, workshop.facts, workshop.config, EVERY_STEP);
  run.operation.steps = viewsOf(steps);
  await returnHome(workshop, run, note.vm, note.memory, steps);
}
