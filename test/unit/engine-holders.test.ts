import { afterAll, describe, expect, test } from 'vitest';
import { POWERS, type Power } from '../../core/src/contract.js';
import type { EndOptions } from '../../core/src/engine/end-holders.js';
import { choose, powerToEnd } from '../../core/src/engine/end-holders.js';
import { addProcess, setFaults } from '../../core/src/linux/simulated/edit.js';
import { editModel, type ProcessModel, readModel } from '../../core/src/linux/simulated/model.js';
import type { Operation } from '../../core/src/operation.js';
import { say } from '../../core/src/words.js';
import {
  acts,
  cleanUp,
  endOf,
  expectHonest,
  GPU,
  type House,
  handOff,
  house,
  stateOf,
  stepsOf,
} from './support-engine.js';

afterAll(cleanUp);

const ALL: EndOptions = { force: false, granted: POWERS };
const FORCE: EndOptions = { force: true, granted: POWERS };

/** A process that holds the card; returns its id. */
function hold(one: House, comm: string, more: Partial<ProcessModel> = {}): string {
  const { pid, startTicks } = addProcess(one.dir, { comm, opens: [{ card: GPU }], ...more });
  return `${pid}:${startTicks}`;
}

async function endAll(one: House, ids: readonly string[], options = ALL, uid = 1000): Promise<Operation> {
  return one.engine.settled(await one.engine.endHolders(GPU, ids, options, uid));
}

const alive = (one: House): string[] => readModel(one.dir, 'processes').map((process) => process.comm);
const signals = (one: House): string[] =>
  one.machine.acts.flatMap((act) => (act.do === 'signal-process' ? [act.signal] : []));

describe('ending what holds a card', () => {
  test('one that is named, and then the card can leave', async () => {
    const one = await house();
    const id = hold(one, 'blender');
    expect((await handOff(one)).failure).toBe('Held');
    const operation = await endAll(one, [id]);
    expect(endOf(operation)).toBe('done');
    expect(stepsOf(operation)).toEqual([`${id} done`]);
    expect(operation.steps.map((step) => say(step.title))).toEqual([
      expect.stringMatching(/^End blender \(process \d+, ada\)$/),
    ]);
    expect(signals(one)).toEqual(['TERM']);
    expect(endOf(await handOff(one))).toBe('done');
    expectHonest(one);
  });

  test('only the one that is named', async () => {
    const one = await house();
    hold(one, 'mpv');
    const id = hold(one, 'blender');
    expect(endOf(await endAll(one, [id]))).toBe('done');
    expect(alive(one)).toContain('mpv');
  });

  test('all of them, but not the services that stop by themselves, nor the session', async () => {
    const one = await house();
    for (const comm of ['mpv', 'blender', 'gnome-shell']) hold(one, comm);
    const operation = await endAll(one, []);
    expect(endOf(operation)).toBe('done');
    expect(operation.steps).toHaveLength(2);
    expect(alive(one).filter((comm) => ['mpv', 'blender'].includes(comm))).toEqual([]);
    expect(alive(one)).toContain('gnome-shell');
    expect(readModel(one.dir, 'services').every((service) => service.active)).toBe(true);
  });

  test('one that takes its time', async () => {
    const one = await house();
    const id = hold(one, 'blender', { endsAfterMs: 8000 });
    expect(endOf(await endAll(one, [id]))).toBe('done');
  });

  test('a service: by systemd, not by a signal', async () => {
    const one = await house();
    const report = await one.engine.holders(GPU);
    const service = report.holders.find((holder) => holder.owner.name === 'nvidia-powerd.service');
    const operation = await endAll(one, [service?.id ?? '']);
    expect(endOf(operation)).toBe('done');
    expect(operation.steps.map((step) => say(step.title))).toEqual([
      'Stop the service nvidia-powerd.service (service)',
    ]);
    expect(acts(one)).toEqual(['stop-services']);
    expect(readModel(one.dir, 'services').map((one_) => one_.active)).toEqual([true, false]);
  });
});

