/** The preferences, in a real window, with the real helper and the real per-user service behind them. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { complaintsIn } from './rig/complaints.js';
import {
  type Accessible,
  type AppWindow,
  type GnomeOptions,
  type GnomeSession,
  startGnome,
} from './rig/gnome.js';
import { words } from './support.js';

const APPLICATIONS = '/home/tester/.local/share/applications';
const ENTRY = `[Desktop Entry]
Type=Application
Name=Élan
Exec=sleep 7001
Icon=face-smile
`;
const BROKEN = `[Desktop Entry]
Type=Application
Name=An App <b>With</b> a Name & So Long That No Window Could Ever Show the Whole of It
Icon=face-smile
`;

/** Writes as many entries as a large system has, where the shell need not draw an icon for each. */
const DATA = '/home/tester/many';
const MANY = `mkdir -p ${DATA}/applications; for i in $(seq 1000 2999); do
  printf '[Desktop Entry]\\nType=Application\\nName=App %s\\nExec=true\\nIcon=face-smile\\n' $i > ${DATA}/applications/rig.App$i.desktop
done`;

const PROGRAM = 'org.gnome.Shell.Extensions';

/** Roles of what answers to pointer and keyboard. */
const CONTROLS = /^(button|push button|toggle button|check box|combo box|entry|page tab|radio button)$/;

async function open(options: GnomeOptions, style: 'light' | 'dark' = 'light') {
  const shell = await startGnome(options);
  // There is no portal that would tell libadwaita.
  await shell.must(['dbus-update-activation-environment', `ADW_DEBUG_COLOR_SCHEME=prefer-${style}`]);
  await shell.room.put(`${APPLICATIONS}/rig.Elan.desktop`, ENTRY);
  await shell.room.put(`${APPLICATIONS}/rig.Broken.desktop`, BROKEN);
  return shell;
}

const PAGES = ['behaviour', 'apps', 'machines', 'health'] as const;
type Page = (typeof PAGES)[number];

/** Opens a page with the keyboard: back to the tabs, which are one stop, then along them. */
async function turnTo(shell: GnomeSession, window: AppWindow, page: Page, content?: string | RegExp) {
  const wanted = PAGES.indexOf(page);
  await shell.waitFor(`the page ${page}`, async () => {
    const tabs = await window.find({ role: 'page tab' });
    const at = tabs.findIndex(({ states }) => states.includes('focused'));
    const rightToLeft = (tabs[0]?.x ?? 0) > (tabs[1]?.x ?? 0);
    if (at < 0) await shell.key('Shift_L+Tab');
    else if (at !== wanted) await shell.key(at < wanted !== rightToLeft ? 'Right' : 'Left');
    return at === wanted;
  });
  await shell.key('space');
  // A page that is shown for the first time asks a service that starts only then.
  if (content !== undefined)
    await shell.waitFor(
      `${content} on the page ${page}`,
      async () => (await window.find({ name: content })).length > 0,
      40_000,
    );
}

/** Searches for an app. */
async function search(shell: GnomeSession, window: AppWindow, text: string) {
  await turnTo(shell, window, 'apps');
  await shell.waitFor('the focus in the search', async () => {
    const [entry] = await window.find({ name: words('prefs.search'), role: 'entry' });
    if (entry?.states.includes('focused')) return true;
    await shell.key('Tab');
    return false;
  });
  await shell.key('Control_L+a');
  await shell.type(text);
}

/** What the program that shows the preferences has complained about. */
const ours = (shell: GnomeSession): string[] =>
  complaintsIn(shell.programsLog())
    .filter((one) => one.startsWith(`(${PROGRAM}:`))
    // GDK about the clock of a screen that nobody sees.
    .filter((one) => !one.includes('gdk_frame_timings_presented'));

const nameless = (all: readonly Accessible[]): Accessible[] =>
  all.filter(
    (one) => CONTROLS.test(one.role) && one.states.includes('showing') && one.name === '' && one.width > 0,
  );

