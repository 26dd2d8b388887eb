import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { inflateRawSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const UUID = 'gpu-handoff@gpuhandoff.github.io';
const ROOT = join(import.meta.dirname, '../..');

let out = '';
let folder = '';
let modules: readonly string[] = [];

beforeAll(async () => {
  out = mkdtempSync(join(tmpdir(), 'gpu-handoff-gnome-'));
  const { buildGnomeExtension } = (await import(join(ROOT, 'build/gnome.mjs'))) as {
    buildGnomeExtension: (out: string, version: string) => string;
  };
  folder = join(out, buildGnomeExtension(out, '1.2.3'));
  modules = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.js'));
}, 60_000);
afterAll(() => rmSync(out, { recursive: true, force: true }));

const text = (name: string): string => readFileSync(join(folder, name), 'utf8');
const importsOf = (name: string): string[] =>
  [...text(name).matchAll(/^(?:import|export)\b[^']*?from '([^']+)'|^import '([^']+)'/gm)].map(
    (match) => match[1] ?? match[2] ?? '',
  );

describe('the built extension', () => {
  test('has a module for each source, and each import leads somewhere in it', () => {
    expect(modules).toContain('extension.js');
    expect(modules).toContain('shell/tile.js');
    expect(modules).toContain('core/words.js');
    for (const name of modules)
      for (const from of importsOf(name).filter((one) => one.startsWith('.')))
        expect(existsSync(join(folder, dirname(name), from)), `${name}: ${from}`).toBe(true);
  });

  test('holds no module that nothing in it uses', () => {
    const used = modules.flatMap((name) => importsOf(name).map((from) => join(dirname(name), from)));
    const unused = modules.filter((name) => !used.includes(name));
    expect(unused.sort()).toEqual(['extension.js', 'prefs.js']);
  });

  test('imports nothing else than modules of gjs and of the shell', () => {
    for (const name of modules)
      for (const from of importsOf(name)) expect(from).toMatch(/^(\.|gi:\/\/|resource:\/\/\/org\/gnome\/)/);
  });

  test('can be read: comments are kept, and no line is longer than 200 characters', () => {
    for (const name of modules) {
      expect(text(name), name).toContain('/**');
      for (const line of text(name).split('\n'))
        expect(line.length, `${name}: ${line}`).toBeLessThanOrEqual(200);
    }
  });

  test('breaks long texts without changing them', async () => {
    const built = (await import(join(folder, 'core/words.js'))) as { WORDS: unknown };
    const { WORDS } = await import('../../core/src/words.js');
    expect(built.WORDS).toEqual(WORDS);
  });

  test('uses no widget of applications in the shell, and none of the shell’s in the preferences', () => {
    const strangers = modules.flatMap((name) =>
      importsOf(name)
        .filter((from) =>
          name.startsWith('shell/') || name === 'extension.js'
            ? /gi:\/\/(Gtk|Gdk|Adw)/.test(from)
            : /gi:\/\/(Clutter|Meta|St|Shell)|gnome\/shell\/ui/.test(from),
        )
        .map((from) => `${name}: ${from}`),
    );
    expect(strangers).toEqual([]);
  });

  test('says what it is as extensions.gnome.org wants it', () => {
    const metadata = JSON.parse(text('metadata.json'));
    expect(metadata).toMatchObject({
      uuid: UUID,
      'version-name': '1.2.3',
      'shell-version': ['48', '49', '50', '51'],
      'settings-schema': 'org.gnome.shell.extensions.gpu-handoff',
      'gettext-domain': 'gpu-handoff',
    });
    expect(metadata).not.toHaveProperty('version');
  });

  test('has an icon for every glance', () => {
    for (const glance of ['host', 'asleep', 'held', 'vm', 'detached', 'switching', 'stuck', 'unavailable'])
      expect(text(`icons/gpu-handoff-${glance}-symbolic.svg`)).toContain('viewBox="0 0 16 16"');
  });

  test('is packed into a zip with every file in it, and no compiled schema', () => {
    const zip = readFileSync(join(out, `${UUID}.shell-extension.zip`));
    const files = readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((one) => one.isFile())
      .map((one) => join(one.parentPath, one.name).slice(folder.length + 1))
      .sort();
    const packed: string[] = [];
    for (let at = 0; zip.readUInt32LE(at) === 0x04034b50; ) {
      const size = zip.readUInt32LE(at + 18);
      const name = zip.toString('utf8', at + 30, at + 30 + zip.readUInt16LE(at + 26));
      const begin = at + 30 + Buffer.byteLength(name);
      packed.push(name);
      expect(inflateRawSync(zip.subarray(begin, begin + size)).equals(readFileSync(join(folder, name)))).toBe(
        true,
      );
      at = begin + size;
    }
    expect(packed).toEqual(files);
    expect(packed.filter((name) => name.endsWith('.compiled'))).toEqual([]);
  });
});
