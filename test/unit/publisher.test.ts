import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Boxes, s } from '../../core/src/linux/bus/dbus.js';
import { Publisher } from '../../polkit/src/publisher.js';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** A publisher whose every publishing takes `costMs` of a core, and what it published when. */
function publisher(costMs = 0) {
  const values: Record<string, string> = { Version: '1', Operation: '' };
  const told: { readonly at: number; readonly names: string[] }[] = [];
  const begun = Date.now();
  let spent = 0;
  const one = new Publisher({
    properties: (): Boxes => {
      spent += costMs;
      return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, s(value)]));
    },
    send: (changed) => told.push({ at: Date.now() - begun, names: Object.keys(changed) }),
    spent: () => spent,
  });
  return { one, values, told };
}

test('what follows closely is told as one', () => {
  const { one, values, told } = publisher();
  for (let n = 0; n < 5; n += 1) {
    values.Operation = `step ${n}`;
    one.changed(true);
    vi.advanceTimersByTime(9);
  }
  vi.advanceTimersByTime(50);
  expect(told).toEqual([{ at: 50, names: ['Version', 'Operation'] }]);
});

test('only what changed is told', () => {
  const { one, values, told } = publisher();
  one.changed(false);
  vi.advanceTimersByTime(50);
  values.Operation = 'begun';
  one.changed(false);
  vi.advanceTimersByTime(50);
  one.changed(false);
  vi.advanceTimersByTime(50);
  expect(told.map(({ names }) => names)).toEqual([['Version', 'Operation'], ['Operation']]);
});

test('telling takes a tenth of a core at most while more is to come', () => {
  const { one, values, told } = publisher(30);
  for (let n = 0; n < 100; n += 1) {
    values.Operation = `step ${n}`;
    one.changed(true);
    vi.advanceTimersByTime(10);
  }
  expect(told.map(({ at }) => at)).toEqual([50, 350, 650, 950]);
});

test('the end is told at once, however dear telling is', () => {
  const { one, values, told } = publisher(1000);
  one.changed(true);
  vi.advanceTimersByTime(50);
  values.Operation = 'nearly done';
  one.changed(true);
  vi.advanceTimersByTime(100);
  values.Operation = 'done';
  one.changed(false);
  vi.advanceTimersByTime(50);
  expect(told.map(({ at }) => at)).toEqual([50, 200]);
});

test('who leaves tells what is left', () => {
  const { one, told } = publisher();
  one.flush();
  expect(told).toEqual([]);
  one.changed(true);
  one.flush();
  expect(told).toHaveLength(1);
  vi.advanceTimersByTime(1000);
  expect(told).toHaveLength(1);
});
