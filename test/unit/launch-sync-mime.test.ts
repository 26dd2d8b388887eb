/** The user's list of which apps open which files, beside entries of ours. */
import { describe, expect, test } from 'vitest';
import { isOurCache, withMasked } from '../../core/src/launch/mime-cache.js';

const cache = (lines: string): string => `[MIME Cache]\n${lines}`;

/** The lists without what stands before them. */
function lists(text: string | null): string[] {
  return (text ?? '').split('\n').filter((line) => line.includes('='));
}

describe('the list of the user’s folder', () => {
  test('has for the types of a masked app all apps in their order, and no other types', () => {
    const system = cache('image/png=viewer.desktop;editor.desktop;\ntext/plain=pad.desktop;\n');
    expect(lists(withMasked(null, ['editor.desktop'], [system]))).toEqual([
      'image/png=viewer.desktop;editor.desktop;',
    ]);
  });

  test('keeps what the user’s own has, before the others', () => {
    const own = cache('image/png=mine.desktop;\nvideo/mp4=mine.desktop;\n');
    const system = cache('image/png=viewer.desktop;editor.desktop;\n');
    expect(lists(withMasked(own, ['editor.desktop'], [system]))).toEqual([
      'image/png=mine.desktop;viewer.desktop;editor.desktop;',
      'video/mp4=mine.desktop;',
    ]);
  });

  test('has those of earlier folders first', () => {
    const flatpak = cache('image/png=flat.desktop;editor.desktop;\n');
    const system = cache('image/png=viewer.desktop;flat.desktop;\n');
    expect(lists(withMasked(null, ['editor.desktop'], [flatpak, system]))).toEqual([
      'image/png=flat.desktop;editor.desktop;viewer.desktop;',
    ]);
  });

  test.each([
    ['no app has an entry', [] as string[], cache('image/png=editor.desktop;\n')],
    ['the apps open no files', ['game.desktop'], cache('image/png=editor.desktop;\n')],
    ['there is no list', ['editor.desktop'], ''],
  ])('is not made where %s', (_where, ids, system) => {
    expect(withMasked(cache('a/b=c.desktop;\n'), ids, [system])).toBeNull();
  });

  test('is known again', () => {
    const made = withMasked(null, ['a.desktop'], [cache('x/y=a.desktop;\n')]);
    expect(isOurCache(made ?? '')).toBe(true);
    expect(isOurCache(cache('x/y=a.desktop;\n'))).toBe(false);
  });

  test('is not led astray by names that objects have', () => {
    const system = cache('__proto__=constructor;a.desktop;\nconstructor=a.desktop;\n');
    expect(lists(withMasked(null, ['a.desktop'], [system]))).toEqual([
      '__proto__=constructor;a.desktop;',
      'constructor=a.desktop;',
    ]);
  });
});
