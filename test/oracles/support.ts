import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Rewriting, rewriteEntry } from '../../core/src/launch/entry.js';
import { wordsOf } from '../../core/src/launch/exec-line.js';
import { linesOf, plainKey, rawValue, unescapeValue } from '../../core/src/launch/key-file.js';
import { KDE_ODD, ODD } from './odd-entries.js';
import { inRoom, STUBS } from './rig/room.js';
import { CACHE, ensureOracles } from './rig/tree.js';

const GLIB_READER = fileURLToPath(new URL('rig/glib-reader.js', import.meta.url));

export const WRAPPER = '/usr/bin/gpu-handoff-run';

export const digest = (bytes: string): string => createHash('sha256').update(bytes, 'latin1').digest('hex');

/** A .desktop file before it is rewritten. */
export interface Source {
  /** `PACKAGE/NAME` or `odd/NAME`; also its path in the work folder, without `.desktop`. */
  readonly id: string;
  readonly bytes: string;
}

/** What was made of the sources; `source` is nothing made at all. */
export const VARIANTS = {
  source: null,
  always: { choice: 'always', way: 'wrapper' },
  switcheroo: { choice: 'always', way: 'switcheroo' },
  offer: { choice: 'offer', way: 'wrapper' },
  never: { choice: 'never', way: 'wrapper' },
} as const satisfies Record<string, Pick<Rewriting, 'choice' | 'way'> | null>;

export type Variant = keyof typeof VARIANTS;

/** All .desktop files of the tree's packages that start an app, and the hand-written ones. */
export async function sources(): Promise<{ real: Source[]; odd: Source[] }> {
  const corpus = join((await ensureOracles()).dir, 'corpus');
  // Links of one package may lead to a file of another, which is not there.
  const real = readdirSync(corpus, { recursive: true, withFileTypes: true })
    .filter((file) => file.isFile() && file.name.endsWith('.desktop'))
    .map((file) => relative(corpus, join(file.parentPath, file.name)))
    .sort()
    .map((path) => ({
      id: `${path.split('/')[0]}/${basename(path, '.desktop')}`,
      bytes: readFileSync(join(corpus, path), 'latin1'),
    }));
  const odd = Object.entries({ ...ODD, ...KDE_ODD }).map(([name, bytes]) => ({ id: `odd/${name}`, bytes }));
  return { real, odd };
}

/** The file of a source or of what was made of it, inside the room. */
export const pathOf = (variant: Variant, id: string): string => `/work/${variant}/${id}.desktop`;

const made = new Map<string, string | null>();

/** What was made of a source; null where nothing is to be made of it. */
export function make(source: Source, variant: Variant): string | null {
  const key = `${variant} ${source.id}`;
  const known = made.get(key);
  if (known !== undefined) return known;
  const bytes = makeAnew(source, variant);
  made.set(key, bytes);
  return bytes;
}

function makeAnew(source: Source, variant: Variant): string | null {
  const how = VARIANTS[variant];
  if (how === null) return source.bytes;
  const answer = rewriteEntry({
    source: source.bytes,
    sourcePath: `/usr/share/applications/${source.id}.desktop`,
    ...how,
    wrapper: WRAPPER,
    digest,
  });
  return answer.ok ? answer.bytes : null;
}

/** Lays a work folder out: every variant of every source, and a recorder for every program that one names. */
export function layOut(all: readonly Source[]): string {
  const work = join(CACHE, `work-${process.pid}`);
  // With what a run that was killed has left.
  for (const name of readdirSync(CACHE)) {
    const pid = /^work-(\d+)$/.exec(name)?.[1];
    if (pid !== undefined && (pid === String(process.pid) || !existsSync(`/proc/${pid}`)))
      rmSync(join(CACHE, name), { recursive: true, force: true });
  }
  const programs = new Set([WRAPPER, `${STUBS}/xdg-terminal-exec`, `${STUBS}/konsole`]);
  for (const source of all) {
    for (const variant of Object.keys(VARIANTS) as Variant[]) {
      const bytes = make(source, variant);
      if (bytes === null) continue;
      const path = join(work, pathOf(variant, source.id).slice('/work/'.length));
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, bytes, 'latin1');
    }
    for (const program of programsOf(source.bytes)) programs.add(program);
  }
  writeFileSync(join(work, 'programs'), [...programs].map((path) => `${path}\n`).join(''), 'latin1');
  return work;
}

