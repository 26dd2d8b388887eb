import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { setFaults, setGuest } from '../../core/src/linux/simulated/edit.js';
import { editModel, readModel } from '../../core/src/linux/simulated/model.js';
import { SimulatedCrash } from '../../core/src/linux/simulated/world.js';
import { ActError } from '../../core/src/machine.js';
import {
  acts,
  cleanUp,
  endOf,
  expectHonest,
  expectSame,
  GPU,
  type House,
  handOff,
  house,
  inhabit,
  quiet,
  SOUND,
  snapshot,
  stateOf,
  type Tap,
  takeBack,
  uuidOf,
  workstation,
} from './support-engine.js';

afterAll(cleanUp);

const guestRuns = (one: House): boolean => readModel(one.dir, 'machines').some((guest) => guest.running);

/** Lets the predecessor run into its crash. Its own end says nothing: it is gone. */
async function crashes(one: House, what: () => Promise<unknown>): Promise<boolean> {
  await what().catch(() => {});
  return one.machine.crashed;
}

/** A successor over the same directory, started; or the one that libvirt's hook had the bus start already. */
async function successor(one: House): Promise<House> {
  const next = activated.get(one) ?? inhabit(one.dir);
  if (!activated.has(one)) await next.engine.start();
  await quiet(next);
  return next;
}

/** Successors that the bus started because libvirt's hook asked for the helper. */
const activated = new Map<House, House>();

function activate(one: House): void {
  one.machine.onCrash = async () => {
    const next = inhabit(one.dir);
    activated.set(one, next);
    // As on the bus: the call that starts the helper waits with it.
    void next.engine.start();
  };
}

/**
 * The card is at one end, never between: with a running guest, from which it then comes all the way home, or at
 * home with everything as it was.
 */
async function expectOneEnd(next: House, before: unknown, card = GPU): Promise<'vm' | 'host'> {
  const state = stateOf(next, card);
  if (state === 'vm') {
    expect(guestRuns(next)).toBe(true);
    expect(endOf(await takeBack(next, card, true))).toBe('done');
  } else {
    expect([state, guestRuns(next)]).toEqual(['host', false]);
  }
  expectSame(next, before);
  return state === 'vm' ? 'vm' : 'host';
}

/** The acts of a hand-off of the laptop's card, and those of its way back. */
const OUT = 10;
const BACK = 11;

describe('the helper dies after an act of a hand-off', () => {
  test.each(Array.from({ length: OUT + 1 }, (_, n) => n))('%i', async (n) => {
    const one = await house();
    const before = snapshot(one);
    setFaults(one.dir, { crashAfter: n });
    expect(await crashes(one, () => handOff(one))).toBe(true);
    const next = await successor(one);
    expect(await expectOneEnd(next, before)).toBe(n === OUT ? 'vm' : 'host');
  });
});

describe('the helper dies after an act of a take-back', () => {
  test.each(Array.from({ length: BACK }, (_, n) => n))('%i', async (n) => {
    const one = await house();
    const before = snapshot(one);
    await handOff(one);
    setFaults(one.dir, { crashAfter: n });
    expect(await crashes(one, () => takeBack(one, GPU, n % 2 === 1))).toBe(true);
    activate(one);
    const next = await successor(one);
    await quiet(next);
    await expectOneEnd(next, before);
  });
});

/** Crashes when the note number `n` is about to be written or removed, so that it never stands. */
function crashAtNote(n: number): Tap & { readonly left: () => number } {
  let left = n;
  return {
    note: () => {
      if (left-- <= 0) throw new SimulatedCrash();
    },
    act: () => {
      if (left < 0) throw new SimulatedCrash();
    },
    left: () => left,
  };
}

describe('the helper dies before it could write a note', () => {
  test.each([0, 1, 3, 6, 9, 10, 11, 12, 13])('%i of a hand-off', async (n) => {
    const tap = crashAtNote(n);
    const one = await house('laptop', {}, tap);
    const before = snapshot(one);
    await handOff(one);
    expect(tap.left()).toBeLessThan(0);
    const next = await successor(one);
    await expectOneEnd(next, before);
  });

  test.each([0, 1, 2])('%i of a take-back', async (n) => {
    const first = await house();
    const before = snapshot(first);
    await handOff(first);
    const one = inhabit(first.dir, {}, crashAtNote(n));
    await one.engine.start();
    await takeBack(one, GPU, true);
    const next = await successor(one);
    await expectOneEnd(next, before);
  });
});

