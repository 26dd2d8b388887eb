/** Makes an override out of a .desktop file: byte for byte the source, except what has to change. */

import { sentence } from '../words.js';
import { type Bytes, toUtf8 } from './bytes.js';
import type { Rewriting, Rewritten } from './entry.js';
import { DBUS_ACTIVATABLE, PREFERENCES, problemOf, specialsOf } from './entry-facts.js';
import { ENTRY, isActionGroup, lastOf } from './entry-values.js';
import { quoteWord, startsWith, wordsOf, wrapperPlace } from './exec-line.js';
import { isFalse, type Line, linesOf, plainKey, rawValue, valueEnd } from './key-file.js';
import { RUN_ON_DGPU } from './labels.js';
import { isAsWritten, isOurKey, provenanceLines, seal, undoEntry } from './provenance.js';
import { applySplices, recordOf, type Splice } from './splices.js';

/** The action that an entry offers; a number follows where the source has one of that name. */
const ACTION = 'gpu-handoff-run';

/** In the icon naming specification, and so in every theme. */
const ACTION_ICON = 'video-display';

/** A source, taken apart. */
interface Parts {
  readonly source: Bytes;
  readonly lines: readonly Line[];
  readonly wrapper: Bytes;
  /** What ends its lines. */
  readonly ending: '\n' | '\r\n';
}

/** Where Splices come from: changes inside lines, and whole lines for the app's own group. */
interface Changes {
  readonly splices: Splice[];
  readonly added: Bytes[];
}

/**
 * Makes the override. Of an override of ours that is as it was written, its source is taken, so that rewriting twice
 * is rewriting once.
 */
export function rewriteEntry(request: Rewriting): Rewritten {
  const source = originOf(request);
  const lines = linesOf(source);
  const problem = problemOf(source, lines);
  if (problem !== null) return { ok: false, why: problem };
  if (request.choice !== 'never' && specialsOf(source, lines).indexOf('steam-game') >= 0)
    return { ok: false, why: sentence('entry.steam-game') };
  const header = lines.filter((line) => line.kind === 'group' && line.group === ENTRY)[0];
  const ending = header !== undefined && header.next - header.end === 2 ? '\r\n' : '\n';
  const parts: Parts = { source, lines, wrapper: toUtf8(request.wrapper), ending };
  const changes: Changes = { splices: [], added: [] };
  let group: Bytes[] = [];
  if (request.choice === 'always') always(parts, request.way, changes);
  if (request.choice === 'never') prefer(parts, 'false', changes);
  if (request.choice === 'offer') group = offer(parts, changes);
  return { ok: true, bytes: assemble(request, parts, changes, group) };
}

function originOf({ source, digest }: Rewriting): Bytes {
  const undone = isAsWritten(source, digest) ? undoEntry(source) : null;
  return undone ?? source;
}

/** Whether a line is read when the app or one of its actions starts. */
function counts(line: Line): boolean {
  return line.kind === 'key' && (line.group === ENTRY || isActionGroup(line.group));
}

function always(parts: Parts, way: Rewriting['way'], changes: Changes): void {
  withoutBus(parts, changes);
  // No desktop looks at the preference when it starts an action: GNOME Shell hands actions straight to GLib.
  for (const line of parts.lines)
    if (counts(line) && plainKey(line.key) === 'Exec' && (way === 'wrapper' || line.group !== ENTRY))
      prefixExec(parts, line, changes);
  if (way === 'switcheroo') prefer(parts, 'true', changes);
  // A desktop that asked switcheroo-control at login would set the dGPU's variables although the card is away by now,
  // and the wrapper could not tell them from the session's own. The wrapper alone decides.
  else for (const key of PREFERENCES) setWhereThere(parts, key, 'false', changes);
}

/** Activation over D-Bus ignores Exec and loses the environment, of the app and of its actions. */
function withoutBus(parts: Parts, changes: Changes): void {
  setWhereThere(parts, DBUS_ACTIVATABLE, 'false', changes);
}

function prefixExec({ source, wrapper }: Parts, line: Line, changes: Changes): void {
  const raw = rawValue(source, line);
  if (wordsOf(raw) === null || startsWith(raw, wrapper)) return;
  const at = line.value + wrapperPlace(raw);
  changes.splices.push({ at, removed: '', inserted: `${quoteWord(wrapper)} ` });
}

/** Sets a truth value on every line of a key that counts; one that says so already stays as it is. */
function setWhereThere(
  { source, lines }: Parts,
  key: string,
  value: 'true' | 'false',
  changes: Changes,
): void {
  for (const line of lines) {
    if (!counts(line) || plainKey(line.key) !== key) continue;
    const raw = rawValue(source, line);
    if (value === 'false' ? !isFalse(raw) : raw !== 'true')
      changes.splices.push({ at: line.value, removed: raw, inserted: value });
  }
}

