import { describe, expect, test } from 'vitest';
import {
  CONFIG_KEYS,
  type Config,
  type ConfigEntry,
  DEFAULT_CONFIG,
  isAddress,
  readConfig,
} from '../../core/src/config.js';

const A = '0000:01:00.0';
const B = '0000:02:00.0';

/** Entries on the lines 1, 2, 3, … */
const lines = (...pairs: (readonly [key: string, value: unknown])[]): ConfigEntry[] =>
  pairs.map(([key, value], i) => ({ key, value, line: i + 1 }));

describe('every key is taken', () => {
  const taken: readonly (readonly [key: string, value: unknown, config: Partial<Config>])[] = [
    ['cards.igpu', A, { igpu: A }],
    ['cards.dgpu', [A, B], { dgpus: [A, B] }],
    ['cards.dgpu', [], { dgpus: [] }],
    ['cards.ignore', [B], { ignore: [B] }],
    [
      'hand-off.services',
      ['a.service', 'b@c.socket', 'd.target'],
      { services: ['a.service', 'b@c.socket', 'd.target'] },
    ],
    ['hand-off.services', [], { services: [] }],
    ['hand-off.step-seconds', 1, { stepSeconds: 1 }],
    ['hand-off.step-seconds', 600, { stepSeconds: 600 }],
    ['take-back.guest-shutdown-seconds', 3600, { guestShutdownSeconds: 3600 }],
    ['holders.end-seconds', 600, { endHolderSeconds: 600 }],
    ['helper.idle-seconds', 86400, { idleSeconds: 86400 }],
  ];

  test.each(taken)('%s = %j', (key, value, config) => {
    expect(readConfig(lines([key, value]))).toEqual({ config: { ...DEFAULT_CONFIG, ...config }, faults: [] });
  });

  test('and none is left out here', () => {
    expect([...new Set(taken.map(([key]) => key))].sort()).toEqual([...CONFIG_KEYS].sort());
  });

  test('nothing said: the defaults', () => {
    expect(readConfig([])).toEqual({ config: DEFAULT_CONFIG, faults: [] });
  });
});

describe('a value that does not fit leaves the default and is named with its line', () => {
  test.each<readonly [string, unknown, RegExp]>([
    ['cards.igpu', 'card0', /^cards\.igpu: it must be a PCI address such as "0000:01:00\.0"$/],
    ['cards.igpu', '01:00.0', /PCI address/],
    ['cards.igpu', '0000:01:00.8', /PCI address/],
    ['cards.igpu', '0000:01:00.0\n', /PCI address/],
    ['cards.igpu', ['0000:01:00.0'], /PCI address/],
    ['cards.dgpu', A, /^cards\.dgpu: it must be a list of PCI addresses/],
    ['cards.dgpu', [A, 7], /list of PCI addresses/],
    ['cards.ignore', { 0: A }, /list of PCI addresses/],
    ['hand-off.services', ['nvidia-powerd'], /list of unit names such as \["nvidia-persistenced\.service"\]/],
    ['hand-off.services', ['a b.service'], /unit names/],
    ['hand-off.services', ['../a.service'], /unit names/],
    ['hand-off.services', ['--now.service'], /unit names/],
    ['hand-off.services', 'a.service', /unit names/],
    ['hand-off.step-seconds', 0, /whole number of seconds from 1 to 600/],
    ['hand-off.step-seconds', 601, /whole number/],
    ['hand-off.step-seconds', 1.5, /whole number/],
    ['hand-off.step-seconds', '30', /whole number/],
    ['hand-off.step-seconds', Number.NaN, /whole number/],
    ['hand-off.step-seconds', Number.POSITIVE_INFINITY, /whole number/],
    ['hand-off.step-seconds', null, /whole number/],
    ['take-back.guest-shutdown-seconds', 3601, /from 1 to 3600/],
    ['holders.end-seconds', -1, /from 1 to 600/],
    ['helper.idle-seconds', true, /from 1 to 86400/],
  ])('%s = %j', (key, value, why) => {
    const { config, faults } = readConfig([{ key, value, line: 12 }]);
    expect(config).toEqual(DEFAULT_CONFIG);
    expect(faults).toEqual([{ line: 12, why: expect.stringMatching(why) }]);
  });

  test.each(['cards', 'cards.gpu', 'igpu', 'Cards.igpu', 'constructor', '__proto__', ''])(
    'a key “%s” that nobody knows, with those that are known',
    (key) => {
      const { config, faults } = readConfig([{ key, value: 1, line: 3 }]);
      expect(config).toEqual(DEFAULT_CONFIG);
      expect(faults).toHaveLength(1);
      expect(faults[0]).toMatchObject({ line: 3 });
      for (const known of CONFIG_KEYS) expect(faults[0]?.why).toContain(known);
    },
  );

  test('a faulty entry does not keep the others from counting', () => {
    const { config, faults } = readConfig(
      lines(['cards.igpu', 'x'], ['helper.idle-seconds', 5], ['nonsense', 1], ['cards.dgpu', [A]]),
    );
    expect(config).toEqual({ ...DEFAULT_CONFIG, idleSeconds: 5, dgpus: [A] });
    expect(faults.map((fault) => fault.line)).toEqual([1, 3]);
  });

  test.each([
    [lines(['cards.igpu', A], ['cards.dgpu', [B, A]]), 2],
    [lines(['cards.ignore', [A]], ['cards.igpu', A]), 2],
    [lines(['cards.dgpu', [A]], ['cards.ignore', [A]]), 2],
  ])('one card under two headings is a fault of the later line: %j', (entries, line) => {
    const { faults } = readConfig(entries);
    expect(faults).toEqual([{ line, why: expect.stringContaining(A) }]);
  });
});

test('an address is written as sysfs writes it', () => {
  for (const good of ['0000:00:02.0', 'ffff:ff:1f.7']) expect(isAddress(good)).toBe(true);
  for (const bad of ['0000:01:00', '0000:01:00.0 ', '0000:0G:00.0', '0000:0A:00.0', 7, null, undefined, {}])
    expect(isAddress(bad)).toBe(false);
});
