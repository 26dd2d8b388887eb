/** The sync of launch entries on real folders: what users find in their home afterwards. */
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
} from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { entry, LaunchHome, OWN } from './support-launch-home.js';

const BLENDER = 'blender.desktop';
let home: LaunchHome;

beforeEach(() => {
  home = new LaunchHome();
});
afterEach(() => home.close());

const what = (report: { changes: readonly { id: string; what: string }[] }): string[] =>
  report.changes.map((one) => `${one.id} ${one.what}`);

describe('an app of the system', () => {
  beforeEach(() => {
    home.install(BLENDER);
  });

  it('gets an entry that begins with the wrapper', async () => {
    expect(what(await home.choose(BLENDER, 'always'))).toEqual([`${BLENDER} written`]);
    expect(home.read(`${OWN}/${BLENDER}`)).toContain(`Exec=${home.wrapper} blender %f\n`);
  });

  it('loses it with the choice, and nothing is left', async () => {
    await home.choose(BLENDER, 'always');
    expect(what(await home.choose(BLENDER, 'untouched'))).toEqual([`${BLENDER} removed`]);
    expect(home.tree()).toEqual({});
  });

  it('has its entry made again when it changes', async () => {
    await home.choose(BLENDER, 'always');
    home.install(BLENDER, entry({ exec: 'blender --new %f' }));
    expect((await home.sync()).changes).toEqual([
      { id: BLENDER, what: 'written', sentence: 'The app’s own entry has changed.' },
    ]);
    expect(home.read(`${OWN}/${BLENDER}`)).toContain(`Exec=${home.wrapper} blender --new %f\n`);
  });

  it('loses its entry when it is gone, and gets it again when it comes back', async () => {
    await home.choose(BLENDER, 'always');
    home.remove(`usr/share/applications/${BLENDER}`);
    expect(what(await home.sync())).toEqual([`${BLENDER} removed`]);
    expect(home.tree()).toEqual({});
    home.install(BLENDER);
    expect(what(await home.sync())).toEqual([`${BLENDER} written`]);
  });

  it('keeps its entry while nothing changes', async () => {
    await home.choose(BLENDER, 'offer');
    const before = home.tree();
    expect(what(await home.sync())).toEqual([]);
    expect(what(await home.sync())).toEqual([]);
    expect(home.tree()).toEqual(before);
  });

  it('is converted when the way changes, and back', async () => {
    await home.choose(BLENDER, 'always');
    const wrapped = home.read(`${OWN}/${BLENDER}`);
    home.way = 'switcheroo';
    expect((await home.sync()).changes).toEqual([
      { id: BLENDER, what: 'written', sentence: 'Entries now take the way “switcheroo” to the dGPU.' },
    ]);
    const asking = home.read(`${OWN}/${BLENDER}`);
    expect(asking).toContain('PrefersNonDefaultGPU=true');
    expect(asking).toContain('Exec=blender %f\n');
    home.way = 'wrapper';
    await home.sync();
    expect(home.read(`${OWN}/${BLENDER}`)).toBe(wrapped);
  });

  it('keeps its way while nobody can tell which one is right', async () => {
    home.way = 'switcheroo';
    await home.choose(BLENDER, 'always');
    home.way = null;
    expect(what(await home.sync())).toEqual([]);
  });

  it('in a subfolder gets an entry of the same id', async () => {
    home.install('kde/tool.desktop');
    await home.choose('kde-tool.desktop', 'always');
    expect(home.read(`${OWN}/kde-tool.desktop`)).toContain(`Exec=${home.wrapper} blender %f\n`);
  });

  it('is taken from the first folder that has it', async () => {
    home.write(`usr/local/share/applications/${BLENDER}`, entry({ exec: 'my-blender %f' }));
    await home.choose(BLENDER, 'always');
    expect(home.read(`${OWN}/${BLENDER}`)).toContain(`Exec=${home.wrapper} my-blender %f\n`);
  });

  it('is not gone for one that does not know its folder, but is when its file is', async () => {
    const known = home.env.XDG_DATA_DIRS ?? '';
    home.write('nix/share/applications/nixed.desktop', entry());
    home.env.XDG_DATA_DIRS = `${home.path('nix/share')}:${known}`;
    await home.choose('nixed.desktop', 'always');
    home.env.XDG_DATA_DIRS = known;
    expect(what(await home.sync())).toEqual([]);
    home.remove('nix/share/applications/nixed.desktop');
    home.install('other.desktop');
    expect(what(await home.sync())).toEqual(['nixed.desktop removed']);
  });

  it('that an earlier folder hides is away', async () => {
    await home.choose(BLENDER, 'always');
    home.write(`usr/local/share/applications/${BLENDER}`, '[Desktop Entry]\nType=Application\nHidden=true\n');
    expect(what(await home.sync())).toEqual([`${BLENDER} removed`]);
  });

  it('of flatpak is found where XDG_DATA_DIRS does not name its folder', async () => {
    home.write('var/lib/flatpak/app/org.x.Y/y.desktop', entry({ exec: '/usr/bin/flatpak run org.x.Y' }));
    mkdirSync(home.path('var/lib/flatpak/exports/share/applications'), { recursive: true });
    symlinkSync(
      '../../../app/org.x.Y/y.desktop',
      home.path('var/lib/flatpak/exports/share/applications/org.x.Y.desktop'),
    );
    await home.choose('org.x.Y.desktop', 'always');
    expect(home.read(`${OWN}/org.x.Y.desktop`)).toContain(
      `Exec=${home.wrapper} /usr/bin/flatpak run org.x.Y\n`,
    );
  });

  it('whose file is replaced behind a link has its entry made again', async () => {
    home.write('opt/a.desktop', entry());
    symlinkSync(home.path('opt/a.desktop'), home.path('usr/share/applications/a.desktop'));
    await home.choose('a.desktop', 'always');
    await home.sync();
    home.write('opt/b', entry({ exec: 'other' }));
    renameSync(home.path('opt/b'), home.path('opt/a.desktop'));
    expect(what(await home.sync())).toEqual(['a.desktop written']);
  });

  it('has its permissions in the entry, and those that the user gave it later stay', async () => {
    chmodSync(home.path(`usr/share/applications/${BLENDER}`), 0o755);
    await home.choose(BLENDER, 'always');
    expect(statSync(home.path(`${OWN}/${BLENDER}`)).mode & 0o777).toBe(0o755);
    chmodSync(home.path(`${OWN}/${BLENDER}`), 0o600);
    home.install(BLENDER, entry({ exec: 'new' }));
    await home.sync();
    expect(statSync(home.path(`${OWN}/${BLENDER}`)).mode & 0o777).toBe(0o600);
  });

  it('has no entry while the wrapper is not installed, and its choice is kept', async () => {
    await home.choose(BLENDER, 'always');
    home.remove('usr/bin/gpu-handoff-run');
    expect(what(await home.sync())).toEqual([`${BLENDER} removed`]);
    home.write('usr/bin/gpu-handoff-run', '#!/bin/sh\n', 0o755);
    expect(what(await home.sync())).toEqual([`${BLENDER} written`]);
  });
});

