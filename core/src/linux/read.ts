import { type Dirent, readdirSync, readFileSync, readlinkSync } from 'node:fs';

/*
 * Reading sysfs and /proc while devices come and go: whatever cannot be read (ENOENT, ENODEV, EIO, a link that
 * leads nowhere) is null or empty, since a card may be pulled between two reads.
 */

/** The text of a file without the white space around it; null where it cannot be read. */
export function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return null;
  }
}

/** A number that sysfs writes in hex (`0x10de`) or decimal; null where there is none. */
export function readNumber(path: string): number | null {
  const text = readText(path);
  if (text === null || text === '') return null;
  const value = Number(text);
  return Number.isFinite(value) ? value : null;
}

/** The names in a directory, sorted by code unit; empty where it cannot be read. */
export function namesIn(path: string): string[] {
  try {
    return readdirSync(path).sort();
  } catch {
    return [];
  }
}

/** The entries of a directory with their types; empty where it cannot be read. */
export function entriesIn(path: string): Dirent[] {
  try {
    return readdirSync(path, { withFileTypes: true });
  } catch {
    return [];
  }
}

/** The last part of what a link points to (sysfs names drivers, modules and groups so); null where there is none. */
export function linkName(path: string): string | null {
  try {
    const target = readlinkSync(path);
    return target.slice(target.lastIndexOf('/') + 1) || null;
  } catch {
    return null;
  }
}

/** The value of `KEY=value` in a text of such lines; null where the key does not stand in it. */
export function lineValue(text: string | null, key: string): string | null {
  if (text === null) return null;
  for (const line of text.split('\n')) {
    if (line.startsWith(key) && line[key.length] === '=') return line.slice(key.length + 1);
  }
  return null;
}