function prefer(parts: Parts, value: 'true' | 'false', changes: Changes): void {
  for (const key of PREFERENCES) setWhereThere(parts, key, value, changes);
  // KDE reads GNOME's spelling too and its own is deprecated, so that one is set only where the source has it.
  const [key = ''] = PREFERENCES;
  if (lastOf(parts.lines, ENTRY, key) === null) changes.added.push(`${key}=${value}`);
}

/** @returns the lines of the action's group */
function offer(parts: Parts, changes: Changes): Bytes[] {
  const { source, lines, wrapper } = parts;
  withoutBus(parts, changes);
  const actions = lastOf(lines, ENTRY, 'Actions');
  const listed = actions === null ? '' : rawValue(source, actions);
  const name = freeAction(lines, listed);
  if (actions === null) changes.added.push(`Actions=${name};`);
  else {
    const separator = listed === '' || endsList(listed) ? '' : ';';
    // With the space behind the value, which GLib would take for an action of its own.
    const at = valueEnd(source, actions);
    const removed = source.slice(at, actions.end);
    changes.splices.push({ at, removed, inserted: `${separator}${name};` });
  }
  const exec = lastOf(lines, ENTRY, 'Exec');
  const raw = exec === null ? '' : rawValue(source, exec);
  const place = wrapperPlace(raw);
  const command = startsWith(raw, wrapper)
    ? raw
    : `${raw.slice(0, place)}${quoteWord(wrapper)} ${raw.slice(place)}`;
  const names = Object.keys(RUN_ON_DGPU).map((locale) => {
    const key = locale === '' ? 'Name' : `Name[${locale}]`;
    return `${key}=${toUtf8(RUN_ON_DGPU[locale] ?? '')}`;
  });
  return [`[Desktop Action ${name}]`, ...names, `Icon=${ACTION_ICON}`, `Exec=${command}`];
}

/** Whether a written list ends in a semicolon that ends its last item, and is not part of it. */
function endsList(raw: Bytes): boolean {
  let at = raw.length - 1;
  while (at > 0 && raw.charAt(at - 1) === '\\') at--;
  return raw.charAt(raw.length - 1) === ';' && (raw.length - 1 - at) % 2 === 0;
}

function freeAction(lines: readonly Line[], listed: Bytes): string {
  const taken = new Set(listed.split(';').map((name) => `Desktop Action ${name}`));
  for (const line of lines) taken.add(line.group);
  let name = ACTION;
  for (let number = 2; taken.has(`Desktop Action ${name}`); number++) name = `${ACTION}-${number}`;
  return name;
}

/** The order of changes at one place: what ends a line, what comes behind it, what goes, what comes at the end. */
const RANK = { inside: 0, added: 1, gone: 2, group: 3 } as const;

/** Whole lines put behind bytes that end in a line's end, or, at the end of a file, do not. */
function linesText(lines: readonly Bytes[], ending: Bytes, afterEnding: boolean): Bytes {
  return afterEnding ? lines.map((line) => line + ending).join('') : ending + lines.join(ending);
}

function assemble(request: Rewriting, parts: Parts, changes: Changes, group: readonly Bytes[]): Bytes {
  const { source, lines, ending } = parts;
  const stale = lines.filter(isOurKey);
  const place = placeForKeys(lines);
  const terminated = place.next > place.end;
  const last = lines.filter((line) => !isOurKey(line))[lines.length - stale.length - 1];
  const lastTerminated = last === undefined || last.next > last.end;
  const provenance = {
    sourcePath: request.sourcePath,
    sourceDigest: request.digest(source),
    choice: request.choice,
    way: request.way,
  };
  const added = (record: string): Splice => ({
    at: place.next,
    removed: '',
    inserted: linesText([...changes.added, ...provenanceLines(provenance, record)], ending, terminated),
  });
  const holder = added('');
  const ranked: { splice: Splice; rank: number }[] = [{ splice: holder, rank: RANK.added }];
  for (const splice of changes.splices) ranked.push({ splice, rank: RANK.inside });
  for (const { start, next } of stale) {
    const splice = { at: start, removed: source.slice(start, next), inserted: '' };
    ranked.push({ splice, rank: RANK.gone });
  }
  if (group.length > 0) {
    const inserted = linesText(['', ...group], ending, lastTerminated);
    ranked.push({ splice: { at: source.length, removed: '', inserted }, rank: RANK.group });
  }
  const splices = ranked
    .sort((one, other) => one.splice.at - other.splice.at || one.rank - other.rank)
    .map(({ splice }) => splice);
  const filled = added(recordOf(source, splices, holder));
  const bytes = applySplices(
    source,
    splices.map((splice) => (splice === holder ? filled : splice)),
  );
  return seal(bytes, request.digest);
}

/** The line behind which our keys go: the last key of the app's own group where it begins first, or its header. */
function placeForKeys(lines: readonly Line[]): Line {
  let place: Line | null = null;
  for (const line of lines) {
    if (line.kind === 'group' && place !== null) break;
    if (line.group !== ENTRY) continue;
    if (line.kind === 'group' || (line.kind === 'key' && !isOurKey(line))) place = line;
  }
  if (place === null) throw new Error('no [Desktop Entry] to put keys into');
  return place;
}
