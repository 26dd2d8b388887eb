import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ActError } from '../machine.js';
import { say, sentence } from '../words.js';
import { stateOf } from './start-time.js';

/*
 * Programs run as children for two reasons: because they own what is asked of them (systemctl, virsh, modprobe), and
 * because a write to sysfs can hang in the kernel for ever. Then the child hangs, and the helper goes on.
 */

/** Where programs are looked for; only root can write there. The last is NixOS. */
const DIRECTORIES = ['/usr/sbin', '/usr/bin', '/sbin', '/bin', '/run/current-system/sw/bin'];

/** Nothing of the caller's environment: messages are read, so they must be English. */
export const ENVIRONMENT = { LC_ALL: 'C', PATH: DIRECTORIES.join(':'), SYSTEMD_COLORS: '0' };

/** How long a child may take to go after SIGKILL before it counts as stuck in the kernel. */
const GRACE_MS = 1000;
const MOST_BYTES = 1024 * 1024;

export interface ChildRequest {
  /** A name without a path. */
  readonly program: string;
  readonly args: readonly string[];
  readonly input?: string;
  /** After this time it is killed. */
  readonly limitMs: number;
  /** More output than this many bytes ends it; default 1 MiB. */
  readonly most?: number;
}

export interface ChildResult {
  /** The exit status; null when a signal ended it. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end; see runChild. */
export type Run = (request: ChildRequest) => Promise<ChildResult>;

/** What a test replaces to play a child that hangs in the kernel, which nobody can make at will. */
export interface ChildWays {
  readonly kill: (pid: number) => void;
  readonly stateOf: (pid: number) => string | null;
}

const WAYS: ChildWays = {
  // The whole group: modprobe may have started a shell of its own.
  kill: (pid) => {
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      // It is gone.
    }
  },
  stateOf,
};

/** Programs that were found; each is asked for several times in a hand-off. */
const found = new Map<string, string>();

/** The absolute path of a program, or null where it is not installed. */
export function findProgram(name: string): string | null {
  const known = found.get(name);
  if (known !== undefined) return known;
  if (!/^[A-Za-z0-9._-]+$/.test(name)) return null;
  for (const directory of DIRECTORIES) {
    const path = join(directory, name);
    try {
      accessSync(path, constants.X_OK);
      found.set(name, path);
      return path;
    } catch {
      // Not here.
    }
  }
  return null;
}

/**
 * Runs a program, never through a shell, and resolves when it has ended, whatever its status.
 *
 * Rejects with an ActError: `gone` when it is not installed, `failed` when it could not be started or wrote too much,
 * `time` when it was killed after `limitMs`, `stuck` when even killing does not end it. A stuck child is left behind:
 * it keeps neither the caller nor the process from ending.
 */
export async function runChild(request: ChildRequest, ways: ChildWays = WAYS): Promise<ChildResult> {
  const path = findProgram(request.program);
  if (path === null) throw new ActError('gone', `the program ${request.program} is not installed`);
  const child = spawn(path, request.args, {
    cwd: '/',
    env: ENVIRONMENT,
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
  });
  const output = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  let bytes = 0;
  let ended = false;

  const end = new Promise<'closed' | 'flooded' | Error>((resolve) => {
    const take = (to: Buffer[]) => (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > (request.most ?? MOST_BYTES)) resolve('flooded');
      else to.push(chunk);
    };
    child.stdout.on('data', take(output.stdout));
    child.stderr.on('data', take(output.stderr));
    child.on('error', resolve);
    child.on('exit', () => {
      ended = true;
      // Something it started may keep its output open; what it had to say was said.
      setTimeout(() => resolve('closed'), GRACE_MS).unref();
    });
    child.on('close', () => resolve('closed'));
  });
  // A child that does not read its input closes the pipe; its status tells what came of it.
  child.stdin.on('error', () => undefined);
  child.stdin.end(request.input ?? '');

  const over = new AbortController();
  const limit = sleep(request.limitMs, 'late' as const, { signal: over.signal }).catch(() => 'late' as const);
  const how = await Promise.race([end, limit]);
  over.abort();

  const pid = child.pid;
  if (how instanceof Error || pid === undefined)
    throw new ActError('failed', `${request.program} could not be started`);
  if (how === 'closed') {
    return {
      status: child.exitCode,
      stdout: Buffer.concat(output.stdout).toString('utf8'),
      stderr: Buffer.concat(output.stderr).toString('utf8'),
    };
  }

  ways.kill(pid);
  const state = await goneWithin(pid, () => ended, ways);
  for (const stream of [child.stdin, child.stdout, child.stderr]) stream.destroy();
  child.unref();
  if (state !== null) {
    const seconds = Math.ceil(request.limitMs / 1000);
    throw new ActError('stuck', say(sentence('stuck.child', { what: request.program, seconds })));
  }
  if (how === 'flooded') throw new ActError('failed', `${request.program} wrote more than can be taken`);
  const seconds = Math.max(1, Math.round(request.limitMs / 1000));
  throw new ActError('time', say(sentence('fail.time-limit', { seconds })));
}

/** Waits a little for a killed process; its state while it is still there, null once it is gone. */
async function goneWithin(pid: number, ended: () => boolean, ways: ChildWays): Promise<string | null> {
  for (let waited = 0; ; waited += 20) {
    const state = ended() ? null : ways.stateOf(pid);
    if (state === null || state === 'Z' || state === 'X') return null;
    if (waited >= GRACE_MS) return state;
    await sleep(20);
  }
}

/** What a program said of its failure, in one line: its error output without its name and `error:`. */
export function complaintOf(result: ChildResult): string {
  const lines = result.stderr
    .split('\n')
    .map((line) => line.trim().replace(/^([\w.-]+: )?(error|fatal): /i, ''))
    .filter((line) => line !== '');
  const text = lines.join('; ').slice(0, 500);
  return text === '' ? `exit status ${result.status ?? 'unknown'}` : text;
}
