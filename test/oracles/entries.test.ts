import { rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readEntry, undoEntry } from '../../core/src/launch/entry.js';
import { RUN_ON_DGPU } from '../../core/src/launch/labels.js';
import { KDE_ODD } from './odd-entries.js';
import {
  type GlibEntry,
  glibLaunches,
  glibReads,
  type KdeEntry,
  kdeReads,
  type Launch,
  type Launched,
  layOut,
  make,
  pathOf,
  type Source,
  sources,
  VARIANTS,
  type Variant,
  validate,
  WRAPPER,
} from './support.js';

type Made = Exclude<Variant, 'source'>;

const NAMES = Object.keys(VARIANTS) as Variant[];
const MADE: readonly Made[] = ['always', 'switcheroo', 'offer', 'never'];

/** A locale of the session, and the label of our action in it. */
const LABELS: Readonly<Record<string, string | undefined>> = {
  C: RUN_ON_DGPU[''],
  de_DE: RUN_ON_DGPU.de,
  zh_CN: RUN_ON_DGPU.zh_CN,
};
const LOCALES = Object.keys(LABELS);

/** None, one and many, with what has to be quoted. */
const FILES = [
  [],
  ['/work/files/a b "c" \'d\' 100% $e `f` \\g ü.txt'],
  ['/work/files/one two', "/work/files/50%20 it's", '/work/files/日本'],
];

/** Steam's running client starts the one, nobody can read the other. */
const REFUSED = ['odd/steam-game', 'odd/byte-order-mark'];

/** KDE takes no tab for the space between words, and needs kdesu, which the tree has not. */
const NOT_BY_KDE = ['odd/tabs', 'odd/other-user'];

/** desktop-file-validate looks at a group that stands twice as if its keys did, and knows no `\\;` in a list. */
const MISREAD = ['odd/groups-twice', 'odd/lists-escaped'];

let all: Source[];
let real: Source[];
/** Those of which entries are made. */
let usable: Source[];
let work: string;
/** By locale, variant and id. */
const glib = new Map<string, GlibEntry>();
const kde = new Map<string, KdeEntry>();

const at = (locale: string, variant: Variant, id: string): string => `${locale} ${variant} ${id}`;

function found<Answer>(
  answers: ReadonlyMap<string, Answer>,
  locale: string,
  variant: Variant,
  id: string,
): Answer {
  const answer = answers.get(at(locale, variant, id));
  if (answer === undefined) throw new Error(`nobody was asked about ${at(locale, variant, id)}`);
  return answer;
}

/** Fields that a variant means to change; the rest has to be the same. */
function without(entry: Readonly<Record<string, unknown>>, ...fields: string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(entry).filter(([name]) => !fields.includes(name)));
}

/** %k in a command is the path of the file itself. */
const asSource = (words: readonly string[], variant: Variant): string[] =>
  words.map((word) => word.replaceAll(`/work/${variant}/`, '/work/source/'));

beforeAll(async () => {
  const found = await sources();
  real = found.real;
  all = [...found.real, ...found.odd];
  usable = all.filter(({ id }) => !REFUSED.includes(id));
  work = layOut(all);
  const files = NAMES.flatMap((variant) => usable.map(({ id }) => ({ variant, id })));
  const paths = files.map(({ variant, id }) => pathOf(variant, id));
  for (const locale of LOCALES) {
    const ofGlib = await glibReads(work, locale, paths);
    const ofKde = await kdeReads(work, locale, paths, FILES);
    files.forEach(({ variant, id }, number) => {
      const [one, other] = [ofGlib[number], ofKde[number]];
      if (one !== undefined) glib.set(at(locale, variant, id), one);
      if (other !== undefined) kde.set(at(locale, variant, id), other);
    });
  }
});

afterAll(() => {
  if (work !== undefined) rmSync(work, { recursive: true, force: true });
});

