import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { headOf, widthOf } from '../../cli/src/render/width.js';
import { knowsUtf8 } from '../../cli/src/terminal.js';
import { paper } from './support-cli.js';

describe('how wide a text is', () => {
  test.each([
    ['plain', 5],
    ['', 0],
    ['Gerät', 5],
    ['Gera\u0308t', 5],
    ['日本語', 6],
    ['ﾊﾝｶｸ', 4],
    ['한국어', 6],
    ['🎮', 2],
    ['👩‍💻', 2],
    ['❤️', 2],
    ['e\u200b', 1],
    ['“…”', 3],
  ])('%s takes %i columns', (text, columns) => {
    expect(widthOf(text)).toBe(columns);
  });

  test('a head never exceeds its columns, and is the whole where that fits', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.nat(40), (text, columns) => {
        const head = headOf(text, columns);
        expect(widthOf(head)).toBeLessThanOrEqual(columns);
        expect(text.startsWith(head)).toBe(true);
        if (widthOf(text) <= columns) expect(head).toBe(text);
      }),
    );
  });

  test('no character is cut in two', () => {
    expect(headOf('👩‍💻👩‍💻', 3)).toBe('👩‍💻');
    expect(headOf('日本', 3)).toBe('日');
  });
});

describe('paper', () => {
  const lines = (text: string): string[] => text.split('\n');

  test('whatever the text and the width, no line is longer than the paper', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme', maxLength: 300 }),
        fc.integer({ min: 20, max: 140 }),
        fc.boolean(),
        (text, columns, unicode) => {
          const on = paper(columns, { unicode });
          const written = [
            on.wrap(text, 4, '  ! '),
            on.sides(
              text,
              text,
              '* ',
              (t) => t,
              (t) => t,
            ),
            on.fit(text, columns),
          ];
          for (const line of written.flatMap(lines))
            expect(widthOf(line)).toBeLessThanOrEqual(on.columns ?? 0);
        },
      ),
    );
  });

  test('words are kept whole where they fit', () => {
    expect(paper(20).wrap('one two three four five six', 2)).toBe('  one two three four\n  five six');
  });

  test('in a pipe nothing is broken or cut', () => {
    const long = 'word '.repeat(100).trim();
    expect(paper(null).wrap(long, 2)).toBe(`  ${long}`);
    expect(paper(null).fit(long, 5)).toBe(long);
  });

  test('a name cannot send anything to the terminal', () => {
    const hostile = 'win\u001b[31m\u0007\n\u202e11';
    const shown = paper(80).plain(hostile);
    expect(shown).not.toMatch(/\p{Cc}|\u202e/u);
    expect(shown).toBe('win\\u001b[31m\\u0007\\n\\u202e11');
  });

  test('where the locale is not UTF-8 only ASCII is written', () => {
    const on = paper(80, { unicode: false });
    expect(on.plain('The VM “Gerät” can’t… – 日')).toBe('The VM "Ger?t" can\'t... - ?');
    expect(on.symbol('done')).toBe('+');
    expect(on.fit('a long name', 8)).toBe('a lon...');
  });

  test('without colour there is no escape sequence, with it every one is closed', () => {
    expect(paper(80).bold('x')).toBe('x');
    expect(paper(80, { colour: true }).tone('bad', 'x')).toBe('\u001b[31mx\u001b[39m');
  });

  test('styles do not count as width', () => {
    const plain = paper(30).wrap('a b c d e f g h i j k l m n o p q', 4, '  ! ');
    const on = paper(30, { colour: true });
    const styled = on.wrap('a b c d e f g h i j k l m n o p q', 4, `  ${on.style('yellow', '!')} `);
    expect(styled.replace('\u001b[33m', '').replace('\u001b[39m', '')).toBe(plain);
  });
});

test('the character set is that of the variable that counts', () => {
  expect(knowsUtf8({ LANG: 'de_DE.UTF-8' })).toBe(true);
  expect(knowsUtf8({ LANG: 'de_DE.UTF-8', LC_ALL: 'C' })).toBe(false);
  expect(knowsUtf8({ LC_CTYPE: 'C.utf8' })).toBe(true);
  expect(knowsUtf8({})).toBe(false);
});
