/** Makes the entries in the user's folder follow his choices and the apps that are there. */
import { createHash } from 'node:crypto';
import { accessSync, constants, existsSync, statSync, unlinkSync } from 'node:fs';
import { failure, reasonOf } from '../../errors.js';
import type { Bytes } from '../../launch/bytes.js';
import type { Choice, Way } from '../../launch/entry.js';
import {
  type AppPlan,
  type Choices,
  choiceFor,
  type MadeChoice,
  planApp,
  planUndo,
  type SyncOperation,
  type SyncRules,
} from '../../launch/sync.js';
import { type Sentence, say, sentence } from '../../words.js';
import { type Concerned, cacheOf, keepAssociations } from './associations.js';
import { carryOut } from './carry-out.js';
import { choicesOf, moveAside, readChoices, type StoredChoices, writeChoices } from './choices.js';
import { codeOf, type Step } from './files.js';
import type { LaunchFolders } from './folders.js';
import { fingerprintOf, type Remembered, readIndex, writeIndex } from './index-file.js';
import { locked } from './lock.js';
import { LaunchLook, seenAt } from './look.js';

declare const GPU_HANDOFF_WRAPPER: string;

/** Where the wrapper is installed; a build for measuring names another place. */
export const WRAPPER =
  typeof GPU_HANDOFF_WRAPPER === 'undefined' ? '/usr/bin/gpu-handoff-run' : GPU_HANDOFF_WRAPPER;

/** There while the package is being removed: entries must go before the wrapper does. */
const REMOVING = '/run/gpu-handoff-removing';

/** Raised when the same source and choice lead to other bytes, so that an old index does not hide it. */
const WRITING = 1;

/** A change during a sync makes it look again; who changes entries all the time does not keep it for ever. */
const MOST_ROUNDS = 3;

export interface SyncJob {
  readonly folders: LaunchFolders;
  /** Null where it could not be told. */
  readonly way: Way | null;
  readonly wrapper?: string;
  /** For tests: called before each act on the disk. */
  readonly step?: Step;
}

export interface SyncChange {
  readonly id: string;
  readonly what: 'written' | 'removed' | 'restored';
  readonly sentence: string;
}

export interface SyncReport {
  readonly changes: readonly SyncChange[];
  readonly problems: readonly { readonly id: string; readonly sentence: string }[];
  /** What there is to say beside single apps; empty where there is nothing. */
  readonly notes: readonly string[];
  /** Something that was to be done could not be: a file could not be written, or changed at the same moment. */
  readonly failed: boolean;
}

export const digest = (bytes: Bytes): string => createHash('sha256').update(bytes, 'latin1').digest('hex');

/** False while the wrapper is not installed, or about to go. */
export function isWrapperThere(wrapper: string): boolean {
  try {
    accessSync(wrapper, constants.X_OK);
  } catch {
    return false;
  }
  return !existsSync(REMOVING);
}

function rulesOf(job: SyncJob, choices: Choices | null): SyncRules {
  const wrapper = job.wrapper ?? WRAPPER;
  return { choices, way: job.way, wrapper, wrapperThere: isWrapperThere(wrapper), digest };
}

function fingerprint(
  keys: ReadonlyMap<string, string>,
  folders: LaunchFolders,
  stored: StoredChoices,
  rules: SyncRules,
): string {
  return fingerprintOf(keys, [
    String(WRITING),
    JSON.stringify(folders),
    stored.kind,
    stored.text,
    rules.way ?? '',
    rules.wrapper,
    String(rules.wrapperThere),
  ]);
}

/** A folder that belongs to somebody else is not written to. */
function checkOwner(folders: LaunchFolders): void {
  const stat = statSync(folders.own, { throwIfNoEntry: false });
  if (stat !== undefined && stat.uid !== process.getuid?.())
    throw failure('Refused', 'apps.folder-foreign', { path: folders.own });
}

const WHAT: Readonly<Record<SyncOperation['kind'], SyncChange['what'] | null>> = {
  write: 'written',
  remove: 'removed',
  restore: 'restored',
  keep: null,
  save: null,
};

/** Ids that a sync has to look at: the others have neither a choice nor anything in the user's folders. */
export function concerned(look: LaunchLook, choices: Choices | null): string[] {
  const ids = [...look.own.keys(), ...look.originals.keys(), ...Object.keys(choices ?? {})];
  return [...new Set(ids)].sort();
}

function outside(look: LaunchLook, id: string): Sentence | null {
  const own = look.own.get(id);
  return own?.outside === true ? sentence('entry.outside', { path: own.path }) : null;
}

export function planFor(look: LaunchLook, rules: SyncRules, id: string): AppPlan {
  const why = outside(look, id);
  if (why === null) return planApp(look.filesOf(id), rules);
  const chosen = choiceFor(look.filesOf(id), rules.choices) !== 'untouched';
  return { id, operations: [], problem: chosen ? why : null };
}