describe('what is compared', () => {
  test('at least 300 files of real packages, of each of which an entry can be made', () => {
    expect(real.length).toBeGreaterThanOrEqual(300);
    const refused = MADE.flatMap((variant) => all.filter((source) => make(source, variant) === null));
    expect([...new Set(refused.map(({ id }) => id))]).toEqual(REFUSED);
  });

  test('the oracles read the sources, in the words of the locale', () => {
    const unread = usable.filter(({ id }) => !found(glib, 'C', 'source', id).valid).map(({ id }) => id);
    expect(unread).toEqual(Object.keys(KDE_ODD).map((name) => `odd/${name}`));
    expect(usable.filter(({ id }) => !found(kde, 'C', 'source', id).valid)).toEqual([]);
    expect(found(glib, 'de_DE', 'source', 'odd/snap').name).toBe('Seltsam');
    expect(found(kde, 'de_DE', 'source', 'odd/snap').name).toBe('Seltsam');
  });

  test.each(LOCALES)('in %s, name, icon and NoDisplay are read as the oracles do', (locale) => {
    for (const { id, bytes } of usable) {
      const { name, icon, shown } = readEntry(bytes, locale === 'C' ? 'C' : `${locale}.UTF-8`);
      const ofGlib = found(glib, locale, 'source', id);
      const ofKde = found(kde, locale, 'source', id);
      if (ofGlib.valid)
        expect({ id, name, shown }).toEqual({ id, name: ofGlib.name, shown: !ofGlib.noDisplay });
      expect({ id, name, icon }).toEqual({ id, name: ofKde.name, icon: ofKde.icon });
    }
  });

  test('undoing gives every source back', () => {
    const different = MADE.flatMap((variant) =>
      usable.filter((source) => undoEntry(make(source, variant) ?? '') !== source.bytes),
    );
    expect(different.map(({ id }) => id)).toEqual([]);
  });
});

describe.each(LOCALES)('GLib in %s', (locale) => {
  test.each(MADE)('reads “%s” as the source, but for what is meant', (variant) => {
    for (const { id } of usable) {
      const source = found(glib, locale, 'source', id);
      const made = found(glib, locale, variant, id);
      const changed = ['commandline', 'executable', 'dbusActivatable', 'prefersDgpu', 'actions'];
      expect(without(made, ...changed), id).toEqual(without(source, ...changed));
      if (!source.valid) continue;
      const through = variant === 'always';
      const prefers = { always: false, switcheroo: true, offer: source.prefersDgpu, never: false };
      expect({ id, ...made }).toMatchObject({
        id,
        commandline: through ? `${WRAPPER} ${source.commandline}` : source.commandline,
        executable: through ? WRAPPER : source.executable,
        dbusActivatable: variant === 'never' ? source.dbusActivatable : false,
        prefersDgpu: prefers[variant],
      });
      const actions = (made.actions ?? []).filter(({ id: name }) => variant !== 'offer' || !isOurs(id, name));
      expect(actions, id).toEqual(source.actions);
      const ours = (made.actions ?? []).filter(({ id: name }) => variant === 'offer' && isOurs(id, name));
      expect(ours.map(({ name }) => name)).toEqual(variant === 'offer' ? [LABELS[locale]] : []);
    }
  });
});

describe.each(LOCALES)('KDE in %s', (locale) => {
  test.each(MADE)('reads “%s” as the source, but for what is meant', (variant) => {
    for (const { id } of usable) {
      const source = found(kde, locale, 'source', id);
      const made = found(kde, locale, variant, id);
      const changed = ['exec', 'launches', 'dbusActivatable', 'prefersDgpu', 'actions'];
      expect(without(made, ...changed), id).toEqual(without(source, ...changed));
      const prefers = { always: false, switcheroo: true, offer: source.prefersDgpu, never: false };
      expect({ id, ...made }).toMatchObject({
        id,
        exec: variant === 'always' ? throughWrapper(source.exec) : source.exec,
        dbusActivatable: variant === 'never' ? source.dbusActivatable : false,
        prefersDgpu: prefers[variant],
      });
      const actions = made.actions.filter((action) => variant !== 'offer' || !isOurs(id, action.id));
      expect(actions.map((action) => without({ ...action }, 'exec', 'launches'))).toEqual(
        source.actions.map((action) => without({ ...action }, 'exec', 'launches')),
      );
      const ours = made.actions.filter((action) => variant === 'offer' && isOurs(id, action.id));
      expect(ours.map(({ name }) => name)).toEqual(variant === 'offer' ? [LABELS[locale]] : []);
    }
  });
});

