/** Looks that need more than sysfs: who holds cards, and which guest has them. */
import type { Card } from '../detect.js';
import { reasonOf } from '../errors.js';
import type { Address, HardwareFacts, PassResult, ProcessUse } from '../facts.js';
import { countsSayFree, type HolderReport, holderQuestion, NOBODY, reportHolders } from '../holders.js';
import { isUuid } from '../journal.js';
import type { Machine, PassQuestion } from '../machine.js';
import type { GuestRef } from '../state.js';
import { type Sentence, sentence } from '../words.js';

/** A pass over the processes. One that fails saw nothing, which is not to say that nobody is there. */
async function passOver(machine: Machine, question: PassQuestion): Promise<PassResult> {
  try {
    const pass = await machine.eyes.processes(question);
    for (const gap of pass.gaps ?? [])
      machine.log.line('warning', `The look at the processes was cut short: ${gap}`);
    return pass;
  } catch (fault) {
    machine.log.line('warning', `The processes could not be looked at: ${reasonOf(fault)}`);
    return { processes: 0, found: [], unseen: [], complete: false };
  }
}

/**
 * A process that opens and closes a card all the time can be missed between the counts and its turn in the pass: the
 * kernel is blamed only when so many looks in a row found nobody else.
 */
const LOOKS = 4;
const BETWEEN_LOOKS_MS = 25;

/**
 * Who holds these cards. No pass is made when the use counts prove that nobody can. `fresh`: the last look before
 * something is done, which relies on nothing seen before.
 */
export async function lookForHolders(
  machine: Machine,
  cards: readonly Card[],
  facts: HardwareFacts,
  services: readonly string[],
  fresh = false,
): Promise<HolderReport> {
  let now = facts;
  for (let look = 1; ; look++) {
    const suspects = cards.filter((card) => !countsSayFree(card, now));
    if (suspects.length === 0) return NOBODY;
    const question = Object.assign({ fresh }, holderQuestion(suspects, now));
    const report = reportHolders(suspects, now, await passOver(machine, question), services, machine.eyes);
    if (report.kernel.length === 0 || look === LOOKS) return report;
    await machine.clock.sleep(BETWEEN_LOOKS_MS);
    now = machine.eyes.hardware();
  }
}

/** The process of a guest that has a card's VFIO group or device open. */
export interface GuestProcess {
  readonly pid: number;
  readonly startTicks: number;
  readonly vm: GuestRef | null;
}

/** Which guests have cards, as far as could be seen. */
export interface GuestLook {
  readonly guests: Map<Address, GuestProcess>;
  /** Cards on vfio-pci of which it could not be seen whether a guest has them, and why. */
  readonly unsure: Map<Address, Sentence>;
}

export function isOnVfio(card: Card): boolean {
  return card.functions.some((fn) => fn.driver === 'vfio-pci');
}

function vfioNumbers(card: Card): string[] {
  const numbers: string[] = [];
  for (const fn of card.functions)
    for (const node of fn.nodes) if (node.kind === 'vfio') numbers.push(node.number);
  return numbers;
}

/** libvirt gives every guest its UUID and name on QEMU's command line. */
export function guestOfProcess(use: ProcessUse): GuestRef | null {
  const uuid = use.argv[use.argv.indexOf('-uuid') + 1];
  const name = use.argv[use.argv.indexOf('-name') + 1] ?? '';
  if (use.argv.indexOf('-uuid') < 0 || !isUuid(uuid)) return null;
  // Commas in a value are doubled: `guest=a,,b,debug-threads=on`.
  const guest = /(?:^|,)guest=((?:[^,]|,,)*)/.exec(name);
  return { uuid, name: guest?.[1]?.replace(/,,/g, ',') ?? uuid };
}

function whyUnsure(pass: PassResult): Sentence | null {
  if (!pass.complete) return sentence('holders.cut-short');
  return pass.unseen.length > 0 ? sentence('holders.partly', { count: pass.unseen.length }) : null;
}

/** By card, the guest process that has it open now. Only cards on vfio-pci can be with a guest. */
export async function lookForGuests(machine: Machine, cards: readonly Card[]): Promise<GuestLook> {
  const guests = new Map<Address, GuestProcess>();
  const unsure = new Map<Address, Sentence>();
  const away = cards.filter(isOnVfio);
  const numbers = away.reduce<string[]>((all, card) => all.concat(vfioNumbers(card)), []);
  if (numbers.length === 0) return { guests, unsure };
  const pass = await passOver(machine, { numbers, exporters: [] });
  const why = whyUnsure(pass);
  for (const card of away) {
    const own = vfioNumbers(card);
    const use = pass.found.filter((one) => one.uses.some((u) => own.indexOf(u.number) >= 0))[0];
    if (use !== undefined)
      guests.set(card.id, { pid: use.pid, startTicks: use.startTicks, vm: guestOfProcess(use) });
    else if (why !== null) unsure.set(card.id, why);
  }
  return { guests, unsure };
}
