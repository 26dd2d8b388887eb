/** Single changes of files, each of which is done or not done. `step` is called before each act on the disk. */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fchmodSync,
  fsyncSync,
  futimesSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';

/** Called before each act on the disk; a test ends the process there. */
export type Step = () => void;

export interface NewFile {
  readonly content: Uint8Array;
  readonly mode: number;
  /** In milliseconds since 1970; now where left out. */
  readonly mtimeMs?: number;
  /** False where many files are brought to the disk together afterwards. */
  readonly sync: boolean;
}

function temporaryIn(folder: string): string {
  return join(folder, `.gpu-handoff-${randomBytes(8).toString('hex')}.tmp`);
}

export function codeOf(fault: unknown): string {
  const code = fault instanceof Error && 'code' in fault ? fault.code : '';
  return typeof code === 'string' ? code : '';
}

/** A folder with those above it, for its owner alone where it is new. */
export function makeFolder(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 });
}

/** Writes a new file beside the place where it is to go, and returns its path. */
export function writeBeside(place: string, file: NewFile, step: Step): string {
  const folder = dirname(place);
  makeFolder(folder);
  const path = temporaryIn(folder);
  step();
  const descriptor = openSync(path, 'wx', 0o600);
  try {
    let rest = file.content;
    while (rest.length > 0) rest = rest.subarray(writeSync(descriptor, rest));
    fchmodSync(descriptor, file.mode);
    if (file.mtimeMs !== undefined) futimesSync(descriptor, Date.now() / 1000, file.mtimeMs / 1000);
    if (file.sync) fsyncSync(descriptor);
  } catch (fault) {
    closeSync(descriptor);
    unlinkSync(path);
    throw fault;
  }
  closeSync(descriptor);
  return path;
}

/** Replaces a file as a whole. */
export function writeWhole(place: string, content: string | Uint8Array, mode: number, step: Step): void {
  const bytes = typeof content === 'string' ? Buffer.from(content, 'utf8') : content;
  const beside = writeBeside(place, { content: bytes, mode, sync: true }, step);
  step();
  renameSync(beside, place);
}

/** Puts what was written beside into an empty place. Throws EEXIST where it is not empty any more. */
export function putNew(beside: string, place: string, step: Step): void {
  step();
  try {
    linkSync(beside, place);
  } catch (fault) {
    if (codeOf(fault) === 'EEXIST' || !noLinks(fault)) throw fault;
    if (exists(place)) throw Object.assign(new Error('it is there already'), { code: 'EEXIST' });
    renameSync(beside, place);
    return;
  }
  step();
  unlinkSync(beside);
}

export function exists(path: string): boolean {
  try {
    lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Filesystems without second names for files, and names on two filesystems. */
function noLinks(fault: unknown): boolean {
  return ['EXDEV', 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(codeOf(fault));
}

/** A copy beside `to` with what a copy can have of `from`: bytes, permissions, time; or where a link leads. */
function copyBeside(from: string, to: string, step: Step): string {
  const stat = lstatSync(from);
  if (stat.isSymbolicLink()) {
    makeFolder(dirname(to));
    const path = temporaryIn(dirname(to));
    step();
    symlinkSync(readlinkSync(from), path);
    return path;
  }
  const { mode, mtimeMs } = stat;
  return writeBeside(to, { content: readFileSync(from), mode: mode & 0o777, mtimeMs, sync: true }, step);
}

/** Gives a file or link the second name `to`, in place of what had that name. It is the file itself, where possible. */
export function secondName(from: string, to: string, step: Step): void {
  makeFolder(dirname(to));
  let beside = temporaryIn(dirname(to));
  step();
  try {
    linkSync(from, beside);
  } catch (fault) {
    if (!noLinks(fault)) throw fault;
    beside = copyBeside(from, to, step);
  }
  step();
  renameSync(beside, to);
}

/** Moves a file or link over another. */
export function moveOver(from: string, to: string, step: Step): void {
  step();
  try {
    renameSync(from, to);
  } catch (fault) {
    if (codeOf(fault) !== 'EXDEV') throw fault;
    const beside = copyBeside(from, to, step);
    step();
    renameSync(beside, to);
    step();
    unlinkSync(from);
  }
}

export function remove(path: string, step: Step): void {
  step();
  try {
    unlinkSync(path);
  } catch (fault) {
    if (codeOf(fault) !== 'ENOENT') throw fault;
  }
}

/** Removes a folder, and those above it up to `top`, as far as they are empty. */
export function removeEmpty(folder: string, top: string): void {
  for (let path = folder; path.startsWith(`${top}/`); path = dirname(path)) {
    try {
      rmdirSync(path);
    } catch {
      return;
    }
  }
}

/** The path itself, or the first of `path~2`, `path~3`… that nothing has. */
export function nameFree(path: string): string {
  let free = path;
  for (let i = 2; exists(free); i += 1) free = `${path}~${i}`;
  return free;
}

/** Brings a folder's names to the disk; where that cannot be, they get there by themselves. */
export function syncFolder(path: string): void {
  try {
    const folder = openSync(path, 'r');
    try {
      fsyncSync(folder);
    } finally {
      closeSync(folder);
    }
  } catch {
    // Not every filesystem knows it.
  }
}
