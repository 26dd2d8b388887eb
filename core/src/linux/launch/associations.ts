/** Keeps the user's list of which apps open which files beside the entries of ours; see mime-cache.ts. */
import { join } from 'node:path';
import type { Bytes } from '../../launch/bytes.js';
import { isOurCache, withMasked, withoutApps } from '../../launch/mime-cache.js';
import { exists, moveOver, remove, type Step, secondName, writeWhole } from './files.js';
import type { LaunchFolders } from './folders.js';
import { CACHE, readBytes } from './look.js';

/** The file in the user's folder. */
export function cacheOf(folders: LaunchFolders): string {
  return join(folders.own, CACHE);
}

/** What stood there before us, kept as it is. */
function originalOf(folders: LaunchFolders): string {
  return join(folders.originals, CACHE);
}

/** Apps that the user's list is about. */
export interface Concerned {
  /** With an entry in the user's folder because of us. */
  readonly placed: readonly string[];
  /** Which have, or had until now, an entry there because of us alone: a list of the user's own does not name them. */
  readonly alone: readonly string[];
}

/** Returns whether something was changed. */
export function keepAssociations(folders: LaunchFolders, { placed, alone }: Concerned, step: Step): boolean {
  const place = cacheOf(folders);
  const original = originalOf(folders);
  const now = readBytes(place);
  const ours = now !== null && isOurCache(now);
  const found = ours ? readBytes(original) : now;
  const base = found === null ? null : withoutApps(found, alone);
  const later = folders.others.map((folder) => readBytes(join(folder, CACHE)) ?? '');
  const wanted = placed.length === 0 ? null : withMasked(base, placed, later);
  if (wanted === null) {
    if (!ours && base === found) return false;
    if (ours && base === found && exists(original)) moveOver(original, place, step);
    else {
      put(place, base, step);
      if (ours) remove(original, step);
    }
    return true;
  }
  if (wanted === now && base === found) return false;
  // What is there is the user's or another program's; it takes the place of what was kept before.
  if (base !== found) put(original, base, step);
  else if (!ours && exists(place)) secondName(place, original, step);
  else if (!ours) remove(original, step);
  put(place, wanted, step);
  return true;
}

/** Null: no file. */
function put(path: string, text: Bytes | null, step: Step): void {
  if (text === null) remove(path, step);
  else writeWhole(path, Buffer.from(text, 'latin1'), 0o644, step);
}
