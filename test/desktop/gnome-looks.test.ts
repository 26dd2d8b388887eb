/** How the icon, the tile, its menu and those of apps look: every picture is kept, and nothing in it may be out of place. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { editModel } from '../../core/src/linux/simulated/model.js';
import { type Appearance, type GnomeOptions, type GnomeSession, type Seen, startGnome } from './rig/gnome.js';
import { glance, openTile, words } from './support.js';

interface Look extends GnomeOptions {
  /** The icon's shape. */
  readonly shape: string;
  /** Pictures beside the one at first. */
  readonly also?: Readonly<Record<string, Appearance>>;
}

const LIGHT: Appearance = { style: 'light' };

const LOOKS: Readonly<Record<string, Look>> = {
  held: { shape: 'held', also: { light: LIGHT, contrast: { contrast: true } } },
  'held-large': { shape: 'held', scale: 2, also: { light: LIGHT } },
  german: { shape: 'held', locale: 'de_DE' },
  chinese: { shape: 'held', locale: 'zh_CN' },
  'right-to-left': { shape: 'held', locale: 'he_IL', also: { light: LIGHT } },
  asleep: { shape: 'asleep', helper: { scenario: 'desktop-amd' }, also: { light: LIGHT } },
  'two-cards': { shape: 'host', helper: { scenario: 'two-dgpus' } },
  'many-holders': { shape: 'held', helper: { scenario: 'many-holders' }, also: { light: LIGHT } },
  'long-names': { shape: 'held', helper: { scenario: 'long-names' }, also: { light: LIGHT } },
  'long-names-large': { shape: 'held', scale: 2, locale: 'de_DE', helper: { scenario: 'long-names' } },
  'one-card': { shape: 'unavailable', helper: { scenario: 'one-card' } },
  'no-iommu': { shape: 'held', helper: { scenario: 'no-iommu' } },
  'monitor-on-dgpu': { shape: 'held', helper: { scenario: 'monitor-on-dgpu' } },
  'without-helper': { shape: 'unavailable', withoutHelper: true, also: { light: LIGHT } },
};

/** What nobody could read, reach or be told of in the open menu. */
async function faults(shell: GnomeSession): Promise<string[]> {
  const menu = await shell.see({ style: 'quick-toggle-menu' });
  const inside = await shell.find({ within: 'quick-toggle-menu' });
  const wide = inside.filter((one) => (one.name !== '' || one.icon !== '') && !isBetween(one, menu));
  const nameless = inside.filter((one) => one.usable && one.focusable && one.name === '');
  const cut = (await shell.find({ within: 'gpu-handoff-tile' })).filter((one) => one.cut);
  const { height } = (await shell.look('({ height: global.stage.height })')) as { height: number };
  return [
    ...wide.map((one) => `${one.type} “${one.name}” sticks out of the menu`),
    ...nameless.map((one) => `${one.type} ${one.style} has no name`),
    ...cut.map((one) => `“${one.text}” is cut in the tile`),
    ...(menu.y + menu.height > height ? ['the menu ends below the screen'] : []),
  ];
}

function isBetween(one: Seen, menu: Seen): boolean {
  return one.x >= menu.x - 1 && one.x + one.width <= menu.x + menu.width + 1;
}

describe('the picture', () => {
  it.each(Object.entries(LOOKS))('%s', async (name, { shape, also, ...options }) => {
    const shell = await startGnome(options);
    try {
      expect((await glance(shell, shape)).name).not.toBe('');
      const found: Record<string, string[]> = {};
      for (const [variant, appearance] of Object.entries({ '': {}, ...also })) {
        await shell.appear(appearance);
        await openTile(shell);
        await shell.settled();
        const shot = [name, variant].filter(Boolean).join('-');
        await shell.screenshot(`look-${shot}`);
        found[shot] = await faults(shell);
        await shell.closeEverything();
      }
      expect(Object.entries(found).filter(([, some]) => some.length > 0)).toEqual([]);
      expect(shell.complaints()).toEqual([]);
    } finally {
      await shell.stop();
    }
  });
});

describe('a VM that cannot have the card', () => {
  it('says why to who comes by with the keyboard, and is not started', async () => {
    const name = `${words('do.hand-off', { vm: 'win11' })}. ${words('refuse.vm-running', { vm: 'win11' })}`;
    // Started without the card, which was added to its devices afterwards.
    const prepare = (dir: string): void => {
      editModel(dir, 'machines', (guests) => {
        for (const guest of guests) if (guest.name === 'win11') guest.running = true;
      });
    };
    const shell = await startGnome({ helper: { prepare } });
    try {
      await glance(shell, 'held');
      await openTile(shell);
      await shell.waitFor('the focus on the VM', async () => {
        if ((await shell.focus())?.name === name) return true;
        await shell.key('Down');
        return false;
      });
      await shell.screenshot('look-vm-refused');
      await shell.key('Return');
      await shell.settled();
      expect((await shell.focus())?.name).toBe(name);
      expect(shell.complaints()).toEqual([]);
    } finally {
      await shell.stop();
    }
  });
});

describe('“Run on dGPU” where it cannot be chosen', () => {
  const REFUSED = `${words('do.run')}. ${words('desk.absent.line')}`;
  let shell: GnomeSession;
  beforeAll(async () => {
    shell = await startGnome({
      withoutHelper: true,
      files: {
        '.local/share/applications/rig.Pinned.desktop':
          '[Desktop Entry]\nType=Application\nName=Pinnedapp\nExec=sleep 7001\nIcon=face-smile\n',
      },
      settings: [['org.gnome.shell', 'favorite-apps', "['rig.Pinned.desktop']"]],
    });
    await glance(shell, 'unavailable');
  });
  afterAll(() => shell?.stop());

  it.each(Object.entries({ dark: {}, light: LIGHT, contrast: { contrast: true } }))(
    'says why to who comes by with the keyboard, and does nothing: %s',
    async (variant, appearance) => {
      await shell.appear(appearance);
      await shell.key('Super_L');
      await shell.click({ name: 'Pinnedapp', type: 'DashIcon' }, 'right');
      await shell.see({ style: 'app-menu' });
      await shell.waitFor('the focus on the entry', async () => {
        if ((await shell.focus())?.name === REFUSED) return true;
        await shell.key('Down');
        return false;
      });
      await shell.screenshot(`look-run-refused-${variant}`);
      await shell.key('Return');
      await shell.settled();
      expect((await shell.focus())?.name).toBe(REFUSED);
      await shell.closeEverything();
      expect(shell.complaints()).toEqual([]);
    },
  );
});
