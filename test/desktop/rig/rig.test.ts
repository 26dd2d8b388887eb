import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MANAGER } from '../../../core/src/contract.js';
import { EXAMPLE, type GnomeSession, startGnome } from './gnome.js';
import { versionUnderTest } from './versions.js';

/** Asks the helper for its version, as a program of the session. */
const ASK_HELPER = [
  ...['gdbus', 'call', '--system', '--dest', MANAGER.name, '--object-path', MANAGER.path],
  ...['--method', 'org.freedesktop.DBus.Properties.Get', MANAGER.interface, 'Version'],
];

describe('a session', () => {
  let shell: GnomeSession;
  let seconds = 0;
  beforeAll(async () => {
    const start = performance.now();
    shell = await startGnome({ extension: EXAMPLE });
    seconds = (performance.now() - start) / 1000;
  });
  afterAll(() => shell?.stop());

  it('starts in seconds, with the version that was asked for', async () => {
    expect(seconds).toBeLessThan(10);
    expect(await shell.must(['gnome-shell', '--version'])).toContain(` ${versionUnderTest()}.`);
  });

  it('is used with the pointer', async () => {
    await shell.click({ name: 'System' });
    await shell.click({ name: 'Rig works' });
    await shell.waitFor('the tile’s effect', () => shell.owned('test.rig.Example'));
    expect((await shell.see({ name: 'Rig works' })).states).toContain('checked');
    const shot = await shell.screenshot('rig-quick-settings');
    expect(shot).toMatchObject({ width: 1280, height: 800 });
    expect(shot.colours).toBeGreaterThan(100);
  });

  it('says the same to a screen reader', async () => {
    const tile = (await shell.accessibles('gnome-shell')).find(
      ({ name, role }) => name === 'Rig works' && role === 'toggle button',
    );
    expect(tile?.states).toEqual(expect.arrayContaining(['checked', 'sensitive', 'showing']));
  });

  it('is used with the keyboard', async () => {
    // GNOME 48 gives a menu that the pointer opened no focus before an arrow.
    await shell.key('Down');
    await shell.waitFor('the focus on the tile', async () => {
      if ((await shell.focus())?.name === 'Rig works') return true;
      await shell.key('Tab');
      return false;
    });
    await shell.key('space');
    await shell.waitFor('the tile’s end', async () => !(await shell.owned('test.rig.Example')));
    await shell.key('Escape');
    await shell.seeNo({ name: 'Rig works' });
  });

  it('shows the preferences of an extension, which the pointer reaches', async () => {
    const prefs = await shell.prefs();
    const row = { name: 'A switch of the rig', role: 'check box', nth: 1 };
    expect((await prefs.see(row)).states).not.toContain('checked');
    await prefs.click(row);
    await shell.waitFor('the switch turned', async () => (await prefs.see(row)).states.includes('checked'));
    await prefs.click({ name: 'Close', role: 'button' });
  });

  it('has the helper on its system bus, which can crash, go and come', async () => {
    const ask = (): Promise<string> => shell.must(ASK_HELPER);
    expect(await ask()).toMatch(/^\(<'\d/);
    await shell.killHelper();
    expect(await ask()).toMatch(/^\(<'\d/);
    await shell.removeHelper();
    await expect(ask()).rejects.toThrow('ServiceUnknown');
    await shell.installHelper();
    expect(await ask()).toMatch(/^\(<'\d/);
  });

  it('notices what an extension does wrong, and nothing else', async () => {
    expect(shell.complaints()).toEqual([]);
    await shell.click({ name: 'System' });
    await shell.click({ name: 'Rig fails' });
    await shell.waitFor('the complaint', async () => shell.complaints().length > 0);
    expect(shell.complaints()[0]).toMatch(/JS ERROR: Error: planted\n.*example@rig\.test\/extension\.js:\d+/);
  });
});

describe('another session', () => {
  it('is light, large and from right to left', async () => {
    const shell = await startGnome({
      extension: EXAMPLE,
      appearance: { style: 'light' },
      scale: 2,
      locale: 'he_IL',
    });
    await shell.click({ type: 'QuickSettings' });
    const tile = await shell.see({ name: 'Rig works' });
    // Quick Settings are on the left there.
    expect(tile.x).toBeLessThan(640);
    expect(await shell.screenshot('rig-light-large-rtl')).toMatchObject({ width: 2560, height: 1600 });
    await shell.stop();
  });
});
