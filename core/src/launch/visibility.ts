/** Whether an app counts as installed, and whether the menus of a desktop show it. */
import type { Bytes } from './bytes.js';
import { entrySays, entryValue } from './entry-values.js';
import { linesOf, unescapeValue } from './key-file.js';

/** Hidden: the app counts as not installed, and what other folders have of it is not seen. */
export function isMasked(source: Bytes): boolean {
  // Most files do not have the word at all.
  return source.indexOf('Hidden') >= 0 && entrySays(source, linesOf(source), 'Hidden');
}

/** The elements of a written list; `\;` is a semicolon within one. Empty ones are left out. */
export function listOf(raw: Bytes | null): Bytes[] {
  // A backslash before a semicolon; every other escape keeps its two characters for now.
  const elements = (raw ?? '').match(/(?:\\[\s\S]|[^;\\])+/g) ?? [];
  return elements.map((one) => unescapeValue(one.replace(/\\;/g, ';'))).filter((one) => one !== '');
}

/** Whether the menus of these desktops (XDG_CURRENT_DESKTOP, in order) show it, by OnlyShowIn and NotShowIn. */
export function isForDesktop(source: Bytes, desktops: readonly string[]): boolean {
  if (source.indexOf('ShowIn') < 0) return true;
  const lines = linesOf(source);
  const onlyRaw = entryValue(source, lines, 'OnlyShowIn');
  const only = listOf(onlyRaw);
  const not = listOf(entryValue(source, lines, 'NotShowIn'));
  for (const desktop of desktops) {
    if (only.indexOf(desktop) >= 0) return true;
    if (not.indexOf(desktop) >= 0) return false;
  }
  return onlyRaw === null;
}

/** An app that can be started: links and folders have entries as well. */
export function isApplication(source: Bytes): boolean {
  return entryValue(source, linesOf(source), 'Type') === 'Application';
}