describe('the helper dies while libvirt waits in its hook', () => {
  test.each([0, 2, 4, 5, 8])('after %i acts of the start', async (n) => {
    const one = await house();
    const before = snapshot(one);
    activate(one);
    setFaults(one.dir, { crashAfter: n });
    await one.machine.startByOther(uuidOf(one)).catch(() => {});
    const next = await successor(one);
    await quiet(next);
    await expectOneEnd(next, before);
  });

  test.each([0, 1, 4, 6, 9])('after %i acts of the end', async (n) => {
    const one = await house();
    const before = snapshot(one);
    await one.machine.startByOther(uuidOf(one));
    await quiet(one);
    activate(one);
    setFaults(one.dir, { crashAfter: n });
    await one.machine.shutDownInside(uuidOf(one)).catch(() => {});
    const next = await successor(one);
    await quiet(next);
    expect(await expectOneEnd(next, before)).toBe('host');
  });
});

describe('other cards', () => {
  test.each([0, 1, 2, 3])('AMD: the helper dies after %i acts of a hand-off', async (n) => {
    const one = await house('desktop-amd');
    const before = snapshot(one);
    setFaults(one.dir, { crashAfter: n });
    await crashes(one, () => handOff(one));
    await expectOneEnd(await successor(one), before, '0000:03:00.0');
  });

  test.each([4, 8, 9])('two cards in one VM: after %i acts', async (n) => {
    const one = await house('two-nvidia');
    const before = snapshot(one);
    setFaults(one.dir, { crashAfter: n });
    await crashes(one, () => handOff(one, 'both-cards'));
    await expectOneEnd(await successor(one), before);
  });

  test('another VM’s guest is not disturbed by the mending', async () => {
    const one = await house('two-dgpus');
    expect(endOf(await handOff(one, 'macos'))).toBe('done');
    setFaults(one.dir, { crashAfter: 6 });
    await crashes(one, () => handOff(one, 'win11'));
    const next = await successor(one);
    expect([stateOf(next, GPU), stateOf(next, '0000:04:00.0')]).toEqual(['host', 'vm']);
    expect(endOf(await takeBack(next, '0000:04:00.0'))).toBe('done');
    expectHonest(next);
  });
});

