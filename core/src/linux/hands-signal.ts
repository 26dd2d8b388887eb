import { fileURLToPath } from 'node:url';
import { ActError } from '../machine.js';
import { say, sentence } from '../words.js';
import { complaintOf } from './child.js';
import type { Tools } from './tools.js';

/**
 * Why Python: a signal must reach the process that was looked at and no later one with its number, which takes
 * pidfd_send_signal(2). Node cannot reach it, and kill(1) of util-linux checks what a pid names only from 2.41 on.
 */
const SCRIPT = fileURLToPath(new URL('./pidfd-signal.py', import.meta.url));

/** Statuses of the script, beside 0. */
const GONE = 3;
const OTHER = 4;
const FORBIDDEN = 5;

/** Sends a signal to the process that has this pid and this start time. `gone` when there is none any more. */
export async function signalProcess(
  tools: Tools,
  pid: number,
  startTicks: number,
  signal: 'TERM' | 'KILL',
  script = SCRIPT,
): Promise<void> {
  if (!Number.isSafeInteger(pid) || pid <= 1 || !Number.isSafeInteger(startTicks) || startTicks < 0)
    throw new ActError('failed', 'that names no process');
  const result = await tools.run({
    program: 'python3',
    // -I and -S: nothing of the environment, no site packages; half the start-up time.
    args: ['-I', '-S', script, String(pid), String(startTicks), signal],
    limitMs: tools.left(),
  });
  if (result.status === 0) return;
  if (result.status === GONE || result.status === OTHER)
    throw new ActError('gone', `the process ${pid} has ended`);
  if (result.status === FORBIDDEN) throw new ActError('failed', `the process ${pid} may not be signalled`);
  const why = complaintOf(result);
  throw new ActError('failed', say(sentence('fail.command', { command: 'python3', why })));
}
