/** The command line in a .desktop file's Exec: how it falls into words, and how the wrapper gets before it. */

import type { Bytes } from './bytes.js';
import { escapeValue, unescapeValue } from './key-file.js';

/**
 * The words of a command as the desktops' libraries split it (a shell's quoting without its expansion); field codes
 * such as %U stay. null: quotes that do not end, or no word at all.
 */
export function splitCommand(command: Bytes): Bytes[] | null {
  const words: Bytes[] = [];
  let word: Bytes | null = null;
  let at = 0;
  while (at < command.length) {
    const character = command.charAt(at++);
    if (character === ' ' || character === '\t' || character === '\n') {
      if (word !== null) words.push(word);
      word = null;
    } else if (character === '#' && word === null) {
      const feed = command.indexOf('\n', at);
      at = feed < 0 ? command.length : feed;
    } else if (character === "'") {
      const close = command.indexOf("'", at);
      if (close < 0) return null;
      word = (word ?? '') + command.slice(at, close);
      at = close + 1;
    } else if (character === '"') {
      const quoted = doubleQuoted(command, at);
      if (quoted === null) return null;
      word = (word ?? '') + quoted.text;
      at = quoted.next;
    } else if (character === '\\') {
      if (at >= command.length) return null;
      const escaped = command.charAt(at++);
      word = (word ?? '') + (escaped === '\n' ? '' : escaped);
    } else word = (word ?? '') + character;
  }
  if (word !== null) words.push(word);
  return words.length > 0 ? words : null;
}

/** What stands between double quotes, and the place behind the closing one. */
function doubleQuoted(command: Bytes, from: number): { text: Bytes; next: number } | null {
  let text = '';
  for (let at = from; at < command.length; at++) {
    const character = command.charAt(at);
    if (character === '"') return { text, next: at + 1 };
    if (character === '\\' && '$`"\\\n'.indexOf(command.charAt(at + 1)) >= 0 && at + 1 < command.length) {
      at++;
      if (command.charAt(at) !== '\n') text += command.charAt(at);
    } else text += character;
  }
  return null;
}

/** The words of a written Exec value. */
export function wordsOf(raw: Bytes): Bytes[] | null {
  return splitCommand(unescapeValue(raw));
}

const ASSIGNMENT = /^[A-Za-z_][A-Za-z0-9_]*=/;

/** Options of env(1) that take the next word. */
const ENV_TAKES = ['-u', '--unset', '-C', '--chdir', '-S', '--split-string'];

/** The words from the program on, with env(1) and variables before it left out. */
export function programWords(words: readonly Bytes[]): readonly Bytes[] {
  let at = 0;
  const skipAssignments = (): void => {
    while (ASSIGNMENT.test(words[at] ?? '')) at++;
  };
  skipAssignments();
  if (baseName(words[at] ?? '') === 'env') {
    at++;
    while ((words[at] ?? '').charAt(0) === '-') at += ENV_TAKES.indexOf(words[at] ?? '') < 0 ? 1 : 2;
    skipAssignments();
  }
  return words.slice(at);
}

export function baseName(path: Bytes): Bytes {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** One word as it has to be written in Exec: quoted where it must be, `%` doubled, and a value's own escapes. */
export function quoteWord(word: Bytes): Bytes {
  const plain = word.replace(/%/g, '%%');
  if (/^[A-Za-z0-9_./+:,@%=-]+$/.test(plain)) return plain;
  return escapeValue(`"${plain.replace(/["`$\\]/g, '\\$&')}"`);
}

/**
 * Variables written before the program: KDE gives such a line to a shell, so they have to stay the first words. As it
 * is written in a file, where each backslash stands twice.
 */
const LEADING_ASSIGNMENTS =
  /^(?:[A-Za-z_][A-Za-z0-9_]*=(?:[^\s"'\\]|\\\\.|"(?:[^"\\]|\\\\?.)*"|'[^']*')*[ \t]+)+/;

/** First words that no program is: the desktops that give such a line to a shell would find the wrapper before them. */
const SHELL_WORDS =
  '. : [[ { ( ! alias cd command eval exec export for if set source trap ulimit umask unset while';

/** What a written Exec value begins with where only a shell understands it; null where it begins with a program. */
export function shellWord(raw: Bytes): Bytes | null {
  const first = (wordsOf(raw.slice(wrapperPlace(raw))) ?? [])[0];
  if (first === undefined) return null;
  return SHELL_WORDS.split(' ').indexOf(first) >= 0 || ASSIGNMENT.test(first) ? first : null;
}

/** How much of a written Exec value stands before the place of the wrapper. */
export function wrapperPlace(raw: Bytes): number {
  const found = LEADING_ASSIGNMENTS.exec(raw);
  return found === null ? 0 : found[0].length;
}

/** Whether a written Exec value starts through this wrapper already. */
export function startsWith(raw: Bytes, wrapper: Bytes): boolean {
  const words = wordsOf(raw.slice(wrapperPlace(raw)));
  const first = (words === null ? '' : (words[0] ?? '')).replace(/%%/g, '%');
  return first === wrapper || first === baseName(wrapper);
}
