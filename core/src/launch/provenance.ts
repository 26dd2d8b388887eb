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

/** The lines of keys of ours by name; null for a key that stands twice. Empty where nothing is ours. */
function ourLines(bytes: Bytes): ReadonlyMap<string, Line | null> {
  const found = new Map<string, Line | null>();
  // Most files are nobody's but the app's, and need not be taken apart.
  if (bytes.indexOf(PREFIX) < 0) return found;
  for (const line of linesOf(bytes)) {
    if (!isOurKey(line)) continue;
    const name = line.key.slice(PREFIX.length);
    found.set(name, found.has(name) ? null : line);
  }
  return found;
}

function oneOf<Value extends string>(value: string, ...values: readonly Value[]): Value | null {
  const at = values.indexOf(value as Value);
  return at < 0 ? null : (values[at] ?? null);
}

/** null: not ours. An override that its user edited still is, as long as these keys are there. */
export function provenanceOf(bytes: Bytes): Provenance | null {
  return readProvenance(bytes, ourLines(bytes));
}

function readProvenance(bytes: Bytes, lines: ReturnType<typeof ourLines>): Provenance | null {
  const value = (name: string): Bytes => {
    const line = lines.get(name) ?? null;
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

/** Fills the digest of everything else in. */
export function seal(bytes: Bytes, digest: Digest): Bytes {
  const line = ourLines(bytes).get('Digest') ?? null;
  if (line === null) throw new Error('an override without the place of its digest');
  return bytes.slice(0, line.value) + digest(bytes) + bytes.slice(line.end);
}

/** Ours, and not edited since. */
export function isAsWritten(bytes: Bytes, digest: Digest): boolean {
  const lines = ourLines(bytes);
  const line = lines.get('Digest') ?? null;
  if (line === null || readProvenance(bytes, lines) === null) return false;
  return digest(bytes.slice(0, line.value) + bytes.slice(line.end)) === bytes.slice(line.value, line.end);
}

/**
 * The source's bytes again, out of the override alone. Exact where `isAsWritten`; of one that was edited outside our
 * keys it gives null, or bytes that are not the source's, as their digest shows.
 */
export function undoEntry(bytes: Bytes): Bytes | null {
  const lines = ourLines(bytes);
  const [undo = null, digest = null] = [lines.get('Undo'), lines.get('Digest')];
  if (undo === null || digest === null) return null;
  const back = takeBack(bytes, rawValue(bytes, undo));
  if (back === null) return null;
  // The digest is the last of our lines. Lines that follow an unfinished one are not finished either.
  const { at, end } = back.holder;
  const finished = at === 0 || back.source.charAt(at - 1) === '\n';
  return end === (finished ? digest.next : digest.end) ? back.source : null;
}
