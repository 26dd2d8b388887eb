/** The commands `apps` and `launch` without a session bus: the command does all of it by itself. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { CommonOptions, Context } from '../../cli/src/context.js';
import type { AppsDocument } from '../../cli/src/documents.js';
import { run } from '../../cli/src/program.js';
import { renderApps, renderChoice } from '../../cli/src/render/apps.js';
import { NO_BUS, outlet, paper, type Ran } from './support-cli.js';
import { entry, LaunchHome, OWN } from './support-launch-home.js';

const SCHEMAS = join(import.meta.dirname, '../../docs/schema');
const ajv = new Ajv2020({ allErrors: true, allowUnionTypes: true });
for (const file of readdirSync(SCHEMAS))
  ajv.addSchema(JSON.parse(readFileSync(join(SCHEMAS, file), 'utf8')), file);

function faults(schema: string, text: string): unknown {
  const validate = ajv.getSchema(`${schema}.json`);
  if (validate === undefined) throw new Error(`there is no schema ${schema}`);
  validate(JSON.parse(text));
  return validate.errors ?? [];
}

let home: LaunchHome;

beforeEach(() => {
  home = new LaunchHome();
  home.install('blender.desktop');
  home.install('org.gimp.GIMP.desktop', entry({ name: 'GNU Image Manipulation Program', exec: 'gimp %U' }));
  home.install('hidden.desktop', entry({ name: 'Hidden', extra: 'NoDisplay=true\n' }));
  home.install(
    'app.desktop',
    entry({ name: 'App', exec: '/usr/bin/flatpak run app', extra: 'X-Flatpak=app\n' }),
  );
  home.install('broken.desktop', entry({ name: 'Broken', exec: '"' }));
});
afterEach(() => home.close());

async function command(...words: string[]): Promise<Ran> {
  const out = outlet(paper(80));
  const err = outlet(paper(80));
  const env = { ...home.env, GPU_HANDOFF_BUS: NO_BUS, LANG: 'C.UTF-8' };
  const make = (options: CommonOptions): Context => ({ options, env, out, err });
  const status = await run(words, env, make);
  return { status, out: out.text(), err: err.text() };
}

describe('the list', () => {
  test('has the apps of the menus in 80 columns, and how to begin', async () => {
    const { out, status } = await command('apps');
    expect(status).toBe(0);
    expect(Math.max(...out.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(out).toMatch(/^ {13}App .* flatpak .* app$/m);
    expect(out).toContain('GNU Image Manipulation Pr…');
    expect(out).not.toContain('Hidden');
    expect(out).toContain('No app has a choice yet');
  });

  test('has those of no menu with --all', async () => {
    expect((await command('apps', '--all')).out).toContain('Hidden');
  });

  test('fits its schema', async () => {
    const { out } = await command('apps', '--json');
    expect(faults('apps', out)).toEqual([]);
    expect(JSON.parse(out)).toMatchObject({ source: 'own-look', way: { name: 'wrapper' }, fault: null });
  });

  test('names a broken file of choices, and still lists', async () => {
    home.write('home/.config/gpu-handoff/apps.json', '{');
    const { out, status } = await command('apps');
    expect(status).toBe(0);
    expect(out).toContain('Blender');
    expect(out.replace(/\s+/g, ' ')).toContain('cannot be read');
  });

  test('says what is wrong with chosen apps, and nothing of others', () => {
    const app = {
      id: 'a.desktop',
      name: 'A',
      icon: '',
      choice: 'always',
      shown: true,
      special: ['single-instance', 'flatpak'],
      problem: null,
      warning: 'Close it first.',
      entry: 'in-place',
    };
    const document: AppsDocument = {
      version: 1,
      source: 'session',
      way: { name: 'wrapper', reason: 'Because.' },
      fault: null,
      apps: [
        app,
        { ...app, id: 'b.desktop', name: 'B', choice: 'untouched', warning: 'Unsaid.', entry: null },
        { ...app, id: 'c.desktop', name: 'C', choice: 'offer', warning: null, entry: 'edited' },
      ],
    };
    expect(renderApps(paper(80), document, false)).toBe(
      [
        '  CHOICE     APP   SPECIAL           ID',
        '● always     A     one instance, f…  a',
        '  ! Close it first.',
        '             B     one instance, f…  b',
        '◇ offer      C     one instance, f…  c',
        '  ! Its entry was edited by hand and is left alone: “gpu-handoff apps undo”',
        '    takes it back.',
        '',
        'Because.',
        '',
      ].join('\n'),
    );
  });
});

describe('a choice', () => {
  test('of an app with a long id is told in 80 columns', () => {
    const id = `${'com.example.'.repeat(6)}Editor.desktop`;
    const choice = 'always';
    const document = {
      version: 1,
      id,
      choice,
      entry: 'in-place',
      sentence: null,
      warning: null,
      failed: false,
    };
    const lines = renderChoice(paper(80), document).split('\n');
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(lines.join(' ')).toContain('always');
  });

  test('is made with the short id, and taken back', async () => {
    // The wrapper is not installed on the machine of the test, so no entry is made; the choice is kept.
    const { out, status } = await command('apps', 'set', 'blender', 'always', '--json');
    expect(status).toBe(0);
    expect(faults('apps-set', out)).toEqual([]);
    expect(JSON.parse(out)).toMatchObject({ id: 'blender.desktop', choice: 'always' });
    expect(JSON.parse(home.read('home/.config/gpu-handoff/apps.json')).choices).toEqual({
      'blender.desktop': 'always',
    });
    const undone = await command('apps', 'undo', '--all', '--json');
    expect(faults('entries', undone.out)).toEqual([]);
    expect(JSON.parse(home.read('home/.config/gpu-handoff/apps.json')).choices).toEqual({});
    expect(home.tree()).toEqual({});
  });

  test.each([
    [
      'an app that there is not',
      ['apps', 'set', 'nothing', 'always'],
      17,
      'There is no app “nothing.desktop”',
    ],
    ['an id that leads elsewhere', ['apps', 'set', '../../x', 'always'], 17, 'There is no app'],
    ['a choice that there is not', ['apps', 'set', 'blender', 'often'], 2, 'choose one of offer, always'],
    ['an app without a command', ['apps', 'set', 'broken', 'always'], 7, 'No entry can be made for “Broken”'],
    ['no choice', ['apps', 'set', 'blender'], 2, 'Say which app'],
    ['undoing nothing', ['apps', 'undo'], 2, 'Say which app, or --all'],
    ['another word', ['apps', 'dance'], 2, 'There is nothing that “apps dance” does'],
    ['launching nothing', ['launch'], 2, 'Say which app'],
    ['launching what there is not', ['launch', 'nothing'], 17, 'There is no app'],
  ])('is refused for %s', async (_what, words, status, sentence) => {
    const ran = await command(...words);
    expect(ran.status).toBe(status);
    expect(ran.err.replace(/\s+/g, ' ')).toContain(sentence);
    expect(home.exists(OWN)).toBe(false);
  });
});

describe('a sync', () => {
  test('says that all is in order, and fits its schema', async () => {
    expect((await command('apps', 'sync')).out).toBe('Every entry is in order.\n');
    expect(faults('entries', (await command('apps', 'sync', '--json')).out)).toEqual([]);
  });

  test('ends with 14 where the choices cannot be read', async () => {
    home.write('home/.config/gpu-handoff/apps.json', '{');
    expect((await command('apps', 'sync')).status).toBe(14);
  });
});

describe('launch', () => {
  test('starts a program by a .desktop file in no folder of apps', async () => {
    const where = home.path('called');
    home.write('bin/note', `#!/bin/sh\nprintf '%s|' "$@" > ${where}\n`, 0o755);
    const file = home.write(
      'home/Desktop/note.desktop',
      entry({ exec: `${home.path('bin/note')} "a b" %F`, name: 'Note' }),
    );
    const ran = await command('launch', '--igpu', '--json', '--file', file, '/tmp/x y');
    expect(faults('launch', ran.out)).toEqual([]);
    expect(JSON.parse(ran.out)).toMatchObject({ on: 'igpu', warning: null });
    await expect.poll(() => home.exists('called') && home.read('called')).toBe('a b|/tmp/x y|');
  });
});

describe('what launch is given', () => {
  /** What a program of the user gets, started with these words in a folder of its own. */
  async function given(...words: string[]): Promise<string> {
    const [whole, begun] = [home.path('called'), home.path('begun')];
    home.write('bin/note', `#!/bin/sh\nprintf '%s|' "$@" > ${begun}\nmv ${begun} ${whole}\n`, 0o755);
    home.write('home/another', '');
    home.install('note.desktop', entry({ exec: `${home.path('bin/note')} %U`, name: 'Note' }));
    const before = process.cwd();
    process.chdir(home.path('home'));
    try {
      expect(await command('launch', '--igpu', 'note', ...words)).toMatchObject({ status: 0 });
    } finally {
      process.chdir(before);
    }
    await expect.poll(() => home.exists('called')).toBe(true);
    return home.read('called');
  }

  test('is a file where there is one, though it is called like an address', async () => {
    home.write('home/Alien: Covenant.mkv', '');
    expect(await given('Alien: Covenant.mkv')).toBe(`file://${home.path('home')}/Alien%3A%20Covenant.mkv|`);
  });

  test('is an address where there is no such file', async () => {
    expect(await given('https://example.org/')).toBe('https://example.org/|');
  });

  test('may be a card’s address without its domain', async () => {
    const { status, err } = await command('launch', '--card', '7F:1f.7', 'blender');
    expect([status, err]).toEqual([5, expect.stringContaining('“0000:7f:1f.7”')]);
  });
});

describe('completion', () => {
  const complete = async (line: string): Promise<string[]> =>
    (await command('__complete', 'bash', line, ' \t\n"\'><=;|&(:')).out
      .split('\n')
      .filter((one) => one !== '');

  test('knows what is done, apps and choices', async () => {
    expect(await complete('gpu-handoff apps s')).toEqual(['set', 'sync']);
    expect(await complete('gpu-handoff apps set bl')).toEqual(['blender']);
    expect(await complete('gpu-handoff apps set blender ')).toEqual([
      'always',
      'offer',
      'never',
      'untouched',
    ]);
    expect(await complete('gpu-handoff launch org.')).toEqual(['org.gimp.GIMP']);
    expect(await complete('gpu-handoff apps sync ')).toEqual([]);
  });

  test.each(['--action new-window', '--card 0000:01:00.0', '--card=0000:01:00.0', '--file x.desktop'])(
    'does not take %s for the app',
    async (option) => {
      expect(await complete(`gpu-handoff launch ${option} org.`)).toEqual(['org.gimp.GIMP']);
    },
  );

  test('offers no app for the value of an option', async () => {
    for (const option of ['--file', '--action'])
      expect(await complete(`gpu-handoff launch ${option} bl`)).toEqual([]);
  });
});
