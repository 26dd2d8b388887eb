import { describe, expect, test } from 'vitest';
import { cardsNamed, chooseCard, holdersNamed, type NamedCard } from '../../cli/src/choose.js';
import type { HolderDocument } from '../../cli/src/documents.js';

const CARDS: readonly NamedCard[] = [
  { address: '0000:00:02.0', name: 'Iris Xe', role: 'igpu', state: 'host' },
  { address: '0000:01:00.0', name: 'GeForce RTX 4080', role: 'dgpu', state: 'vm' },
  { address: '0000:04:00.0', name: 'Radeon RX 6600', role: 'dgpu', state: 'host' },
];
const ONE = CARDS.slice(0, 2);

describe('a card', () => {
  test.each(['0000:01:00.0', '01:00.0', 'GeForce RTX 4080', 'geforce', '4080'])('is found by %s', (word) => {
    expect(chooseCard(CARDS, word).address).toBe('0000:01:00.0');
  });

  test('need not be named where there is one', () => {
    expect(chooseCard(ONE, null).address).toBe('0000:01:00.0');
  });

  test('need not be named where only one can be meant', () => {
    expect(chooseCard(CARDS, null, (card) => card.state === 'vm').address).toBe('0000:01:00.0');
  });

  test('has to be named where several could be meant', () => {
    expect(() => chooseCard(CARDS, null)).toThrow('say which one');
    const twins = CARDS.map((card) => ({ ...card, name: 'GeForce' }));
    expect(() => chooseCard(twins, 'geforce')).toThrow('0000:04:00.0');
  });

  test('that is not there is named back, safe to print', () => {
    expect(() => chooseCard(CARDS, 'x\u001b[2J')).toThrow('“x\\u001b[2J”');
  });

  test('is none where the machine has no dGPU', () => {
    expect(() => chooseCard(CARDS.slice(0, 1), null)).toThrow('gpu-handoff doctor');
  });

  test('is no card where the word is empty', () => {
    expect(cardsNamed(CARDS, '')).toEqual([]);
  });
});

describe('a holder', () => {
  const base: HolderDocument = {
    id: '41:7',
    pid: 41,
    uid: 1000,
    user: 'anna',
    name: 'Blender (process 41, anna)',
    process: 'blender',
    ownerKind: 'app',
    ownerName: 'org.blender.Blender',
    unit: 'app-gnome-org.blender.Blender-41.scope',
    command: null,
    nodes: [],
    mapped: false,
    since: '2026-01-01T00:00:00.000Z',
    gpuMemoryBytes: null,
    essential: false,
    stopsByItself: false,
  };
  const chrome = { ...base, ownerName: 'chrome', process: 'chrome', unit: null };
  const all = [base, { ...chrome, id: '50:1', pid: 50 }, { ...chrome, id: '51:1', pid: 51 }];

  test.each(['41:7', '41', 'org.blender.Blender', 'blender', 'BLENDER', base.unit ?? ''])(
    'is found by %s',
    (word) => {
      expect(holdersNamed(all, word).map((one) => one.pid)).toEqual([41]);
    },
  );

  test('a name means all that have it', () => {
    expect(holdersNamed(all, 'chrome').map((one) => one.pid)).toEqual([50, 51]);
  });

  test('that holds nothing is refused', () => {
    expect(() => holdersNamed(all, '99')).toThrow('does not hold the card');
  });
});