describe('an entry that the user edited', () => {
  const place = `${OWN}/${BLENDER}`;
  beforeEach(async () => {
    home.install(BLENDER);
    await home.choose(BLENDER, 'always');
    home.write(place, `${home.read(place)}# mine\n`);
  });

  it('is left alone and reported', async () => {
    const before = home.tree();
    const report = await home.sync();
    expect(report.changes).toEqual([]);
    expect(report.problems).toEqual([
      {
        id: BLENDER,
        sentence: `The entry ${home.path(place)} was edited by hand and is left alone: “gpu-handoff apps undo ${BLENDER}” gives back what was there before.`,
      },
    ]);
    expect(home.tree()).toEqual(before);
  });

  it('is reported again while nothing changes', async () => {
    await home.sync();
    await home.sync();
    expect((await home.sync()).problems).toHaveLength(1);
  });

  it('is left alone when its app changes, goes, or is no longer chosen', async () => {
    const before = home.tree();
    home.install(BLENDER, entry({ exec: 'new' }));
    expect((await home.sync()).problems[0]?.sentence).toContain('does not follow the app’s own entry');
    home.remove(`usr/share/applications/${BLENDER}`);
    await home.sync();
    home.choices({});
    await home.sync();
    expect(home.tree()).toEqual(before);
  });

  it('is kept among the earlier files when he undoes it', async () => {
    const edited = home.read(place);
    await home.undo(BLENDER);
    expect(home.tree()).toEqual({});
    expect(home.read(`home/.local/share/gpu-handoff/earlier/${BLENDER}`)).toBe(edited);
  });

  it('goes with the wrapper that it begins with, and is kept among the earlier files', async () => {
    const edited = home.read(place);
    home.remove('usr/bin/gpu-handoff-run');
    expect(what(await home.sync())).toEqual([`${BLENDER} removed`]);
    expect(home.tree()).toEqual({});
    expect(home.read(`home/.local/share/gpu-handoff/earlier/${BLENDER}`)).toBe(edited);
  });

  it('stays without the wrapper where it does not need it', async () => {
    home.write(place, home.read(place).replaceAll(home.wrapper, 'env'));
    const before = home.tree();
    home.remove('usr/bin/gpu-handoff-run');
    expect((await home.sync()).problems).toHaveLength(1);
    expect(home.tree()).toEqual(before);
  });
});