describe('the preferences', () => {
  let shell: GnomeSession;
  let window: AppWindow;
  beforeAll(async () => {
    shell = await open({});
    await shell.must(['sh', '-c', MANY]);
    const folders = `XDG_DATA_DIRS=${DATA}:/usr/local/share:/usr/share`;
    await shell.must(['dbus-update-activation-environment', folders]);
    window = await shell.prefs();
  });
  afterAll(() => shell?.stop());

  it('change what the shell’s part does, at once', async () => {
    await window.see({ name: words('prefs.tile') });
    await shell.screenshot('prefs-behaviour');
    const key = ['org.gnome.shell.extensions.gpu-handoff', 'tile'];
    const schemas =
      '/home/tester/.local/share/gnome-shell/extensions/gpu-handoff@gpuhandoff.github.io/schemas';
    await shell.waitFor('the focus on the switch', async () => {
      const switches = await window.find({ name: words('prefs.tile'), role: 'check box' });
      if (switches.some(({ states }) => states.includes('focused'))) return true;
      await shell.key('Tab');
      return false;
    });
    await shell.key('space');
    await shell.waitFor(
      'the setting',
      async () => (await shell.must(['gsettings', '--schemadir', schemas, 'get', ...key])).trim() === 'false',
    );
    await shell.must(['gsettings', '--schemadir', schemas, 'reset', ...key]);
  });

  it('list 2 000 apps, with as many rows as a window needs', async () => {
    await turnTo(shell, window, 'apps', /^Graphics card for App 1000/);
    await shell.screenshot('prefs-apps');
    const rows = (await shell.accessibles(PROGRAM)).filter(({ role }) => role === 'list item');
    expect(rows.length).toBeLessThan(300);
  });

  it('find an app without its accents, and keep a choice made with the keyboard', async () => {
    await search(shell, window, 'elan');
    await window.see({ name: `Graphics card for Élan: ${words('run.untouched')}` });
    await shell.key('Tab');
    await shell.key('Return');
    await shell.waitFor('the choices', async () => (await window.find({ role: 'menu item' })).length > 0);
    await shell.screenshot('prefs-choice');
    await shell.key('Down');
    await shell.key('Down');
    await shell.key('Return');
    await shell.waitFor('the launch entry rewritten', async () =>
      (await shell.must(['cat', `${APPLICATIONS}/rig.Elan.desktop`])).includes('gpu-handoff-run'),
    );
    await window.see({ name: `Graphics card for Élan: ${words('run.always')}` });
  });

  it('say why there can be no entry for an app', async () => {
    await search(shell, window, 'long');
    await window.see({ name: words('entry.no-exec') });
    await shell.screenshot('prefs-problem');
  });

  it('say so when a search finds nothing', async () => {
    await search(shell, window, 'zzzz');
    await window.see({ name: words('prefs.no-match') });
  });

  it('show who has what', async () => {
    await turnTo(shell, window, 'machines', 'win11');
    await window.see({ name: /^Off · Gets GeForce RTX/ });
    await shell.screenshot('prefs-machines');
  });

  it('show the health of every part, and come back with a helper that was killed', async () => {
    await turnTo(shell, window, 'health', words('prefs.helper'));
    await window.see({ name: words('prefs.card-fine') });
    await shell.screenshot('prefs-health');
    const before = await shell.helperBus.pid();
    await shell.killHelper();
    await shell.waitFor('another helper', async () => {
      const now = await shell.helperBus.pid().catch(() => before);
      return now !== before;
    });
    await window.see({ name: words('prefs.card-fine') });
  });

  it('give every control a name', async () => {
    for (const [page, content] of [
      ['behaviour', words('prefs.tile')],
      ['machines', 'win11'],
      ['health', words('prefs.helper')],
    ] as const) {
      await turnTo(shell, window, page, content);
      expect(nameless(await shell.accessibles(PROGRAM))).toEqual([]);
    }
  });

  it('leave no complaint in the logs after all of this', () => {
    expect(shell.complaints()).toEqual([]);
    expect(ours(shell)).toEqual([]);
  });
});

describe('the preferences without the helper', () => {
  let shell: GnomeSession;
  afterAll(() => shell?.stop());

  it('say what is missing, and fill the moment it is installed', async () => {
    shell = await open({ withoutHelper: true }, 'dark');
    const window = await shell.prefs();
    await turnTo(shell, window, 'machines', words('desk.absent'));
    await window.see({ name: words('desk.absent.line') });
    await shell.screenshot('prefs-without-helper');
    await shell.installHelper();
    await window.see({ name: 'win11' });
    await shell.screenshot('prefs-installed');
  });
});

describe('the preferences in other languages', () => {
  /** What stands on each page, in the language; Hebrew has no translation. */
  const CONTENT = {
    he_IL: [words('prefs.tile'), /^Graphics card for/, 'win11', words('prefs.helper')],
    de_DE: ['Kachel in den Schnelleinstellungen', /^Grafikkarte für/, 'win11', 'Hilfsdienst'],
    zh_CN: ['快速设置中的磁贴', /使用的显卡/, 'win11', '辅助服务'],
  } as const;
  let shell: GnomeSession | undefined;
  afterEach(() => shell?.stop());

  it.each(['he_IL', 'de_DE', 'zh_CN'] as const)('%s', async (locale) => {
    shell = await open({ locale }, 'dark');
    const window = await shell.prefs();
    for (const [at, page] of PAGES.entries()) {
      await turnTo(shell, window, page, CONTENT[locale][at]);
      // The page before it slides away.
      await window.settled();
      await shell.screenshot(`prefs-${page}-${locale}`);
    }
    expect(ours(shell)).toEqual([]);
  });
});
