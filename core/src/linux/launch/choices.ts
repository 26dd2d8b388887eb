/** The file of the user's choices: what is in it, and writing it without ever leaving half of one. */
import { readFileSync, realpathSync, renameSync } from 'node:fs';
import { failure, reasonOf } from '../../errors.js';
import { isAppId } from '../../launch/app-id.js';
import type { Choices, MadeChoice } from '../../launch/sync.js';
import { codeOf, nameFree, writeWhole } from './files.js';

const VERSION = 1;
const MADE: readonly string[] = ['offer', 'always', 'never'] satisfies readonly MadeChoice[];

export type StoredChoices =
  /** There is no file. */
  | { readonly kind: 'none'; readonly text: '' }
  | { readonly kind: 'read'; readonly choices: Choices; readonly text: string }
  | { readonly kind: 'broken'; readonly why: string; readonly text: string }
  | { readonly kind: 'newer'; readonly text: string };

function isMade(value: unknown): value is MadeChoice {
  return typeof value === 'string' && MADE.includes(value);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parsed(text: string): StoredChoices {
  const broken = (why: string): StoredChoices => ({ kind: 'broken', why, text });
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (fault) {
    return broken(reasonOf(fault));
  }
  if (!isRecord(document) || typeof document.version !== 'number') return broken('it has no version');
  if (document.version > VERSION) return { kind: 'newer', text };
  if (!isRecord(document.choices)) return broken('it has no choices');
  const choices: Record<string, MadeChoice> = {};
  for (const [id, choice] of Object.entries(document.choices)) {
    if (!isAppId(id)) return broken(`“${id}” is not the id of an app`);
    if (!isMade(choice)) return broken(`the choice of ${id} is none`);
    choices[id] = choice;
  }
  return { kind: 'read', choices, text };
}

export function readChoices(path: string): StoredChoices {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (fault) {
    if (['ENOENT', 'ENOTDIR'].includes(codeOf(fault))) return { kind: 'none', text: '' };
    return { kind: 'broken', why: reasonOf(fault), text: '' };
  }
  return parsed(text);
}

/** The choices, or null where there is no file. Throws where the file is there but does not say them. */
export function choicesOf(stored: StoredChoices, path: string): Choices | null {
  if (stored.kind === 'read') return stored.choices;
  if (stored.kind === 'none') return null;
  if (stored.kind === 'newer') throw failure('Config', 'apps.choices-newer', { path });
  throw failure('Config', 'apps.choices-broken', { path, why: stored.why });
}

/** Moves a file that cannot be read out of the way, and returns its new path. */
export function moveAside(path: string): string {
  const aside = nameFree(`${path}.broken`);
  renameSync(path, aside);
  return aside;
}

/** Where the file really is: someone who keeps his configuration elsewhere keeps the link to it. */
function behindLinks(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

export function writeChoices(path: string, choices: Choices, step: () => void): void {
  const sorted: Record<string, MadeChoice> = {};
  for (const id of Object.keys(choices).sort()) {
    const choice = choices[id];
    if (choice !== undefined) sorted[id] = choice;
  }
  const text = `${JSON.stringify({ version: VERSION, choices: sorted }, null, 2)}\n`;
  writeWhole(behindLinks(path), text, 0o600, step);
}
