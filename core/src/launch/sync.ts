/**
 * What has to be done so that the launch entries of the user follow the choices and the apps that are there. Pure:
 * files are bytes that were read, and what comes out is a list of operations.
 *
 * An entry of ours is a whole copy of the app's own entry in the user's folder, where every desktop looks first. It
 * says itself where it came from (see entry.ts), so nothing has to be remembered beside it. What the user had in its
 * place is kept as a file, the original, and put back when the entry goes.
 */
import { type Sentence, sentence } from '../words.js';
import { isPathOf } from './app-id.js';
import { toUtf8 } from './bytes.js';
import {
  type Bytes,
  type Choice,
  type Digest,
  isAsWritten,
  type Provenance,
  provenanceOf,
  rewriteEntry,
  type Way,
} from './entry.js';
import { isMasked } from './visibility.js';

export type MadeChoice = Exclude<Choice, 'untouched'>;

/** Choices by the id of the app (ids end in `.desktop`, so none is a name of Object’s); the rest is untouched. */
export type Choices = Readonly<Record<string, MadeChoice>>;

/** A file as it was found. */
export interface FoundFile {
  readonly path: string;
  /** Null where nothing can be read: a link that leads nowhere, or a file without permission. */
  readonly bytes: Bytes | null;
  /** The permission bits. */
  readonly mode: number;
  /** The same for two names of the same file or link. */
  readonly identity: string;
}

/** Everything that there is of one app. */
export interface AppFiles {
  readonly id: string;
  /** Where its entry in the user's own folder is, or would be. */
  readonly place: string;
  /** What stands there. */
  readonly own: FoundFile | null;
  /** Where what stood there before us is kept, or would be. */
  readonly originalPath: string;
  readonly original: FoundFile | null;
  /** The first one in the folders after the user's own. */
  readonly below: FoundFile | null;
}

export interface SyncRules {
  /** Null where there is no file of choices at all: entries that are there then stay as they are. */
  readonly choices: Choices | null;
  /** Null where it could not be told: entries keep theirs, and new ones get the wrapper. */
  readonly way: Way | null;
  /** Absolute path of the wrapper. */
  readonly wrapper: string;
  /** False while the wrapper is not installed: an entry that begins with it would not start, so none is to be there. */
  readonly wrapperThere: boolean;
  readonly digest: Digest;
}

/** One change of one file. `reason` says why, for people. */
export type SyncOperation = { readonly id: string; readonly reason: Sentence } & (
  | { readonly kind: 'write'; readonly path: string; readonly bytes: Bytes; readonly mode: number }
  /** What stands at `from` gets the second name `to`, before `from` is written. */
  | { readonly kind: 'keep'; readonly from: string; readonly to: string }
  | { readonly kind: 'remove'; readonly path: string }
  /** The original takes its place again. */
  | { readonly kind: 'restore'; readonly from: string; readonly to: string }
  /** What only the user may throw away gets a second name among the earlier files, before it loses its own. */
  | { readonly kind: 'save'; readonly path: string }
);

/** `stale`: edited by the user, and the app's own entry has changed since. */
export type EntryState = '' | 'in-place' | 'edited' | 'stale';

export interface AppPlan {
  readonly id: string;
  readonly operations: readonly SyncOperation[];
  /** What the user has to know; null where all is as the choice wants it. */
  readonly problem: Sentence | null;
}

/** What stands in an app's place. */
type Own =
  | { readonly kind: 'absent' }
  /** The user's, or another program's. */
  | { readonly kind: 'foreign'; readonly file: FoundFile }
  | { readonly kind: 'ours'; readonly file: FoundFile & { readonly bytes: Bytes }; readonly from: Provenance }
  | {
      readonly kind: 'edited';
      readonly file: FoundFile & { readonly bytes: Bytes };
      readonly from: Provenance;
    };

