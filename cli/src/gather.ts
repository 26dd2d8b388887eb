/** Collects what `status` and `watch` show, from the helper where it runs and by an own look where it does not. */

import { MANAGER } from '../../core/src/contract.js';
import { asDict } from '../../core/src/dict.js';
import { HandoffError } from '../../core/src/errors.js';
import { present } from '../../core/src/present.js';
import { addressOf } from './bus/address.js';
import { decodeHolders } from './bus/decode.js';
import { helperAbsent } from './bus/errors.js';
import { QuickBus } from './bus/quick-bus.js';
import { type State, stateOf } from './bus/state.js';
import type { Context } from './context.js';
import {
  type CardDocument,
  DOCUMENT_VERSION,
  type HoldersDocument,
  type HoldersSummary,
  type ShownCardDocument,
  type StatusDocument,
} from './documents.js';
import { holdersDocument, OwnLook } from './own-look.js';
import { shortName } from './short-name.js';

/** A glance is not to wait for a slow look at the processes; `holders` does. */
const HOLDERS_MS = 300;
/** How long a running helper may take to say its state before the command looks by itself. */
const HELPER_MS = 3000;

export function summarize(holders: HoldersDocument): HoldersSummary {
  const names = (self: boolean): string[] => [
    ...new Set(holders.holders.filter((one) => one.stopsByItself === self).map(shortName)),
  ];
  return {
    verdict: holders.verdict,
    names: names(false),
    stopByThemselves: names(true),
    kernel: holders.kernel.map((one) => one.module),
    sentence: holders.verdict === 'free' ? '' : holders.sentence,
  };
}

/** A card with the presenter's words for it. */
export function showCard(card: CardDocument, holders: HoldersSummary | null): ShownCardDocument {
  const facts = {
    name: card.name,
    role: card.role,
    state: card.state,
    asleep: card.asleep,
    driver: card.driver ?? '',
    vmName: card.vm?.name ?? '',
    why: card.why ?? '',
    obstacle: card.obstacles[0]?.sentence ?? '',
  };
  const { label, line } = present(facts, holders?.names.length ?? 0);
  // What serves the monitors is not on offer, so neither is an obstacle to its leaving.
  if (card.role === 'igpu' && card.state === 'host') {
    const alone = card.obstacles.find((one) => one.code === 'one-card');
    return { ...card, label: 'Serves the monitors', line: alone?.sentence ?? '', holders };
  }
  if (card.role !== 'dgpu' && card.state === 'host')
    return { ...card, label: 'Left alone', line: '', holders };
  // The presenter says only why it could not be seen, not what.
  if (card.state === 'unknown')
    return { ...card, label: 'Not known', line: `Whether a VM has it could not be seen: ${line}`, holders };
  return { ...card, label, line, holders };
}

/** Whether apps and services of the host can hold a card now, so that it is worth asking. */
export function mayBeHeld(card: CardDocument): boolean {
  return card.role === 'dgpu' && card.state === 'host';
}

/** The value, or null when it takes longer than that. */
async function within<T>(milliseconds: number, value: Promise<T>): Promise<T | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), milliseconds);
  });
  try {
    return await Promise.race([value, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Who holds a card, or null where that could not be told in time. */
function inTime<T>(holders: Promise<T>): Promise<T | null> {
  return within(HOLDERS_MS, holders).catch(() => null);
}

export interface HelperState {
  readonly state: State;
  /** Who holds which card, as far as it was asked and answered in time. */
  readonly holders: ReadonlyMap<string, HoldersSummary>;
}

/** What the helper publishes, when one runs; it is not started for this. Rejects with HelperAbsent. */
async function askHelper(address: string | null): Promise<HelperState> {
  // The connection ends with the command, at once; closing it here would only take time.
  const bus = new QuickBus(addressOf(address));
  const { name: destination, path, interface: iface } = MANAGER;
  const properties = { destination, path, interface: 'org.freedesktop.DBus.Properties' };
  const answer = await within(HELPER_MS, bus.call({ ...properties, member: 'GetAll', strings: [iface] }));
  if (answer === null) throw helperAbsent(`no answer within ${HELPER_MS / 1000} s`);
  const state = stateOf(asDict(answer[0]));
  const holders = new Map<string, HoldersSummary>();
  await Promise.all(
    state.cards.filter(mayBeHeld).map(async (card) => {
      const question = { destination, path, interface: iface, member: 'GetHolders', options: true };
      const report = await inTime(bus.call({ ...question, strings: [card.address] }));
      if (report !== null) holders.set(card.address, summarize(decodeHolders(report[0])));
    }),
  );
  return { state, holders };
}

export function statusOfHelper({ state, holders }: HelperState): StatusDocument {
  return {
    version: DOCUMENT_VERSION,
    source: 'helper',
    helper: { running: true, version: state.version },
    cards: state.cards.map((card) => showCard(card, holders.get(card.address) ?? null)),
    operation: state.operation,
    faults: state.faults,
    notes: [],
  };
}

/** What can be seen without the helper. */
export async function ownStatus(
  simulate: string | null,
  notes: readonly string[] = [],
): Promise<StatusDocument> {
  const look = await OwnLook.begin(simulate);
  const documents = await look.cardDocuments();
  const cards = await Promise.all(
    documents.map(async (document) => {
      const card = look.cards.find((one) => one.id === document.address);
      if (card === undefined || !mayBeHeld(document)) return showCard(document, null);
      const report = await inTime(look.holders(card));
      return showCard(document, report === null ? null : summarize(holdersDocument(card.name, report)));
    }),
  );
  return {
    version: DOCUMENT_VERSION,
    source: 'own-look',
    helper: { running: false, version: null },
    cards,
    operation: null,
    faults: look.loaded.faults.map((fault) => ({ line: fault.line, sentence: fault.why })),
    notes: [...notes, ...look.notes()],
  };
}

/** The state of all cards as well as it can be told without starting anything. */
export async function gatherStatus(context: Context): Promise<StatusDocument> {
  const { simulate, bus } = context.options;
  if (simulate !== null) return ownStatus(simulate);
  try {
    return statusOfHelper(await askHelper(bus));
  } catch (fault) {
    // A helper that does not run is nothing to speak of: it starts when it is needed and leaves when it is not.
    if (!(fault instanceof HandoffError)) throw fault;
    return ownStatus(null, fault.failure === 'HelperAbsent' ? [] : [fault.message]);
  }
}