interface Round {
  readonly report: SyncReport;
  /** What the folders must look like now, if nobody else changes anything. */
  readonly keys: ReadonlyMap<string, string>;
  /** Everything was done. */
  readonly whole: boolean;
}

/** Whether an entry of ours is there once a plan is carried out. */
function isOurs(look: LaunchLook, { id, operations }: AppPlan): boolean {
  const last = operations[operations.length - 1];
  return last === undefined ? wasOurs(look, id) : last.kind === 'write';
}

function wasOurs(look: LaunchLook, id: string): boolean {
  return choiceFor(look.filesOf(id), null) !== 'untouched';
}

/** The apps with entries of ours after the plans. Those without a plan are as their choices were made true. */
function concernedByUs(
  look: LaunchLook,
  plans: readonly AppPlan[],
  choices: Choices | null,
  keys: ReadonlyMap<string, string>,
): Concerned {
  const planned = new Map(plans.map((plan) => [plan.id, plan]));
  const placed: string[] = [];
  const alone: string[] = [];
  for (const id of new Set([...Object.keys(choices ?? {}), ...planned.keys()])) {
    const plan = planned.get(id);
    const there = keys.has(look.placeOf(id));
    const ours = there && (plan === undefined || isOurs(look, plan));
    if (ours) placed.push(id);
    const gone = !there && plan !== undefined && wasOurs(look, id);
    if ((ours || gone) && !keys.has(look.originalOf(id))) alone.push(id);
  }
  return { placed, alone };
}

function carryOutPlans(
  look: LaunchLook,
  plans: readonly AppPlan[],
  choices: Choices | null,
  step: Step,
): Round {
  const done = carryOut(look, plans, step);
  const keys = new Map(look.keys);
  for (const path of done.touched) {
    const now = seenAt(path, '');
    if (now === null || !path.endsWith('.desktop')) keys.delete(path);
    else keys.set(path, now.key);
  }
  const notes: string[] = [];
  const cache = cacheOf(look.folders);
  let whole = done.problems.length === 0;
  try {
    if (keepAssociations(look.folders, concernedByUs(look, plans, choices, keys), step)) {
      const now = seenAt(cache, '');
      if (now === null) keys.delete(cache);
      else keys.set(cache, now.key);
    }
  } catch (fault) {
    if (codeOf(fault) === '') throw fault;
    whole = false;
    notes.push(say(sentence('apps.not-written', { path: cache, why: reasonOf(fault) })));
  }
  const told = plans.flatMap(({ id, problem }) => (problem === null ? [] : [{ id, problem }]));
  const changes = done.changes.flatMap(({ id, operation }): SyncChange[] => {
    const what = WHAT[operation.kind];
    return what === null ? [] : [{ id, what, sentence: say(operation.reason) }];
  });
  const problems = [...told, ...done.problems].map(({ id, problem }) => ({ id, sentence: say(problem) }));
  return { report: { changes, problems, notes, failed: !whole }, keys, whole };
}

/** A look after what an interrupted sync left half written is gone. */
function cleanLook(folders: LaunchFolders): LaunchLook {
  const look = new LaunchLook(folders);
  if (look.temporary.length === 0) return look;
  for (const path of look.temporary) {
    try {
      unlinkSync(path);
    } catch {
      // It is gone, or cannot be had; it is no entry in either case.
    }
  }
  return new LaunchLook(folders);
}

