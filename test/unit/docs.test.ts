import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { CONFIG_KEYS } from '../../core/src/config.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const page = (name: string): string => readFileSync(join(root, 'docs', name), 'utf8');

test('docs/dbus.md says what the contract says', async () => {
  const module = join(root, 'build/contract-page.mjs');
  const { contractPage } = (await import(module)) as { contractPage: (root: string) => Promise<string> };
  expect(page('dbus.md')).toBe(await contractPage(root));
});

test('docs/configuration.md names every key, and no other', () => {
  const named = [...page('configuration.md').matchAll(/^\| `([a-z.-]+)` \|/gm)].map((row) => row[1]);
  expect(named.sort()).toEqual([...CONFIG_KEYS].sort());
});
