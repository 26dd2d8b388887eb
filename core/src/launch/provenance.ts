/**
 * What an override of ours says about itself, in `X-GpuHandoff-…` keys of its [Desktop Entry]: where it came from,
 * what was asked, what takes it back, and a digest that shows whether somebody edited it since.
 */

import { type Bytes, fromUtf8, toUtf8 } from './bytes.js';
import type { Digest, Provenance } from './entry.js';
import { ENTRY } from './entry-values.js';
import { escapeValue, type Line, linesOf, rawValue, unescapeValue } from './key-file.js';
import { takeBack } from './splices.js';

const PREFIX = 'X-GpuHandoff-';

/** The version of these keys. */
const VERSION = '1';

/** Whether a line is one of the keys that overrides of ours carry. */
export function isOurKey(line: Line): boolean {
  return line.kind === 'key' && line.group === ENTRY && line.key.slice(0, PREFIX.length) === PREFIX;
}

/** The lines of these keys, without their ends; the digest is still to be filled in. */
export function provenanceLines(provenance: Omit<Provenance, 'version'>, record: string): Bytes[] {
  return [
    `${PREFIX}Version=${VERSION}`,
    `${PREFIX}Source=${escapeValue(toUtf8(provenance.sourcePath))}`,
    `${PREFIX}Source-SHA256=${provenance.sourceDigest}`,
    `${PREFIX}Choice=${provenance.choice}`,
    `${PREFIX}Way=${provenance.way}`,
    `${PREFIX}Undo=${record}`,
    `${PREFIX}Digest=`,
  ];
}

/** The one line of a key of ours; null where it is missing or stands twice. */
function ourLine(lines: readonly Line[], name: string): Line | null {
  const found = lines.filter((line) => isOurKey(line) && line.key === PREFIX + name);
  return found.length === 1 ? (found[0] ?? null) : null;
}

function oneOf<Value extends string>(value: string, ...values: readonly Value[]): Value | null {
  const at = values.indexOf(value as Value);
  return at < 0 ? null : (values[at] ?? null);
}

/** null: not ours. An override that its user edited still is, as long as these keys are there. */
export function provenanceOf(bytes: Bytes): Provenance | null {
  if (bytes.indexOf(PREFIX) < 0) return null;
  const lines = linesOf(bytes);
  const value = (name: string): Bytes => {
    const line = ourLine(lines, name);
    return line === null ? '' : unescapeValue(rawValue(bytes, line));
  };
  const choice = oneOf(value('Choice'), 'offer', 'always', 'never');
  const way = oneOf(value('Way'), 'wrapper', 'switcheroo');
  const sourcePath = fromUtf8(value('Source'));
  const sourceDigest = value('Source-SHA256');
  const version = value('Version');
  if (choice === null || way === null) return null;
  if (sourcePath === '' || version === '' || !/^[0-9a-f]{64}$/.test(sourceDigest)) return null;
  return { sourcePath, sourceDigest, choice, way, version };
}

/** The place of the digest's value; null where the bytes have none. */
function digestPlace(bytes: Bytes): { start: number; end: number } | null {
  const line = ourLine(linesOf(bytes), 'Digest');
  return line === null ? null : { start: line.value, end: line.end };
}

/** Fills the digest of everything else in. */
export function seal(bytes: Bytes, digest: Digest): Bytes {
  const place = digestPlace(bytes);
  if (place === null) throw new Error('an override without the place of its digest');
  return bytes.slice(0, place.start) + digest(bytes) + bytes.slice(place.end);
}

/** Ours, and not edited since. */
export function isAsWritten(bytes: Bytes, digest: Digest): boolean {
  const place = bytes.indexOf(PREFIX) < 0 ? null : digestPlace(bytes);
  if (place === null || provenanceOf(bytes) === null) return false;
  return digest(bytes.slice(0, place.start) + bytes.slice(place.end)) === bytes.slice(place.start, place.end);
}

/**
 * The source's bytes again, out of the override alone. Exact where `isAsWritten`; of one that was edited outside our
 * keys it gives null, or bytes that are not the source's, as their digest shows.
 */
export function undoEntry(bytes: Bytes): Bytes | null {
  if (bytes.indexOf(PREFIX) < 0) return null;
  const lines = linesOf(bytes);
  const [undo, digest] = [ourLine(lines, 'Undo'), ourLine(lines, 'Digest')];
  if (undo === null || digest === null) return null;
  const back = takeBack(bytes, rawValue(bytes, undo));
  if (back === null) return null;
  // The digest is the last of our lines. Lines that follow an unfinished one are not finished either.
  const { at, end } = back.holder;
  const finished = at === 0 || back.source.charAt(at - 1) === '\n';
  return end === (finished ? digest.next : digest.end) ? back.source : null;
}
