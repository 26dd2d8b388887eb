import { afterAll, describe, expect, test } from 'vitest';
import { addProcess, removeProcess, setFaults, setGuest } from '../../core/src/linux/simulated/edit.js';
import { editModel, readModel } from '../../core/src/linux/simulated/model.js';
import { uuidOf as uuidFrom } from '../../core/src/linux/simulated/people.js';
import type { ScenarioName } from '../../core/src/linux/simulated/scenarios.js';
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
  stepsOf,
  takeBack,
  uuidOf,
} from './support-engine.js';

afterAll(cleanUp);

const AMD = '0000:04:00.0';

const isRunning = (one: House, name = 'win11'): boolean =>
  readModel(one.dir, 'machines').some((guest) => guest.name === name && guest.running);
const start = (one: House, name = 'win11'): Promise<void> => one.machine.startByOther(uuidOf(one, name));
const end = (one: House, name = 'win11'): Promise<void> => one.machine.shutDownInside(uuidOf(one, name));
const said = async (what: Promise<unknown>): Promise<string> => {
  try {
    await what;
    return 'nothing';
  } catch (fault) {
    return fault instanceof Error ? fault.message : String(fault);
  }
};
/** Nothing waits and no operation runs. */
const noOperation = (one: House): void => expect(one.engine.published().operation).toBeNull();

/** Two cards for two VMs, held by nobody. */
/** A second VM with the same card. */
function addOther(one: House): void {
  editModel(one.dir, 'machines', (guests) => {
    guests.push({
      uuid: uuidFrom('other'),
      name: 'other',
      devices: [GPU, SOUND].map((address) => ({ address, managed: true })),
      running: false,
    });
  });
}

describe('another program starts the VM', () => {
  test.each<ScenarioName>(['laptop', 'desktop-amd', 'external'])(
    '%s: the card goes with it, and comes home when the guest ends',
    async (scenario) => {
      const one = await house(scenario);
      const before = snapshot(one);
      await start(one);
      await quiet(one);
      const { operation, guests } = one.engine.published();
      expect(endOf(operation)).toBe('done');
      expect([operation?.kind, operation?.uid]).toEqual(['hand-off', 0]);
      expect(operation?.steps.map((step) => step.id)).not.toContain('start-vm');
      expect(acts(one)).not.toContain('start-vm');
      expect(guests.map((guest) => guest.vm.name)).toEqual(['win11']);

      await end(one);
      await quiet(one);
      expect(endOf(one.engine.published().operation)).toBe('done');
      expect(one.engine.published().operation?.kind).toBe('take-back');
      expectSame(one, before);
    },
  );

  test('two cards go with one VM', async () => {
    const one = await house('two-nvidia');
    const before = snapshot(one);
    await start(one, 'both-cards');
    await quiet(one);
    expect([stateOf(one, GPU), stateOf(one, '0000:05:00.0')]).toEqual(['vm', 'vm']);
    await end(one, 'both-cards');
    await quiet(one);
    expectSame(one, before);
  });

  test('the guest is killed: the card comes home', async () => {
    const one = await house();
    const before = snapshot(one);
    await start(one);
    await quiet(one);
    const guest = readModel(one.dir, 'machines').find(({ name }) => name === 'win11');
    const { pid = null, startTicks = 0 } = guest ?? {};
    await one.machine.hands.perform(
      { do: 'signal-process', pid: pid ?? 0, startTicks, signal: 'KILL' },
      1000,
    );
    expectSame(one, before);
  });

  test('a VM without a card is not our business', async () => {
    const one = await house();
    await start(one, 'linux-no-gpu');
    await end(one, 'linux-no-gpu');
    expect(one.machine.acts).toEqual([]);
    noOperation(one);
  });

  test('a VM with an ignored card is not our business', async () => {
    const one = await house('desktop-amd', { ignore: ['0000:03:00.0'] });
    await start(one);
    expect(isRunning(one)).toBe(true);
    await end(one);
    expect(one.machine.acts).toEqual([]);
    noOperation(one);
  });

  test('what libvirt tells besides is heard without a word', async () => {
    const one = await house();
    const vm = {
      uuid: uuidOf(one),
      name: 'win11',
      devices: [{ address: GPU, managed: true }],
      running: null,
    };
    for (const [operation, suboperation] of [
      ['start', 'begin'],
      ['started', 'begin'],
      ['stopped', 'end'],
      ['prepare', 'end'],
      ['release', 'begin'],
      ['migrate', 'begin'],
      ['restore', 'begin'],
      ['release', 'end'],
      ['reconnect', 'begin'],
      ['attach', 'begin'],
      ['', ''],
    ] as const)
      await one.engine.hook({ operation, suboperation, extra: '-', vm });
    expect(one.machine.acts).toEqual([]);
    noOperation(one);
  });
});

