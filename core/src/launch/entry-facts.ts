/** Reads what a .desktop file tells about an app, and what stands in the way of an entry for it. */

import { type Sentence, sentence } from '../words.js';
import { type Bytes, fromUtf8 } from './bytes.js';
import type { EntryFacts, Special } from './entry.js';
import { ENTRY, entrySays, entryValue, localValue } from './entry-values.js';
import { baseName, programWords, shellWord, wordsOf } from './exec-line.js';
import { isTrue, type Line, linesOf } from './key-file.js';

/** Both spellings of “start this on the dGPU”: GNOME's and KDE's. */
export const PREFERENCES: readonly string[] = ['PrefersNonDefaultGPU', 'X-KDE-RunOnDiscreteGpu'];

export const DBUS_ACTIVATABLE = 'DBusActivatable';

const BYTE_ORDER_MARK = '\u00ef\u00bb\u00bf';

/** Programs that start another as a different user, and give it a new environment. */
const OTHER_USER = /^(pkexec|sudo|doas|su|run0|kdesu|kdesudo|gksu|gksudo|lxqt-sudo)$/;

/** Steam's id in flatpak. */
const STEAM_FLATPAK = 'com.valvesoftware.Steam';

/**
 * Reads a .desktop file.
 * @param locale as in LC_MESSAGES: `de_DE.UTF-8`, `de`, `C`
 */
export function readEntry(source: Bytes, locale: string): EntryFacts {
  const lines = linesOf(source);
  const special = specialsOf(source, lines);
  return {
    name: fromUtf8(localValue(source, lines, 'Name', locale)),
    icon: fromUtf8(localValue(source, lines, 'Icon', locale)),
    shown: !entrySays(source, lines, 'NoDisplay') && !entrySays(source, lines, 'Hidden'),
    special,
    problem: problemOf(source, lines),
    warnings: warningsOf(special),
  };
}

/** Why no entry can be made of it, or null. */
export function problemOf(source: Bytes, lines: readonly Line[]): Sentence | null {
  if (source.slice(0, 3) === BYTE_ORDER_MARK) return sentence('entry.byte-order-mark');
  if (!lines.some((line) => line.kind === 'group' && line.group === ENTRY)) return sentence('entry.no-group');
  if (entryValue(source, lines, 'Type') !== 'Application') return sentence('entry.no-application');
  if (entrySays(source, lines, 'Hidden')) return sentence('entry.hidden');
  const exec = entryValue(source, lines, 'Exec') ?? '';
  if (exec === '')
    return entrySays(source, lines, DBUS_ACTIVATABLE)
      ? sentence('entry.dbus-only')
      : sentence('entry.no-exec');
  if (wordsOf(exec) === null) return sentence('entry.bad-exec');
  const word = shellWord(exec);
  return word === null ? null : sentence('entry.shell-exec', { word: fromUtf8(word) });
}

/** What is special about the app, in the order of the type. */
export function specialsOf(source: Bytes, lines: readonly Line[]): Special[] {
  const words = wordsOf(entryValue(source, lines, 'Exec') ?? '') ?? [];
  const says = (key: string): boolean => entrySays(source, lines, key);
  const has = (...keys: string[]): boolean => keys.some((key) => entryValue(source, lines, key) !== null);
  const program = programWords(words);
  const path = program[0] ?? '';
  const name = baseName(path);
  const flatpak = has('X-Flatpak') || (name === 'flatpak' && program.indexOf('run') > 0);
  const game = words.some((word) => /^steam:\/\/(rungameid|run|launch)\//.test(word));
  const steam = /^steam(-native|-runtime)?$/.test(name) || (flatpak && program.indexOf(STEAM_FLATPAK) > 0);
  const found: readonly (readonly [Special, boolean])[] = [
    ['single-instance', says('SingleMainWindow') || says('X-GNOME-SingleWindow')],
    ['dbus-activated', says(DBUS_ACTIVATABLE)],
    ['flatpak', flatpak],
    ['snap', has('X-SnapInstanceName', 'X-SnapAppName') || name === 'snap' || isOfSnap(path, words)],
    ['appimage', /\.appimage$/i.test(path) || has('X-AppImage-Version', 'X-AppImage-Identifier')],
    ['steam-client', steam && !game],
    ['steam-game', game],
    ['terminal', says('Terminal')],
    ['prefers-dgpu', PREFERENCES.some((key) => isTrue(entryValue(source, lines, key) ?? ''))],
    ['substitutes-user', says('X-KDE-SubstituteUID') || OTHER_USER.test(name)],
  ];
  return found.filter(([, is]) => is).map(([special]) => special);
}

function isOfSnap(program: Bytes, words: readonly Bytes[]): boolean {
  return (
    /^(\/var\/lib\/snapd)?\/snap\/bin\//.test(program) ||
    words.some((word) => /^BAMF_DESKTOP_FILE_HINT=\/var\/lib\/snapd\//.test(word))
  );
}

function warningsOf(special: readonly Special[]): Sentence[] {
  const is = (what: Special): boolean => special.indexOf(what) >= 0;
  const warnings: Sentence[] = [];
  if (is('steam-game')) warnings.push(sentence('entry.steam-game'));
  if (is('steam-client')) warnings.push(sentence('entry.steam-client'));
  if (is('single-instance') || is('dbus-activated')) warnings.push(sentence('entry.single-instance'));
  if (is('substitutes-user')) warnings.push(sentence('entry.substitutes-user'));
  return warnings;
}
