/**
 * What the helper publishes and answers, for the desktops: from plain values (variants already taken off, as each
 * desktop's bus binding does it) to typed ones. What is missing or of a wrong type becomes empty, never an error: the
 * helper may be older or newer than the desktop's part.
 */
import { asDict, asDicts, count, type Dict, flag, text, texts } from '../dict.js';
import { type Naming, sayWithin, translated } from '../recognise.js';
import { type Translate, WORDS, type WordKey } from '../words.js';

/** A sentence as it was sent: English text, and its key where the helper gave one. */
export interface Told {
  readonly text: string;
  readonly key: string;
  readonly values: Readonly<Record<string, string>>;
}

export const NOTHING_TOLD: Told = { text: '', key: '', values: {} };

export interface CardPublished {
  /** PCI address. */
  readonly id: string;
  readonly name: string;
  readonly role: string;
  readonly state: string;
  readonly asleep: boolean;
  readonly driver: string;
  readonly vmUuid: string;
  readonly vmName: string;
  readonly why: Told;
  readonly obstacles: readonly Told[];
}

export interface StepPublished {
  readonly id: string;
  readonly title: Told;
  /** waiting, running, done, failed, undone. */
  readonly state: string;
  readonly sentence: Told;
}

export interface OperationPublished {
  readonly id: string;
  /** hand-off, take-back, end-holders, recover. */
  readonly kind: string;
  readonly title: Told;
  readonly cards: readonly string[];
  readonly vmUuid: string;
  readonly vmName: string;
  /** running, done, failed, cancelled. */
  readonly state: string;
  readonly cancellable: boolean;
  readonly steps: readonly StepPublished[];
  /** Last part of the error's name, or empty. */
  readonly error: string;
  readonly sentence: Told;
  /** Milliseconds since 1970. */
  readonly started: number;
}

export interface HolderPublished {
  readonly id: string;
  readonly pid: number;
  readonly user: string;
  readonly process: string;
  /** app, service, user-service, session, container, vm, process. */
  readonly ownerKind: string;
  readonly ownerName: string;
  readonly nodes: readonly string[];
  readonly mapped: boolean;
  readonly memoryBytes: number;
  readonly essential: boolean;
  readonly stopsByItself: boolean;
}

export interface KernelPublished {
  readonly module: string;
  readonly count: number;
}

export interface HoldersPublished {
  readonly verdict: 'free' | 'held' | 'unknown';
  readonly complete: boolean;
  readonly unseen: number;
  readonly sentence: Told;
  readonly holders: readonly HolderPublished[];
  readonly kernel: readonly KernelPublished[];
}

export interface MachinePublished {
  readonly uuid: string;
  readonly name: string;
  readonly running: boolean;
  readonly cards: readonly string[];
}

/** All properties of the helper. */
export interface Published {
  readonly version: string;
  readonly cards: readonly CardPublished[];
  readonly operation: OperationPublished | null;
}

/** `sentence` has its key beside it as `key`, any other text as `NAME-key`; likewise the values. */
function told(dict: Dict, name: string): Told {
  const prefix = name === 'sentence' ? '' : `${name}-`;
  const values: Record<string, string> = {};
  const begin = `${prefix}value-`;
  for (const field of Object.keys(dict))
    if (field.indexOf(begin) === 0) values[field.slice(begin.length)] = text(dict, field);
  return { text: text(dict, name), key: text(dict, `${prefix}key`), values };
}

function isWordKey(key: string): key is WordKey {
  return Object.keys(WORDS).indexOf(key) >= 0;
}

/** A sentence in the user's language: by its key, or by what it says where it came without one. */
export function sayTold(what: Told, translate?: Translate, naming?: Naming): string {
  if (isWordKey(what.key)) return sayWithin({ key: what.key, values: what.values }, translate, naming);
  return translate === undefined && naming === undefined
    ? what.text
    : translated(what.text, translate, naming);
}

function cardFrom(dict: Dict): CardPublished {
  return {
    id: text(dict, 'id'),
    name: text(dict, 'name'),
    role: text(dict, 'role'),
    state: text(dict, 'state'),
    asleep: flag(dict, 'asleep'),
    driver: text(dict, 'driver'),
    vmUuid: text(dict, 'vm-uuid'),
    vmName: text(dict, 'vm-name'),
    why: told(dict, 'why'),
    obstacles: asDicts(dict.obstacles).map((one) => told(one, 'sentence')),
  };
}

function stepFrom(dict: Dict): StepPublished {
  return {
    id: text(dict, 'id'),
    title: told(dict, 'title'),
    state: text(dict, 'state'),
    sentence: told(dict, 'sentence'),
  };
}

function operationFrom(dict: Dict): OperationPublished | null {
  const id = text(dict, 'id');
  if (id === '') return null;
  return {
    id,
    kind: text(dict, 'kind'),
    title: told(dict, 'title'),
    cards: texts(dict, 'cards'),
    vmUuid: text(dict, 'vm-uuid'),
    vmName: text(dict, 'vm-name'),
    state: text(dict, 'state'),
    cancellable: flag(dict, 'cancellable'),
    steps: asDicts(dict.steps).map(stepFrom),
    error: text(dict, 'error'),
    sentence: told(dict, 'sentence'),
    started: count(dict, 'started'),
  };
}

/** From the properties by name. */
export function publishedFrom(properties: Dict): Published {
  return {
    version: text(properties, 'Version'),
    cards: asDicts(properties.Cards).map(cardFrom),
    operation: operationFrom(asDict(properties.Operation)),
  };
}

function holderFrom(dict: Dict): HolderPublished {
  return {
    id: text(dict, 'id'),
    pid: count(dict, 'pid'),
    user: text(dict, 'user'),
    process: text(dict, 'process'),
    ownerKind: text(dict, 'owner-kind'),
    ownerName: text(dict, 'owner-name'),
    nodes: texts(dict, 'nodes'),
    mapped: flag(dict, 'mapped'),
    memoryBytes: count(dict, 'gpu-memory'),
    essential: flag(dict, 'essential'),
    stopsByItself: flag(dict, 'stops-by-itself'),
  };
}

/** From the report of GetHolders. A verdict that is not known means that nobody can tell; it is never read as free. */
export function holdersFrom(report: unknown): HoldersPublished {
  const dict = asDict(report);
  const verdict = text(dict, 'verdict');
  return {
    verdict: verdict === 'free' || verdict === 'held' ? verdict : 'unknown',
    complete: flag(dict, 'complete'),
    unseen: count(dict, 'unseen'),
    sentence: told(dict, 'sentence'),
    holders: asDicts(dict.holders).map(holderFrom),
    kernel: asDicts(dict.kernel).map((one) => ({ module: text(one, 'module'), count: count(one, 'count') })),
  };
}

/** From the answer of ListVirtualMachines. */
export function machinesFrom(answer: unknown): MachinePublished[] {
  return asDicts(answer).map((dict) => ({
    uuid: text(dict, 'uuid'),
    name: text(dict, 'name'),
    running: flag(dict, 'running'),
    cards: texts(dict, 'cards'),
  }));
}
