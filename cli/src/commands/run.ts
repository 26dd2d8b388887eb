/**
 * `gpu-handoff run`: the wrapper gpu-handoff-run, with the same words. The installed command does not come here, since
 * wrapper/gpu-handoff goes to the wrapper itself; this is for `node dist/cli/main.js run` and for options of the
 * command before the word `run`. Node cannot become another program, so it waits, and ends as the app ended.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { failure } from '../../../core/src/errors.js';
import type { ExitStatus } from '../context.js';

/** Beside the bundle in dist/, and where the package has it. */
const PLACES = ['../wrapper/gpu-handoff-run', '../../../bin/gpu-handoff-run'];

/** Options before the word `run` that take a word of their own. */
const WITH_VALUE = ['--bus', '--simulate'];

/** What a terminal does not send to the app by itself. Node keeps SIGUSR1 for its debugger. */
const PASSED_ON = ['SIGTERM', 'SIGHUP', 'SIGUSR2'] as const;
/** What a terminal sends to both. */
const FROM_TERMINAL = ['SIGINT', 'SIGQUIT'] as const;

/** The words after `run`, as they were given; null where the words are another command. */
export function wordsOfRun(words: readonly string[]): readonly string[] | null {
  let i = 0;
  while (words[i]?.startsWith('-')) i += WITH_VALUE.includes(words[i] ?? '') ? 2 : 1;
  return words[i] === 'run' ? words.slice(i + 1) : null;
}

function wrapperPath(): string {
  const found = PLACES.map((place) => fileURLToPath(new URL(place, import.meta.url))).find(existsSync);
  if (found === undefined) throw failure('Failed', 'run.wrapper-absent');
  return found;
}

/** Ends as the app did: with its status, or by the signal that ended it. */
export function runOnDgpu(words: readonly string[]): Promise<ExitStatus> {
  let child: ChildProcess | null = null;
  // Heard before the app is there: it may run before we do again.
  for (const signal of PASSED_ON) process.on(signal, () => child?.kill(signal));
  for (const signal of FROM_TERMINAL)
    process.on(signal, () => {
      if (!process.stdin.isTTY) child?.kill(signal);
    });
  const app = spawn(wrapperPath(), words, { stdio: 'inherit' });
  child = app;
  return new Promise((resolve, reject) => {
    app.on('error', reject);
    app.on('exit', (code, signal) => {
      for (const one of [...PASSED_ON, ...FROM_TERMINAL]) process.removeAllListeners(one);
      // Node's own children end it by a signal only from outside, so this is the last thing that it does.
      if (signal !== null) process.kill(process.pid, signal);
      resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
    });
  });
}
