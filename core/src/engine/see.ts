/** The questions that steps ask of the machine: each waits until it is true, and fails after its time limit. */
import type { Card } from '../detect.js';
import { failure, HandoffError } from '../errors.js';
import type { Address, DeviceNode } from '../facts.js';
import type { Check, HomeFunction, Step } from '../plan.js';
import { refusalByHolders } from '../preflight.js';
import { printable } from '../words.js';
import { lookForGuests, lookForHolders } from './look.js';
import type { Run, Workshop } from './workshop.js';

/** How long libvirt may take to give the functions back after the guest's process has ended. */
const GIVE_BACK_MS = 15000;

function chosen(workshop: Workshop, ids: readonly Address[]): Card[] {
  return workshop.lookAtHardware().filter((card) => ids.indexOf(card.id) >= 0);
}

/** Asks again and again, at growing intervals up to a second, until the answer is true or the limit is over. */
async function until(workshop: Workshop, limitMs: number, answer: () => Promise<boolean>): Promise<boolean> {
  const { clock } = workshop.machine;
  const end = clock.now() + limitMs;
  let pause = 50;
  for (;;) {
    if (await answer()) return true;
    if (clock.now() >= end) return false;
    await clock.sleep(pause);
    pause = Math.min(1000, pause * 1.5);
  }
}

async function seeNobodyHolds(workshop: Workshop, ids: readonly Address[]): Promise<void> {
  const cards = chosen(workshop, ids);
  // The services that stop by themselves are stopped by now, so nobody is excused.
  const report = await lookForHolders(workshop.machine, cards, workshop.facts, []);
  const refused = refusalByHolders(cards, report);
  if (refused !== null) throw new HandoffError(refused.failure, refused.sentence);
}

async function seeGuestHas(workshop: Workshop, run: Run, step: Step, ids: readonly Address[]): Promise<void> {
  const vm = printable(run.operation.vm?.name ?? '');
  const seen = await until(workshop, step.limitMs, async () => {
    if (run.released) throw failure('Failed', 'fail.guest-gave-back', { vm });
    const cards = chosen(workshop, ids);
    if (!cards.every((card) => card.main.driver === 'vfio-pci')) return false;
    workshop.guests = await lookForGuests(workshop.machine, workshop.cards);
    return ids.every((id) => workshop.guests.has(id));
  });
  if (!seen) {
    const seconds = Math.round(step.limitMs / 1000);
    throw failure('Failed', 'fail.guest-not-seen', { vm, seconds });
  }
}

async function seeGuestGone(
  workshop: Workshop,
  run: Run,
  step: Step,
  ids: readonly Address[],
): Promise<void> {
  const { clock, eyes } = workshop.machine;
  let goneSince: number | null = null;
  const seen = await until(workshop, step.limitMs + GIVE_BACK_MS, async () => {
    if (run.released) return true;
    const cards = chosen(workshop, ids);
    if (cards.every((card) => card.functions.every((fn) => fn.driver !== 'vfio-pci'))) return true;
    const alive = ids.some((id) => {
      const guest = workshop.guests.get(id);
      return guest !== undefined && eyes.startTicks(guest.pid) === guest.startTicks;
    });
    if (run.cancelRequested && alive) throw failure('Cancelled', 'fail.cancelled');
    if (alive) {
      if (clock.now() > run.operation.startedAt + step.limitMs) throw stays(run, step);
      return false;
    }
    // libvirt gives the functions back a moment after QEMU has ended; a stopped libvirtd never does.
    goneSince = goneSince ?? clock.now();
    if (clock.now() - goneSince < GIVE_BACK_MS) return false;
    return (await lookForGuests(workshop.machine, workshop.cards)).size === 0;
  });
  if (!seen) throw stays(run, step);
}

function stays(run: Run, step: Step): HandoffError {
  const vm = printable(run.operation.vm?.name ?? '');
  return failure('Failed', 'fail.guest-stays', { vm, seconds: Math.round(step.limitMs / 1000) });
}

function isHome(workshop: Workshop, home: HomeFunction): boolean {
  const fn = workshop.facts.functions.filter((one) => one.address === home.address)[0];
  if (fn === undefined || fn.driver !== home.driver) return false;
  const drm = fn.nodes.filter((node) => node.kind === 'card' || node.kind === 'render');
  return !home.drm || (drm.length > 0 && drm.every((node) => isOpenToUsers(workshop, node)));
}

/** The kernel makes a node for root alone; udev opens it to its users a moment later. */
const UNTOUCHED_BY_UDEV = 0o600;

function isOpenToUsers(workshop: Workshop, node: DeviceNode): boolean {
  return workshop.machine.eyes.nodeMode(node) !== UNTOUCHED_BY_UDEV;
}

async function seeHostHas(workshop: Workshop, step: Step, home: readonly HomeFunction[]): Promise<void> {
  const seen = await until(workshop, step.limitMs, async () => {
    workshop.lookAtHardware();
    return home.every((one) => isHome(workshop, one));
  });
  if (seen) return;
  const missing = home.filter((one) => !isHome(workshop, one))[0];
  throw failure('Failed', 'fail.host-not-seen', {
    card: missing?.address ?? '',
    driver: missing?.driver ?? '',
    seconds: Math.round(step.limitMs / 1000),
  });
}

/** Waits until the check of a step is true on the machine. */
export async function see(workshop: Workshop, run: Run, check: Check, step: Step): Promise<void> {
  switch (check.see) {
    case 'nobody-holds':
      return seeNobodyHolds(workshop, check.cards);
    case 'guest-has':
      return seeGuestHas(workshop, run, step, check.cards);
    case 'guest-gone':
      return seeGuestGone(workshop, run, step, check.cards);
    case 'host-has':
      return seeHostHas(workshop, step, check.home);
  }
}
