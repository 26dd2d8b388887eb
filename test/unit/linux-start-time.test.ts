import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { startedAt, startTicks, stateOf, userNames } from '../../core/src/linux/start-time.js';
import { Tree } from './support-tree.js';

function stat(state: string, ticks: number, name = 'name'): string {
  return `42 (${name}) ${state} 1 42 42 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 ${ticks} 1000 10\n`;
}

test('the start of a process', () => {
  const tree = new Tree();
  tree.file('proc/42/stat', stat('S', 12345));
  expect(startTicks(42, tree.root)).toBe(12345);
});

test('a name with spaces, parentheses and newlines', () => {
  const tree = new Tree();
  tree.file('proc/42/stat', stat('S', 12345, 'a) Z (\n9 9 9'));
  expect(startTicks(42, tree.root)).toBe(12345);
});

test.each(['Z', 'X'])('state %s counts as gone', (state) => {
  const tree = new Tree();
  tree.file('proc/42/stat', stat(state, 12345));
  expect(startTicks(42, tree.root)).toBeNull();
});

test('a process that is gone', () => {
  expect(startTicks(42, new Tree().root)).toBeNull();
  expect(stateOf(42, new Tree().root)).toBeNull();
});

test('a real process started just now', async () => {
  const child = spawn('sleep', ['5']);
  await sleep(20);
  const ticks = startTicks(child.pid ?? 0);
  expect(ticks).not.toBeNull();
  expect(stateOf(child.pid ?? 0)).toMatch(/^[RSD]$/);
  // btime has whole seconds.
  expect(Math.abs(startedAt(ticks ?? 0) - Date.now())).toBeLessThan(2500);
  child.kill();
});

test('users by passwd, read again when it changes, else by logind', async () => {
  const tree = new Tree();
  tree.file('etc/passwd', 'root:x:0:0:root:/root:/bin/sh\nanna:x:1000:1000::/home/anna:/bin/sh\nbroken\n');
  tree.file('run/systemd/users/60001', 'NAME=homed\nSTATE=active\n');
  const name = userNames(tree.root);
  expect([name(0), name(1000), name(60001), name(7)]).toEqual(['root', 'anna', 'homed', null]);
  await sleep(20);
  tree.file('etc/passwd', 'bert:x:1000:1000::/:/bin/sh\n');
  expect(name(1000)).toBe('bert');
});
