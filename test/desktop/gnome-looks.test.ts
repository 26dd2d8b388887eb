/** How the icon, the tile and its menu look: every picture is kept, and nothing in it may be out of place. */
import { describe, expect, it } from 'vitest';
import { type Appearance, type GnomeOptions, type GnomeSession, type Seen, startGnome } from './rig/gnome.js';
import { glance, openTile } from './support.js';

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
