import { describe, expect, test } from 'vitest';
import { newsOf } from '../../core/src/desktop/news.js';
import type { Naming } from '../../core/src/recognise.js';
import { card, operation, published, VM } from './support-desktop.js';

const HOME = published([card()]);
const AWAY = published([card({ state: 'vm', 'vm-name': 'win11', 'vm-uuid': VM })]);
const LEAVING = published([card({ state: 'switching' })], operation());
const kinds = (...states: Parameters<typeof newsOf>): string[] => newsOf(...states).map((news) => news.kind);

describe('news', () => {
  test('nothing is news that was so at the beginning', () => {
    expect(newsOf(null, published([card()], operation({ state: 'failed', sentence: 'No.' })))).toEqual([]);
  });

  test('a card that went to a VM', () => {
    expect(
      newsOf(LEAVING, published([card({ state: 'vm', 'vm-name': 'win11' })], operation({ state: 'done' }))),
    ).toMatchObject([{ kind: 'done', title: 'GeForce RTX 4070 is in win11' }]);
  });

  test('a card that is back, however it came', () => {
    expect(kinds(AWAY, HOME)).toEqual(['back']);
    const back = operation({ kind: 'take-back' });
    const coming = published([card({ state: 'switching' })], back);
    expect(kinds(coming, published([card()], { ...back, state: 'done' }))).toEqual(['back']);
  });

  test('a hand-off that was undone is told once, as a failure', () => {
    const failed = published([card()], operation({ state: 'failed', error: 'Failed', sentence: 'No.' }));
    expect(newsOf(LEAVING, failed)).toMatchObject([{ kind: 'failed', body: 'No.', act: 'show' }]);
    expect(newsOf(failed, failed)).toEqual([]);
  });

  test('a hand-off that was cancelled is none', () => {
    expect(kinds(LEAVING, published([card()], operation({ state: 'cancelled' })))).toEqual([]);
  });

  test('who holds a card for which a VM waits, with what can be done', () => {
    const refused = operation({ id: 'op-2', state: 'failed', error: 'Held', sentence: 'Blender holds it.' });
    expect(newsOf(HOME, published([card()], refused))).toMatchObject([
      { kind: 'held', title: 'win11 waits for GeForce RTX 4070', act: 'close-and-hand-off', vm: VM },
    ]);
  });

  test('whom it names, by the names of their rows', () => {
    const refused = operation({
      ...{ id: 'op-2', state: 'failed', error: 'Held', key: 'refuse.held', 'value-card': 'GeForce RTX 4070' },
      'value-holders': 'org.blender.Blender (process 42, ada), ffmpeg (process 43, ada)',
    });
    const calls: Readonly<Record<string, string>> = { '42': 'Blender', '43': 'ffmpeg' };
    const naming = (): Naming => (one) => calls[one.values.pid ?? ''] ?? '';
    expect(newsOf(HOME, published([card()], refused), undefined, naming)).toMatchObject([
      { body: 'GeForce RTX 4070 is held by Blender, ffmpeg.', named: ['Blender', 'ffmpeg'] },
    ]);
  });

  test('a VM that did not shut down is told as a failure, and not that it has the card', () => {
    const failing = operation({ kind: 'take-back' });
    const before = published([card({ state: 'switching' })], failing);
    const after = published([card({ state: 'vm', 'vm-name': 'win11' })], { ...failing, state: 'failed' });
    expect(kinds(before, after)).toEqual(['failed']);
  });

  test('closing holders is shown where it was asked for', () => {
    const ended = operation({ kind: 'end-holders', state: 'failed', error: 'Held', sentence: 'x' });
    expect(kinds(HOME, published([card()], ended))).toEqual([]);
  });

  test('a card that falls asleep or wakes is none', () => {
    expect(kinds(HOME, published([card({ asleep: true })]))).toEqual([]);
  });
});