describe('a copy of an entry of ours under another name', () => {
  const copy = `${OWN}/work.desktop`;
  beforeEach(async () => {
    home.install(BLENDER);
    await home.choose(BLENDER, 'always');
    home.write(copy, home.read(`${OWN}/${BLENDER}`));
  });

  it('is the user’s, and stays', async () => {
    const text = home.read(copy);
    expect(what(await home.sync())).toEqual([]);
    await home.undo(null);
    expect(Object.keys(home.tree())).toEqual(['work.desktop']);
    expect(home.read(copy)).toBe(text);
  });

  it('can have a choice of its own, and comes back as it was', async () => {
    const text = home.read(copy);
    await home.choose('work.desktop', 'offer');
    expect(home.read(copy)).toContain('X-GpuHandoff-Choice=offer');
    await home.undo('work.desktop');
    expect(home.read(copy)).toBe(text);
  });

  it('is no choice where the file of choices is missing', async () => {
    home.remove('home/.config/gpu-handoff/apps.json');
    await home.choose(BLENDER, 'offer');
    expect(Object.keys(JSON.parse(home.read('home/.config/gpu-handoff/apps.json')).choices)).toEqual([
      BLENDER,
    ]);
  });
});

describe('the user’s list of which apps open which files', () => {
  const place = `${OWN}/mimeinfo.cache`;
  const list = (lines: string): string => `[MIME Cache]\n${lines}\n`;
  beforeEach(() => {
    home.install(BLENDER);
    home.write('usr/share/applications/mimeinfo.cache', list(`image/x=viewer.desktop;${BLENDER};`));
  });

  it('made anew over an entry of ours keeps the system’s order, and is gone with the entry', async () => {
    await home.choose(BLENDER, 'always');
    home.write(place, list(`image/x=${BLENDER};`));
    await home.sync();
    expect(home.read(place)).toContain(`image/x=viewer.desktop;${BLENDER};`);
    await home.undo(null);
    expect(home.tree()).toEqual({});
  });

  it('made anew keeps what is the user’s in it', async () => {
    await home.choose(BLENDER, 'always');
    home.write(place, list(`image/x=mine.desktop;${BLENDER};\nimage/y=${BLENDER};\nvideo/z=mine.desktop;`));
    await home.sync();
    expect(home.read(place)).toContain(`image/x=mine.desktop;viewer.desktop;${BLENDER};`);
    await home.undo(null);
    expect(home.read(place)).toBe(list('image/x=mine.desktop;\nvideo/z=mine.desktop;'));
  });

  it('made anew just before an undo does not make the app the default', async () => {
    await home.choose(BLENDER, 'always');
    home.write(place, list(`image/x=mine.desktop;${BLENDER};`));
    await home.undo(BLENDER);
    expect(home.read(place)).toBe(list('image/x=mine.desktop;'));
  });

  it('comes back byte for byte where the entry is made of the user’s own', async () => {
    const own = `# his\n${list(`image/x=${BLENDER};`)}`;
    home.own(BLENDER, entry({ exec: 'my-blender' }));
    home.write(place, own);
    const before = home.tree();
    await home.choose(BLENDER, 'always');
    expect(home.read(place)).toContain(`image/x=${BLENDER};viewer.desktop;`);
    await home.undo(null);
    expect(home.tree()).toEqual(before);
  });
});

