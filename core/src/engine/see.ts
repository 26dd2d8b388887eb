/** The questions that steps ask of the machine: each waits until it is true, and fails after its time limit. */
import { type Card, usedByHost } from '../detect.js';
import { failure, HandoffError } from '../errors.js';
import type { Address, DeviceNode } from '../facts.js';
import { NOBODY, withoutExcuse } from '../holders.js';
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

/**
 * Asks again and again, at growing intervals up to a second, until the answer is true or the limit is over. It asks
 * at once when libvirt or the user has said something (`run.wake`).
 */
async function until(
  workshop: Workshop,
  run: Run,
  limitMs: number,
  answer: () => Promise<boolean>,
): Promise<boolean> {
  const { clock } = workshop.machine;
  const end = clock.now() + limitMs;
  let pause = 50;
  for (;;) {
    if (await answer()) return true;
    if (clock.now() >= end) return false;
    const woken = new Promise<void>((resolve) => {
      run.wake = resolve;
    });
    await Promise.race([clock.sleep(pause), woken]);
    pause = Math.min(1000, pause * 1.5);
  }
}

/** How long a sound server may take to close a card that was closed to it; it does within milliseconds. */
const LET_GO_MS = 5000;

async function seeNobodyHolds(workshop: Workshop, run: Run, ids: readonly Address[]): Promise<void> {
  let cards: Card[] = [];
  let report = NOBODY;
  await until(workshop, run, LET_GO_MS, async () => {
    cards = chosen(workshop, ids);
    // The services are stopped by now; only sound servers are waited for.
    report = await lookForHolders(workshop.machine, cards, workshop.facts, [], true);
    return report.holders.length === 0 || refusalByHolders(cards, report) !== null;
  });
  const refused = refusalByHolders(cards, withoutExcuse(report));
  if (refused !== null) throw new HandoffError(refused.failure, refused.sentence);
}

async function seeGuestHas(
  workshop: Workshop,
  run: Run,
  step: Step,
  ids: readonly Address[],
  uuid: string,
): Promise<void> {
  const vm = printable(run.operation.vm?.name ?? '');
  const seen = await until(workshop, run, step.limitMs, async () => {
    if (run.released) throw failure('Failed', 'fail.guest-gave-back', { vm });
    if (!chosen(workshop, ids).every((card) => card.main.driver === 'vfio-pci')) return false;
    await workshop.look();
    return ids.every((id) => workshop.isWith(id, uuid));
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
  const begun = clock.now();
  let goneSince: number | null = null;
  const seen = await until(workshop, run, step.limitMs + GIVE_BACK_MS, async () => {
    if (run.released) return true;
    const cards = chosen(workshop, ids);
    if (cards.every((card) => card.functions.every((fn) => fn.driver !== 'vfio-pci'))) return true;
    const alive = ids.some((id) => {
      const guest = workshop.guests.get(id);
      return guest !== undefined && eyes.startTicks(guest.pid) === guest.startTicks;
    });
    if (run.cancelRequested && alive) throw failure('Cancelled', 'fail.cancelled-asked', { vm: nameOf(run) });
    if (alive) {
      if (clock.now() > begun + step.limitMs) throw stays(run, step);
      return false;
    }
    // libvirt gives the functions back a moment after QEMU has ended; a stopped libvirtd never does.
    goneSince = goneSince ?? clock.now();
    if (clock.now() - goneSince < GIVE_BACK_MS) return false;
    const { guests, unsure } = await lookForGuests(workshop.machine, cards);
    return guests.size === 0 && unsure.size === 0;
  });
  if (!seen) throw stays(run, step);
}

function nameOf(run: Run): string {
  return printable(run.operation.vm?.name ?? '');
}

function stays(run: Run, step: Step): HandoffError {
  return failure('Failed', 'fail.guest-stays', { vm: nameOf(run), seconds: Math.round(step.limitMs / 1000) });
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

async function seeHostHas(
  workshop: Workshop,
  run: Run,
  step: Step,
  home: readonly HomeFunction[],
  any: readonly Address[],
): Promise<void> {
  const lacking = (): Card[] =>
    workshop.cards.filter((card) => any.indexOf(card.id) >= 0 && !usedByHost(card.main));
  const seen = await until(workshop, run, step.limitMs, async () => {
    workshop.lookAtHardware();
    return home.every((one) => isHome(workshop, one)) && lacking().length === 0;
  });
  if (seen) return;
  const missing = home.filter((one) => !isHome(workshop, one))[0];
  const seconds = Math.round(step.limitMs / 1000);
  if (missing === undefined)
    throw failure('Failed', 'fail.no-driver', { card: lacking()[0]?.name ?? '', seconds });
  const { address: card, driver } = missing;
  throw failure('Failed', 'fail.host-not-seen', { card, driver, seconds });
}

/** Waits until the check of a step is true on the machine. */
export async function see(workshop: Workshop, run: Run, check: Check, step: Step): Promise<void> {
  switch (check.see) {
    case 'nobody-holds':
      return seeNobodyHolds(workshop, run, check.cards);
    case 'guest-has':
      return seeGuestHas(workshop, run, step, check.cards, check.uuid);
    case 'guest-gone':
      return seeGuestGone(workshop, run, step, check.cards);
    case 'host-has':
      return seeHostHas(workshop, run, step, check.home, check.any);
  }
}
