/** Keeps the user's list of which apps open which files beside the entries of ours; see mime-cache.ts. */
import { join } from 'node:path';
import { isOurCache, withMasked } from '../../launch/mime-cache.js';
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

/** `ids`: of the apps that have an entry in the user's folder because of us. Returns whether something was changed. */
export function keepAssociations(folders: LaunchFolders, ids: readonly string[], step: Step): boolean {
  const place = cacheOf(folders);
  const original = originalOf(folders);
  const now = readBytes(place);
  const ours = now !== null && isOurCache(now);
  const base = ours ? readBytes(original) : now;
  const later = folders.others.map((folder) => readBytes(join(folder, CACHE)) ?? '');
  const wanted = ids.length === 0 ? null : withMasked(base, ids, later);
  if (wanted === now) return false;
  if (wanted === null) {
    if (!ours) return false;
    if (exists(original)) moveOver(original, place, step);
    else remove(place, step);
    return true;
  }
  // What is there is the user's or another program's; it takes the place of what was kept before.
  if (!ours && exists(place)) secondName(place, original, step);
  else if (!ours) remove(original, step);
  writeWhole(place, Buffer.from(wanted, 'latin1'), 0o644, step);
  return true;
}
