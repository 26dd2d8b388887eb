/** Files of the simulated workstation: written whole, so that other processes never see half of one. */
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';

let serial = 0;

/** True for an error of the file system that means "there is no such thing (any more)". */
function absent(fault: unknown): boolean {
  const code = (fault as NodeJS.ErrnoException | null)?.code;
  return code === 'ENOENT' || code === 'ENOTDIR';
}

/** For unfinished things: outside the tree of sysfs, since a reader of that would take them for real. */
const UNFINISHED = 'model/.unfinished';

function scratch(root: string): string {
  const path = join(root, UNFINISHED);
  mkdirSync(path, { recursive: true });
  return path;
}

/**
 * Replaces a file as a whole; `path` is absolute and below `root`. Nothing is written where nothing changes.
 */
export function writeText(root: string, path: string, text: string): void {
  if (holds(path, text)) return;
  try {
    replace(root, path, text);
  } catch (fault) {
    if (!absent(fault)) throw fault;
    scratch(root);
    mkdirSync(dirname(path), { recursive: true });
    replace(root, path, text);
  }
}

/**
 * Like writeText, but only where the file stands already: whoever only looks must not bring back what another
 * process is just taking away.
 */
export function rewriteText(root: string, path: string, text: string): void {
  if (!exists(path) || holds(path, text)) return;
  try {
    replace(root, path, text);
  } catch (fault) {
    if (!absent(fault)) throw fault;
  }
}

function replace(root: string, path: string, text: string): void {
  serial += 1;
  const unfinished = join(root, UNFINISHED, `${process.pid}-${serial}`);
  writeFileSync(unfinished, text);
  renameSync(unfinished, path);
}

function holds(path: string, text: string): boolean {
  try {
    return readFileSync(path, 'utf8') === text;
  } catch {
    return false;
  }
}

export function exists(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** Removes a file, a link or a whole directory at once, as far as others can see. */
export function remove(root: string, path: string): void {
  if (!exists(path)) return;
  const away = mkdtempSync(join(scratch(root), 'old-'));
  try {
    renameSync(path, join(away, 'x'));
  } catch (fault) {
    if (!absent(fault)) throw fault;
  }
  rmSync(away, { recursive: true, force: true });
}

/** Makes a relative symbolic link, as sysfs has them; replaces one that stands there. */
export function link(path: string, target: string): void {
  const text = relative(dirname(path), target);
  if (linkText(path) === text) return;
  if (exists(path)) unlinkSync(path);
  mkdirSync(dirname(path), { recursive: true });
  symlinkSync(text, path);
}

function linkText(path: string): string | null {
  try {
    return readlinkSync(path);
  } catch {
    return null;
  }
}
