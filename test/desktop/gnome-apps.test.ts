/** “Run on dGPU” in the menus of apps: in the overview's results, in the dash, and in the grid of apps. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Running } from '../bus/rig/sandbox.js';
import { type MockGpu, startSwitcheroo } from '../bus/rig/switcheroo.js';
import { type GnomeSession, OURS, type Query, startGnome } from './rig/gnome.js';
import { glance, words } from './support.js';

const APPLICATIONS = '.local/share/applications';

function entry(name: string, exec: string, more = ''): string {
  return `[Desktop Entry]\nType=Application\nName=${name}\nExec=${exec}\nIcon=face-smile\n${more}`;
}

const window = (id: string): string => `gjs -m /gpu-handoff/rig/app.js ${id}`;

/** The process of such an app, when the wrapper has become it. */
const appOf = (id: string): RegExp => new RegExp(`^(/usr/bin/)?gjs -m \\S+ ${id.replace('.', '\\.')}`);

const FILES = {
  [`${APPLICATIONS}/rig.Plain.desktop`]: entry('Plainapp', 'sleep 7001'),
  [`${APPLICATIONS}/rig.Single.desktop`]: entry('Singleapp', window('rig.Single'), 'SingleMainWindow=true\n'),
  [`${APPLICATIONS}/rig.Activated.desktop`]: entry(
    'Activatedapp',
    window('rig.Activated'),
    'DBusActivatable=true\n',
  ),
  [`${APPLICATIONS}/rig.Pinned.desktop`]: entry('Pinnedapp', window('rig.Pinned')),
  [`${APPLICATIONS}/rig.Listed.desktop`]: entry('Listedapp', window('rig.Listed')),
  [`${APPLICATIONS}/rig.Greedy.desktop`]: entry('Greedyapp', 'sleep 7002', 'PrefersNonDefaultGPU=true\n'),
  '.local/share/dbus-1/services/rig.Activated.service': `[D-BUS Service]\nName=rig.Activated\nExec=/usr/bin/${window('rig.Activated')} --gapplication-service\n`,
};

/** The workstation's cards, as switcheroo-control is to find them. */
const GPUS: readonly MockGpu[] = [
  { slot: '00:02.0', vendor: 'Intel Corporation', model: 'UHD Graphics 770', driver: 'i915', bootVga: true },
  { slot: '01:00.0', vendor: 'NVIDIA Corporation', model: 'AD106M', driver: 'nvidia', bootVga: false },
];