describe('an entry of the user’s own', () => {
  const place = `${OWN}/${BLENDER}`;
  const text = entry({ exec: 'my-blender', extra: '# my words\r\n' });

  beforeEach(() => {
    home.install(BLENDER);
    home.own(BLENDER, text, 0o640);
    utimesSync(home.path(place), 1000, 2000);
  });

  it('is what the entry is made of', async () => {
    await home.choose(BLENDER, 'always');
    expect(home.read(place)).toContain(`Exec=${home.wrapper} my-blender\n`);
  });

  it.each([
    ['the choice goes', () => home.choose(BLENDER, 'untouched')],
    ['it is undone', () => home.undo(BLENDER)],
    ['all is undone', () => home.undo(null)],
    [
      'the choices are emptied',
      async () => {
        home.choices({});
        await home.sync();
      },
    ],
  ] as const)('comes back byte for byte, with mode and time, when %s', async (_when, act) => {
    const before = home.tree();
    await home.choose(BLENDER, 'always');
    expect(home.tree()).not.toEqual(before);
    await act();
    expect(home.tree()).toEqual(before);
    expect(home.tree('home/.local/share/gpu-handoff/originals')).toEqual({});
  });

  it('that is a link comes back as that link, though the link is relative', async () => {
    rmSync(home.path(place));
    home.write('home/dotfiles/blender.desktop', text);
    symlinkSync('../../../dotfiles/blender.desktop', home.path(place));
    await home.choose(BLENDER, 'always');
    expect(lstatSync(home.path(place)).isSymbolicLink()).toBe(false);
    expect(home.read(place)).toContain(`Exec=${home.wrapper} my-blender\n`);
    expect(home.read('home/dotfiles/blender.desktop')).toBe(text);
    home.write('home/dotfiles/blender.desktop', entry({ exec: 'changed-dotfile' }));
    await home.sync();
    expect(home.read(place)).toContain(`Exec=${home.wrapper} changed-dotfile\n`);
    await home.undo(BLENDER);
    expect(home.tree()).toEqual({ [BLENDER]: '-> ../../../dotfiles/blender.desktop' });
  });

  it('in a subfolder is replaced and given back there', async () => {
    home.own('wine/Programs/x.desktop', text);
    const before = home.tree();
    await home.choose('wine-Programs-x.desktop', 'always');
    expect(home.read(`${OWN}/wine/Programs/x.desktop`)).toContain(home.wrapper);
    expect(Object.keys(home.tree())).toEqual(Object.keys(before));
    await home.undo(null);
    expect(home.tree()).toEqual(before);
  });

  it('written anew by its program is what the entry is made of from then on', async () => {
    await home.choose(BLENDER, 'always');
    const second = entry({ exec: 'second' });
    rmSync(home.path(place));
    home.own(BLENDER, second);
    await home.sync();
    expect(home.read(place)).toContain(`Exec=${home.wrapper} second\n`);
    expect(home.read(`home/.local/share/gpu-handoff/earlier/${BLENDER}`)).toBe(text);
    await home.undo(null);
    expect(home.read(place)).toBe(second);
  });

  it('whose program removed the entry does not come back from the dead, and is not lost either', async () => {
    home.remove(`usr/share/applications/${BLENDER}`);
    await home.choose(BLENDER, 'always');
    rmSync(home.path(place));
    await home.sync();
    expect(home.tree()).toEqual({});
    expect(home.read(`home/.local/share/gpu-handoff/earlier/${BLENDER}`)).toBe(text);
  });

  it('that hides the app is left alone', async () => {
    home.own(BLENDER, '[Desktop Entry]\nType=Application\nHidden=true\n');
    const before = home.tree();
    await home.choose(BLENDER, 'always');
    expect(home.tree()).toEqual(before);
  });

  it('of which no entry can be made is left alone and reported', async () => {
    home.own(BLENDER, '[Desktop Entry]\nType=Application\nName=Broken\nExec="\n');
    const before = home.tree();
    expect((await home.choose(BLENDER, 'always')).problems).toHaveLength(1);
    expect(home.tree()).toEqual(before);
  });

  it('in a folder that is a link is left alone and reported', async () => {
    home.write('home/elsewhere/y.desktop', text);
    symlinkSync(home.path('home/elsewhere'), home.path(`${OWN}/linked`));
    const report = await home.choose('linked-y.desktop', 'always');
    expect(report.problems[0]?.sentence).toContain('leads out of your own applications');
    expect(home.read('home/elsewhere/y.desktop')).toBe(text);
  });
});

