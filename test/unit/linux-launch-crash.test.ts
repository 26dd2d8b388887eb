/** A sync that ends between any two acts on the disk: every entry is the old or the new one, and the next sync finishes. */
import { symlinkSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { entry, LaunchHome, OWN } from './support-launch-home.js';

class Crash extends Error {}

/** Acts that write the index. */
const INDEX_ACTS = 2;

/** Ends the work before its act number `at`, and counts the acts. */
function crashAt(at: number): { step: () => void; count: () => number } {
  let acts = 0;
  return {
    step: () => {
      acts += 1;
      if (acts >= at) throw new Crash();
    },
    count: () => acts,
  };
}

type Home = LaunchHome;

/** What differs from one temporary home to the next: its path, and digests of what has it in it. */
function withoutHome(home: Home, file: string): string {
  return file.replaceAll(home.top, 'TOP').replace(/^(X-GpuHandoff-Digest)=[0-9a-f]{64}$/m, '$1');
}

/** Links and bytes with permissions, by path; without the times of files that are made anew. */
function picture(home: Home): Record<string, string> {
  return Object.fromEntries(
    Object.entries(home.tree())
      .filter(([name]) => !name.includes('.gpu-handoff-'))
      .map(([name, file]) => [name, withoutHome(home, file.replace(/^(\d+) [\d.]+ /, '$1 '))]),
  );
}

/**
 * Whether the act ended in the crash that was meant. One that is done before act number `at` does not: the index is
 * only written once the clock has moved on from the last change.
 */
async function crashes(act: Promise<unknown>): Promise<boolean> {
  try {
    await act;
    return false;
  } catch (fault) {
    if (fault instanceof Crash) return true;
    throw fault;
  }
}

interface Scenario {
  readonly name: string;
  /** Nothing of ours is there before, so that undoing gives back what is there before. */
  readonly fresh: boolean;
  readonly prepare: (home: Home) => Promise<void> | void;
  readonly act: (home: Home, step?: () => void) => Promise<unknown>;
}

const SCENARIOS: readonly Scenario[] = [
  {
    name: 'new entries, some over the user’s own',
    fresh: true,
    prepare: (home) => {
      for (let i = 0; i < 4; i += 1) home.install(`app${i}.desktop`);
      home.own('app1.desktop', entry({ exec: 'own' }), 0o640);
      home.write('home/dot.desktop', entry({ exec: 'dotfile' }));
      symlinkSync(home.path('home/dot.desktop'), home.path(`${OWN}/app2.desktop`));
      const ids = [0, 1, 2, 3].map((i) => `app${i}.desktop`);
      home.choices(Object.fromEntries(ids.map((id) => [id, 'always'])));
    },
    act: (home, step) => home.sync(step),
  },
  {
    name: 'many new entries',
    fresh: true,
    prepare: (home) => {
      for (let i = 0; i < 9; i += 1) home.install(`app${i}.desktop`);
      const ids = Array.from({ length: 9 }, (_, i) => `app${i}.desktop`);
      home.choices(Object.fromEntries(ids.map((id) => [id, 'offer'])));
    },
    act: (home, step) => home.sync(step),
  },
  {
    name: 'sources that change and go',
    fresh: false,
    prepare: async (home) => {
      for (let i = 0; i < 3; i += 1) {
        home.install(`app${i}.desktop`);
        await home.choose(`app${i}.desktop`, 'always');
      }
      home.install('app0.desktop', entry({ exec: 'changed' }));
      home.remove('usr/share/applications/app1.desktop');
    },
    act: (home, step) => home.sync(step),
  },
  {
    name: 'a user’s file that is written anew by its program',
    fresh: false,
    prepare: async (home) => {
      home.own('app.desktop', entry({ exec: 'first' }));
      await home.choose('app.desktop', 'always');
      home.remove(`${OWN}/app.desktop`);
      home.own('app.desktop', entry({ exec: 'second' }));
    },
    act: (home, step) => home.sync(step),
  },
  {
    name: 'a choice',
    fresh: true,
    prepare: (home) => {
      home.install('app.desktop');
      home.own('app.desktop', entry({ exec: 'own' }));
    },
    act: (home, step) => home.choose('app.desktop', 'always', step),
  },
  {
    name: 'the user’s list of which apps open which files',
    fresh: true,
    prepare: (home) => {
      home.install('a.desktop');
      home.install('mimeinfo.cache', '[MIME Cache]\nimage/png=b.desktop;a.desktop;\n');
      home.own('mimeinfo.cache', '[MIME Cache]\ntext/plain=mine.desktop;\n');
      home.choices({ 'a.desktop': 'always' });
    },
    act: (home, step) => home.sync(step),
  },
  {
    name: 'undoing everything, an edited entry among it',
    fresh: false,
    prepare: async (home) => {
      for (const id of ['a.desktop', 'b.desktop', 'c.desktop', 'd.desktop']) {
        home.install(id);
        if (id > 'b') home.own(id, entry({ exec: `own-${id}` }), 0o600);
        await home.choose(id, 'always');
      }
      for (const id of ['b.desktop', 'd.desktop']) home.own(id, `${home.read(`${OWN}/${id}`)}# edited\n`);
    },
    act: (home, step) => home.undo(null, step),
  },
];

async function prepared(scenario: Scenario): Promise<Home> {
  const home = new LaunchHome();
  await scenario.prepare(home);
  return home;
}

/** Each act is a home of its own. */
const LIMIT_MS = 120_000;

describe.each(SCENARIOS)('$name', { timeout: LIMIT_MS }, (scenario) => {
  it('is old or new after a crash at any place, and finished by the same act again', async () => {
    const whole = await prepared(scenario);
    const counter = crashAt(Number.POSITIVE_INFINITY);
    const before = picture(whole);
    await scenario.act(whole, counter.step);
    const after = picture(whole);
    whole.close();
    expect(after).not.toEqual(before);
    expect(counter.count()).toBeGreaterThan(2);

    let crashed = 0;
    for (let at = 1; at <= counter.count(); at += 1) {
      const home = await prepared(scenario);
      if (await crashes(scenario.act(home, crashAt(at).step))) crashed += 1;
      const left = picture(home);
      for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
        const place = `act ${at}: ${name} is ${left[name]}`;
        expect([before[name], after[name]], place).toContain(left[name]);
      }
      await scenario.act(home);
      expect(picture(home), `finished after act ${at}`).toEqual(after);
      expect(Object.keys(home.tree()).filter((name) => name.includes('.tmp'))).toEqual([]);
      home.close();
    }
    expect(crashed).toBeGreaterThanOrEqual(counter.count() - INDEX_ACTS);
  });
});

describe.each(SCENARIOS.filter((one) => one.fresh))('$name', { timeout: LIMIT_MS }, (scenario) => {
  it('gives back exactly what was there when it is undone after a crash at any place', async () => {
    const whole = await prepared(scenario);
    const counter = crashAt(Number.POSITIVE_INFINITY);
    await scenario.act(whole, counter.step);
    whole.close();
    for (let at = 1; at <= counter.count(); at += 1) {
      const home = await prepared(scenario);
      const before = picture(home);
      await crashes(scenario.act(home, crashAt(at).step));
      await home.undo(null);
      expect(picture(home), `after act ${at}`).toEqual(before);
      home.close();
    }
  });
});
