import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { POWERS } from '../../core/src/contract.js';
import { failure, reasonOf } from '../../core/src/errors.js';
import { present } from '../../core/src/present.js';
import { printable, say, sentence, WORDS, type WordKey } from '../../core/src/words.js';

const ROOT = join(import.meta.dirname, '../..');
const KEYS = Object.keys(WORDS) as WordKey[];

/** All texts, each plural pair as two. */
const TEXTS = KEYS.flatMap((key): (readonly [key: string, text: string])[] => {
  const text: string | readonly string[] = WORDS[key];
  return (typeof text === 'string' ? [text] : text).map((one) => [key, one]);
});

const placesIn = (text: string): string[] => [...text.matchAll(/\{([^}]*)\}/g)].map((m) => m[1] ?? '').sort();

function sourcesBelow(folder: string): string {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter(
      (file) => /\.(ts|js|qml)$/.test(file) && !/node_modules|core\/src\/words\.ts/.test(join(folder, file)),
    )
    .map((file) => readFileSync(join(ROOT, folder, file), 'utf8'))
    .join('\n');
}

/** For the command's tables, which do not say them yet. */
const SPARE: readonly WordKey[] = ['error.config', 'holder.kernel'];

describe('the words', () => {
  test('places are plain names, and every brace is one', () => {
    for (const [key, text] of TEXTS) {
      for (const place of placesIn(text)) expect(place, key).toMatch(/^[a-z]+$/);
      expect(text.replace(/\{[a-z]+\}/g, ''), key).not.toMatch(/[{}]/);
    }
  });

  test('the singular and the plural of a pair have the same places, the count among them', () => {
    for (const key of KEYS) {
      const text: string | readonly string[] = WORDS[key];
      if (typeof text === 'string') continue;
      expect(placesIn(text[0] ?? ''), key).toEqual(placesIn(text[1] ?? ''));
      expect(placesIn(text[1] ?? ''), key).toContain('count');
    }
  });

  test('sentences are typeset: no straight quotes, no double spaces, none empty', () => {
    for (const [key, text] of TEXTS) {
      expect(text.replace(/managed="[a-z]+"/g, ''), key).not.toMatch(/["']| {2}/);
      expect(text.trim(), key).toBe(text);
      expect(text, key).not.toBe('');
    }
  });

  test('every one of them is said somewhere', () => {
    const sources = ['core/src', 'polkit', 'cli', 'gnome-extension'].map(sourcesBelow).join('\n');
    const built = [
      'state.',
      'power.',
      'desk.step.',
      'desk.failed.',
      'special.',
      'start.exec-',
      'prefs.indicator.',
      'prefs.role.',
      'prefs.entry.',
      'prefs.indicator.',
    ];
    const unused = KEYS.filter(
      (key) => !sources.includes(`'${key}'`) && !built.some((prefix) => key.startsWith(prefix)),
    );
    expect(unused.filter((key) => !SPARE.includes(key))).toEqual([]);
  });

  test('every power has its word, and every word of a power its power', () => {
    const words = KEYS.filter((key) => key.startsWith('power.')).map((key) => key.slice('power.'.length));
    expect(words.sort()).toEqual([...POWERS].sort());
  });
});

describe('saying', () => {
  test('fills the places', () => {
    expect(say(sentence('refuse.other-vm', { card: 'RTX', owner: 'win' }))).toBe(
      'RTX is in use by the VM “win”: shut that VM down first.',
    );
  });

  test('a value is not read again: braces in a name stay what they are', () => {
    expect(say(sentence('refuse.other-vm', { card: '{owner}', owner: '$& {card} $1' }))).toBe(
      '{owner} is in use by the VM “$& {card} $1”: shut that VM down first.',
    );
  });

  test('a place without a value stays as it is written, so that the fault is seen', () => {
    expect(say({ key: 'refuse.vm-running', values: {} })).toBe('The VM “{vm}” is running already.');
    expect(say({ key: 'refuse.vm-running', values: Object.create({ vm: 'inherited' }) })).not.toMatch(
      /inherited/,
    );
  });

  test.each([
    [0, 'Used by 0 apps or services.'],
    [1, 'Used by 1 app or service.'],
    [2, 'Used by 2 apps or services.'],
  ])('%i chooses between singular and plural', (count, text) => {
    expect(say(sentence('state.held.line', { count }))).toBe(text);
  });

  test('a translator gets both forms and the number, and the places are filled after it', () => {
    const asked: unknown[] = [];
    const text = say(sentence('state.held.line', { count: 3 }), (...given) => {
      asked.push(given);
      return 'Von {count} Programmen benutzt.';
    });
    expect(text).toBe('Von 3 Programmen benutzt.');
    expect(asked).toEqual([['Used by {count} app or service.', 'Used by {count} apps or services.', 3]]);
  });

  test('an error’s message is its sentence', () => {
    const error = failure('Busy', 'error.busy', { what: 'handing over' });
    expect(error.message).toBe(
      'Another operation is running (handing over): wait until it is done, or cancel it.',
    );
    expect(error.dbusName).toBe('io.github.gpuhandoff.Error.Busy');
  });

  test('a sentence without one of its values, or with one too many, is no program', () => {
    // @ts-expect-error: the holders are missing.
    expect(say(sentence('refuse.held', { card: 'RTX' }))).toContain('{holders}');
    // @ts-expect-error: no value at all.
    expect(say(sentence('refuse.vm-running'))).toContain('{vm}');
    // @ts-expect-error: there is no such place.
    expect(say(sentence('refuse.no-iommu', { card: 'RTX' }))).not.toContain('RTX');
  });

  test('every glance that the presenter gives has its two texts', () => {
    for (const state of ['host', 'vm', 'detached', 'switching', 'stuck', 'something else'])
      for (const asleep of [true, false])
        for (const holders of [0, 1, 5]) {
          const card = {
            name: 'RTX',
            role: 'dgpu',
            state,
            asleep,
            driver: 'nvidia',
            vmName: 'win',
            why: 'so',
            obstacle: '',
          };
          const { label, line } = present(card, holders);
          expect(`${label} ${line}`).not.toMatch(/[{}]/);
          expect(line.length).toBeGreaterThan(0);
        }
  });
});

/** What must never reach a terminal: control characters, and marks that turn the direction of writing. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const DANGEROUS = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/;

/** No half of a character, which has no UTF-8. */
function isWhole(text: string): boolean {
  return Buffer.from(text, 'utf8').toString('utf8') === text;
}

describe('names that others chose', () => {
  const hostile = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 200 }),
    fc.string({
      unit: fc.constantFrom(
        'a',
        '\n',
        '\u001b',
        '\u202e',
        '\u200f',
        '\u061c',
        '\ud83d',
        '\udca9',
        '💩',
        '\u0085',
      ),
    }),
    fc
      .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 120 })
      .map((codes) => String.fromCharCode(...codes)),
  );

  test('nothing that commands a terminal or turns the text around comes through', () => {
    fc.assert(fc.property(hostile, (name) => !DANGEROUS.test(printable(name))));
  });

  test('they are whole characters, also where they were cut, so that the bus takes them', () => {
    fc.assert(
      fc.property(hostile, fc.integer({ min: 1, max: 90 }), (name, longest) =>
        isWhole(printable(name, longest)),
      ),
    );
  });

  test('they are never longer than asked for', () => {
    fc.assert(
      fc.property(
        hostile,
        fc.integer({ min: 1, max: 90 }),
        (name, longest) => printable(name, longest).length <= longest,
      ),
    );
  });

  test('ordinary names stay as they are', () => {
    for (const name of ['win11', 'Ein Gerät mit Umlauten', '日本語の名前', 'a{b}', 'café 💩', 'فارسی'])
      expect(printable(name)).toBe(name);
  });

  test('a long name is cut and says so', () => {
    expect(printable('x'.repeat(100), 10)).toBe('xxxxxxxxx…');
    expect(printable(`xxxxxxxx💩${'x'.repeat(9)}`, 10)).toBe('xxxxxxxx…');
    expect(printable('12345678\u001b90', 10)).toBe('12345678…');
  });

  test('what is thrown becomes one line that can be printed', () => {
    expect(reasonOf(new Error('first\nsecond'))).toBe('first');
    expect(reasonOf(new Error('domain \u001b[2Jevil'))).toBe('domain \\u001b[2Jevil');
    expect(reasonOf('text')).toBe('text');
    expect(reasonOf(undefined)).toBe('undefined');
    expect(reasonOf(new Error('x'.repeat(2000))).length).toBeLessThanOrEqual(500);
  });
});