describe('the menu of an app', () => {
  let shell: GnomeSession;
  beforeAll(async () => {
    shell = await startGnome({
      files: FILES,
      settings: [['org.gnome.shell', 'favorite-apps', "['rig.Pinned.desktop']"]],
    });
    await glance(shell, 'held');
  });
  afterAll(() => shell?.stop());
  beforeEach(() => shell.closeEverything());
  afterEach(() => {
    expect(shell.complaints()).toEqual([]);
  });

  const RUN = words('do.run');

  /** What is typed before it is open goes to the window that has the keyboard. */
  async function openOverview(): Promise<void> {
    await shell.key('Super_L');
    await shell.waitFor('the overview', () =>
      shell.look('Main.overview.visible && !Main.overview.animationInProgress && Main.actionMode === 2'),
    );
  }

  /** Finds an app in the overview and opens its menu with the right button. */
  async function openMenu(name: string): Promise<void> {
    await openOverview();
    const text = name.toLowerCase();
    await shell.type(text);
    await shell.waitFor('the end of the search', async () => {
      // Results of the first letters are there before; those of the last make the icons anew, which closes menus.
      const { terms, busy } = (await shell.look(
        '(({ terms, searchInProgress }) => ({ terms, busy: searchInProgress }))(Main.overview.searchController._searchResults)',
      )) as { terms: string[]; busy: boolean };
      return terms.join(' ') === text && !busy;
    });
    await shell.see({ name, type: 'AppIcon' });
    await shell.settled();
    await shell.click({ name, type: 'AppIcon' }, 'right');
    await shell.see({ style: 'app-menu' });
  }

  it('starts an app on the dGPU', async () => {
    await openMenu('Plainapp');
    await shell.screenshot('apps-menu');
    await shell.click({ name: RUN, usable: true });
    const { environment } = await shell.process(/^sleep 7001$/);
    expect(environment).toMatchObject({
      __NV_PRIME_RENDER_OFFLOAD: '1',
      __GLX_VENDOR_LIBRARY_NAME: 'nvidia',
    });
  });

  it('starts an app that the bus would start', async () => {
    await openMenu('Activatedapp');
    await shell.click({ name: RUN, usable: true });
    const { environment } = await shell.process(appOf('rig.Activated'));
    expect(environment).toMatchObject({ __NV_PRIME_RENDER_OFFLOAD: '1' });
    await shell.window('rig.Activated');
  });

  it.each([
    ['dash', 'Pinnedapp', 'rig.Pinned', async () => {}],
    ['grid of apps', 'Listedapp', 'rig.Listed', () => shell.click({ style: 'show-apps' })],
  ])('starts an app on the dGPU from the %s', async (place, name, id, go) => {
    await openOverview();
    await go();
    await shell.click({ name, type: place === 'dash' ? 'DashIcon' : 'AppIcon' }, 'right');
    await shell.see({ style: 'app-menu' });
    await shell.screenshot(`apps-${place.split(' ')[0]}`);
    await shell.click({ name: RUN, usable: true });
    const { environment } = await shell.process(appOf(id));
    expect(environment).toMatchObject({ __NV_PRIME_RENDER_OFFLOAD: '1' });
    // Until its window is there it moves the others in the dash.
    await shell.window(id);
  });

  it('says of a running app of one window that it would only open that again', async () => {
    const single = shell.room.spawn(window('rig.Single').split(' '), {
      env: { WAYLAND_DISPLAY: 'wayland-0' },
    });
    await shell.window('rig.Single');
    await openMenu('Singleapp');
    await shell.see({ name: new RegExp(`^${RUN}.*${words('run.running')}`) });
    expect(await shell.find({ name: new RegExp(`^${RUN}`), usable: true })).toEqual([]);
    await shell.screenshot('apps-running');
    await shell.closeEverything();
    await single.kill();
  });

  describe('beside switcheroo-control', () => {
    /** The shell's own entry. GNOME 51 writes more of it with capitals. */
    const stock = (card: string): Query => ({
      name: new RegExp(`^Launch [Uu]sing ${card} Graphics Card$`),
      usable: true,
    });
    let switcheroo: Running;
    beforeAll(async () => {
      switcheroo = await startSwitcheroo(shell.helperBus.bus, GPUS);
      const cards = "global.get_switcheroo_control()?.get_cached_property('HasDualGpu')?.unpack()";
      await shell.waitFor('two cards in the eyes of the shell', () => shell.look(cards));
    });
    afterAll(() => switcheroo.kill());

    it('says once that the dGPU can be had, also of an app that ends under its menu', async () => {
      await openOverview();
      await shell.click({ name: 'Pinnedapp', type: 'DashIcon' }, 'right');
      await shell.see({ name: 'Quit' });
      const { pid } = await shell.process(appOf('rig.Pinned'));
      await shell.room.run(['kill', `${pid}`]);
      await shell.seeNo({ name: 'Quit' });
      await shell.see({ name: RUN, usable: true });
      expect(await shell.find(stock('Discrete'))).toEqual([]);
    });

    it('leaves the other card to the shell where an app has the dGPU without asking', async () => {
      await openMenu('Greedyapp');
      await shell.see(stock('Integrated'));
      await shell.see({ name: RUN, usable: true });
      await shell.screenshot('apps-greedy');
    });

    it('shows both entries to who wants both', async () => {
      const schemas = `/home/tester/.local/share/gnome-shell/extensions/${OURS.uuid}/schemas`;
      const schema = 'org.gnome.shell.extensions.gpu-handoff';
      const set = ['gsettings', '--schemadir', schemas, 'set', schema, 'hide-stock-entry'];
      await shell.must([...set, 'false']);
      await openMenu('Singleapp');
      await shell.see(stock('Discrete'));
      await shell.see({ name: RUN, usable: true });
      await shell.must([...set, 'true']);
    });
  });

  it('keeps what was chosen for an app', async () => {
    await openMenu('Plainapp');
    await shell.click({ name: words('run.choice'), usable: true });
    await shell.screenshot('apps-choice');
    await shell.click({ name: words('run.always'), usable: true });
    await shell.waitFor('the launch entry rewritten', async () => {
      const { stdout } = await shell.room.run(['cat', `/home/tester/${APPLICATIONS}/rig.Plain.desktop`]);
      return stdout.includes('gpu-handoff-run');
    });
  });

  it('says why it cannot while the card is away', async () => {
    const tester = await shell.helperBus.as('tester');
    await tester.call('EndHolders', '0000:01:00.0', []);
    await shell.waitFor('nobody in the way', async () => (await tester.operation()).state === 'done');
    await tester.call('HandOff', 'win11');
    await glance(shell, 'vm');
    await openMenu('Plainapp');
    await shell.see({ name: new RegExp(`^${RUN}.*win11`) });
    expect(await shell.find({ name: new RegExp(`^${RUN}`), usable: true })).toEqual([]);
    await shell.screenshot('apps-away');
  });
});
