import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { atCursor, replacements } from '../../cli/src/completion/shell-words.js';
import { treeOf } from '../../cli/src/completion/tree.js';
import { buildProgram } from '../../cli/src/program.js';
import { editModel } from '../../core/src/linux/simulated/model.js';
import { command, workstation } from './support-cli.js';

const BREAKS = ' \t\n"\'><=;|&(:';
const TREE = treeOf(buildProgram({}).command);

describe('the scripts', () => {
  test.each(['bash', 'zsh', 'fish'])('for %s knows every command and option', async (shell) => {
    const { out, status } = await command(['completion', shell]);
    expect(status).toBe(0);
    for (const { name, options } of TREE.commands) {
      expect(out).toContain(name);
      for (const { long } of options) expect(out).toContain(shell === 'fish' ? `-l ${long.slice(2)}` : long);
    }
    expect(out).not.toContain('--simulate[');
  });

  test.each(['bash', 'zsh', 'fish'])('%s can read its own', async (shell) => {
    const program = ['/bin', '/usr/bin'].map((path) => `${path}/${shell}`).find(existsSync);
    if (program === undefined) return;
    const { out } = await command(['completion', shell]);
    const dir = mkdtempSync(join(tmpdir(), 'gpu-handoff-completion-'));
    onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
    writeFileSync(join(dir, 'script'), out);
    const ran = spawnSync(program, ['-n', join(dir, 'script')], { encoding: 'utf8' });
    expect([ran.status, ran.stderr]).toEqual([0, '']);
  });
});

describe('a line of bash', () => {
  test.each([
    ['gpu-handoff hand-off ', ['gpu-handoff', 'hand-off'], '', ''],
    ['gpu-handoff hand-off my\\ v', ['gpu-handoff', 'hand-off'], 'my v', ''],
    ['gpu-handoff hand-off "my v', ['gpu-handoff', 'hand-off'], 'my v', '"'],
    ["gpu-handoff hand-off 'my v", ['gpu-handoff', 'hand-off'], 'my v', "'"],
    ['gpu-handoff end-holders "a b" c', ['gpu-handoff', 'end-holders', 'a b'], 'c', ''],
  ])('%s', (line, before, value, quote) => {
    expect(atCursor(line, BREAKS)).toMatchObject({ before, value, quote });
  });

  test('a colon begins anew what readline completes', () => {
    const cursor = atCursor('gpu-handoff holders 0000:01:', BREAKS);
    expect(replacements(['0000:01:00.0'], cursor)).toEqual(['00.0']);
    const quoted = atCursor('gpu-handoff holders "0000:01:', BREAKS);
    expect(replacements(['0000:01:00.0'], quoted)).toEqual(['0000:01:00.0']);
  });

  /** What stands on the line after readline has put a name in, read as the shell reads it. */
  function roundTrip(name: string, typed: string, quote: '' | '"' | "'"): string {
    const begin = `gpu-handoff hand-off ${quote}`;
    const [put] = replacements([name], atCursor(begin + typed, BREAKS));
    return atCursor(`${begin}${put ?? ''}${quote} `, BREAKS).before[2] ?? '';
  }

  const NAME = fc.string({ unit: 'grapheme', minLength: 1 }).filter((name) => !/\p{Cc}/u.test(name));

  test.each(['', '"', "'"] as const)('every name comes out as it is within %j', (quote) => {
    fc.assert(
      fc.property(NAME, (name) => {
        expect(roundTrip(name, '', quote)).toBe(name);
      }),
    );
  });

  test.each(['my vm', 'Fedora "40"', "Bob's $HOME `x`", 'back\\slash', 'a;rm -rf *', '日本 語', '#1', '~x'])(
    'bash itself reads %s',
    (name) => {
      if (!existsSync('/bin/bash')) return;
      for (const quote of ['', '"', "'"]) {
        const [put] = replacements([name], atCursor(`x ${quote}`, BREAKS));
        const ran = spawnSync('/bin/bash', ['-c', `printf %s ${quote}${put}${quote}`], { encoding: 'utf8' });
        expect(ran.stdout).toBe(name);
      }
    },
  );

  test('a name in another case is taken where nothing else could be meant', () => {
    const cursor = atCursor('x ble', BREAKS);
    expect(replacements(['Blender', 'ollama'], cursor)).toEqual(['Blender']);
    expect(replacements(['Blender', 'BLEND'], cursor)).toEqual([]);
  });
});

describe('the names that are offered', () => {
  async function offered(dir: string, ...words: string[]): Promise<string[]> {
    const ran = await command(['--simulate', dir, '__complete', ...words]);
    expect([ran.status, ran.err]).toEqual([0, '']);
    return ran.out.split('\n').filter((line) => line !== '');
  }

  test('VMs, with what cannot be typed by its UUID', async () => {
    const dir = workstation('laptop');
    editModel(dir, 'machines', ([first, second]) => {
      if (first !== undefined) first.name = 'my "first" vm';
      if (second !== undefined) second.name = 'evil\n\u001b[2J';
    });
    const values = (await offered(dir, 'list', 'vm')).map((line) => line.split('\t')[0]);
    expect(values[0]).toBe('my "first" vm');
    expect(values[1]).toMatch(/^[0-9a-f]{8}-/);
    expect(values).toHaveLength(2);
  });

  test('cards and holders', async () => {
    const dir = workstation('laptop');
    expect(await offered(dir, 'list', 'card')).toContain('0000:01:00.0\tGeForce RTX 4070 Max-Q / Mobile');
    const holders = await offered(dir, 'list', 'holder');
    expect(holders.some((line) => line.startsWith('Blender\t'))).toBe(true);
    expect(holders.some((line) => line.startsWith('4242\t'))).toBe(true);
  });

  test('in bash only what fits the place on the line', async () => {
    const dir = workstation('laptop');
    const at = (line: string) => offered(dir, 'bash', line, BREAKS);
    expect(await at('gpu-handoff hand-off w')).toEqual(['win11']);
    expect(await at('gpu-handoff hand-off win11 ')).toEqual([]);
    expect(await at('gpu-handoff end-holders 0000:01:00.0 Bl')).toEqual(['Blender']);
    expect(await at('gpu-handoff take-back 0000:01:')).toEqual(['00.0']);
    expect(await at('gpu-handoff launch --card 0000:01:')).toEqual(['00.0']);
    expect(await at('gpu-handoff run --card=')).toEqual(['0000:01:00.0']);
    expect(await at('gpu-handoff status ')).toEqual([]);
    expect(await at('gpu-handoff nonsense ')).toEqual([]);
  });
});
