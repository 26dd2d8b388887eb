import { rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test, vi } from 'vitest';
import { onChange } from '../../core/src/linux/changes.js';
import { allNumbers } from '../../core/src/linux/machine.js';
import { Tree } from './support-tree.js';

function listen(tree: Tree): { heard: () => number; until: (count: number) => Promise<void> } {
  let count = 0;
  const stop = onChange(() => {
    count += 1;
  }, tree.root);
  onTestFinished(stop);
  return {
    heard: () => count,
    until: (wanted) => vi.waitFor(() => expect(count).toBeGreaterThanOrEqual(wanted), { timeout: 5000 }),
  };
}

test('a burst of nodes is heard once', async () => {
  const tree = new Tree();
  tree.directory('dev/dri');
  const { heard, until } = listen(tree);
  for (let n = 0; n < 10; n += 1) tree.file(`dev/dri/card${n}`, '');
  await until(1);
  await sleep(400);
  expect(heard()).toBe(1);
});

test('a directory that appears later is watched from then on', async () => {
  const tree = new Tree();
  tree.directory('dev');
  const { until } = listen(tree);
  tree.directory('dev/vfio');
  await until(1);
  tree.file('dev/vfio/14', '');
  await until(2);
});

test('a directory that goes and comes back', async () => {
  const tree = new Tree();
  tree.directory('dev/dri');
  const { heard, until } = listen(tree);
  rmSync(tree.path('dev/dri'), { recursive: true });
  await until(1);
  tree.directory('dev/dri');
  await until(2);
  const before = heard();
  tree.file('dev/dri/card1', '');
  await until(before + 1);
});

test('libvirt’s guests, once libvirt is there', async () => {
  const tree = new Tree();
  tree.directory('run');
  const { heard, until } = listen(tree);
  tree.directory('run/libvirt/qemu');
  await until(1);
  await sleep(400);
  const before = heard();
  tree.file('run/libvirt/qemu/win11.xml', '');
  await until(before + 1);
});

test('other nodes are no matter', async () => {
  const tree = new Tree();
  tree.directory('dev');
  const { heard } = listen(tree);
  tree.file('dev/ttyUSB0', '');
  await sleep(400);
  expect(heard()).toBe(0);
});

test('nothing is heard after the end', async () => {
  const tree = new Tree();
  tree.directory('dev/dri');
  let count = 0;
  const stop = onChange(() => {
    count += 1;
  }, tree.root);
  tree.file('dev/dri/card0', '');
  await sleep(50);
  stop();
  tree.file('dev/dri/card1', '');
  await sleep(400);
  expect(count).toBe(0);
});

test('a bare major stands for its minors', () => {
  const numbers = allNumbers(['226:1', '195']);
  expect(numbers.size).toBe(257);
  expect(numbers.has('195:0') && numbers.has('195:255') && numbers.has('226:1')).toBe(true);
});
