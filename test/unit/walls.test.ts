import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');

interface Import {
  readonly file: string;
  /** A module's name, or the path of a file from the top of the project. */
  readonly from: string;
}

/** Everything that the sources below a folder import, in whatever way. */
function importsBelow(folder: string): Import[] {
  if (!existsSync(join(ROOT, folder))) return [];
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.(ts|js|mjs)$/.test(file) && !/(^|\/)(node_modules|dist)\//.test(file))
    .flatMap((name) => {
      const file = join(folder, name);
      const text = readFileSync(join(ROOT, file), 'utf8');
      const found = text.matchAll(/(?:^|[^.\w])(?:from|import|require)\s*\(?\s*['"]([^'"\n]+)['"]/g);
      return [...found].map((match): Import => {
        const from = match[1] ?? '';
        return { file, from: from.startsWith('.') ? relative(ROOT, join(ROOT, dirname(file), from)) : from };
      });
    });
}

/** Imports of a room that are neither its own files nor fit one of these. */
const strangers = (imports: readonly Import[], ...allowed: RegExp[]): Import[] =>
  imports.filter(({ from }) => !allowed.some((pattern) => pattern.test(from)));

const CORE = importsBelow('core/src');
const inLinux = ({ file }: Import): boolean => file.startsWith('core/src/linux/');

describe('the rooms of the house', () => {
  test('the looking itself sees imports of every form', () => {
    expect(CORE.some(({ from }) => from === 'node:fs')).toBe(true);
    expect(CORE.some(({ from }) => from === 'core/src/words.js')).toBe(true);
    expect(CORE.some(({ from }) => from === 'toml-eslint-parser')).toBe(true);
  });

  test('the core outside linux/ uses itself alone, and nothing of linux/', () => {
    const outside = CORE.filter((one) => !inLinux(one));
    expect(strangers(outside, /^core\/src\/(?!linux\/)/)).toEqual([]);
  });

  test('linux/ uses the core, Node and packages of its own, and no other room', () => {
    const inside = CORE.filter(inLinux);
    expect(
      strangers(inside, /^core\/src\//, /^node:/, /^(toml-eslint-parser|fast-xml-parser|dbus-next)$/),
    ).toEqual([]);
  });

  test('what decides touches no machine: only linux/ and the engine know one', () => {
    const deciding = CORE.filter(
      ({ file }) => !inLinux({ file, from: '' }) && !file.startsWith('core/src/engine/'),
    );
    expect(deciding.filter(({ from }) => from.startsWith('core/src/engine/'))).toEqual([]);
  });

  test('the helper uses the core and Node', () => {
    expect(strangers(importsBelow('polkit'), /^core\/src\//, /^polkit\//, /^node:/)).toEqual([]);
  });

  test('the command uses the core and the bus, and no part of the helper', () => {
    const imports = importsBelow('cli');
    expect(imports.filter(({ from }) => /polkit\//.test(from))).toEqual([]);
    expect(imports.filter(({ from }) => /gnome-extension|kde-plasmoid|^test\//.test(from))).toEqual([]);
  });

  test('the desktops know the core without linux/', () => {
    for (const room of ['gnome-extension', 'kde-plasmoid'])
      expect(
        importsBelow(room).filter(({ from }) => /core\/src\/linux|^node:|^(polkit|cli)\//.test(from)),
      ).toEqual([]);
  });
});

describe('the core outside linux/ runs in every engine', () => {
  const sources = readdirSync(join(ROOT, 'core/src'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.startsWith('linux/'))
    .map((file) => [file, readFileSync(join(ROOT, 'core/src', file), 'utf8')] as const);

  test.each(sources)('%s names no global of Node’s or a browser’s', (_file, text) => {
    const code = text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`/gm, '');
    expect(code).not.toMatch(
      /\b(process\.(?!found)|Buffer|setTimeout|setInterval|console|window|globalThis|structuredClone|URL)\b/,
    );
  });
});
