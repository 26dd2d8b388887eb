/**
 * The lines of a key file (.desktop), each with its place in the bytes. Reads as GLib and KConfig do where both
 * agree, and never fails: what is no group and no key is a line of its own. Neither skips a byte order mark.
 */

import type { Bytes } from './bytes.js';

export interface Line {
  /** What it is; comments, blank lines and what cannot be read are `other`. */
  readonly kind: 'group' | 'key' | 'other';
  /** The group that it belongs to; '' before the first one. */
  readonly group: string;
  /** A key as it is written, with its `[locale]`; '' for other lines. */
  readonly key: string;
  /** Places in the bytes: first byte of the line, of its value, of what ends the line, of the next line. */
  readonly start: number;
  readonly value: number;
  readonly end: number;
  readonly next: number;
}

/** The space that both parsers skip around keys and values. A carriage return alone ends no line. */
function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x09 || code === 0x0d || code === 0x0c;
}

/** A group's name, or null: `[name]`, after which KConfig takes anything, and `[a][b]` is a group inside a group. */
function groupName(text: Bytes): string | null {
  const close = text.indexOf(']');
  if (close < 0) return null;
  const inner = text.charAt(close + 1) === '[' && text.charAt(close + 2) !== '$';
  return inner ? text.slice(1) : text.slice(1, close);
}

export function linesOf(bytes: Bytes): Line[] {
  const lines: Line[] = [];
  let group = '';
  for (let start = 0; start < bytes.length; ) {
    const feed = bytes.indexOf('\n', start);
    const next = feed < 0 ? bytes.length : feed + 1;
    let end = feed < 0 ? next : feed;
    if (feed > start && bytes.charCodeAt(feed - 1) === 0x0d) end--;
    let from = start;
    while (from < end && isSpace(bytes.charCodeAt(from))) from++;
    const line = readLine(bytes, group, { start, from, end, next });
    group = line.group;
    lines.push(line);
    start = next;
  }
  return lines;
}

function readLine(
  bytes: Bytes,
  group: string,
  place: { start: number; from: number; end: number; next: number },
): Line {
  const { start, from, end, next } = place;
  // Sought in the line alone, or a long file would be searched to its end for each of its lines.
  const text = bytes.slice(from, end);
  const first = text === '' ? '#' : text.charAt(0);
  if (first === '[') {
    const name = groupName(text);
    if (name !== null) return { kind: 'group', group: name, key: '', start, value: end, end, next };
  }
  const equals = first === '#' ? -1 : text.indexOf('=');
  if (equals <= 0) return { kind: 'other', group, key: '', start, value: end, end, next };
  let keyEnd = equals;
  while (isSpace(text.charCodeAt(keyEnd - 1))) keyEnd--;
  let value = from + equals + 1;
  while (value < end && isSpace(bytes.charCodeAt(value))) value++;
  return { kind: 'key', group, key: text.slice(0, keyEnd), start, value, end, next };
}

/** A key without its `[locale]`. */
export function plainKey(key: string): string {
  const bracket = key.indexOf('[');
  return bracket < 0 ? key : key.slice(0, bracket);
}

/** Where a line's value ends when the space behind it is left out. */
export function valueEnd(bytes: Bytes, line: Line): number {
  let end = line.end;
  while (end > line.value && isSpace(bytes.charCodeAt(end - 1))) end--;
  return end;
}

/** A line's value as it is written, without the space around it. */
export function rawValue(bytes: Bytes, line: Line): Bytes {
  return bytes.slice(line.value, valueEnd(bytes, line));
}

const ESCAPES: Readonly<Record<string, string>> = { s: ' ', n: '\n', t: '\t', r: '\r', '\\': '\\' };

/** What a written value stands for. An escape that there is not stays as it is. */
export function unescapeValue(raw: Bytes): Bytes {
  return raw.replace(/\\([\s\S])/g, (all, character: string) => ESCAPES[character] ?? all);
}

/** A value as it has to be written: no line breaks, no space at its ends that parsers would drop. */
export function escapeValue(value: Bytes): Bytes {
  return value
    .replace(/\\/g, '\\\\')
    .replace(/\n/g, '\\n')
    .replace(/\r/g, '\\r')
    .replace(/\t/g, '\\t')
    .replace(/^ | $/g, '\\s');
}

/** Whether a written value means false to GLib and KConfig alike; whatever else is there may mean true. */
export function isFalse(raw: Bytes): boolean {
  return raw === 'false';
}

/** Whether a written value means true to one of them. */
export function isTrue(raw: Bytes): boolean {
  return /^(true|1|yes|on)$/i.test(raw);
}
