/**
 * One sync at a time. The lock is flock(2)'s, held by a child for as long as we live: the kernel gives it back whatever
 * becomes of us, and Node cannot take one by itself.
 */
import type { ChildProcess } from 'node:child_process';
import { dirname } from 'node:path';
import { failure, reasonOf } from '../../errors.js';
import { makeFolder } from './files.js';

/** A sync of thousands of apps takes seconds. */
const WAIT_SECONDS = 30;
const CONFLICT = 75;

/** Resolves with a child that has the lock. */
async function take(path: string): Promise<ChildProcess> {
  // Most syncs have nothing to do, and do not need it.
  const { spawn } = await import('node:child_process');
  const how = ['--exclusive', '--wait', String(WAIT_SECONDS), '--conflict-exit-code', String(CONFLICT)];
  return new Promise((resolve, reject) => {
    // cat ends when our end of its input closes, at the latest with us.
    const child = spawn('flock', [...how, path, 'cat'], { stdio: ['pipe', 'pipe', 'ignore'] });
    const fail = (why: string): void => reject(failure('Failed', 'fail.command', { command: 'flock', why }));
    child.on('error', (fault) => fail(reasonOf(fault)));
    child.on('exit', (status) => {
      if (status === CONFLICT) reject(failure('Busy', 'apps.locked', { seconds: WAIT_SECONDS }));
      else fail(`it ended with ${status}`);
    });
    child.stdin?.on('error', () => {});
    child.stdout?.once('data', () => {
      child.removeAllListeners('exit');
      resolve(child);
    });
    child.stdin?.write('.');
  });
}

/** Does a piece of work while nobody else does one under the same lock. */
export async function locked<T>(path: string, work: () => T | Promise<T>): Promise<T> {
  try {
    makeFolder(dirname(path));
  } catch (fault) {
    throw failure('Failed', 'apps.not-written', { path: dirname(path), why: reasonOf(fault) });
  }
  const child = await take(path);
  try {
    return await work();
  } finally {
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.stdin?.end();
    await gone;
  }
}