describe('what does not end', () => {
  test('ignores being asked: the failure says so and it lives; force ends it', async () => {
    const one = await house();
    const id = hold(one, 'blender', { onTerm: 'ignores' });
    const operation = await endAll(one, [id]);
    expect(endOf(operation)).toMatch(
      /^failed Failed: blender \(process \d+, ada\) did not close within 10 s: save your work there, or force it\.$/,
    );
    expect(stepsOf(operation)).toEqual([`${id} failed`]);
    expect(alive(one)).toContain('blender');
    expect(signals(one)).toEqual(['TERM']);
    expect(endOf(await endAll(one, [id], FORCE))).toBe('done');
    expect(signals(one)).toEqual(['TERM', 'TERM', 'KILL']);
    expect(alive(one)).not.toContain('blender');
  });

  test('the others are ended all the same', async () => {
    const one = await house();
    hold(one, 'blender', { onTerm: 'ignores' });
    hold(one, 'mpv');
    const operation = await endAll(one, []);
    expect(operation.state).toBe('failed');
    expect(stepsOf(operation).map((step) => step.split(' ')[1])).toEqual(['failed', 'done']);
    expect(alive(one)).not.toContain('mpv');
  });

  test('sits in the kernel: not even force ends it', async () => {
    const one = await house();
    const id = hold(one, 'blender', { unkillable: true });
    const operation = await endAll(one, [id], FORCE);
    expect(endOf(operation)).toMatch(/^failed Stuck: blender .* did not end, even when forced\.$/);
  });

  test.each([
    ['by name', true],
    ['with all', false],
  ])('comes back (%s): who holds it now is told', async (_how, named) => {
    const one = await house();
    const id = hold(one, 'ollama');
    setFaults(one.dir, { comesBack: { comm: 'ollama' } });
    const operation = await endAll(one, named ? [id] : []);
    expect(endOf(operation)).toMatch(
      /^failed Held: ollama \(process \d+, ada\) ended, but ollama \(process \d+, ada\) holds .* now\.$/,
    );
  });

  test('another of the same name that was there before did not come back', async () => {
    const one = await house();
    hold(one, 'chrome');
    const id = hold(one, 'chrome');
    await one.machine.clock.sleep(60_000);
    expect(endOf(await endAll(one, [id]))).toBe('done');
  });

  test('a process of a unit that systemd does not know: not done while it lives', async () => {
    const one = await house();
    const id = hold(one, 'jellyfin', { cgroup: '/system.slice/jellyfin.service', uid: 0 });
    const operation = await endAll(one, [id]);
    expect(endOf(operation)).toMatch(/^failed Failed: .*jellyfin\.service/);
    expect(alive(one)).toContain('jellyfin');
  });

  test('a service whose process outlives it: not done', async () => {
    const one = await house();
    editModel(one.dir, 'services', (services) => {
      for (const service of services) service.process.opens = [];
    });
    const id = hold(one, 'powerd-child', { cgroup: '/system.slice/nvidia-powerd.service', uid: 0 });
    const operation = await endAll(one, [id]);
    expect(endOf(operation)).toMatch(
      /^failed Failed: nvidia-powerd\.service \(service\) did not close within/,
    );
  });
});

test('a process that has ended meanwhile keeps nobody from ending the others', async () => {
  const one = await house();
  const id = hold(one, 'blender');
  const [pid] = id.split(':');
  expect(endOf(await endAll(one, ['1:1', id, `${pid}:1`], ALL))).toBe('done');
  expect(acts(one)).toEqual(['signal-process']);
});

