/** The plan of a sync over a model of one app's files: whatever is found there, nothing of the user's is lost. */
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Choice, Way } from '../../core/src/launch/entry.js';
import {
  type AppFiles,
  type AppPlan,
  entryState,
  planApp,
  planUndo,
  type SyncOperation,
  type SyncRules,
  sourceOf,
} from '../../core/src/launch/sync.js';
import { say } from '../../core/src/words.js';

const ID = 'app.desktop';
const PLACE = '/own/app.desktop';
const ORIGINAL = '/originals/app.desktop';
const BELOW = '/usr/app.desktop';
const WRAPPER = '/usr/bin/gpu-handoff-run';

const digest = (bytes: string): string => createHash('sha256').update(bytes, 'latin1').digest('hex');

/** Bytes by path. `saved` are those that got a name among the earlier files. */
interface Model {
  readonly files: Readonly<Record<string, string>>;
  readonly saved: readonly string[];
}

function filesOf({ files }: Model): AppFiles {
  const found = (path: string) => {
    const bytes = files[path];
    return bytes === undefined ? null : { path, bytes, mode: 0o644, identity: path };
  };
  return {
    id: ID,
    place: PLACE,
    own: found(PLACE),
    originalPath: ORIGINAL,
    original: found(ORIGINAL),
    below: found(BELOW),
  };
}

function without(files: Model['files'], path: string): Record<string, string> {
  return Object.fromEntries(Object.entries(files).filter(([name]) => name !== path));
}

function apply({ files, saved }: Model, operation: SyncOperation): Model {
  const at = (path: string): string => {
    const bytes = files[path];
    if (bytes === undefined) throw new Error(`${operation.kind} of ${path}, which is not there`);
    return bytes;
  };
  switch (operation.kind) {
    case 'write':
      return { files: { ...files, [operation.path]: operation.bytes }, saved };
    case 'keep':
      return { files: { ...files, [operation.to]: at(operation.from) }, saved };
    case 'restore':
      return { files: { ...without(files, operation.from), [operation.to]: at(operation.from) }, saved };
    case 'remove':
      at(operation.path);
      return { files: without(files, operation.path), saved };
    case 'save':
      return { files, saved: [...saved, at(operation.path)] };
  }
}

const carryOut = (model: Model, plan: AppPlan, count = plan.operations.length): Model =>
  plan.operations.slice(0, count).reduce(apply, model);

function rules(choice: Choice, more: Partial<SyncRules> = {}): SyncRules {
  return {
    choices: choice === 'untouched' ? {} : { [ID]: choice },
    way: 'wrapper',
    wrapper: WRAPPER,
    wrapperThere: true,
    digest,
    ...more,
  };
}

const entry = (exec: string): string => `[Desktop Entry]\nType=Application\nName=App\nExec=${exec}\n`;
const HIDDEN = '[Desktop Entry]\nType=Application\nHidden=true\n';

/** What a sync has written over this source. */
function written(source: string, choice: Exclude<Choice, 'untouched'>, way: Way): string {
  const plan = planApp(filesOf({ files: { [BELOW]: source }, saved: [] }), rules(choice, { way }));
  const [operation] = plan.operations;
  if (operation?.kind !== 'write') throw new Error('nothing was written');
  return operation.bytes;
}

const SOURCE = fc.constantFrom(entry('a %f'), entry('"b b" %U'), `${entry('c')}# \xff\r\n`);
const MADE = fc.constantFrom('always', 'offer', 'never' as const);
const WAY = fc.constantFrom<Way>('wrapper', 'switcheroo');
const OURS = fc.tuple(SOURCE, MADE, WAY).map(([source, choice, way]) => {
  try {
    return written(source, choice, way);
  } catch {
    // An entry that asks for nothing needs none that never asks.
    return written(source, 'always', way);
  }
});
const FOREIGN = fc.oneof(SOURCE, fc.constantFrom('', 'no entry', HIDDEN, entry('mine')));
const PLACED = fc.oneof(
  FOREIGN,
  OURS,
  OURS.map((bytes) => `${bytes}# edited\n`),
);

const MODEL: fc.Arbitrary<Model> = fc
  .record({
    own: fc.option(PLACED),
    original: fc.option(FOREIGN),
    below: fc.option(fc.oneof(SOURCE, fc.constant(HIDDEN))),
  })
  .map(({ own, original, below }) => {
    const files: Record<string, string> = {};
    for (const [path, bytes] of [
      [PLACE, own],
      [ORIGINAL, original],
      [BELOW, below],
    ] as const)
      if (bytes !== null) files[path] = bytes;
    return { files, saved: [] };
  });
const RULES = fc
  .record({
    choice: fc.oneof(MADE, fc.constant<Choice>('untouched')),
    way: fc.option(WAY),
    wrapperThere: fc.boolean(),
    noFile: fc.boolean(),
  })
  .map(({ choice, way, wrapperThere, noFile }) =>
    rules(choice, { way, wrapperThere, ...(noFile ? { choices: null } : {}) }),
  );

/** Bytes that the user or another program put into the user's folder. */
function usersOwn({ files }: Model): string[] {
  const own = files[PLACE];
  const state = entryState(filesOf({ files, saved: [] }), digest);
  const placed = own !== undefined && state !== 'in-place' ? [own] : [];
  return [...placed, ...(files[ORIGINAL] === undefined ? [] : [files[ORIGINAL]])];
}

