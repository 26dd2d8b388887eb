/**
 * Remembers how everything looked when it was last in order, so that a sync with nothing to do reads no file. It is
 * only ever compared: lost, old or faulty, it costs a longer sync and nothing else.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { writeWhole } from './files.js';

const VERSION = 1;

/** What the user was told the last time, and is told again while nothing changes. */
export interface Remembered {
  readonly fingerprint: string;
  readonly problems: readonly { readonly id: string; readonly sentence: string }[];
}

/** One word for all that a sync depends on: every file seen, and the rules. */
export function fingerprintOf(keys: ReadonlyMap<string, string>, rules: readonly string[]): string {
  const hash = createHash('sha256');
  for (const rule of rules) hash.update(`${rule.length}:${rule}\n`);
  const lines: string[] = [];
  for (const [path, key] of keys) lines.push(`${path}\0${key}\n`);
  return hash.update(lines.sort().join('')).digest('hex');
}

function isProblem(value: unknown): value is Remembered['problems'][number] {
  if (typeof value !== 'object' || value === null) return false;
  const { id, sentence } = value as Record<string, unknown>;
  return typeof id === 'string' && typeof sentence === 'string';
}

/** Null where there is none that can be used. */
export function readIndex(path: string): Remembered | null {
  try {
    const document = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
    const { version, fingerprint, problems } = document;
    if (version !== VERSION || typeof fingerprint !== 'string') return null;
    if (!Array.isArray(problems) || !problems.every(isProblem)) return null;
    return { fingerprint, problems };
  } catch {
    return null;
  }
}

/** A cache that cannot be written is done without. */
export function writeIndex(path: string, remembered: Remembered, step: () => void): void {
  const text = `${JSON.stringify({ version: VERSION, ...remembered })}\n`;
  try {
    writeWhole(path, text, 0o600, step);
  } catch (fault) {
    if (!(fault instanceof Error && 'code' in fault)) throw fault;
  }
}