describe('refused before anything is ended', () => {
  const refused = async (one: House, ids: string[], options: EndOptions, end: RegExp, uid = 1000) => {
    expect(endOf(await endAll(one, ids, options, uid))).toMatch(end);
    expect(one.machine.acts).toEqual([]);
  };

  test('what belongs to the session, unless it is named and forced', async () => {
    const one = await house();
    const id = hold(one, 'gnome-shell');
    await refused(one, [id], ALL, /^failed Refused: gnome-shell .* belongs to the session itself/);
    await refused(one, [], FORCE, /^failed Refused: gnome-shell .* belongs to the session itself/);
    expect(endOf(await endAll(one, [id], FORCE))).toBe('done');
  });

  test('process 1, whatever is said', async () => {
    const one = await house();
    const id = hold(one, 'systemd', { pid: 1, uid: 0 });
    await refused(one, [id], FORCE, /^failed Refused: systemd \(process 1, root\) belongs to the session/);
  });

  const NONE = /^failed NoSuchHolder: What “.*” names does not hold the card any more/;

  test('what is no id of a holder: nothing else is ended either', async () => {
    const one = await house();
    const id = hold(one, 'blender');
    const [pid] = id.split(':');
    for (const wrong of ['blender', '', pid ?? '']) await refused(one, [id, wrong], ALL, NONE);
  });

  test('processes that are all gone, or others with the same number', async () => {
    const one = await house();
    const [pid] = hold(one, 'blender').split(':');
    await refused(one, ['1:1', `${pid}:1`], ALL, NONE);
  });

  test('nobody holds it', async () => {
    const one = await house();
    await refused(one, [], ALL, /^failed Refused: Nobody holds .*; there is nothing to end\.$/);
  });

  test.each<[string, Partial<ProcessModel>, Power]>([
    ['a process of one’s own', {}, 'end-own'],
    ['somebody else’s process', { uid: 1001 }, 'end-others'],
    ['root’s process', { uid: 0 }, 'end-others'],
    ['a service', { uid: 0, cgroup: '/system.slice/ollama.service' }, 'stop-services'],
    [
      'a user’s service of one’s own',
      { cgroup: '/user.slice/user-1000.slice/user@1000.service/x.service' },
      'end-own',
    ],
  ])('%s, without the power for it', async (_what, more, power) => {
    const one = await house();
    const id = hold(one, 'holder', more);
    const chosen = choose(await one.engine.holders(GPU), [id]);
    expect(chosen.map((holder) => powerToEnd(holder, 1000))).toEqual([power]);
    const granted = POWERS.filter((other) => other !== power);
    await refused(one, [id], { force: true, granted }, /^failed NotAuthorized: You are not authorized to /);
    expect(alive(one)).toContain('holder');
  });

  test('one of two without the power: neither is ended', async () => {
    const one = await house();
    hold(one, 'mine');
    hold(one, 'theirs', { uid: 1001 });
    await refused(one, [], { force: false, granted: ['end-own'] }, /^failed NotAuthorized/);
  });

  test('a card that is not there', async () => {
    const one = await house();
    await expect(one.engine.endHolders('0000:99:00.0', [], ALL, 0)).rejects.toMatchObject({
      failure: 'NoSuchCard',
    });
    await expect(one.engine.holders('x')).rejects.toMatchObject({ failure: 'NoSuchCard' });
  });
});

describe('cancelling', () => {
  test('between two: the first stays ended, the second lives, and that is said', async () => {
    let cancel = (): void => {};
    const one = await house('laptop', {}, { afterAct: () => cancel() });
    hold(one, 'first');
    hold(one, 'second');
    cancel = () => one.engine.cancel(one.engine.published().operation?.id ?? '');
    const operation = await endAll(one, []);
    expect(endOf(operation)).toBe(
      'cancelled Cancelled: It was cancelled; what was ended by then stays ended.',
    );
    expect(alive(one)).toContain('second');
    expect(alive(one)).not.toContain('first');
  });
});

describe('who holds a card', () => {
  test('is told with the services, in everybody’s own terms', async () => {
    const one = await house('many-holders');
    const report = await one.engine.holders(GPU);
    expect(report.verdict).toBe('held');
    expect(report.holders.filter((holder) => holder.stopsByItself)).toHaveLength(3);
    expect(new Set(report.holders.map((holder) => holder.id)).size).toBe(report.holders.length);
    expect(report.holders.map((holder) => holder.owner.name)).toEqual(
      expect.arrayContaining(['google-chrome', 'com.valvesoftware.Steam', 'org.gnome.Nautilus', 'spotify']),
    );
  });

  test('one who opens and closes it all the time is found before the kernel is blamed', async () => {
    const one = await house();
    editModel(one.dir, 'services', (services) => {
      for (const service of services) service.active = false;
    });
    editModel(one.dir, 'kernel', (kernel) => {
      kernel.extraRefs = { nvidia: 2 };
    });
    expect(await one.engine.holders(GPU)).toMatchObject({ holders: [], kernel: [{ module: 'nvidia' }] });
    hold(one, 'looper', { from: one.machine.clock.now() + 40 });
    expect(await one.engine.holders(GPU)).toMatchObject({ holders: [{ process: 'looper' }], kernel: [] });
  });

  test('a look touches nothing and changes no state', async () => {
    const one = await house();
    await one.engine.holders(GPU);
    expect(one.machine.acts).toEqual([]);
    expect(stateOf(one)).toBe('host');
  });
});