const kept = (model: Model): string[] => [...Object.values(model.files), ...model.saved];

describe('a plan, whatever is found', () => {
  test('once carried out leaves nothing to do', () => {
    fc.assert(
      fc.property(MODEL, RULES, (model, how) => {
        const after = carryOut(model, planApp(filesOf(model), how));
        expect(planApp(filesOf(after), how).operations).toEqual([]);
      }),
      { numRuns: 2000 },
    );
  });

  test('leads to the same when it is broken off anywhere and made anew', () => {
    fc.assert(
      fc.property(MODEL, RULES, fc.nat(4), (model, how, count) => {
        const plan = planApp(filesOf(model), how);
        const broken = carryOut(model, plan, count);
        const after = carryOut(broken, planApp(filesOf(broken), how));
        expect(after.files).toEqual(carryOut(model, plan).files);
      }),
      { numRuns: 2000 },
    );
  });

  test('loses no byte that is not ours, broken off anywhere', () => {
    fc.assert(
      fc.property(MODEL, RULES, fc.nat(4), (model, how, count) => {
        const after = carryOut(model, planApp(filesOf(model), how), count);
        for (const bytes of usersOwn(model)) expect(kept(after)).toContain(bytes);
      }),
      { numRuns: 2000 },
    );
  });

  test('touches no folder but the user’s own', () => {
    fc.assert(
      fc.property(MODEL, RULES, (model, how) => {
        const after = carryOut(model, planApp(filesOf(model), how));
        expect(after.files[BELOW]).toBe(model.files[BELOW]);
      }),
    );
  });

  test('is undone to what was there, unless the user edited it', () => {
    fc.assert(
      fc.property(fc.option(FOREIGN), SOURCE, MADE, WAY, (own, below, choice, way) => {
        const before: Model = {
          files: own === null ? { [BELOW]: below } : { [BELOW]: below, [PLACE]: own },
          saved: [],
        };
        const during = carryOut(before, planApp(filesOf(before), rules(choice, { way })));
        expect(carryOut(during, planUndo(filesOf(during), digest))).toEqual(before);
        expect(carryOut(during, planApp(filesOf(during), rules('untouched')))).toEqual(before);
      }),
    );
  });

  test('at the user’s own word takes an edited entry away, and keeps it', () => {
    fc.assert(
      fc.property(MODEL, fc.nat(4), (model, count) => {
        const plan = planUndo(filesOf(model), digest);
        const broken = carryOut(model, plan, count);
        for (const bytes of usersOwn(model)) expect(kept(broken)).toContain(bytes);
        const after = carryOut(broken, planUndo(filesOf(broken), digest));
        expect(entryState(filesOf(after), digest)).toBe('');
      }),
      { numRuns: 2000 },
    );
  });
});

describe('the app’s own entry', () => {
  test.each<[string, Model['files'], string | null]>([
    ['the one of the system', { [BELOW]: entry('a') }, BELOW],
    ['the user’s own', { [BELOW]: entry('a'), [PLACE]: entry('b') }, PLACE],
    [
      'what is kept of the user’s own',
      { [BELOW]: entry('a'), [PLACE]: written(entry('b'), 'always', 'wrapper'), [ORIGINAL]: entry('b') },
      ORIGINAL,
    ],
    [
      'the one of the system below ours',
      { [BELOW]: entry('a'), [PLACE]: written(entry('a'), 'always', 'wrapper') },
      BELOW,
    ],
    ['none where it is hidden', { [BELOW]: HIDDEN }, null],
    ['none where the user hides it', { [BELOW]: entry('a'), [PLACE]: HIDDEN }, null],
    ['none where only ours is left', { [PLACE]: written(entry('a'), 'always', 'wrapper') }, null],
  ])('is %s', (_what, files, path) => {
    expect(sourceOf(filesOf({ files, saved: [] }), digest)?.path ?? null).toBe(path);
  });
});

describe('each change says why', () => {
  const reasons = (files: Model['files'], how: SyncRules): string[] =>
    planApp(filesOf({ files, saved: [] }), how).operations.map((one) => say(one.reason));
  const ours = written(entry('a'), 'always', 'wrapper');

  test.each<[string, Model['files'], SyncRules]>([
    ['The choice for the app is “always”.', { [BELOW]: entry('a') }, rules('always')],
    ['The choice for the app is “offer”.', { [BELOW]: entry('a'), [PLACE]: ours }, rules('offer')],
    ['The app’s own entry has changed.', { [BELOW]: entry('b'), [PLACE]: ours }, rules('always')],
    [
      'Entries now take the way “switcheroo” to the dGPU.',
      { [BELOW]: entry('a'), [PLACE]: ours },
      rules('always', { way: 'switcheroo' }),
    ],
    ['No choice is made for the app any more.', { [BELOW]: entry('a'), [PLACE]: ours }, rules('untouched')],
    ['The app is not installed; the choice is kept for its return.', { [PLACE]: ours }, rules('always')],
    [
      'The wrapper /usr/bin/gpu-handoff-run is not installed, and an entry that begins with it would not start; the choice is kept.',
      { [BELOW]: entry('a'), [PLACE]: ours },
      rules('always', { wrapperThere: false }),
    ],
  ])('%s', (reason, files, how) => {
    expect(reasons(files, how)).toEqual([reason]);
  });
});
