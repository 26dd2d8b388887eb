/** What a .desktop file says, looked up by group and key. */

import type { Bytes } from './bytes.js';
import { isTrue, type Line, rawValue, unescapeValue } from './key-file.js';

/** The group of the app itself. */
export const ENTRY = 'Desktop Entry';

/** Groups that launchers start things from beside the app's own: actions, and what Unity and Plank had before them. */
export function isActionGroup(group: string): boolean {
  return /^Desktop Action [\s\S]/.test(group) || / Shortcut Group$/.test(group);
}

/** The line that counts where a key stands more than once: the last. */
export function lastOf(lines: readonly Line[], group: string, key: string): Line | null {
  for (let at = lines.length - 1; at >= 0; at--) {
    const line = lines[at];
    if (line?.kind === 'key' && line.key === key && line.group === group) return line;
  }
  return null;
}

/** A key's value in the app's own group, as it is written; null where the key is missing. */
export function entryValue(bytes: Bytes, lines: readonly Line[], key: string): Bytes | null {
  const line = lastOf(lines, ENTRY, key);
  return line === null ? null : rawValue(bytes, line);
}

export function entrySays(bytes: Bytes, lines: readonly Line[], key: string): boolean {
  return isTrue(entryValue(bytes, lines, key) ?? '');
}

/** A value in the words of a locale (`de_DE.UTF-8@euro`), as the specification orders the tries; '' where missing. */
export function localValue(bytes: Bytes, lines: readonly Line[], key: string, locale: string): Bytes {
  for (const name of localeNames(locale)) {
    const value = entryValue(bytes, lines, `${key}[${name}]`);
    if (value !== null) return unescapeValue(value);
  }
  return unescapeValue(entryValue(bytes, lines, key) ?? '');
}

function localeNames(locale: string): string[] {
  const match = /^([A-Za-z]+)(_[A-Za-z0-9]+)?(?:\.[^@]*)?(@.+)?$/.exec(locale);
  if (match === null) return [];
  const [, language = '', country = '', modifier = ''] = match;
  const names = [language + country + modifier, language + country, language + modifier, language];
  return names.filter((name, at) => names.indexOf(name) === at);
}