/** What the entry in an app's place says of itself; null where it is none that we made for this app. */
function madeFrom({ id, own }: AppFiles): Provenance | null {
  const from = own === null || own.bytes === null ? null : provenanceOf(own.bytes);
  // Who copies an entry of ours to another name wants a second entry of his own.
  return from !== null && isPathOf(from.sourcePath, id) ? from : null;
}

function ownOf(files: AppFiles, digest: Digest): Own {
  const { own } = files;
  if (own === null) return { kind: 'absent' };
  const { bytes } = own;
  const from = madeFrom(files);
  if (bytes === null || from === null) return { kind: 'foreign', file: own };
  const file = Object.assign({}, own, { bytes });
  return { kind: isAsWritten(bytes, digest) ? 'ours' : 'edited', file, from };
}

/** The app's own entry, as it is without us. */
export interface AppSource {
  readonly path: string;
  readonly bytes: Bytes;
  readonly mode: number;
}

function usable(file: FoundFile | null, path: string): AppSource | null {
  if (file === null || file.bytes === null || isMasked(file.bytes)) return null;
  return { path, bytes: file.bytes, mode: file.mode };
}

function sourceFor(files: AppFiles, own: Own): AppSource | null {
  if (own.kind === 'foreign') return usable(own.file, files.originalPath);
  // Without an entry in its place an original has lost its meaning: somebody removed what stood for it.
  if (own.kind !== 'absent' && files.original !== null) return usable(files.original, files.originalPath);
  return usable(files.below, files.below === null ? '' : files.below.path);
}

/** The app's own entry; null where the app is not installed, or hidden by the user. */
export function sourceOf(files: AppFiles, digest: Digest): AppSource | null {
  const own = ownOf(files, digest);
  const source = sourceFor(files, own);
  // While nothing of ours stands there, the file is where the user put it.
  return source !== null && own.kind === 'foreign'
    ? Object.assign({}, source, { path: files.place })
    : source;
}

/** The choice that holds for an app. */
export function choiceFor(files: AppFiles, choices: Choices | null): Choice {
  if (choices !== null) return choices[files.id] ?? 'untouched';
  const from = madeFrom(files);
  return from === null ? 'untouched' : from.choice;
}

export function entryState(files: AppFiles, digest: Digest): EntryState {
  const own = ownOf(files, digest);
  if (own.kind === 'ours') return 'in-place';
  if (own.kind !== 'edited') return '';
  const source = sourceFor(files, own);
  return source !== null && digest(source.bytes) === own.from.sourceDigest ? 'edited' : 'stale';
}

/** Why an entry is written; `from` is what the one that is there says of itself. */
function whyWritten(choice: MadeChoice, way: Way, sourceDigest: string, from: Provenance | null): Sentence {
  if (from === null || from.choice !== choice) return sentence('entry.choice', { choice });
  if (from.sourceDigest !== sourceDigest) return sentence('entry.source-changed');
  if (from.way !== way) return sentence('entry.way-changed', { way });
  return sentence('entry.written-differently');
}

/** The way back to what was there before us. */
function back(files: AppFiles, own: Own, reason: Sentence): SyncOperation[] {
  const { id, place, original, originalPath } = files;
  if (own.kind !== 'ours') return settle(files, own);
  if (original === null) return [{ id, reason, kind: 'remove', path: place }];
  return [{ id, reason, kind: 'restore', from: originalPath, to: place }];
}

/** The way back from an entry that the user edited, which he finds again among the earlier files. */
function asideAndBack(files: AppFiles, reason: Sentence): SyncOperation[] {
  const { id, place, original, originalPath } = files;
  return [
    { id, reason: sentence('entry.edited-aside'), kind: 'save', path: place },
    original === null
      ? { id, reason, kind: 'remove', path: place }
      : { id, reason, kind: 'restore', from: originalPath, to: place },
  ];
}

/** A crash between keeping and writing leaves the user's file under two names. */
function isKept(files: AppFiles, own: Own): boolean {
  const { original } = files;
  if (own.kind !== 'foreign' || original === null) return false;
  return (
    own.file.identity === original.identity || (own.file.bytes !== null && own.file.bytes === original.bytes)
  );
}

