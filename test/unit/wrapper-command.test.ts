/** `gpu-handoff run`: the words, and how it ends when Node stands between the shell and the app. */
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { describe, expect, test } from 'vitest';
import { wordsOfRun } from '../../cli/src/commands/run.js';
import { workstation } from './support-tree.js';
import { folder, run, writeWrapper } from './support-wrapper.js';

const SOURCE = join(import.meta.dirname, '../../cli/src/commands/run.ts');

/** The part of the command that runs an app, beside a wrapper over the usual laptop. */
async function command(): Promise<string> {
  const place = folder();
  mkdirSync(join(place, 'wrapper'));
  writeWrapper(join(place, 'wrapper/gpu-handoff-run'), workstation().root);
  await build({
    stdin: {
      contents: `import { runOnDgpu } from ${JSON.stringify(SOURCE)};
        runOnDgpu(process.argv.slice(2)).then((status) => process.exit(status));`,
      resolveDir: place,
    },
    bundle: true,
    platform: 'node',
    format: 'esm',
    outfile: join(place, 'cli/main.mjs'),
  });
  return join(place, 'cli/main.mjs');
}

describe('which words are the app’s', () => {
  test.each([
    [
      ['run', 'blender', '--json', '--help'],
      ['blender', '--json', '--help'],
    ],
    [['run'], []],
    [
      ['run', '--require', '--', '-x', ''],
      ['--require', '--', '-x', ''],
    ],
    [['--json', '--bus', 'run', 'run', 'x'], ['x']],
    [['status', 'run', 'x'], null],
    [['--bus', 'run'], null],
    [['--help', 'status'], null],
    [[], null],
  ])('%j', (words, expected) => {
    expect(wordsOfRun(words)).toEqual(expected);
  });
});

describe('with Node in between', () => {
  test('status, arguments, input and output are the app’s', async () => {
    const main = await command();
    const node = [process.execPath, main];
    expect(run([...node, 'sh', '-c', 'exit 37']).status).toBe(37);
    expect(run([...node, 'printf', '%s|', '', '--json', 'a\nb']).stdout).toBe('|--json|a\nb|');
    expect(run([...node, 'cat'], { input: 'in' }).stdout).toBe('in');
    expect(run([...node, 'no-such-command']).status).toBe(127);
    expect(run([...node, 'sh', '-c', 'kill -KILL $$']).signal).toBe('SIGKILL');
    expect(run([...node, 'sh', '-c', 'kill -TERM $$']).signal).toBe('SIGTERM');
  });

  test.each(['SIGTERM', 'SIGHUP', 'SIGINT', 'SIGUSR2'] as const)(
    '%s reaches the app, which may go on',
    async (signal) => {
      const script = `trap 'echo got it; exit 5' ${signal.slice(3)}; echo ready; n=0; while [ $n -lt 200 ]; do sleep 0.05; n=$((n + 1)); done`;
      const child = spawn(process.execPath, [await command(), 'sh', '-c', script]);
      let output = '';
      const ended = new Promise((resolve) => child.on('close', (code) => resolve(code)));
      child.stdout.on('data', (chunk) => {
        output += chunk;
        if (output === 'ready\n') child.kill(signal);
      });
      expect(await ended).toBe(5);
      expect(output).toBe('ready\ngot it\n');
    },
  );
});

test('the installed command goes straight to the wrapper for run, and to Node for the rest', () => {
  const place = folder();
  const say = (name: string): string => {
    const path = join(place, name);
    writeFileSync(path, `#!/bin/sh\nprintf '%s|' ${name} "$@"\n`, { mode: 0o755 });
    return path;
  };
  const script = readFileSync(join(import.meta.dirname, '../../wrapper/gpu-handoff'), 'utf8')
    .replace('/usr/bin/gpu-handoff-run', say('wrapper'))
    .replace('/usr/lib/gpu-handoff/cli/main.js', say('node'));
  const installed = join(place, 'gpu-handoff');
  writeFileSync(installed, script, { mode: 0o755 });
  expect(run([installed, 'run', '', 'a\nb', '--x']).stdout).toBe('wrapper||a\nb|--x|');
  expect(run([installed, 'status', 'run']).stdout).toBe('node|status|run|');
  expect(run([installed]).stdout).toBe('node|');
});
