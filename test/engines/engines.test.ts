import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterAll, describe, expect, it } from 'vitest';
import { askEngines } from './engines.js';

const work = mkdtempSync(join(tmpdir(), 'gpu-handoff-engines-'));
afterAll(() => rmSync(work, { recursive: true }));

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/** What is loaded, and what is asked of it. */
const CORE = await bundle(here('fixture/core.ts'));
const CALLS = here('fixture/calls.json');

describe('the core in the engines of the desktops', () => {
  it('gives the same bytes in gjs and in QML as in Node', async () => {
    const answers = await askEngines(CORE, CALLS);
    expect(JSON.parse(answers.node)).not.toEqual([]);
    expect(answers.gjs).toBe(answers.node);
    expect(answers.qml).toBe(answers.node);
  });
});

describe('the harness', () => {
  // Each is wrong in Qt's engine without a word; the core has to do without them.
  it.each([
    ['groups with a name', "/(?<year>\\d{4})/.exec('in 1999').groups !== undefined"],
    ['looking behind', "/(?<=in )\\d/.test('in 1999')"],
    ['a stable sort', 'rows().sort((a, b) => a.key - b.key).every((row, i) => row.place === i % 200)'],
    ['the order of a language', "['b', 'B', 'a'].sort((a, b) => a.localeCompare(b))"],
  ])('sees an engine answer otherwise: %s', async (name, expression) => {
    const stem = join(work, name.replaceAll(' ', '-'));
    const rows = 'Array.from({ length: 600 }, (_, i) => ({ key: i % 3, place: Math.floor(i / 3) }))';
    writeFileSync(`${stem}.mjs`, `const rows = () => ${rows};\nexport const look = () => ${expression};\n`);
    writeFileSync(`${stem}.json`, '[{ "call": "look", "args": [] }]');
    const answers = await askEngines(`${stem}.mjs`, `${stem}.json`);
    expect(answers.gjs).toBe(answers.node);
    expect(answers.qml).not.toBe(answers.node);
  });

  it('says when a module does not load', async () => {
    const module = join(work, 'new.mjs');
    writeFileSync(module, 'class A { x = 1; }\nexport const look = () => new A().x;\n');
    await expect(askEngines(module, CALLS)).rejects.toThrow('qmltestrunner ended with');
  });
});

async function bundle(source: string): Promise<string> {
  const outfile = join(work, 'core.mjs');
  await build({ entryPoints: [source], outfile, bundle: true, format: 'esm', target: 'es2016' });
  return outfile;
}