/** Where the programs that a file names have to be, for a desktop to find them. */
function programsOf(bytes: string): string[] {
  return linesOf(bytes)
    .filter((line) => line.kind === 'key')
    .flatMap((line) => {
      const raw = rawValue(bytes, line);
      if (line.key === 'TryExec') return [unescapeValue(raw)];
      return plainKey(line.key) === 'Exec' ? (wordsOf(raw) ?? []).slice(0, 3) : [];
    })
    .filter((word) => /^(\/(usr|bin|sbin|opt|snap|lib)\/.*[^/]|[^/=%-][^/=]*)$/.test(word))
    .map((word) => (word.startsWith('/') ? word : `${STUBS}/${word}`));
}

/** A launch that GLib is to make. */
export interface Launch {
  readonly path: string;
  /** null: the app itself. */
  readonly action: string | null;
  readonly files: readonly string[];
}

/** The words that each started process had, or why none was. */
export type Launched = { readonly started: readonly (readonly string[])[] } | { readonly error: string };

/** What GLib says of a file, or only that it cannot be used; see rig/glib-reader.js. */
export interface GlibEntry {
  readonly valid: boolean;
  readonly executable?: string;
  readonly commandline?: string;
  readonly dbusActivatable?: boolean;
  readonly prefersDgpu?: boolean;
  readonly actions?: readonly { readonly id: string; readonly name: string }[];
  readonly [other: string]: unknown;
}

async function askGlib(
  work: string,
  language: string,
  mode: string,
  jobs: unknown,
  before: readonly string[] = [],
): Promise<unknown> {
  writeFileSync(join(work, 'jobs.json'), JSON.stringify(jobs));
  copyFileSync(GLIB_READER, join(work, 'glib-reader.js'));
  const command = [
    ...before,
    '/usr/bin/gjs',
    '-m',
    '/work/glib-reader.js',
    mode,
    '/work/jobs.json',
    '/work/answers.json',
  ];
  const ended = await inRoom(work, language, command);
  if (ended.code !== 0) throw new Error(`gjs ended with ${ended.code}: ${ended.stderr}`);
  return JSON.parse(readFileSync(join(work, 'answers.json'), 'utf8'));
}

export async function glibReads(work: string, language: string, paths: string[]): Promise<GlibEntry[]> {
  return (await askGlib(work, language, 'describe', paths)) as GlibEntry[];
}

/** @param bus whether there is a session bus, with nobody on it */
export async function glibLaunches(
  work: string,
  launches: readonly Launch[],
  bus = false,
): Promise<Launched[]> {
  const before = bus ? ['/usr/bin/dbus-run-session', '--'] : [];
  return (await askGlib(work, 'C', 'launch', launches, before)) as Launched[];
}

export interface KdeAction {
  readonly id: string;
  readonly name: string;
  readonly icon: string;
  readonly exec: string;
  readonly launches: readonly (readonly string[])[];
}

/** What KDE says of a file; see rig/inside/kde-reader.cpp. One launch for each list of files. */
export interface KdeEntry {
  readonly valid: boolean;
  readonly exec: string;
  readonly terminal: boolean;
  readonly dbusActivatable: boolean;
  readonly prefersDgpu: boolean;
  readonly launches: readonly (readonly string[])[];
  readonly actions: readonly KdeAction[];
  readonly [other: string]: unknown;
}

export async function kdeReads(
  work: string,
  language: string,
  paths: readonly string[],
  files: readonly (readonly string[])[],
): Promise<KdeEntry[]> {
  writeFileSync(join(work, 'files.json'), JSON.stringify(files));
  const input = paths.map((path) => `${path}\n`).join('');
  const ended = await inRoom(work, language, ['/oracle/kde-reader', '/work/files.json'], input);
  if (ended.code !== 0) throw new Error(`kde-reader ended with ${ended.code}: ${ended.stderr}`);
  return ended.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as KdeEntry);
}

/** What desktop-file-validate finds in each file, without the file's name. */
export async function validate(work: string, paths: readonly string[]): Promise<Map<string, string[]>> {
  const ended = await inRoom(work, 'C', ['/usr/bin/desktop-file-validate', ...paths]);
  const found = new Map<string, string[]>(paths.map((path) => [path, []]));
  for (const line of `${ended.stdout}${ended.stderr}`.split('\n').filter((text) => text !== '')) {
    const path = line.slice(0, line.indexOf(': '));
    const list = found.get(path);
    if (list === undefined) throw new Error(`desktop-file-validate said something unexpected: ${line}`);
    list.push(line.slice(path.length + 2));
  }
  return found;
}
