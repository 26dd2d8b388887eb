import { afterEach, expect, test, vi } from 'vitest';
import type { Run } from '../../core/src/linux/child.js';
import { journalLog } from '../../core/src/linux/journal-log.js';
import { ActError } from '../../core/src/machine.js';

afterEach(() => {
  vi.useRealTimers();
});

/** A logger that notes its input; `socket` is any path that exists. */
function noted(answer: () => Promise<number> = async () => 0, gatherMs = 0) {
  const entries: string[][] = [];
  const errors: string[] = [];
  const run: Run = async (request) => {
    expect([request.program, ...request.args]).toEqual(['logger', '--journald']);
    const status = await answer();
    if (status === 0) entries.push((request.input ?? '').split('\n'));
    return { status, stdout: '', stderr: '' };
  };
  const log = journalLog({ gatherMs, run, socket: '/', stderr: (text) => errors.push(text) });
  return { log, entries, errors };
}

test('an entry has its message, priority and fields', async () => {
  const { log, entries } = noted();
  log.line('warning', 'The card is held.', { operation: 'op-1', 'step id': 'look' });
  await log.flush();
  expect(entries).toEqual([
    [
      'MESSAGE=The card is held.',
      'PRIORITY=4',
      'SYSLOG_IDENTIFIER=gpu-handoff',
      `OBJECT_PID=${process.pid}`,
      'GPU_HANDOFF_OPERATION=op-1',
      'GPU_HANDOFF_STEP_ID=look',
      '',
    ],
  ]);
});

test('nobody else’s name begins a field', async () => {
  const { log, entries } = noted();
  log.line('info', 'VM “a\nPRIORITY=0\u001b[31m”', { vm: 'x\nMESSAGE=y' });
  await log.flush();
  expect(entries[0]?.[0]).toBe('MESSAGE=VM “a\\nPRIORITY=0\\u001b[31m”');
  expect(entries[0]?.[4]).toBe('GPU_HANDOFF_VM=x\\nMESSAGE=y');
});

test('the order is kept, and nobody waits', async () => {
  const { log, entries } = noted(() => new Promise((resolve) => setTimeout(() => resolve(0), 2)));
  for (let n = 0; n < 20; n += 1) log.line('info', String(n));
  expect(entries).toHaveLength(0);
  await log.flush();
  expect(entries.map((entry) => entry[0])).toEqual(Array.from({ length: 20 }, (_, n) => `MESSAGE=${n}`));
});

test('what logger cannot write goes to standard error', async () => {
  const { log, errors } = noted(async () => 1);
  log.line('error', 'two\nlines');
  await log.flush();
  expect(errors).toEqual(['<3>two\\nlines\n']);
});

test('a logger that hangs or is not there', async () => {
  const { log, errors } = noted(() => Promise.reject(new ActError('time', '')));
  log.line('info', 'text');
  await log.flush();
  expect(errors).toEqual(['<6>text\n']);
});

test('no journal on this machine', async () => {
  const errors: string[] = [];
  const log = journalLog({ gatherMs: 0, socket: '/nonexistent', stderr: (text) => errors.push(text) });
  log.line('info', 'text');
  expect(errors).toEqual(['<6>text\n']);
  await log.flush();
});

test('too much is counted, not kept', async () => {
  const { log, entries } = noted();
  for (let n = 0; n < 600; n += 1) log.line('info', String(n));
  await log.flush();
  expect(entries.length).toBeLessThan(510);
  expect(entries.at(-1)?.[0]).toMatch(/^MESSAGE=\d+ lines of the log were lost/);
});

test('at the end what is left goes to standard error', async () => {
  const { log, errors } = noted(() => new Promise(() => undefined));
  log.line('info', 'first');
  log.line('info', 'second');
  await log.flush(10);
  expect(errors).toEqual(['<6>second\n']);
});

test('lines are written when nothing more was said for a while', async () => {
  vi.useFakeTimers();
  const { log, entries } = noted(undefined, 1500);
  log.line('info', 'first');
  await vi.advanceTimersByTimeAsync(1400);
  log.line('info', 'second');
  await vi.advanceTimersByTimeAsync(1400);
  expect(entries).toHaveLength(0);
  await vi.advanceTimersByTimeAsync(100);
  expect(entries.map((entry) => entry[0])).toEqual(['MESSAGE=first', 'MESSAGE=second']);
});

test('a first line waits no longer than five seconds, however much is said', async () => {
  vi.useFakeTimers();
  const { log, entries } = noted(undefined, 1500);
  for (let second = 0; second < 5; second += 1) {
    log.line('info', `${second}`);
    await vi.advanceTimersByTimeAsync(999);
  }
  expect(entries).toHaveLength(0);
  await vi.advanceTimersByTimeAsync(5);
  expect(entries).toHaveLength(5);
});
