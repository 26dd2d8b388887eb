/** The preferences, page by page, as GNOME's extensions app shows them. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AppWindow, type GnomeSession, startGnome } from './rig/gnome.js';
import { glance, words } from './support.js';

const APP = `[Desktop Entry]\nType=Application\nName=Plainapp\nExec=sleep 7001\nIcon=face-smile\n`;

const PAGES = ['prefs.behaviour', 'prefs.apps', 'prefs.machines.short', 'prefs.health'] as const;

describe('the preferences', () => {
  let shell: GnomeSession;
  let prefs: AppWindow;
  beforeAll(async () => {
    shell = await startGnome({ files: { '.local/share/applications/rig.Plain.desktop': APP } });
    await glance(shell, 'held');
    prefs = await shell.prefs();
  });
  afterAll(async () => {
    const complaints = shell?.complaints();
    await shell?.stop();
    expect(complaints).toEqual([]);
  });

  const tab = (key: (typeof PAGES)[number]) => ({ name: words(key), role: /tab|radio|toggle/ });

  it.each(PAGES)('shows %s, where everything that can be used has a name', async (key) => {
    await prefs.click(tab(key));
    await prefs.settled();
    await shell.screenshot(`prefs-${key.slice(6).replace('.', '-')}`);
    const nameless = (await prefs.find({})).filter(
      (one) => /button|check box|combo|entry|text/.test(one.role) && one.name === '' && one.width > 0,
    );
    expect(nameless.map((one) => `${one.role} at ${one.x},${one.y}`)).toEqual([]);
  });

  it('hides the icon in the top bar at once', async () => {
    await prefs.click(tab('prefs.behaviour'));
    await prefs.click({ name: words('prefs.tile'), role: 'check box', nth: 1 });
    await shell.click({ type: 'QuickSettings' });
    await shell.see({ style: 'quick-settings-grid' });
    await shell.seeNo({ style: 'gpu-handoff-tile' });
    await shell.closeEverything();
    await prefs.click({ name: words('prefs.tile'), role: 'check box', nth: 1 });
    await shell.click({ type: 'QuickSettings' });
    await shell.see({ style: 'gpu-handoff-tile' });
    await shell.closeEverything();
  });

  it('follows a dark desktop, and the helper’s end', async () => {
    await prefs.click(tab('prefs.health'));
    await shell.appear({ style: 'dark' });
    await shell.removeHelper();
    await prefs.settled();
    await shell.screenshot('prefs-health-without-helper');
    await shell.installHelper();
    await prefs.settled();
    expect(shell.programsLog()).not.toMatch(/JS ERROR|CRITICAL|Gtk-WARNING|Adwaita-WARNING/);
  });
});
