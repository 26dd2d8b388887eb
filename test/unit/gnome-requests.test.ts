import { describe, expect, test } from 'vitest';
import type { Asked } from '../../core/src/desktop/picture.js';
import { settled } from '../../gnome-extension/shell/requests.js';
import { CARD, card, operation, published, VM } from './support-desktop.js';

const ASKED: Asked = {
  what: 'close',
  card: CARD,
  group: '',
  force: false,
  operation: 'op-1',
  vm: VM,
  closes: [],
  refused: '',
};
const now = (more: Parameters<typeof operation>[0]): ReturnType<typeof published>['operation'] =>
  published([card()], operation(more)).operation;
const SEEN = new Set(['op-1']);

describe('a request', () => {
  test('is ended when its operation is done', () => {
    expect(settled([ASKED], now({ state: 'done' }), SEEN)).toEqual({ keep: [], ended: [ASKED] });
  });

  test('is kept while it runs, and when it failed, to be shown', () => {
    for (const state of ['running', 'failed'])
      expect(settled([ASKED], now({ state }), SEEN)).toEqual({ keep: [ASKED], ended: [] });
  });

  test('is forgotten when it was cancelled', () => {
    expect(settled([ASKED], now({ state: 'cancelled' }), SEEN)).toEqual({ keep: [], ended: [] });
  });

  test('to cancel is forgotten when nothing runs any more', () => {
    const cancel: Asked = { ...ASKED, what: 'cancel', operation: '', refused: 'Too late.' };
    expect(settled([cancel], now({ state: 'running' }), SEEN).keep).toEqual([cancel]);
    expect(settled([cancel], now({ state: 'done' }), SEEN).keep).toEqual([]);
  });

  test('is forgotten when another operation came after it', () => {
    expect(settled([ASKED], now({ id: 'op-2' }), SEEN)).toEqual({ keep: [], ended: [] });
  });

  test('is kept while its operation has not been published yet', () => {
    expect(settled([ASKED], now({ id: 'op-0' }), new Set(['op-0']))).toEqual({ keep: [ASKED], ended: [] });
  });
});