describe('a successor', () => {
  test('with nothing to mend does nothing and says nothing', async () => {
    const one = await house();
    await handOff(one);
    const next = inhabit(one.dir);
    await next.engine.start();
    expect(next.machine.acts).toEqual([]);
    expect(next.engine.published().operation).toBeNull();
    expect(stateOf(next)).toBe('vm');
  });

  test('that mended says what became of it', async () => {
    const one = await house();
    setFaults(one.dir, { crashAfter: 5 });
    await crashes(one, () => handOff(one));
    const next = await successor(one);
    const { operation } = next.engine.published();
    expect([operation?.kind, operation?.state, operation?.cancellable]).toEqual(['recover', 'done', false]);
    expect(operation?.sentence).toMatchObject({ key: 'fail.helper-restarted' });
    expect(operation?.steps.length).toBeGreaterThan(3);
  });

  test('may die as well, in the middle of the mending', async () => {
    const one = await house();
    const before = snapshot(one);
    setFaults(one.dir, { crashAfter: 9 });
    await crashes(one, () => handOff(one));
    for (const n of [0, 2, 4, 6]) {
      setFaults(one.dir, { crashAfter: n });
      const middle = inhabit(one.dir);
      await crashes(middle, () => middle.engine.start());
    }
    setFaults(one.dir, {});
    const next = await successor(one);
    expect(await expectOneEnd(next, before)).toBe('host');
  });

  test('answers calls only after the mending', async () => {
    const one = await house();
    const before = snapshot(one);
    setFaults(one.dir, { crashAfter: 6 });
    await crashes(one, () => handOff(one));
    const next = inhabit(one.dir);
    const started = next.engine.start();
    const report = await next.engine.holders(GPU);
    expect(report.holders.length).toBe(2);
    await started;
    expectSame(next, before);
  });

  test('hears of a VM’s start while it mends: the VM starts after it', async () => {
    const one = await house();
    setFaults(one.dir, { crashAfter: 7 });
    await crashes(one, () => handOff(one));
    const next = inhabit(one.dir);
    const started = next.engine.start();
    await next.machine.startByOther(uuidOf(next));
    await started;
    await quiet(next);
    expect(stateOf(next)).toBe('vm');
    expect(endOf(await takeBack(next))).toBe('done');
    expectHonest(next);
  });

  test('hears of a guest’s end while it mends another: both come home', async () => {
    const one = await house('two-dgpus');
    const before = snapshot(one);
    await handOff(one, 'macos');
    setFaults(one.dir, { crashAfter: 7 });
    await crashes(one, () => handOff(one, 'win11'));
    const next = inhabit(one.dir);
    const started = next.engine.start();
    await next.machine.shutDownInside(uuidOf(next, 'macos'));
    await started;
    await quiet(next);
    // What was published in between may be older than the guest’s end, by as much as the look took.
    expect(snapshot(next)).toEqual(before);
  });

  test('finds a guest that ended meanwhile, and brings its card home', async () => {
    const one = await house();
    const before = snapshot(one);
    await handOff(one);
    setGuest(one.dir, 'win11', { running: false, pid: null });
    const next = await successor(one);
    expect(await expectOneEnd(next, before)).toBe('host');
    expect(next.engine.published().operation?.kind).toBe('recover');
  });

  test('waits for a guest that libvirt is just starting', async () => {
    const one = await house();
    setGuest(one.dir, 'win11', { startMs: 10_000 });
    const starting = one.machine.startByOther(uuidOf(one));
    await one.machine.clock.sleep(2000);
    // The helper is gone; libvirt goes on.
    const next = inhabit(one.dir);
    const started = next.engine.start();
    await starting;
    await started;
    await quiet(next);
    expect(stateOf(next)).toBe('vm');
    expect(endOf(await takeBack(next))).toBe('done');
    expectHonest(next);
  });

  test('that cannot see whether a guest has the card leaves it where it is, and tries again next time', async () => {
    const one = await house();
    const before = snapshot(one);
    await handOff(one);
    setGuest(one.dir, 'win11', { running: false, pid: null });
    setFaults(one.dir, { passIncomplete: true });
    const blind = inhabit(one.dir);
    await blind.engine.start();
    expect(blind.machine.acts).toEqual([]);
    setFaults(one.dir, {});
    const next = await successor(blind);
    expect(await expectOneEnd(next, before)).toBe('host');
  });

  test('that cannot see it in the middle of a hand-off keeps what is known of the way back', async () => {
    const one = await house();
    const before = snapshot(one);
    setFaults(one.dir, { crashAfter: 10 });
    await crashes(one, () => handOff(one));
    setFaults(one.dir, { unseen: 1 });
    setGuest(one.dir, 'win11', { running: false, pid: null });
    const blind = inhabit(one.dir);
    await blind.engine.start();
    expect(blind.machine.acts).toEqual([]);
    setFaults(one.dir, {});
    const next = await successor(blind);
    expect(await expectOneEnd(next, before)).toBe('host');
  });

  test('whose mending fails keeps what is known, and a take-back finishes it', async () => {
    const one = await house();
    const before = snapshot(one);
    setFaults(one.dir, { crashAfter: 9 });
    await crashes(one, () => handOff(one));
    let fails = true;
    const next = inhabit(
      one.dir,
      {},
      {
        act: (act) => {
          if (fails && act.do === 'load-modules') throw new ActError('failed', 'modprobe: exec format error');
        },
      },
    );
    await next.engine.start();
    expect(endOf(next.engine.published().operation)).toMatch(/^failed Failed: .*exec format error/);
    expect(stateOf(next)).toBe('detached');
    fails = false;
    expect(endOf(await takeBack(next))).toBe('done');
    expectSame(next, before);
  });

  test('whose mending of one card fails mends the other all the same', async () => {
    const one = await house('two-dgpus');
    await handOff(one, 'macos');
    setFaults(one.dir, { crashAfter: 8 });
    await crashes(one, () => handOff(one, 'win11'));
    setGuest(one.dir, 'macos', { running: false, pid: null });
    const next = inhabit(
      one.dir,
      {},
      {
        act: (act) => {
          if (act.do === 'load-modules') throw new ActError('failed', 'modprobe: exec format error');
        },
      },
    );
    await next.engine.start();
    expect(next.engine.published().operation?.state).toBe('failed');
    expect([stateOf(next, GPU), stateOf(next, '0000:04:00.0')]).toEqual(['detached', 'host']);
  });

  test('leaves a card alone that hangs in the kernel', async () => {
    const one = await house();
    setFaults(one.dir, { crashAfter: 7 });
    await crashes(one, () => handOff(one));
    setFaults(one.dir, { hangs: { path: `${GPU}/driver_override` } });
    const next = inhabit(one.dir);
    await next.engine.start();
    expect(next.engine.published().operation?.failure).toBe('Stuck');
    expect(stateOf(next)).toBe('stuck');
    const third = inhabit(one.dir);
    await third.engine.start();
    expect(third.machine.acts).toEqual([]);
    expect(stateOf(third)).toBe('stuck');
  });
});