describe('a start that is refused says why in libvirt’s error, and touches nothing', () => {
  test.each<[ScenarioName, string, RegExp]>([
    ['one-card', 'win11', /^Hook script execution failed: This machine has only one graphics card/],
    ['no-iommu', 'win11', /^Hook script execution failed: The IOMMU is off/],
    ['two-nvidia', 'win11', /^Hook script execution failed: A second NVIDIA card/],
    ['monitor-on-dgpu', 'win11', /^Hook script execution failed: .* drives a monitor/],
    ['shared-group', 'win11', /^Hook script execution failed: .* shares IOMMU group 15/],
    ['many-holders', 'win11', /^Hook script execution failed: .* is held by .* and \d+ more/],
  ])('%s', async (scenario, name, why) => {
    const one = await house(scenario);
    const before = snapshot(one);
    expect(await said(start(one, name))).toMatch(why);
    expect(isRunning(one, name)).toBe(false);
    expect(one.machine.acts).toEqual([]);
    expectSame(one, before);
  });

  test('an app holds the card: it is named, and once it is gone the VM starts', async () => {
    const one = await house();
    const { pid } = addProcess(one.dir, { comm: 'blender', opens: [{ card: GPU }] });
    expect(await said(start(one))).toMatch(/held by blender \(process \d+, ada\): close what holds it/);
    removeProcess(one.dir, pid);
    await start(one);
    await quiet(one);
    expect(stateOf(one)).toBe('vm');
    expectHonest(one);
  });

  test('a step fails: the card is at home again when libvirt is told', async () => {
    const one = await house();
    const before = snapshot(one);
    setFaults(one.dir, { busy: { module: 'nvidia', times: 1 } });
    expect(await said(start(one))).toMatch(
      /^Hook script execution failed: GeForce RTX 4070 Max-Q \/ Mobile was in use when the module nvidia was to be unloaded/,
    );
    expectSame(one, before);
  });

  test('somebody cancels it', async () => {
    let cancel = (): void => {};
    const one = await house(
      'laptop',
      {},
      { act: (act) => (act.do === 'stop-services' ? cancel() : undefined) },
    );
    const before = snapshot(one);
    cancel = () => one.engine.cancel(one.engine.published().operation?.id ?? '');
    expect(await said(start(one))).toMatch(/^Hook script execution failed: It was cancelled/);
    expectSame(one, before);
  });
});

describe('the start fails after our part', () => {
  test('libvirt gives up: the card is at home when libvirt has failed', async () => {
    const one = await house();
    const before = snapshot(one);
    setFaults(one.dir, { virsh: { start: 'internal error: no room for memory' } });
    expect(await said(start(one))).toBe('internal error: no room for memory');
    // libvirt does not wait for the last look.
    await quiet(one);
    expect(stateOf(one)).toBe('host');
    expect(endOf(one.engine.published().operation)).toMatch(
      /^failed Failed: libvirt gave the card back before/,
    );
    setFaults(one.dir, {});
    expectSame(one, before);
  });

  test('the guest ends in the very moment when it was seen: not done, and the card comes home', async () => {
    let fired = false;
    const one = await house(
      'laptop',
      {},
      {
        note: (name) => {
          if (fired || !name.startsWith('held-')) return;
          fired = true;
          void one.machine.shutDownInside(uuidOf(one));
        },
      },
    );
    const before = snapshot(one);
    expect(endOf(await handOff(one))).toMatch(/^failed Failed: libvirt gave the card back before/);
    await quiet(one);
    expect(fired).toBe(true);
    expect(stateOf(one)).toBe('host');
    expectSame(one, before);
  });
});

