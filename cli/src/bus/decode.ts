/** What the helper publishes and answers, as documents. The keys are those of the contract. */
import { asDict, asDicts, count, type Dict, flag, text, textOrNull, texts } from '../../../core/src/dict.js';
import { FAILURES, type FailureName } from '../../../core/src/errors.js';
import type {
  CardDocument,
  CodedSentence,
  FaultDocument,
  HolderDocument,
  HoldersDocument,
  OperationDocument,
  RefusalDocument,
  StepDocument,
  Verdict,
  VmName,
} from '../documents.js';

function vmOf(dict: Dict): VmName | null {
  const uuid = text(dict, 'vm-uuid');
  const name = text(dict, 'vm-name');
  return uuid === '' && name === '' ? null : { uuid, name };
}

function codedSentence(dict: Dict): CodedSentence {
  return { code: text(dict, 'code'), sentence: text(dict, 'sentence') };
}

function decodeCard(dict: Dict): CardDocument {
  return {
    address: text(dict, 'id'),
    name: text(dict, 'name'),
    vendor: text(dict, 'vendor'),
    role: text(dict, 'role'),
    reason: text(dict, 'reason'),
    state: text(dict, 'state'),
    asleep: flag(dict, 'asleep'),
    external: flag(dict, 'external'),
    driver: textOrNull(dict, 'driver'),
    nodes: texts(dict, 'nodes'),
    iommuGroup: textOrNull(dict, 'group'),
    vm: vmOf(dict),
    why: textOrNull(dict, 'why'),
    obstacles: asDicts(dict.obstacles).map(codedSentence),
  };
}

export function decodeCards(value: unknown): CardDocument[] {
  return asDicts(value).map(decodeCard);
}

function decodeStep(dict: Dict): StepDocument {
  return {
    id: text(dict, 'id'),
    title: text(dict, 'title'),
    state: text(dict, 'state'),
    sentence: textOrNull(dict, 'sentence'),
  };
}

/** Null where there was no operation yet. */
export function decodeOperation(value: unknown): OperationDocument | null {
  const dict = asDict(value);
  const id = text(dict, 'id');
  if (id === '') return null;
  return {
    id,
    kind: text(dict, 'kind'),
    title: text(dict, 'title'),
    cards: texts(dict, 'cards'),
    vm: vmOf(dict),
    state: text(dict, 'state'),
    cancellable: flag(dict, 'cancellable'),
    steps: asDicts(dict.steps).map(decodeStep),
    error: textOrNull(dict, 'error'),
    sentence: textOrNull(dict, 'sentence'),
    user: text(dict, 'user'),
  };
}

export function decodeFaults(value: unknown): FaultDocument[] {
  return asDicts(value).map((dict) => ({ line: count(dict, 'line'), sentence: text(dict, 'sentence') }));
}

function decodeHolder(dict: Dict): HolderDocument {
  return {
    id: text(dict, 'id'),
    pid: count(dict, 'pid'),
    uid: count(dict, 'uid'),
    user: textOrNull(dict, 'user'),
    name: text(dict, 'name'),
    process: text(dict, 'process'),
    ownerKind: text(dict, 'owner-kind'),
    ownerName: text(dict, 'owner-name'),
    unit: textOrNull(dict, 'unit'),
    command: Array.isArray(dict.command) ? texts(dict, 'command') : null,
    nodes: texts(dict, 'nodes'),
    mapped: flag(dict, 'mapped'),
    since: new Date(count(dict, 'since')).toISOString(),
    gpuMemoryBytes: typeof dict['gpu-memory'] === 'number' ? dict['gpu-memory'] : null,
    essential: flag(dict, 'essential'),
    stopsByItself: flag(dict, 'stops-by-itself'),
  };
}

/** A verdict that is not known means that nobody can tell; it is never read as free. */
function verdictOf(dict: Dict): Verdict {
  const verdict = text(dict, 'verdict');
  return verdict === 'free' || verdict === 'held' ? verdict : 'unknown';
}

export function decodeHolders(value: unknown): HoldersDocument {
  const dict = asDict(value);
  return {
    verdict: verdictOf(dict),
    complete: flag(dict, 'complete'),
    unseen: count(dict, 'unseen'),
    sentence: text(dict, 'sentence'),
    holders: asDicts(dict.holders).map(decodeHolder),
    kernel: asDicts(dict.kernel).map((one) => ({ module: text(one, 'module'), count: count(one, 'count') })),
  };
}

export interface DecodedMachine {
  readonly uuid: string;
  readonly name: string;
  readonly running: boolean;
  readonly cards: readonly string[];
}

export function decodeMachines(value: unknown): DecodedMachine[] {
  return asDicts(value).map((dict) => ({
    uuid: text(dict, 'uuid'),
    name: text(dict, 'name'),
    running: flag(dict, 'running'),
    cards: texts(dict, 'cards'),
  }));
}

/** The failure of a name that came over the bus; a name that is not known is a plain failure. */
export function failureNamed(name: string): FailureName {
  return Object.hasOwn(FAILURES, name) ? (name as FailureName) : 'Failed';
}

export interface DecodedPreflight {
  readonly ok: boolean;
  readonly vm: VmName | null;
  readonly cards: readonly string[];
  readonly refusals: readonly RefusalDocument[];
  readonly steps: readonly { readonly id: string; readonly title: string }[];
}

export function decodePreflight(value: unknown): DecodedPreflight {
  const dict = asDict(value);
  return {
    ok: flag(dict, 'ok'),
    vm: vmOf(dict),
    cards: texts(dict, 'cards'),
    refusals: asDicts(dict.refusals).map((one) => {
      const error = failureNamed(text(one, 'error'));
      return { ...codedSentence(one), error, status: FAILURES[error] };
    }),
    steps: asDicts(dict.steps).map((step) => ({ id: text(step, 'id'), title: text(step, 'title') })),
  };
}