describe('what is launched', () => {
  test('GLib starts the wrapper with exactly the words of the source', async () => {
    const launches = new Map<string, Launch>();
    const pairs: { variant: Made; source: string; made: string }[] = [];
    const add = (launch: Launch): string => {
      const key = JSON.stringify(launch);
      launches.set(key, launch);
      return key;
    };
    for (const { id } of usable) {
      const entry = found(glib, 'C', 'source', id);
      const pair = (variant: Made, action: string | null, files: readonly string[], from = action): void => {
        const source = add({ path: pathOf('source', id), action: from, files });
        pairs.push({ variant, source, made: add({ path: pathOf(variant, id), action, files }) });
      };
      if (!entry.valid) continue;
      // Whether one file or many does not matter to an app that takes none.
      const takes = entry.files === true || entry.uris === true;
      for (const files of takes ? FILES : [[], FILES[2] ?? []]) pair('always', null, files);
      for (const { id: action } of entry.actions ?? []) {
        pair('always', action, []);
        pair('switcheroo', action, []);
      }
      pair('offer', ourAction(id), [], null);
    }
    const answers = await glibLaunches(work, [...launches.values()]);
    const started = new Map([...launches.keys()].map((key, number) => [key, wordsOf(key, answers[number])]));
    expect(pairs.length).toBeGreaterThan(1200);
    for (const { variant, source, made } of pairs) {
      const [one, other] = [started.get(source) ?? [], started.get(made) ?? []];
      expect(one.length, source).toBeGreaterThan(0);
      expect(other.length, made).toBe(one.length);
      one.forEach((words, number) => {
        expectWrapped(words, asSource(other[number] ?? [], variant), made);
      });
    }
    // Thousands of processes: half a minute, or several on a machine that has much else to do.
  }, 300_000);

  test('KDE starts the wrapper with exactly the words of the source', () => {
    let compared = 0;
    for (const { id } of usable) {
      const source = found(kde, 'C', 'source', id);
      const always = found(kde, 'C', 'always', id);
      const offer = found(kde, 'C', 'offer', id);
      const switcheroo = found(kde, 'C', 'switcheroo', id);
      const ours = offer.actions.filter((action) => isOurs(id, action.id))[0];
      expect(switcheroo.launches.map((words) => asSource(words, 'switcheroo'))).toEqual(source.launches);
      FILES.forEach((files, set) => {
        const what = `${id} with ${files.length} files`;
        const words = source.launches[set] ?? [];
        if (NOT_BY_KDE.includes(id)) return;
        expect(words.length, what).toBeGreaterThan(0);
        compared += 1;
        expectWrapped(words, asSource(always.launches[set] ?? [], 'always'), what);
        // KDE forgets the file's path, which %k stands for, when it starts an action.
        if (id !== 'odd/codes')
          expectWrapped(words, asSource(ours?.launches[set] ?? [], 'offer'), `${what}, offered`);
        source.actions.forEach((action, number) => {
          const theirs = [always, switcheroo].map((entry) => entry.actions[number]?.launches[set] ?? []);
          for (const made of theirs) expectWrapped(action.launches[set] ?? [], made, `${what}, ${action.id}`);
        });
      });
    }
    expect(compared).toBeGreaterThan(1000);
  });

  test('with a session bus, GLib asks it for the source and starts the override itself', async () => {
    const id = 'odd/org.gnome.Maps';
    const launches = (['source', 'always', 'offer'] as const).flatMap((variant) =>
      [null, 'new-window'].map((action) => ({ path: pathOf(variant, id), action, files: [] })),
    );
    const answers = await glibLaunches(work, launches, true);
    expect(
      answers.map((answer) => ('started' in answer ? answer.started.map((words) => words[0]) : answer)),
    ).toEqual([[], [], [WRAPPER], [WRAPPER], ['/usr/bin/flatpak'], ['/usr/bin/flatpak']]);
  });
});