describe('a second VM with the same card', () => {
  test('is refused while the first has it, and its failed start takes nothing from the first', async () => {
    const one = await house();
    const before = snapshot(one);
    await start(one);
    await quiet(one);
    const done = one.machine.acts.length;
    addOther(one);
    expect(await said(start(one, 'other'))).toMatch(/is in use by the VM “win11”: shut that VM down first/);
    expect(endOf(await handOff(one, 'other'))).toMatch(/^failed Refused: .* in use by the VM “win11”/);
    await quiet(one);
    expect(one.machine.acts).toHaveLength(done);
    expect(stateOf(one)).toBe('vm');
    expect(one.engine.published().guests.map((guest) => guest.vm.name)).toEqual(['win11']);
    await end(one);
    await quiet(one);
    editModel(one.dir, 'machines', (guests) => {
      guests.splice(
        guests.findIndex((guest) => guest.name === 'other'),
        1,
      );
    });
    expectSame(one, before);
  });

  test('gets it after the first has ended', async () => {
    const one = await house();
    addOther(one);
    await start(one);
    await quiet(one);
    await end(one);
    await start(one, 'other');
    await quiet(one);
    expect(one.engine.published().guests.map((guest) => guest.vm.name)).toEqual(['other']);
    await end(one, 'other');
    await quiet(one);
    expect(stateOf(one)).toBe('host');
    expectHonest(one);
  });

  test('that asks while the card is on its way to the first waits, and is refused then', async () => {
    const one = await house();
    addOther(one);
    const first = start(one);
    const second = said(start(one, 'other'));
    await first;
    expect(await second).toMatch(/in use by the VM “win11”/);
    await quiet(one);
    expect(stateOf(one)).toBe('vm');
    expectHonest(one);
  });

  test('that takes over one of two cards leaves the other card’s way home known', async () => {
    const one = await house('two-nvidia');
    expect(endOf(await handOff(one, 'both-cards'))).toBe('done');
    // libvirt dies, and both cards stay where they are.
    setGuest(one.dir, 'both-cards', { running: false, pid: null });
    await one.engine.refresh();
    setGuest(one.dir, 'win11', {});
    expect(endOf(await handOff(one, 'win11'))).toBe('done');
    expect([stateOf(one, GPU), stateOf(one, '0000:05:00.0')]).toEqual(['vm', 'detached']);
    expect(await said(takeBack(one, '0000:05:00.0'))).toMatch(
      /^The VM “win11” has GeForce RTX 2080 Ti.* could crash the machine .*: shut that VM down first\.$/,
    );
    expect(endOf(await takeBack(one, GPU))).toBe('done');
    expect([stateOf(one, GPU), stateOf(one, '0000:05:00.0')]).toEqual(['host', 'detached']);
    expect(endOf(await takeBack(one, '0000:05:00.0'))).toBe('done');
    expect([stateOf(one, GPU), stateOf(one, '0000:05:00.0')]).toEqual(['host', 'host']);
    expectHonest(one);
  });
});