function sameKeys(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean {
  if (a.size !== b.size) return false;
  for (const [path, key] of a) if (b.get(path) !== key) return false;
  return true;
}

const nothing: Step = () => {};

/** What is remembered of the last sync, where nothing that it depends on has changed since. */
function unchanged(look: LaunchLook, job: SyncJob, stored: StoredChoices): Remembered | null {
  const remembered = readIndex(job.folders.index);
  if (remembered === null || look.temporary.length > 0) return null;
  const choices = stored.kind === 'read' ? stored.choices : null;
  const now = fingerprint(look.keys, job.folders, stored, rulesOf(job, choices));
  return remembered.fingerprint === now ? remembered : null;
}

/** Brings everything in order, under the lock. */
function syncAll(job: SyncJob): SyncReport {
  const { folders } = job;
  const step = job.step ?? nothing;
  const changes: SyncChange[] = [];
  let look = cleanLook(folders);
  for (let round = 1; ; round += 1) {
    const stored = readChoices(folders.choices);
    const choices = choicesOf(stored, folders.choices);
    const rules = rulesOf(job, choices);
    const plans = concerned(look, choices).map((id) => planFor(look, rules, id));
    const done = carryOutPlans(look, plans, choices, step);
    changes.push(...done.report.changes);
    const after = new LaunchLook(folders);
    const settled = sameKeys(after.keys, done.keys);
    if (settled || round === MOST_ROUNDS) {
      const { problems, notes, failed } = done.report;
      if (settled && done.whole && !look.unsure)
        writeIndex(
          folders.index,
          { fingerprint: fingerprint(done.keys, folders, stored, rules), problems },
          step,
        );
      return { changes, problems, notes, failed };
    }
    look = after;
  }
}

/** Who has never made a choice gets no folders and files of ours either. */
function isUnused(look: LaunchLook, stored: StoredChoices): boolean {
  if (stored.kind !== 'none' || look.originals.size > 0 || look.temporary.length > 0) return false;
  for (const id of look.own.keys()) if (choiceFor(look.filesOf(id), null) !== 'untouched') return false;
  return true;
}

/** Makes all entries follow. Rejects where the choices cannot be read: then everything stays as it is. */
export async function syncEntries(job: SyncJob): Promise<SyncReport> {
  const { folders } = job;
  const stored = readChoices(folders.choices);
  choicesOf(stored, folders.choices);
  const look = new LaunchLook(folders);
  if (isUnused(look, stored)) return { changes: [], problems: [], notes: [], failed: false };
  const remembered = unchanged(look, job, stored);
  if (remembered !== null) return { changes: [], problems: remembered.problems, notes: [], failed: false };
  checkOwner(folders);
  return locked(folders.lock, () => syncAll(job));
}

function keep({ folders, step }: SyncJob, choices: Choices): void {
  try {
    writeChoices(folders.choices, choices, step ?? nothing);
  } catch (fault) {
    if (codeOf(fault) === '') throw fault;
    throw failure('Failed', 'apps.not-written', { path: folders.choices, why: reasonOf(fault) });
  }
}

interface Changeable {
  readonly choices: Record<string, MadeChoice>;
  readonly notes: string[];
}

/** The choices to change. A file that cannot be read is moved aside, and what entries say themselves is taken instead. */
function changeable(look: LaunchLook, stored: StoredChoices): Changeable {
  const path = look.folders.choices;
  const notes: string[] = [];
  if (stored.kind === 'newer') choicesOf(stored, path);
  if (stored.kind === 'read') return { choices: { ...stored.choices }, notes };
  if (stored.kind === 'broken') notes.push(say(sentence('apps.choices-aside', { path: moveAside(path) })));
  const choices: Record<string, MadeChoice> = {};
  for (const id of look.own.keys()) {
    const choice = choiceFor(look.filesOf(id), null);
    if (choice !== 'untouched') choices[id] = choice;
  }
  return { choices, notes };
}

/** Carries out the plans of some apps after the choices have changed, and keeps the index where it held before. */
function follow(
  job: SyncJob,
  look: LaunchLook,
  before: Remembered | null,
  plans: readonly AppPlan[],
  choices: Choices,
  notes: readonly string[],
): SyncReport {
  const { folders } = job;
  const step = job.step ?? nothing;
  const { report, keys, whole } = carryOutPlans(look, plans, choices, step);
  if (before !== null && whole) {
    const stored = readChoices(folders.choices);
    const rules = rulesOf(job, stored.kind === 'read' ? stored.choices : null);
    const others = before.problems.filter(({ id }) => !plans.some((plan) => plan.id === id));
    const problems = [...others, ...report.problems];
    writeIndex(folders.index, { fingerprint: fingerprint(keys, folders, stored, rules), problems }, step);
  }
  return { ...report, notes: [...notes, ...report.notes] };
}

/** Changes choices, and makes the entries that this is about follow at once. */
async function change(
  job: SyncJob,
  decide: (look: LaunchLook, choices: Changeable['choices']) => () => readonly AppPlan[],
): Promise<SyncReport> {
  const { folders } = job;
  checkOwner(folders);
  return locked(folders.lock, () => {
    const look = cleanLook(folders);
    const stored = readChoices(folders.choices);
    const before = unchanged(look, job, stored);
    const { choices, notes } = changeable(look, stored);
    const plan = decide(look, choices);
    keep(job, choices);
    return follow(job, look, before, plan(), choices, notes);
  });
}

/** Keeps a choice and makes the entry follow at once. The id must be one that the caller found in the list. */
export function setChoice(job: SyncJob, id: string, choice: Choice): Promise<SyncReport> {
  return change(job, (look, choices) => {
    if (choice === 'untouched') delete choices[id];
    else choices[id] = choice;
    return () => [planFor(look, rulesOf(job, choices), id)];
  });
}

/** Gives back what was there before us, of one app or (null) of all, and forgets the choices. */
export function undoEntries(job: SyncJob, id: string | null): Promise<SyncReport> {
  return change(job, (look, choices) => {
    const ids = id === null ? concerned(look, choices) : [id];
    for (const one of ids) delete choices[one];
    const inside = ids.filter((one) => outside(look, one) === null);
    return () => inside.map((one) => planUndo(look.filesOf(one), digest));
  });
}