describe('the user’s folder', () => {
  it('that is a link to another one of his is written to there', async () => {
    home.install(BLENDER);
    mkdirSync(home.path('home/dotfiles/applications'), { recursive: true });
    mkdirSync(home.path('home/.local/share'), { recursive: true });
    symlinkSync(home.path('home/dotfiles/applications'), home.path(OWN));
    await home.choose(BLENDER, 'always');
    expect(home.read(`home/dotfiles/applications/${BLENDER}`)).toContain(home.wrapper);
    expect(lstatSync(home.path(OWN)).isSymbolicLink()).toBe(true);
  });
});

describe('the file of choices', () => {
  const path = 'home/.config/gpu-handoff/apps.json';
  beforeEach(async () => {
    home.install(BLENDER);
    home.install('other.desktop');
    await home.choose(BLENDER, 'always');
  });

  it.each([
    ['half of it', '{"version":1,"choices":{"blen'],
    ['nothing', ''],
    ['a choice that is none', '{"version":1,"choices":{"blender.desktop":"perhaps"}}'],
    ['an id that leads elsewhere', '{"version":1,"choices":{"../../x.desktop":"always"}}'],
    ['another document', '[]'],
  ])('that holds %s changes nothing and is named', async (_what, text) => {
    const before = home.tree();
    home.write(path, text);
    await expect(home.sync()).rejects.toThrow(`The file of choices ${home.path(path)} cannot be read`);
    expect(home.tree()).toEqual(before);
    expect(home.read(path)).toBe(text);
  });

  it('that is broken is moved aside by a new choice, and the choices of entries in place hold on', async () => {
    home.write(path, '{"version":1,');
    const report = await home.choose('other.desktop', 'never');
    expect(report.notes).toEqual([`The unreadable file of choices is now ${home.path(path)}.broken.`]);
    expect(home.read(`${path}.broken`)).toBe('{"version":1,');
    expect(JSON.parse(home.read(path)).choices).toEqual({ [BLENDER]: 'always', 'other.desktop': 'never' });
  });

  it('of a newer version is not overwritten', async () => {
    home.write(path, '{"version":2,"choices":{}}');
    await expect(home.choose(BLENDER, 'never')).rejects.toThrow('was written by a newer version');
    expect(home.read(path)).toBe('{"version":2,"choices":{}}');
  });

  it('that is missing leaves the entries that are there', async () => {
    const before = home.tree();
    home.remove(path);
    expect(what(await home.sync())).toEqual([]);
    expect(home.tree()).toEqual(before);
  });

  it('that is a link stays one', async () => {
    renameSync(home.path(path), home.path('home/real.json'));
    symlinkSync(home.path('home/real.json'), home.path(path));
    await home.choose('other.desktop', 'always');
    expect(lstatSync(home.path(path)).isSymbolicLink()).toBe(true);
    expect(Object.keys(JSON.parse(home.read('home/real.json')).choices)).toHaveLength(2);
  });
});