describe('several at once', () => {
  test('two VMs with a card each, started together: one after the other, both run', async () => {
    const one = await house('two-dgpus');
    const before = snapshot(one);
    await Promise.all([start(one, 'win11'), start(one, 'macos')]);
    await quiet(one);
    expect([stateOf(one, GPU), stateOf(one, AMD)]).toEqual(['vm', 'vm']);
    await Promise.all([end(one, 'win11'), end(one, 'macos')]);
    await quiet(one);
    expectSame(one, before);
  });

  test('a guest that ends while another card is long on its way: its card comes home after that', async () => {
    const one = await house('two-dgpus');
    expect(endOf(await handOff(one, 'macos'))).toBe('done');
    setGuest(one.dir, 'win11', { startMs: 120_000 });
    const id = await one.engine.handOff('win11', 1000);
    await one.machine.clock.sleep(1000);
    await end(one, 'macos');
    await one.engine.settled(id);
    await quiet(one);
    expect([stateOf(one, GPU), stateOf(one, AMD)]).toEqual(['vm', 'host']);
    expectHonest(one);
  });

  test('a VM that is started while another card is long on its way is told that we are busy', async () => {
    const one = await house('two-dgpus');
    setGuest(one.dir, 'win11', { startMs: 120_000 });
    const id = await one.engine.handOff('win11', 1000);
    await one.machine.clock.sleep(1000);
    expect(await said(start(one, 'macos'))).toMatch(
      /Another operation is running \(handing GeForce RTX 4080/,
    );
    expect(endOf(await one.engine.settled(id))).toBe('done');
    expect(stateOf(one, AMD)).toBe('host');
    expectHonest(one);
  });

  test('the user and virt-manager start the same VM at the same time: it runs with the card', async () => {
    const one = await house();
    const ours = handOff(one);
    const theirs = said(start(one));
    await Promise.all([ours, theirs]);
    await quiet(one);
    expect(isRunning(one)).toBe(true);
    expect(stateOf(one)).toBe('vm');
    expect(one.lies).toEqual([]);
  });

  test('virt-manager starts the VM that is being given its card: both are told that it runs', async () => {
    let theirs: Promise<string> | null = null;
    const one: House = await house(
      'laptop',
      {},
      {
        act: (act) => {
          if (act.do === 'unload-module') theirs ??= said(start(one));
        },
      },
    );
    expect(endOf(await handOff(one))).toBe('done');
    expect(await theirs).toBe('nothing');
    expect(stateOf(one)).toBe('vm');
    expectHonest(one);
  });

  test.each(['load-modules', 'start-services'] as const)(
    'a VM that is started while its hand-off is undone (%s) waits for that, and gets the card then',
    async (undoing) => {
      let theirs: Promise<string> | null = null;
      const one: House = await house(
        'laptop',
        {},
        {
          act: (act) => {
            if (act.do === undoing) theirs ??= said(start(one));
          },
        },
      );
      setFaults(one.dir, { busy: { module: 'nvidia', times: 1 } });
      expect(endOf(await handOff(one))).toMatch(/^failed Held/);
      expect(await theirs).toBe('nothing');
      await quiet(one);
      expect(stateOf(one)).toBe('vm');
      expectHonest(one);
    },
  );

  test('a guest that ends while another start of its VM is refused: the card comes home', async () => {
    const one = await house();
    const before = snapshot(one);
    await start(one);
    await quiet(one);
    let ending: Promise<void> | null = null;
    one.engine.listen(() => {
      const { operation } = one.engine.published();
      if (operation?.state === 'running' && operation.vm !== null) ending ??= end(one);
    });
    expect(endOf(await handOff(one))).toMatch(/^failed/);
    await ending;
    await quiet(one);
    expectSame(one, before);
  });

  test('a VM that is started again while its card is coming home gets it', async () => {
    const one = await house();
    await start(one);
    await quiet(one);
    const ending = takeBack(one, GPU, true);
    await one.machine.clock.sleep(100);
    const again = said(start(one));
    await ending;
    expect(await again).toBe('nothing');
    await quiet(one);
    expect(stateOf(one)).toBe('vm');
    expectHonest(one);
  });
});

describe('libvirt’s daemon is restarted', () => {
  test('a guest keeps running, and what is known of the way back stays', async () => {
    const one = await house();
    const before = snapshot(one);
    await start(one);
    await quiet(one);
    await one.machine.restartLibvirt();
    expect(isRunning(one)).toBe(true);
    expect(stateOf(one)).toBe('vm');
    await end(one);
    await quiet(one);
    expectSame(one, before);
  });

  test('a guest that nobody remembers is taken for the owner, and its card comes to the host when it ends', async () => {
    const one = await house();
    await start(one);
    await quiet(one);
    one.machine.notes.readAll().forEach((_value, name) => {
      one.machine.notes.remove(name);
    });
    const next = inhabit(one.dir);
    await next.engine.start();
    expect(stateOf(next)).toBe('vm');
    await next.machine.restartLibvirt();
    expect(isRunning(next)).toBe(true);
    await end(next);
    await quiet(next);
    expect(stateOf(next)).toBe('host');
    expectHonest(next);
  });

  test('guests without a card are not our business', async () => {
    const one = await house();
    await start(one, 'linux-no-gpu');
    await one.machine.restartLibvirt();
    expect(isRunning(one, 'linux-no-gpu')).toBe(true);
    expect(one.machine.acts).toEqual([]);
  });

  test('while a card is on its way nothing is mixed up', async () => {
    const one = await house('two-dgpus');
    await start(one, 'macos');
    await quiet(one);
    setGuest(one.dir, 'win11', { startMs: 30_000 });
    const id = await one.engine.handOff('win11', 1000);
    await one.machine.clock.sleep(1000);
    await one.machine.restartLibvirt();
    expect(endOf(await one.engine.settled(id))).toBe('done');
    expect([stateOf(one, GPU), stateOf(one, AMD)]).toEqual(['vm', 'vm']);
    await end(one, 'macos');
    await quiet(one);
    expect([stateOf(one, GPU), stateOf(one, AMD)]).toEqual(['vm', 'host']);
    expectHonest(one);
  });
});

test('libvirt is never asked from within its hook', async () => {
  const one = await house();
  await start(one);
  await quiet(one);
  await end(one);
  expect(readModel(one.dir, 'alarms')).toEqual([]);
  expect(stepsOf(await handOff(one)).at(-1)).toBe('guest-has done');
});
