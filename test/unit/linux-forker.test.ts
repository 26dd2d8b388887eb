import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { forkerRun } from '../../core/src/linux/forker.js';

const folder = mkdtempSync(join(tmpdir(), 'forker-'));

afterAll(() => rmSync(folder, { recursive: true }));

test('a program runs with its arguments as they are', async () => {
  const hostile = [
    '$(touch pwned)',
    '`id`',
    "it's",
    '"',
    '\\',
    '-n',
    '',
    ' two  words ',
    'ü€',
    '*',
    '; exit 3',
  ];
  const result = await forkerRun()({ program: 'printf', args: ['<%s>', ...hostile], limitMs: 5000 });
  expect(result).toEqual({ status: 0, stdout: '', stderr: hostile.map((word) => `<${word}>`).join('') });
});

test('the input reaches the program, and is not read as script', async () => {
  const path = join(folder, 'input');
  await forkerRun()({ program: 'tee', args: [path], input: '$HOME `id` $(id) \\', limitMs: 5000 });
  expect(readFileSync(path, 'utf8')).toBe('$HOME `id` $(id) \\\n');
});

test('what is written to several files is in each, and no program is needed for it', async () => {
  const asked: string[] = [];
  const run = forkerRun(async (request) => {
    asked.push(request.program);
    return { status: 0, stdout: '', stderr: '' };
  });
  const paths = ['one', ' two  words $(id)', '*'].map((name) => join(folder, name));
  const result = await run({ program: 'tee', args: paths, input: '-n \\c %s\n', limitMs: 5000 });
  expect(result).toEqual({ status: 0, stdout: '', stderr: '' });
  expect(paths.map((path) => readFileSync(path, 'utf8'))).toEqual(paths.map(() => '-n \\c %s\n'));
  expect(asked).toEqual([]);
});

test('a file that cannot be written is told as tee tells it', async () => {
  const result = await forkerRun()({
    program: 'tee',
    args: [join(folder, 'no/such/folder')],
    input: 'x',
    limitMs: 5000,
  });
  expect(result.status).not.toBe(0);
  expect(result.stderr).toMatch(/No such file or directory/);
});

test('its status and what it said of a failure come back', async () => {
  const run = forkerRun();
  const result = await run({ program: 'ls', args: ['/nowhere'], limitMs: 5000 });
  expect(result.status).toBe(2);
  expect(result.stderr).toMatch(/No such file/);
  expect((await run({ program: 'true', args: [], limitMs: 5000 })).status).toBe(0);
});

test('several at once run one after the other, each with its own answer', async () => {
  const run = forkerRun();
  const said = await Promise.all(
    Array.from({ length: 20 }, (_, i) =>
      run({ program: 'printf', args: [`${i}\\n%s`, 'x'.repeat(i * 500)], limitMs: 5000 }),
    ),
  );
  expect(said.map((one) => one.stderr)).toEqual(said.map((_, i) => `${i}\n${'x'.repeat(i * 500)}`.trimEnd()));
});

test('what takes too long is ended, and the next one runs', async () => {
  const run = forkerRun();
  const begun = Date.now();
  await expect(run({ program: 'sleep', args: ['600'], limitMs: 200 })).rejects.toMatchObject({
    fault: 'time',
  });
  expect(Date.now() - begun).toBeLessThan(3000);
  expect((await run({ program: 'printf', args: ['on'], limitMs: 5000 })).stderr).toBe('on');
});

test('what does not fit on lines goes another way', async () => {
  const asked: string[] = [];
  const run = forkerRun(async (request) => {
    asked.push(request.program);
    return { status: 0, stdout: '', stderr: '' };
  });
  await run({ program: 'printf', args: ['two\nlines'], limitMs: 5000 });
  await run({ program: 'tee', args: ['x'], input: 'two\nlines\n', limitMs: 5000 });
  await run({ program: 'no-such-program-at-all', args: [], limitMs: 5000 });
  expect(asked).toEqual(['printf', 'tee', 'no-such-program-at-all']);
});
