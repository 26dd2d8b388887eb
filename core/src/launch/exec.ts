/**
 * The command of an entry with its field codes filled in, as GLib and KIO do it: words first, then the codes in each
 * word, so that no file's name is ever read as part of the command line. What comes out is for exec, not for a shell.
 */
import { type Bytes, fromUtf8, toUtf8 } from './bytes.js';
import { ENTRY, entrySays, entryValue, lastOf, localValue } from './entry-values.js';
import { wordsOf } from './exec-line.js';
import { linesOf, rawValue, unescapeValue } from './key-file.js';
import { listOf } from './visibility.js';

/** What is to be started. */
export interface ExecRequest {
  readonly source: Bytes;
  /** Where that entry is, for %k. */
  readonly path: string;
  /** One of its own actions; null for the app itself. */
  readonly action: string | null;
  /** Absolute paths or URIs. */
  readonly files: readonly string[];
  /** For %c, as in LC_MESSAGES. */
  readonly locale: string;
}

export interface Started {
  /** One list of words for each process: an app that takes one file is started once for each. */
  readonly commands: readonly (readonly string[])[];
  readonly terminal: boolean;
  /** The working folder that the entry wants; null where it names none. */
  readonly folder: string | null;
  /** A name for people. */
  readonly name: string;
}

export type ExecResult =
  | { readonly ok: true; readonly start: Started }
  /** `action`: there is no such action. The others are about Exec. */
  | { readonly ok: false; readonly why: 'action' | 'missing' | 'malformed' | 'not-utf8' };

const SCHEME = /^[A-Za-z][A-Za-z0-9+.-]*:/;

/** A path as a URI: everything but letters, digits and `-._~/` is escaped, byte for byte. */
export function fileUri(path: string): string {
  const escaped = toUtf8(path).replace(
    /[^A-Za-z0-9\-._~/]/g,
    (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  );
  return `file://${escaped}`;
}

/** The path that a URI of this machine stands for; null for every other one. */
export function pathOfUri(uri: string): string | null {
  const found = /^file:\/\/(?:localhost)?(\/[^?#]*)$/i.exec(uri);
  if (found === null) return null;
  const bytes = toUtf8(found[1] ?? '').replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return bytes.indexOf('\0') < 0 ? fromUtf8(bytes) : null;
}

/** Whether a text is an absolute path or a URI. */
export function isFileArgument(text: string): boolean {
  return text.indexOf('\0') < 0 && (text.charAt(0) === '/' || SCHEME.test(text));
}

const asUri = (file: string): string => (file.charAt(0) === '/' ? fileUri(file) : file);

/** The local files among them, as paths. */
function asPaths(files: readonly string[]): string[] {
  const paths: string[] = [];
  for (const file of files) {
    const path = file.charAt(0) === '/' ? file : pathOfUri(file);
    if (path !== null) paths.push(path);
  }
  return paths;
}

interface Values {
  readonly paths: readonly string[];
  readonly uris: readonly string[];
  readonly icon: string;
  readonly name: string;
  readonly location: string;
}

/**
 * One word with its codes filled in: none, one or several words. A code for a list within a longer word gives its
 * first element to that word, as GLib does.
 */
function expandWord(word: Bytes, values: Values): string[] {
  if (word === '%i') return values.icon === '' ? [] : ['--icon', values.icon];
  const words: string[] = [];
  let text = '';
  let plain = '';
  let empty = true;
  const flush = (): void => {
    text += fromUtf8(plain);
    plain = '';
  };
  const put = (list: readonly string[]): void => {
    flush();
    list.forEach((one, i) => {
      if (i > 0) {
        words.push(text);
        text = '';
      }
      text += one;
      empty = false;
    });
  };
  for (let i = 0; i < word.length; i += 1) {
    const character = word.charAt(i);
    if (character !== '%' || i + 1 === word.length) {
      plain += character;
      empty = false;
      continue;
    }
    i += 1;
    const code = word.charAt(i);
    if (code === '%') {
      plain += '%';
      empty = false;
    } else if (code === 'f') put(values.paths.slice(0, 1));
    else if (code === 'F') put(values.paths);
    else if (code === 'u') put(values.uris.slice(0, 1));
    else if (code === 'U') put(values.uris);
    else if (code === 'c') put([values.name]);
    else if (code === 'k') put([values.location]);
    else if (code === 'i' && values.icon !== '') put(['--icon', values.icon]);
    // The others were taken out of the specification, and stand for nothing.
  }
  flush();
  // A word of codes alone that stand for nothing is no word; `""` is one.
  if (empty && word !== '') return [];
  words.push(text);
  return words;
}

/** The codes of a command that stand for files. */
function fileCodes(words: readonly Bytes[]): string {
  let codes = '';
  for (const word of words) {
    const found = word.replace(/%%/g, '').match(/%[fFuU]/g);
    if (found !== null) codes += found.join('');
  }
  return codes;
}

/** Reads the command of an entry, or of one of its actions, and fills it in. */
export function commandsOf(request: ExecRequest): ExecResult {
  const { source, action, files, locale } = request;
  const lines = linesOf(source);
  let group = ENTRY;
  if (action !== null) {
    const wanted = toUtf8(action);
    if (listOf(entryValue(source, lines, 'Actions')).indexOf(wanted) < 0) return { ok: false, why: 'action' };
    group = `Desktop Action ${wanted}`;
    if (!lines.some((line) => line.group === group)) return { ok: false, why: 'action' };
  }
  const line = lastOf(lines, group, 'Exec');
  const exec = line === null ? '' : rawValue(source, line);
  if (exec === '') return { ok: false, why: 'missing' };
  const words = wordsOf(exec);
  if (words === null) return { ok: false, why: 'malformed' };
  if (words.some((word) => fromUtf8(word).indexOf('\ufffd') >= 0 && toUtf8(fromUtf8(word)) !== word))
    return { ok: false, why: 'not-utf8' };
  const name = fromUtf8(localValue(source, lines, 'Name', locale));
  const common = {
    icon: fromUtf8(localValue(source, lines, 'Icon', locale)),
    name,
    location: request.path,
  };
  const codes = fileCodes(words);
  // An app that names no place for files gets them at the end, as GLib does it.
  const template = files.length > 0 && codes === '' ? words.concat('%f') : words;
  const single = files.length > 1 && !/[FU]/.test(codes);
  const groups: (readonly string[])[] = single ? files.map((file) => [file]) : [files];
  const commands = groups.map((some) => {
    const values = Object.assign({ paths: asPaths(some), uris: some.map(asUri) }, common);
    return template.reduce<string[]>((all, word) => all.concat(expandWord(word, values)), []);
  });
  const folder = fromUtf8(unescapeValue(entryValue(source, lines, 'Path') ?? ''));
  return {
    ok: true,
    start: {
      commands,
      terminal: entrySays(source, lines, 'Terminal'),
      folder: folder === '' ? null : folder,
      name: name === '' ? 'app' : name,
    },
  };
}
