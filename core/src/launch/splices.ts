/** Changes of bytes that can be taken back: where, what went, how much came. */

import { type Bytes, fromWord, toWord } from './bytes.js';

/** One change, by its place in the source. */
export interface Splice {
  readonly at: number;
  readonly removed: Bytes;
  readonly inserted: Bytes;
}

/** @param splices by place; those at one place in the order in which their bytes are to stand */
export function applySplices(source: Bytes, splices: readonly Splice[]): Bytes {
  const parts: Bytes[] = [];
  let done = 0;
  for (const { at, removed, inserted } of splices) {
    parts.push(source.slice(done, at), inserted);
    done = at + removed.length;
  }
  parts.push(source.slice(done));
  return parts.join('');
}

/** The length of the one splice that holds the record itself and so cannot be known when the record is written. */
const REST = '*';

/**
 * What takes the changes back: the source's length, then `place:bytes that came:bytes that went` of each.
 * @param holder the splice that will hold the record
 */
export function recordOf(source: Bytes, splices: readonly Splice[], holder: Splice): string {
  const items = splices.map((splice) => {
    const length = splice === holder ? REST : String(splice.inserted.length);
    return `${splice.at}:${length}:${toWord(splice.removed)}`;
  });
  return [String(source.length), ...items].join(';');
}

/** What `takeBack` found. */
export interface TakenBack {
  readonly source: Bytes;
  /** Of the part in which the record has to stand: its place in the source, and its end in the changed bytes. */
  readonly holder: { readonly at: number; readonly end: number };
}

interface Item {
  readonly at: number;
  /** null for the splice that holds the record. */
  readonly length: number | null;
  readonly removed: Bytes;
}

function readItem(text: string): Item | null {
  const match = /^(\d{1,12}):(\d{1,12}|\*):(.*)$/.exec(text);
  const removed = match === null ? null : fromWord(match[3] ?? '');
  if (match === null || removed === null) return null;
  return { at: Number(match[1]), length: match[2] === REST ? null : Number(match[2]), removed };
}

/** The source again, or null where the record does not fit the bytes. */
export function takeBack(bytes: Bytes, record: string): TakenBack | null {
  const [first = '', ...texts] = record.split(';');
  const items: Item[] = [];
  // How long the bytes are without the holder: the source, less what went, plus what came.
  let rest = Number(first);
  let holders = 0;
  for (const text of texts) {
    const item = readItem(text);
    if (item === null) return null;
    if (item.length === null) holders++;
    rest += (item.length ?? 0) - item.removed.length;
    items.push(item);
  }
  const holderLength = bytes.length - rest;
  if (!/^\d{1,12}$/.test(first) || holders !== 1 || holderLength < 1) return null;

  const parts: Bytes[] = [];
  let holder = { at: 0, end: 0 };
  let place = 0;
  let done = 0;
  for (const { at, length, removed } of items) {
    parts.push(bytes.slice(place, place + at - done), removed);
    place += at - done;
    if (length === null) holder = { at, end: place + holderLength };
    place += length ?? holderLength;
    done = at + removed.length;
  }
  parts.push(bytes.slice(place));
  const source = parts.join('');
  // Places out of order, or behind the end, leave it too short or too long.
  return source.length === Number(first) ? { source, holder } : null;
}