describe('a crash without a memory', () => {
  test('in the middle of bringing home a card that nobody remembers: finished by the successor', async () => {
    const one = await house();
    await handOff(one);
    setGuest(one.dir, 'win11', { running: false, pid: null });
    one.machine.notes.readAll().forEach((_value, name) => {
      one.machine.notes.remove(name);
    });
    const second = inhabit(one.dir);
    await second.engine.start();
    setFaults(one.dir, { crashAfter: 4 });
    await crashes(second, () => takeBack(second));
    const next = await successor(second);
    expect(stateOf(next)).toBe('host');
    expect(readdirSync(join(one.dir, 'run/modprobe.d'))).toEqual([]);
    expect(readdirSync(join(one.dir, 'run/gpu-handoff'))).toEqual([]);
    expectHonest(next);
  });
});

describe('notes that say nothing about this machine as it is', () => {
  const notesOf = (dir: string): string[] => readdirSync(join(dir, 'run/gpu-handoff')).sort();

  function leave(dir: string, file: string, text: string): void {
    mkdirSync(join(dir, 'run/gpu-handoff'), { recursive: true });
    writeFileSync(join(dir, 'run/gpu-handoff', file), text);
  }

  test.each<[string, string, string]>([
    ['half a journal', 'journal.json', '{"version":1,"bootId":"'],
    ['an empty journal', 'journal.json', ''],
    ['a journal of another shape', 'journal.json', '{"version":1}'],
    [
      'a journal of another boot',
      'journal.json',
      JSON.stringify({ version: 1, bootId: 'other', started: [] }),
    ],
    ['a VM’s cards of another boot', 'held-11111111-1111-4111-8111-111111111111.json', '{"bootId":"other"}'],
    [
      'a stuck card of another boot',
      'stuck-0000-01-00-0.json',
      '{"version":1,"bootId":"other","card":"x","what":"y"}',
    ],
    ['something unknown', 'something.json', '[]'],
  ])('%s: nothing is done, and it is removed', async (_what, file, text) => {
    const dir = workstation();
    leave(dir, file, text);
    const one = inhabit(dir);
    await one.engine.start();
    expect(one.machine.acts).toEqual([]);
    expect(stateOf(one)).toBe('host');
    expect(one.engine.published().operation).toBeNull();
    expect(notesOf(dir)).toEqual([]);
    expect(endOf(await handOff(one))).toBe('done');
  });

  test('a note under the name of another VM is not believed', async () => {
    const one = await house();
    await handOff(one);
    const [file] = notesOf(one.dir).filter((name) => name.startsWith('held-'));
    const value = one.machine.notes.readAll().get(file?.replace('.json', '') ?? '');
    leave(one.dir, 'held-22222222-2222-4222-8222-222222222222.json', JSON.stringify(value));
    const next = inhabit(one.dir);
    await next.engine.start();
    expect(notesOf(one.dir)).toEqual([file]);
    expect(stateOf(next)).toBe('vm');
  });

  test('half a journal beside the note of a guest: the guest is believed', async () => {
    const one = await house();
    const before = snapshot(one);
    await handOff(one);
    leave(one.dir, 'journal.json', '{"version":1,"boot');
    const next = inhabit(one.dir);
    await next.engine.start();
    expect(stateOf(next)).toBe('vm');
    expect(next.machine.acts).toEqual([]);
    expect(endOf(await takeBack(next))).toBe('done');
    expectSame(next, before);
  });

  test('a journal that was lost in the middle: the card can be taken back all the same', async () => {
    const one = await house();
    setFaults(one.dir, { crashAfter: 9 });
    await crashes(one, () => handOff(one));
    leave(one.dir, 'journal.json', '{"ver');
    const next = inhabit(one.dir);
    await next.engine.start();
    expect(stateOf(next)).toBe('detached');
    expect(endOf(await takeBack(next))).toBe('done');
    expect(stateOf(next)).toBe('host');
    expect(readdirSync(join(one.dir, 'run/modprobe.d'))).toEqual([]);
    const functions = next.machine.eyes
      .hardware()
      .functions.filter((fn) => [GPU, SOUND].includes(fn.address));
    expect(functions.map((fn) => fn.driverOverride)).toEqual([null, null]);
    expect(acts(next)).toContain('load-modules');
    expectHonest(next);
  });

  test('services of which nobody knows any more that they ran are not started', async () => {
    const one = await house();
    editModel(one.dir, 'services', (services) => {
      for (const service of services) service.active = false;
    });
    setFaults(one.dir, { crashAfter: 5 });
    await crashes(one, () => handOff(one));
    const next = await successor(one);
    expect(acts(next)).not.toContain('start-services');
    expect(stateOf(next)).toBe('host');
  });
});