describe('the index', () => {
  const index = 'home/.cache/gpu-handoff/apps-index.json';

  it.each([
    ['is lost', () => home.remove(index)],
    ['is half written', () => home.write(index, '{"version":1,"finger')],
    ['is something else', () => home.write(index, '[1,2]')],
    [
      'is of another time',
      () => home.write(index, JSON.stringify({ version: 1, fingerprint: 'x', problems: [] })),
    ],
  ])('may be anything: a sync finds what has changed when it %s', async (_how, spoil) => {
    home.install(BLENDER);
    await home.choose(BLENDER, 'always');
    // Not before the clock has moved on from the last change.
    await expect.poll(() => home.sync().then(() => home.exists(index))).toBe(true);
    home.install(BLENDER, entry({ exec: 'new' }));
    spoil();
    expect(what(await home.sync())).toEqual([`${BLENDER} written`]);
  });
});

describe('who has never made a choice', () => {
  it('gets no folders and files', async () => {
    home.install(BLENDER);
    home.own('own.desktop', entry());
    const before = home.tree('home');
    await home.sync();
    expect(home.tree('home')).toEqual(before);
  });
});

describe('a home that cannot be written to', () => {
  it('is named with the file, and nothing is half done', async () => {
    home.install(BLENDER);
    // Root may write anywhere, but nobody makes a folder where a file is.
    home.write('home/.config/gpu-handoff', 'a file');
    await expect(home.choose(BLENDER, 'always')).rejects.toThrow(/apps\.json could not be written: /);
    expect(home.tree()).toEqual({});
    home.remove('home/.config');
    home.remove('home/.local');
    home.write('home/.local/share/gpu-handoff', 'a file');
    await expect(home.choose(BLENDER, 'always')).rejects.toThrow(/gpu-handoff could not be written: /);
  });

  it('keeps one app’s fault from the others', async () => {
    for (const id of [BLENDER, 'sub/x.desktop']) home.install(id);
    home.own('sub', 'a file where the folder of its own entry was');
    home.own('other/y.desktop', entry());
    home.choices({ [BLENDER]: 'always', 'sub-x.desktop': 'always', 'other-y.desktop': 'always' });
    home.write('home/.local/share/gpu-handoff/originals/other', 'in the way');
    const report = await home.sync();
    expect(what(report).sort()).toEqual([`${BLENDER} written`, 'sub-x.desktop written']);
    expect(report.failed).toBe(true);
    expect(report.problems).toEqual([
      { id: 'other-y.desktop', sentence: expect.stringMatching(/y\.desktop could not be written: /) },
    ]);
    expect(home.read(`${OWN}/other/y.desktop`)).toBe(entry());
  });
});

describe('two syncs at the same time', () => {
  it('do the work once', async () => {
    for (let i = 0; i < 20; i += 1) home.install(`app${i}.desktop`);
    home.choices(Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`app${i}.desktop`, 'always'])));
    const reports = await Promise.all([home.sync(), home.sync(), home.sync()]);
    expect(reports.flatMap(what)).toHaveLength(20);
    expect(readFileSync(home.path(`${OWN}/app7.desktop`), 'utf8')).toContain(home.wrapper);
  });
});