/** Clears away an original that nothing of ours stands for. */
function settle(files: AppFiles, own: Own): SyncOperation[] {
  const { id, original, originalPath } = files;
  if (original === null || own.kind === 'ours' || own.kind === 'edited') return [];
  const remove = (reason: Sentence): SyncOperation => ({ id, reason, kind: 'remove', path: originalPath });
  if (isKept(files, own)) return [remove(sentence('entry.left-over'))];
  const reason = sentence('entry.superseded');
  return [{ id, reason, kind: 'save', path: originalPath }, remove(reason)];
}

function editedProblem(files: AppFiles, digest: Digest): Sentence {
  const values = { path: files.place, id: files.id };
  return entryState(files, digest) === 'stale'
    ? sentence('entry.stale', values)
    : sentence('entry.edited', values);
}

/** Makes the user's own file the original, before his place is taken. */
function keepOwn(files: AppFiles, own: Own): SyncOperation[] {
  if (own.kind !== 'foreign') return settle(files, own);
  if (isKept(files, own)) return [];
  const { id, place, original, originalPath } = files;
  const operations: SyncOperation[] = [];
  if (original !== null)
    operations.push({ id, reason: sentence('entry.superseded'), kind: 'save', path: originalPath });
  operations.push({ id, reason: sentence('entry.keep'), kind: 'keep', from: place, to: originalPath });
  return operations;
}

/** What has to be done for one app. */
export function planApp(files: AppFiles, rules: SyncRules): AppPlan {
  const { id, place } = files;
  const { digest, wrapper } = rules;
  const own = ownOf(files, digest);
  if (own.kind === 'edited') {
    // Its app would be hidden behind an entry that does not start, for as long as the wrapper is away.
    if (!rules.wrapperThere && own.file.bytes.indexOf(toUtf8(wrapper)) >= 0)
      return {
        id,
        operations: asideAndBack(files, sentence('entry.no-wrapper', { wrapper })),
        problem: null,
      };
    return { id, operations: [], problem: editedProblem(files, digest) };
  }
  const leave = (reason: Sentence, problem: Sentence | null): AppPlan => ({
    id,
    operations: back(files, own, reason),
    problem,
  });
  const choice = choiceFor(files, rules.choices);
  if (choice === 'untouched') return leave(sentence('entry.undone'), null);
  if (!rules.wrapperThere) return leave(sentence('entry.no-wrapper', { wrapper }), null);
  const source = sourceFor(files, own);
  if (source === null) {
    const unreadable = own.kind === 'foreign' && own.file.bytes === null;
    return leave(sentence('entry.away'), unreadable ? sentence('entry.unreadable', { path: place }) : null);
  }
  const from = own.kind === 'ours' ? own.from : null;
  const way = rules.way ?? (from === null ? 'wrapper' : from.way);
  const { bytes, path: sourcePath } = source;
  const rewritten = rewriteEntry({ source: bytes, sourcePath, choice, way, wrapper, digest });
  if (!rewritten.ok) return leave(rewritten.why, rewritten.why);
  if (own.kind === 'ours' && own.file.bytes === rewritten.bytes) return { id, operations: [], problem: null };
  const write: SyncOperation = {
    id,
    reason: whyWritten(choice, way, digest(bytes), from),
    kind: 'write',
    path: place,
    bytes: rewritten.bytes,
    // Ours, once there, keeps the permissions that the user gave it.
    mode: own.kind === 'ours' ? own.file.mode : source.mode,
  };
  return { id, operations: keepOwn(files, own).concat(write), problem: null };
}

/**
 * What gives back what was there before us at the user's own word: what he edited is not lost then, but gets a name
 * among the earlier files.
 */
export function planUndo(files: AppFiles, digest: Digest): AppPlan {
  const own = ownOf(files, digest);
  const reason = sentence('entry.undone');
  const operations = own.kind === 'edited' ? asideAndBack(files, reason) : back(files, own, reason);
  return { id: files.id, operations, problem: null };
}
