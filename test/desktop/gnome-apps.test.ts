/** “Run on dGPU” in the menus of apps, from the overview. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type GnomeSession, startGnome } from './rig/gnome.js';
import { glance, words } from './support.js';

const APPLICATIONS = '.local/share/applications';

function entry(name: string, exec: string, more = ''): string {
  return `[Desktop Entry]\nType=Application\nName=${name}\nExec=${exec}\nIcon=face-smile\n${more}`;
}

const window = (id: string): string => `gjs -m /gpu-handoff/rig/app.js ${id}`;

const FILES = {
  [`${APPLICATIONS}/rig.Plain.desktop`]: entry('Plainapp', 'sleep 7001'),
  [`${APPLICATIONS}/rig.Single.desktop`]: entry('Singleapp', window('rig.Single'), 'SingleMainWindow=true\n'),
  [`${APPLICATIONS}/rig.Activated.desktop`]: entry(
    'Activatedapp',
    window('rig.Activated'),
    'DBusActivatable=true\n',
  ),
  '.local/share/dbus-1/services/rig.Activated.service': `[D-BUS Service]\nName=rig.Activated\nExec=/usr/bin/${window('rig.Activated')} --gapplication-service\n`,
};

describe('the menu of an app', () => {
  let shell: GnomeSession;
  beforeAll(async () => {
    shell = await startGnome({ files: FILES });
    await glance(shell, 'held');
  });
  afterAll(() => shell?.stop());
  beforeEach(() => shell.closeEverything());
  afterEach(() => {
    expect(shell.complaints()).toEqual([]);
  });

  const RUN = words('do.run');

  /** Finds an app in the overview and opens its menu with the right button. */
  async function openMenu(name: string): Promise<void> {
    await shell.key('Super_L');
    await shell.type(name.toLowerCase());
    await shell.see({ name, type: 'AppIcon' });
    // Results that come later make the icons anew.
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
    const { environment } = await shell.process(/rig\.Activated/);
    expect(environment).toMatchObject({ __NV_PRIME_RENDER_OFFLOAD: '1' });
    await shell.window('rig.Activated');
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