describe('desktop-file-validate', () => {
  let sourceSays: Map<string, string[]>;

  beforeAll(async () => {
    sourceSays = await validate(
      work,
      usable.map(({ id }) => pathOf('source', id)),
    );
  });

  test('finds something in the sources', () => {
    expect([...sourceSays.values()].flat().length).toBeGreaterThan(100);
  });

  test.each(MADE)('finds nothing in “%s” that it did not find in the source', async (variant) => {
    const madeSays = await validate(
      work,
      usable.map(({ id }) => pathOf(variant, id)),
    );
    for (const { id } of usable) {
      const before = sourceSays.get(pathOf('source', id)) ?? [];
      const now = (madeSays.get(pathOf(variant, id)) ?? []).map(asOfSource);
      const fresh = now.filter((text) => !before.includes(text));
      const expected = MISREAD.includes(id) ? fresh.filter((text) => /\bactions?\b/i.test(text)) : [];
      expect(fresh, id).toEqual(expected);
    }
  });
});

const OFFERED = 'gpu-handoff-run';

/** The action that we added to an offering entry; one source has its own of that name. */
const ourAction = (id: string): string => (id === 'odd/action-ours' ? `${OFFERED}-2` : OFFERED);

const isOurs = (id: string, action: string): boolean => action === ourAction(id);

/** Behind variables, which KDE gives to a shell. */
const throughWrapper = (exec: string): string => exec.replace(/^((?:[A-Z]+=\S+ )*)/, `$1${WRAPPER} `);

/** What is said about our command and our action, said about the source's. */
const asOfSource = (text: string): string =>
  text
    .replaceAll(`${WRAPPER} `, '')
    .replace(/Desktop Action gpu-handoff-run(-2)?/, 'Desktop Entry')
    .replace(/gpu-handoff-run(-2)?;/, '');

function wordsOf(what: string, launched: Launched | undefined): readonly (readonly string[])[] {
  if (launched !== undefined && 'started' in launched) return launched.started;
  throw new Error(`${what} was not started: ${launched?.error ?? 'no answer'}`);
}

/**
 * The wrapper comes directly before the program, behind a terminal where there is one. KDE writes the path that it
 * found for the first word; what it gives to a shell, or to kdesu, is one word.
 */
function expectWrapped(source: readonly string[], made: readonly string[], what: string): void {
  const within = made.findIndex((word) => word.includes(`${WRAPPER} `));
  if (within >= 0) {
    const parts = (made[within] ?? '').split(`${WRAPPER} `);
    expect(parts.length, what).toBe(2);
    expect(
      made.map((word, at) => (at === within ? parts.join('') : word)),
      what,
    ).toEqual(source);
    return;
  }
  const place = made.indexOf(WRAPPER);
  const behind = place === 0 || /xdg-terminal-exec$|^-e$/.test(made[place - 1] ?? '');
  expect(behind, `${what}: ${made.join(' ')}`).toBe(true);
  const program = source[place] ?? '';
  const written = made[place + 1] ?? '';
  const same = program === written || program.endsWith(`/${written}`);
  expect(same, `${what}: ${program} and ${written}`).toBe(true);
  expect(made.slice(place + 2), what).toEqual(source.slice(place + 1));
  expect(made.slice(0, place), what).toEqual(source.slice(0, place));
}
