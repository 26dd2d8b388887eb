import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromUtf8, fromWord, toUtf8, toWord } from '../../core/src/launch/bytes.js';
import { isAsWritten, provenanceOf, readEntry, undoEntry } from '../../core/src/launch/entry.js';
import { linesOf } from '../../core/src/launch/key-file.js';
import { digest, made, WAYS } from './support-launch.js';

const byte = fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code));
const noise = fc.string({ unit: byte, maxLength: 12 });
const space = fc.constantFrom('', '', '', ' ', '\t', '  ', '\r', '\f');
const key = fc.constantFrom(
  ...[
    'Name',
    'Name[de]',
    'Exec',
    'Exec[de]',
    'Exec[$e]',
    'Actions',
    'DBusActivatable',
    'Type',
    'Icon',
    'TryExec',
  ],
  ...[
    'PrefersNonDefaultGPU',
    'X-KDE-RunOnDiscreteGpu',
    'Terminal',
    'NoDisplay',
    'X-SnapInstanceName',
    'Actions[de]',
  ],
  ...[
    'X-GpuHandoff-Version',
    'X-GpuHandoff-Undo',
    'X-GpuHandoff-Digest',
    'X-GpuHandoff-Choice',
    'X-GpuHandoff-Own',
  ],
);
const value = fc.oneof(
  noise,
  fc.constantFrom(
    'true',
    'false',
    '1',
    'tool %U',
    'tool "a b" \\\\$c',
    'tool "a',
    "'a b' c",
    'A=1 tool',
    '#tool',
  ),
  fc.constantFrom('a;b', 'a;b;', 'a\\;', 'gpu-handoff-run;', '/usr/bin/gpu-handoff-run tool', 'env A=1 tool'),
  fc.constantFrom('Application', '1;0:*:', '5;0:1:x;3:*:', 'offer'),
);
const group = fc.constantFrom(
  ...[
    '[Desktop Entry]',
    '[Desktop Entry] ',
    ' [Desktop Entry]',
    '[Desktop Action a]',
    '[Desktop Action gpu-handoff-run]',
  ],
  ...['[Other]', '[New Shortcut Group]', '[Desktop Entry][$i]', '[Desktop Entry][x]', '[broken', '[]'],
);
const line = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .tuple(space, key, space, space, value, space)
      .map(([a, k, b, c, v, d]) => `${a}${k}${b}=${c}${v}${d}`),
  },
  { weight: 2, arbitrary: group },
  { weight: 1, arbitrary: fc.constantFrom('', ' ', '# comment', '#[Desktop Entry]', '=', 'no key') },
  { weight: 1, arbitrary: noise },
);
const ending = fc.constantFrom('\n', '\n', '\n', '\r\n', '\r', '\n\n');

/** Key files of every kind; most of them have an entry that can be rewritten. */
const keyFile = fc
  .tuple(
    fc.boolean(),
    fc.array(fc.tuple(line, ending), { maxLength: 14 }),
    fc.array(fc.tuple(line, ending), { maxLength: 14 }),
    ending,
    fc.boolean(),
  )
  .map(([leading, before, after, end, cut]) => {
    const text = (lines: [string, string][]): string => lines.map(([one, its]) => one + its).join('');
    const head = ['[Desktop Entry]', 'Type=Application', 'Exec=tool %U'].map((one) => one + end).join('');
    const bytes = `${leading ? text(before) : ''}${head}${text(after)}`;
    return cut ? bytes.replace(/[\r\n]+$/, '') : bytes;
  });

const RUNS = { numRuns: 1500 };

/** What was made of a file, or null where nothing is made. */
function tried(source: string, how: (typeof WAYS)[number]): string | null {
  try {
    return made(source, how);
  } catch (error) {
    if (error instanceof Error && error.message.startsWith('entry.')) return null;
    throw error;
  }
}

describe('of any key file', () => {
  test('most can be rewritten, so that what follows tests something', () => {
    const files = fc.sample(keyFile, { numRuns: 400, seed: 1 });
    expect(
      files.filter((source) => tried(source, { choice: 'offer', way: 'wrapper' }) !== null).length,
    ).toBeGreaterThan(150);
  });

  test.each(WAYS)('$choice by $way, then undone, is the file byte for byte', (how) => {
    fc.assert(
      fc.property(keyFile, (source) => {
        const bytes = tried(source, how);
        if (bytes === null) return;
        expect(undoEntry(bytes)).toBe(source);
        expect(isAsWritten(bytes, digest)).toBe(true);
        expect(provenanceOf(bytes)).toMatchObject({ ...how, sourceDigest: digest(source) });
      }),
      RUNS,
    );
  });

  test.each(WAYS)('$choice by $way twice is once, and after any other', (how) => {
    fc.assert(
      fc.property(keyFile, fc.constantFrom(...WAYS), (source, other) => {
        const once = tried(source, how);
        const first = tried(source, other);
        if (once === null || first === null) return;
        expect(made(once, how)).toBe(once);
        expect(made(first, how)).toBe(once);
      }),
      RUNS,
    );
  });

  test.each(WAYS)('$choice by $way keeps every line that need not change, in order', (how) => {
    const touched =
      /^\s*(Exec|Actions|DBusActivatable|PrefersNonDefaultGPU|X-KDE-RunOnDiscreteGpu|X-GpuHandoff-)/;
    fc.assert(
      fc.property(keyFile, (source) => {
        const bytes = tried(source, how);
        if (bytes === null) return;
        const have = bytes.split('\n');
        let at = 0;
        for (const one of source.split('\n').filter((text) => !touched.test(text))) {
          while (at < have.length && have[at] !== one && have[at] !== `${one}\r`) at++;
          expect(at, JSON.stringify(one)).toBeLessThan(have.length);
          at++;
        }
      }),
      RUNS,
    );
  });

  test('reading never fails, and the lines are the bytes', () => {
    fc.assert(
      fc.property(fc.oneof(keyFile, fc.string({ unit: byte, maxLength: 200 })), (source) => {
        readEntry(source, 'de_DE');
        undoEntry(source);
        provenanceOf(source);
        const lines = linesOf(source);
        expect(lines.map(({ start, next }) => source.slice(start, next)).join('')).toBe(source);
      }),
      RUNS,
    );
  });
});

describe('bytes', () => {
  test('UTF-8 is read and written as Node does', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(toUtf8(text)).toBe(Buffer.from(text, 'utf8').toString('latin1'));
        expect(fromUtf8(toUtf8(text))).toBe(Buffer.from(text, 'utf8').toString('utf8'));
      }),
    );
  });

  test('bytes that are no UTF-8 are read without loss of what is', () => {
    fc.assert(
      fc.property(noise, (bytes) => {
        expect(fromUtf8(`a${bytes}z`)).toMatch(/^a[\s\S]*z$/);
      }),
    );
  });

  test.each(['\xc0\xaf', '\xe0\x80\xaf', '\xed\xa0\x80', '\xf4\x90\x80\x80', '\xf8\x88'])(
    'what only looks like UTF-8 is none: %j',
    (bytes) => {
      expect(fromUtf8(bytes)).toBe('\ufffd'.repeat(bytes.length));
    },
  );

  test('words stand for bytes', () => {
    fc.assert(
      fc.property(noise, (bytes) => {
        expect(toWord(bytes)).toMatch(/^[!-~]*$/);
        expect(fromWord(toWord(bytes))).toBe(bytes);
      }),
    );
    expect(fromWord('%4')).toBeNull();
    expect(fromWord('a b')).toBeNull();
  });
});
