/** What the tests of the extension do again and again, as a user would. */
import { say, type WordKey } from '../../core/src/words.js';
import type { Query, Screen, Seen } from './rig/gnome.js';

type Values = Readonly<Record<string, string>>;

/** What the words of a key say in English. */
export function words(key: WordKey, values: Values = {}): string {
  return say({ key, values });
}

/** A button by what a screen reader says of it. */
export function button(key: WordKey, values: Values = {}): Query {
  return { name: words(key, values), usable: true };
}

/** The tile, by its name. */
export const TILE: Query = { name: words('desk.title'), role: 'toggle button' };

/** Opens Quick Settings with the pointer. */
export async function openQuickSettings(shell: Screen): Promise<void> {
  await shell.click({ type: 'QuickSettings' });
  await shell.see({ style: 'quick-settings-grid' });
}

/** Opens Quick Settings and the tile's menu with the pointer. */
export async function openTile(shell: Screen): Promise<void> {
  await openQuickSettings(shell);
  await shell.click({ style: 'gpu-handoff-tile' });
  await shell.see({ style: 'gpu-handoff-content' });
}

/** The icon in the top bar. */
export async function indicator(shell: Screen): Promise<Seen> {
  return shell.waitFor('the icon in the top bar', async () =>
    (await shell.find({ style: 'system-status-icon' })).find((one) => one.icon.includes('gpu-handoff')),
  );
}

/** Waits until the icon in the top bar has that shape. */
export async function glance(shell: Screen, shape: string): Promise<Seen> {
  return shell.waitFor(`the shape “${shape}” in the top bar`, async () => {
    const seen = await indicator(shell);
    return seen.icon.includes(`gpu-handoff-${shape}-symbolic`) && seen;
  });
}
