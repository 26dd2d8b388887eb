import { describe, expect, test } from 'vitest';
import {
  asHeld,
  asJournal,
  asStuck,
  heldName,
  isUuid,
  JOURNAL_VERSION,
  type JournalNote,
} from '../../core/src/journal.js';
import type { Memory } from '../../core/src/plan.js';
import { BOOT, UUID_A } from './support-facts.js';

const memory: Memory = {
  cards: [{ id: '0000:01:00.0', name: 'RTX' }],
  functions: ['0000:01:00.0'],
  home: [],
  autoPower: [],
  modules: [],
  services: [],
  nodes: [],
  assumed: false,
};
const journal: JournalNote = {
  version: JOURNAL_VERSION,
  bootId: BOOT,
  operation: 'x-1',
  kind: 'hand-off',
  vm: { uuid: UUID_A, name: 'win11' },
  memory,
  started: ['power', 'claim'],
};
const held = { version: JOURNAL_VERSION, bootId: BOOT, vm: journal.vm, memory };
const stuck = { version: JOURNAL_VERSION, bootId: BOOT, card: '0000:01:00.0', what: 'Unload nvidia' };

/** As it comes back from the disk. */
const stored = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

describe('notes of this boot', () => {
  test('come back as they were written', () => {
    expect(asJournal(stored(journal), BOOT)).toEqual(journal);
    expect(asHeld(stored(held), BOOT)).toEqual(held);
    expect(asStuck(stored(stuck), BOOT)).toEqual(stuck);
  });

  test('a way back for a card whose VM is not known is remembered too', () => {
    const nameless = { ...journal, kind: 'take-back', vm: null };
    expect(asJournal(stored(nameless), BOOT)).toEqual(nameless);
    expect(asJournal(stored({ ...nameless, kind: 'hand-off' }), BOOT)).toBeNull();
  });
});

describe('anything else says nothing about the machine as it is', () => {
  const others = 'b007b007-0000-4000-8000-00000000000f';

  test('another boot', () => {
    expect(asJournal(journal, others)).toBeNull();
    expect(asHeld(held, others)).toBeNull();
    expect(asStuck(stuck, others)).toBeNull();
  });

  test('another version of the notes', () => {
    expect(asJournal({ ...journal, version: JOURNAL_VERSION + 1 }, BOOT)).toBeNull();
    expect(asHeld({ ...held, version: 0 }, BOOT)).toBeNull();
  });

  test.each([
    null,
    [],
    'text',
    7,
    {},
    { ...journal, memory: {} },
    { ...journal, memory: { ...memory, functions: 'x' } },
    { ...journal, memory: { ...memory, functions: [7] } },
    { ...journal, memory: { ...memory, home: [{ address: '0000:01:00.0' }] } },
    { ...journal, memory: { ...memory, cards: [null] } },
    { ...journal, vm: { uuid: '../../etc', name: 'x' } },
    { ...journal, kind: 'dance' },
    { ...journal, started: 'claim' },
    { ...journal, started: [7] },
    { ...journal, operation: 7 },
  ])('what is not whole: %j', (value) => {
    expect(asJournal(value, BOOT)).toBeNull();
    expect(asStuck(value, BOOT)).toBeNull();
  });
});

test('names of notes come from UUIDs in libvirt’s form alone', () => {
  expect(isUuid(UUID_A)).toBe(true);
  for (const bad of [
    '',
    'win11',
    '../x',
    `${UUID_A}/..`,
    `${UUID_A}\n`,
    UUID_A.toUpperCase().replace(/1/g, 'A'),
    7,
  ])
    expect(isUuid(bad)).toBe(false);
  expect(heldName(UUID_A)).toBe(`held-${UUID_A}`);
});
