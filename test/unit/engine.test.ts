import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { addProcess, setConnector, setFaults, setGuest } from '../../core/src/linux/simulated/edit.js';
import { editModel, readModel } from '../../core/src/linux/simulated/model.js';
import type { ScenarioName } from '../../core/src/linux/simulated/scenarios.js';
import { ActError } from '../../core/src/machine.js';
import { say } from '../../core/src/words.js';
import {
  acts,
  cleanUp,
  endOf,
  expectHonest,
  expectSame,
  GPU,
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
  workstation,
} from './support-engine.js';

afterAll(cleanUp);

const AMD = '0000:03:00.0';
const SOUND_SERVER = { comm: 'wireplumber', opens: [{ card: SOUND, kind: 'sound' as const }] };

describe('to a VM and back', () => {
  test.each<[ScenarioName, string, string]>([
    ['laptop', 'win11', GPU],
    ['desktop-amd', 'win11', AMD],
    ['external', 'win11', '0000:3f:00.0'],
    ['two-dgpus', 'macos', '0000:04:00.0'],
    ['long-names', 'Ein Gerät mit Umlauten und 日本語の名前', GPU],
  ])('%s: everything is as before', async (scenario, vm, card) => {
    const one = await house(scenario);
    const before = snapshot(one);

    expect(endOf(await handOff(one, vm))).toBe('done');
    expect(stateOf(one, card)).toBe('vm');
    expect(one.engine.published().guests.map((guest) => [guest.vm.name, guest.cards])).toEqual([
      [vm, [card]],
    ]);

    expect(endOf(await takeBack(one, card))).toBe('done');
    expect(stateOf(one, card)).toBe('host');
    expectSame(one, before);
    expect(one.states.filter((state) => state.startsWith(card))).toEqual(
      ['host', 'switching', 'vm', 'switching', 'host'].map((state) => `${card} ${state}`),
    );
  });

  test('a sound server closes the card when it is closed to it, and has it again afterwards', async () => {
    const one = await house();
    addProcess(one.dir, SOUND_SERVER);
    const before = snapshot(one);
    expect(endOf(await handOff(one))).toBe('done');
    expect(endOf(await takeBack(one))).toBe('done');
    expectSame(one, before);
    expect(one.machine.acts.map((act) => act.do)).not.toContain('signal-process');
  });

  test('one that does not is named, and everything is as before', async () => {
    const one = await house();
    addProcess(one.dir, { ...SOUND_SERVER, stubborn: true });
    const before = snapshot(one);
    expect(endOf(await handOff(one))).toMatch(/^failed Held: .* is held by wireplumber/);
    expectSame(one, before);
  });

  test('two cards in one VM go and come together', async () => {
    const one = await house('two-nvidia');
    const before = snapshot(one);
    expect(endOf(await handOff(one, 'both-cards'))).toBe('done');
    expect([stateOf(one, GPU), stateOf(one, '0000:05:00.0')]).toEqual(['vm', 'vm']);
    expect(endOf(await takeBack(one, '0000:05:00.0'))).toBe('done');
    expectSame(one, before);
  });

  test('an AMD card is never unloaded, blocked or stopped for', async () => {
    const one = await house('desktop-amd');
    await handOff(one);
    await takeBack(one, AMD);
    expect(acts(one).filter((act) => /module|service/.test(act))).toEqual([]);
  });

  test('three times in a row leaves nothing behind, and systemd’s start limit is not met', async () => {
    const one = await house();
    const before = snapshot(one);
    for (let i = 0; i < 3; i++) {
      expect(endOf(await handOff(one))).toBe('done');
      expect(endOf(await takeBack(one, GPU, i === 1))).toBe('done');
    }
    expectSame(one, before);
  });

  test('a service that was off stays off', async () => {
    const one = await house();
    editModel(one.dir, 'services', (services) => {
      for (const service of services) if (service.unit === 'nvidia-powerd.service') service.active = false;
    });
    const before = snapshot(one);
    await handOff(one);
    await takeBack(one);
    expectSame(one, before);
    const units = one.machine.acts.flatMap((act) => ('units' in act ? [...act.units] : []));
    expect(units).not.toContain('nvidia-powerd.service');
  });

  test('a card that may not sleep is not put to sleep afterwards', async () => {
    const one = await house();
    await one.machine.hands.perform({ do: 'set-power', addresses: [GPU, SOUND], control: 'on' }, 1000);
    const before = snapshot(one);
    await handOff(one);
    await takeBack(one);
    expectSame(one, before);
  });

  test('while it changes hands it is switching, and the helper is needed', async () => {
    const one = await house();
    expect([one.engine.needed, one.engine.switching]).toEqual([false, false]);
    const id = await one.engine.handOff('win11', 1000);
    expect(one.engine.needed).toBe(true);
    await one.engine.settled(id);
    expect([one.engine.needed, one.engine.switching]).toEqual([true, false]);
    await takeBack(one);
    expect(one.engine.needed).toBe(false);
  });

  test('by UUID as by name', async () => {
    const one = await house();
    expect(endOf(await handOff(one, uuidOf(one)))).toBe('done');
  });

  test('a look beforehand shows the steps and touches nothing', async () => {
    const one = await house();
    const before = snapshot(one);
    const intention = await one.engine.preflight('win11');
    expect(intention.refusals).toEqual([]);
    expect(intention.plan?.steps.map((step) => step.id)).toEqual([
      'power',
      'claim',
      'block',
      'mask',
      'stop',
      'look',
      'unload:nvidia_drm',
      'unload:nvidia_modeset',
      'unload:nvidia_uvm',
      'unload:nvidia',
      'start-vm',
      'guest-has',
    ]);
    expect(one.machine.acts).toEqual([]);
    expectSame(one, before);
  });
});

describe('refused before anything was touched', () => {
  test.each<[ScenarioName, string, RegExp]>([
    ['one-card', 'win11', /^failed Refused: This machine has only one graphics card/],
    ['no-iommu', 'win11', /^failed Refused: The IOMMU is off/],
    ['two-nvidia', 'win11', /^failed Refused: A second NVIDIA card \(GeForce GTX 1650\)/],
    ['monitor-on-dgpu', 'win11', /^failed Refused: .* drives a monitor \(HDMI-A-1\)/],
    ['shared-group', 'win11', /^failed Refused: .* shares IOMMU group 15 with .*0000:02:00\.0/],
    ['laptop', 'linux-no-gpu', /^failed Refused: The VM “linux-no-gpu” has no graphics card/],
    ['laptop', 'no such vm', /^failed NoSuchVm: There is no VM named “no such vm”/],
    ['many-holders', 'win11', /^failed Held: .* is held by .* and \d+ more: close what holds it/],
  ])('%s, %s', async (scenario, vm, end) => {
    const one = await house(scenario);
    const before = snapshot(one);
    expect(endOf(await handOff(one, vm))).toMatch(end);
    expect(one.machine.acts).toEqual([]);
    expectSame(one, before);
  });

  test.each<[string, (dir: string) => void, RegExp]>([
    [
      'an app holds it',
      (dir) => addProcess(dir, { comm: 'blender', opens: [{ card: GPU }] }),
      /^failed Held: GeForce RTX 4070 .* is held by blender \(process \d+, ada\): close what holds it/,
    ],
    [
      'only a mapping is left of it',
      (dir) => addProcess(dir, { comm: 'mapper', opens: [{ card: GPU, kind: 'render', via: 'map' }] }),
      /^failed Held: .*mapper/,
    ],
    [
      'only a buffer is left of it',
      (dir) => addProcess(dir, { comm: 'player', opens: [{ card: GPU, exporter: 'nv_dmabuf' }] }),
      /^failed Held: .*player/,
    ],
    [
      'an i2c adapter of it is open',
      (dir) => addProcess(dir, { comm: 'ddcutil', opens: [{ card: GPU, kind: 'i2c' }] }),
      /^failed Held: .*ddcutil/,
    ],
    [
      'its sound is open',
      (dir) => addProcess(dir, { comm: 'mpv', opens: [{ card: SOUND, kind: 'sound' }] }),
      /^failed Held: .*mpv/,
    ],
    [
      'the kernel holds it',
      (dir) => {
        editModel(dir, 'services', (services) => {
          for (const service of services) service.active = false;
        });
        editModel(dir, 'kernel', (kernel) => {
          kernel.extraRefs = { nvidia: 2 };
        });
      },
      /^failed Held: .* is in use \(nvidia: 2\), but no process could be found/,
    ],
    [
      'some processes could not be looked into',
      (dir) => setFaults(dir, { unseen: 2 }),
      /^failed Refused: What holds .* could not be seen completely, .*: 2 processes/,
    ],
    [
      'the look was cut short',
      (dir) => setFaults(dir, { passIncomplete: true }),
      /^failed Refused: What holds .* could not be seen completely/,
    ],
    [
      'a monitor was lit on it',
      (dir) => setConnector(dir, GPU, 'HDMI-A-1', { connected: true, enabled: true }),
      /^failed Refused: .* drives a monitor \(HDMI-A-1\)/,
    ],
    [
      'the VM takes only half of the group',
      (dir) => setGuest(dir, 'win11', { devices: [{ address: GPU, managed: true }] }),
      /^failed Refused: The VM “win11” takes .* but not .*0000:01:00\.1/,
    ],
    [
      'the VM has it unmanaged',
      (dir) =>
        setGuest(dir, 'win11', { devices: [GPU, SOUND].map((address) => ({ address, managed: false })) }),
      /^failed Refused: .*set managed="yes"/,
    ],
    [
      'libvirt is not there',
      (dir) => setFaults(dir, { virsh: { connect: 'failed to connect to the hypervisor' } }),
      /^failed LibvirtAbsent: libvirt did not answer \(failed to connect to the hypervisor\)/,
    ],
    [
      'systemd does not answer',
      (dir) => setFaults(dir, { systemd: 'it took longer than 10 s' }),
      /^failed Failed: It could not be learnt from systemd which of the services nvidia-powerd.* run \(it took longer than 10 s\), so nothing was touched/,
    ],
  ])('%s', async (_what, arrange, end) => {
    const one = await house();
    arrange(one.dir);
    const before = snapshot(one);
    const operation = await handOff(one);
    expect(endOf(operation)).toMatch(end);
    expect(stepsOf(operation)).toEqual(['preflight failed']);
    expect(one.machine.acts).toEqual([]);
    expectSame(one, before);
  });

  test('a VM that runs already', async () => {
    const one = await house();
    await handOff(one);
    const done = one.machine.acts.length;
    expect(endOf(await handOff(one))).toBe('failed Refused: The VM “win11” is running already.');
    expect(one.machine.acts).toHaveLength(done);
    expect(stateOf(one)).toBe('vm');
  });

  test('an ignored card is left alone: the VM is one without a card', async () => {
    const one = await house('laptop', { ignore: [GPU] });
    expect(endOf(await handOff(one))).toMatch(/has no graphics card of this machine/);
    expect(one.machine.acts).toEqual([]);
  });
});

describe('the processes cannot be looked at', () => {
  test('a hand-off is refused before anything was touched', async () => {
    let fails = false;
    const one = await house('laptop', {}, { pass: () => fail(fails) });
    fails = true;
    expect(endOf(await handOff(one))).toMatch(/^failed Refused: What holds .* could not be seen completely/);
    expect(one.machine.acts).toEqual([]);
  });

  test('between the two looks: everything comes back', async () => {
    let fails = false;
    const one = await house(
      'laptop',
      {},
      {
        pass: () => fail(fails),
        afterAct: (act) => {
          if (act.do === 'mask-nodes') fails = true;
        },
      },
    );
    const before = snapshot(one);
    // Somebody must be possible, or no pass is made.
    addProcess(one.dir, { comm: 'mixer', opens: [{ path: '/dev/snd/controlC9' }] });
    editModel(one.dir, 'kernel', (kernel) => {
      kernel.extraRefs = { snd_hda_intel: 1 };
    });
    expect(endOf(await handOff(one))).toMatch(/^failed Refused: What holds .* could not be seen completely/);
    editModel(one.dir, 'kernel', (kernel) => {
      kernel.extraRefs = {};
    });
    expectSame(one, before);
  });

  test('a card that is kept for guests: it is not known where it is, and the helper starts all the same', async () => {
    const one = await house();
    await handOff(one);
    const next = inhabit(one.dir, {}, { pass: () => fail(true) });
    await next.engine.start();
    expect(stateOf(next)).toBe('unknown');
    expect(next.machine.acts).toEqual([]);
  });
});

function fail(now: boolean): void {
  if (now) throw new Error('spawn failed');
}

describe('something fails on the way', () => {
  test('something loads the driver again and again: it is blocked, and the card leaves', async () => {
    const one = await house();
    setFaults(one.dir, { loadsAgain: { module: 'nvidia' } });
    expect(endOf(await handOff(one))).toBe('done');
    expect(endOf(await takeBack(one))).toBe('done');
    expectHonest(one);
  });

  test.each(['nvidia_drm', 'nvidia_modeset', 'nvidia_uvm', 'nvidia'])(
    '%s does not unload: everything comes back, and the module is named',
    async (module) => {
      const one = await house();
      const before = snapshot(one);
      setFaults(one.dir, { busy: { module, times: 1 } });
      const operation = await handOff(one);
      expect(endOf(operation)).toBe(
        `failed Held: GeForce RTX 4070 Max-Q / Mobile was in use when the module ${module} was to be unloaded, but nobody could be found who has it open: a program may open it for moments only. Try again, or see “gpu-handoff holders”.`,
      );
      expect(stepsOf(operation)).toContain(`unload:${module} failed`);
      expect(stateOf(one)).toBe('host');
      expectSame(one, before);
    },
  );

  test('somebody opens the card between two modules: everything comes back, and who it is is told', async () => {
    const one = await house(
      'laptop',
      {},
      {
        act: (act) => {
          if (act.do === 'unload-module' && act.module === 'nvidia_uvm')
            addProcess(one.dir, { comm: 'ollama', opens: [{ path: '/dev/nvidia-uvm' }] });
        },
      },
    );
    const operation = await handOff(one);
    expect(endOf(operation)).toMatch(/^failed Held: .* is held by ollama \(process \d+, ada\)/);
    expect(stateOf(one)).toBe('host');
    const nodes = readModel(one.dir, 'nodes').filter((node) => node.mode === 0);
    expect(nodes).toEqual([]);
    expectHonest(one);
  });

  test('a holder that comes between the two looks: nothing is unloaded, everything comes back', async () => {
    const one = await house(
      'laptop',
      {},
      {
        afterAct: (act) => {
          if (act.do === 'stop-services') addProcess(one.dir, { comm: 'mpv', opens: [{ card: GPU }] });
        },
      },
    );
    const operation = await handOff(one);
    expect(endOf(operation)).toMatch(/^failed Held: .* is held by mpv/);
    expect(stepsOf(operation)).toContain('look failed');
    expect(acts(one)).not.toContain('unload-module');
    expect(readModel(one.dir, 'services').every((service) => service.active)).toBe(true);
    expect(stateOf(one)).toBe('host');
    expectHonest(one);
  });

  test('a service that does not stop: everything comes back', async () => {
    const one = await house(
      'laptop',
      {},
      {
        act: (act) => {
          if (act.do === 'stop-services') throw new ActError('failed', 'Job for nvidia-powerd canceled.');
        },
      },
    );
    const before = snapshot(one);
    expect(endOf(await handOff(one))).toBe(
      'failed Failed: The step “Stop nvidia-persistenced, nvidia-powerd” failed: Job for nvidia-powerd canceled.',
    );
    expectSame(one, before);
  });

  test('a service that says it stopped and holds the card on', async () => {
    const one = await house(
      'laptop',
      {},
      {
        afterAct: (act) => {
          if (act.do === 'stop-services')
            addProcess(one.dir, {
              comm: 'nvidia-powerd',
              uid: 0,
              cgroup: '/system.slice/nvidia-powerd.service',
              opens: [{ path: '/dev/nvidiactl' }],
            });
        },
      },
    );
    expect(endOf(await handOff(one))).toMatch(/^failed Held: .*nvidia-powerd\.service \(service\)/);
    expect(stateOf(one)).toBe('host');
  });

  test('libvirt cannot start the VM: everything comes back, in libvirt’s words', async () => {
    const one = await house();
    const before = snapshot(one);
    setFaults(one.dir, { virsh: { start: 'internal error: no room for memory' } });
    expect(endOf(await handOff(one))).toBe(
      'failed Failed: libvirt could not start the VM “win11”: internal error: no room for memory',
    );
    setFaults(one.dir, {});
    await quiet(one);
    expectSame(one, before);
  });

  test('the guest dies as soon as it has started: the card comes back', async () => {
    const one = await house(
      'laptop',
      {},
      {
        afterAct: async (act) => {
          if (act.do === 'start-vm') await one.machine.shutDownInside(act.uuid);
        },
      },
    );
    const before = snapshot(one);
    expect(endOf(await handOff(one))).toBe(
      'failed Failed: libvirt gave the card back before the VM “win11” had started.',
    );
    await quiet(one);
    expectSame(one, before);
  });

  test('virsh gives up though libvirt goes on: what the guest has is not pulled from under it', async () => {
    const one = await house();
    setGuest(one.dir, 'win11', { startMs: 290_000 });
    setFaults(one.dir, { slow: 0 });
    expect(endOf(await handOff(one))).toBe('done');
    expect(stateOf(one)).toBe('vm');
    expectHonest(one);
  });

  test('the services do not start again: the failure says so, and a second take-back finishes it', async () => {
    const one = await house();
    const before = snapshot(one);
    await handOff(one);
    editModel(one.dir, 'services', (services) => {
      for (const service of services) service.failsToStart = 'no such device';
    });
    const failed = await takeBack(one);
    expect(endOf(failed)).toMatch(
      /^failed Failed: The card could not be brought back completely: .*no such device/,
    );
    expect(stateOf(one)).toBe('host');
    editModel(one.dir, 'services', (services) => {
      for (const service of services) delete service.failsToStart;
    });
    expect(endOf(await takeBack(one))).toBe('done');
    editModel(one.dir, 'services', (services) => {
      for (const service of services) delete service.starts;
    });
    expectSame(one, before);
  });

  test('the driver does not take the card again: the failure says so, and so does the state', async () => {
    const one = await house();
    const before = snapshot(one);
    await handOff(one);
    setFaults(one.dir, { probeFails: [GPU] });
    let refuse = true;
    const stubborn = inhabit(
      one.dir,
      {},
      {
        act: (act) => {
          if (refuse && act.do === 'load-modules') throw new ActError('failed', 'modprobe: no such device');
        },
      },
    );
    await stubborn.engine.start();
    expect(endOf(await takeBack(stubborn))).toMatch(/^failed Failed: .*modprobe: no such device/);
    expect(stateOf(stubborn)).toBe('detached');
    refuse = false;
    setFaults(one.dir, {});
    expect(endOf(await takeBack(stubborn))).toBe('done');
    expectSame(stubborn, before);
  });

  test.each([
    ['the driver does not load', 'load-modules', [GPU]],
    ['a service does not start', 'start-services', []],
  ] as const)(
    'after a way back on which %s, the next round brings everything home',
    async (_when, act, probeFails) => {
      let refuse = true;
      const one = await house(
        'laptop',
        {},
        {
          act: (what) => {
            if (refuse && what.do === act) throw new ActError('failed', 'no such device');
          },
        },
      );
      const before = snapshot(one);
      await handOff(one);
      setFaults(one.dir, { probeFails: [...probeFails] });
      expect(endOf(await takeBack(one))).toMatch(/^failed Failed: .*no such device/);
      refuse = false;
      setFaults(one.dir, {});
      expect(endOf(await handOff(one))).toBe('done');
      expect(endOf(await takeBack(one))).toBe('done');
      expectSame(one, before);
    },
  );

  test('a way back that fails as well is not called “as it was”', async () => {
    const one = await house(
      'laptop',
      {},
      {
        act: (act) => {
          if (act.do === 'unload-module' && act.module === 'nvidia_uvm')
            throw new ActError('busy', 'the module nvidia_uvm is in use');
          if (act.do === 'load-modules') throw new ActError('failed', 'modprobe: exec format error');
        },
      },
    );
    const operation = await handOff(one);
    expect(endOf(operation)).toMatch(
      /module nvidia_uvm was to be unloaded.*could not be brought back completely.*exec format error/,
    );
    expect(endOf(operation)).not.toMatch(/everything is as it was/);
    expectHonest(one);
  });

  test('a function that cannot be freed: the driver is not loaded beside vfio-pci', async () => {
    const one = await house(
      'laptop',
      {},
      {
        act: (act) => {
          if (act.do === 'unbind' && act.address === SOUND) throw new ActError('failed', 'no');
        },
      },
    );
    await handOff(one);
    // libvirt dies with the guest and gives nothing back.
    editModel(one.dir, 'machines', (guests) => {
      for (const guest of guests) Object.assign(guest, { running: false, pid: null });
    });
    const operation = await takeBack(one);
    expect(operation.state).toBe('failed');
    expect(acts(one)).not.toContain('load-modules');
    expect(stateOf(one)).toBe('detached');
    expectHonest(one);
  });
});

describe('a write that hangs in the kernel', () => {
  test.each(['power/control', 'driver_override', 'sys/module/nvidia_drm', 'sys/module/nvidia'])(
    '%s: the card is stuck, that is remembered, and nothing more touches it',
    async (path) => {
      const one = await house();
      setFaults(one.dir, { hangs: { path: path.startsWith('sys/') ? path : `${GPU}/${path}` } });
      const operation = await handOff(one);
      expect(operation.failure).toBe('Stuck');
      expect(endOf(operation)).toMatch(/does not return .*reboot needed/);
      expect(stateOf(one)).toBe('stuck');
      const after = one.machine.acts.length;

      setFaults(one.dir, {});
      expect(endOf(await handOff(one))).toMatch(
        /^failed Stuck: GeForce RTX 4070 .* is stuck until the next reboot: the step “.+” hangs inside the kernel\.$/,
      );
      await expect(one.engine.takeBack(GPU, { force: false }, 0)).rejects.toMatchObject({ failure: 'Stuck' });
      const next = inhabit(one.dir);
      await next.engine.start();
      expect(stateOf(next)).toBe('stuck');
      expect(next.engine.published().cards.find((view) => view.card.id === GPU)?.why).toMatchObject({
        key: 'stuck.cause',
      });
      expect(one.machine.acts).toHaveLength(after);
      expect(next.machine.acts).toEqual([]);
    },
  );

  test('other cards stay usable', async () => {
    const one = await house('two-dgpus');
    setFaults(one.dir, { hangs: { path: `${GPU}/driver_override` } });
    expect((await handOff(one, 'win11')).failure).toBe('Stuck');
    expect(endOf(await handOff(one, 'macos'))).toBe('done');
    expect([stateOf(one, GPU), stateOf(one, '0000:04:00.0')]).toEqual(['stuck', 'vm']);
    expect(endOf(await takeBack(one, '0000:04:00.0'))).toBe('done');
    expectHonest(one);
  });

  test('libvirt hangs while it takes the card: stuck, not tried again and again', async () => {
    const one = await house();
    setFaults(one.dir, { hangs: { path: 'vfio-pci/bind' } });
    const operation = await handOff(one);
    expect(operation.failure).toBe('Stuck');
    expect(stateOf(one)).toBe('stuck');
  });

  test('on the way back: stuck as well', async () => {
    const one = await house();
    await handOff(one);
    setFaults(one.dir, { hangs: { act: 'load-modules' } });
    const operation = await takeBack(one);
    expect(operation.failure).toBe('Stuck');
    expect(stateOf(one)).toBe('stuck');
    setFaults(one.dir, {});
    const next = inhabit(one.dir);
    await next.engine.start();
    expect(next.machine.acts).toEqual([]);
    expect(stateOf(next)).toBe('stuck');
  });

  test('after a reboot it is forgotten', async () => {
    const one = await house();
    setFaults(one.dir, { hangs: { path: `${GPU}/driver_override` } });
    await handOff(one);
    const { reboot } = await import('../../core/src/linux/simulated/edit.js');
    reboot(one.dir);
    const next = inhabit(one.dir);
    await next.engine.start();
    expect(stateOf(next)).toBe('host');
  });
});

describe('cancelling', () => {
  const LAST = 9;

  test.each(Array.from({ length: LAST }, (_, n) => n))(
    'during step %i: everything is as it was',
    async (n) => {
      let done = 0;
      let id = '';
      const one = await house(
        'laptop',
        {},
        {
          act: () => {
            if (done++ === n) one.engine.cancel(id);
          },
        },
      );
      const before = snapshot(one);
      id = await one.engine.handOff('win11', 1000);
      const operation = await one.engine.settled(id);
      expect(endOf(operation)).toBe('cancelled Cancelled: It was cancelled; everything is as it was.');
      expect(acts(one)).not.toContain('start-vm');
      expect(stateOf(one)).toBe('host');
      expectSame(one, before);
    },
  );

  test('before the first step nothing is touched', async () => {
    const one = await house();
    const id = await one.engine.handOff('win11', 1000);
    one.engine.cancel(id);
    expect((await one.engine.settled(id)).state).toBe('cancelled');
    expect(one.machine.acts).toEqual([]);
  });

  test('once libvirt starts the VM it is too late, and that is said', async () => {
    let said = '';
    let id = '';
    const one = await house(
      'laptop',
      {},
      {
        act: (act) => {
          if (act.do !== 'start-vm') return;
          expect(one.engine.published().operation?.cancellable).toBe(false);
          try {
            one.engine.cancel(id);
          } catch (fault) {
            said = String(fault);
          }
        },
      },
    );
    id = await one.engine.handOff('win11', 1000);
    expect((await one.engine.settled(id)).state).toBe('done');
    expect(said).toMatch(/past the point where it can be cancelled \(Start the VM “win11”\)/);
  });

  test('an operation that is over, or never was, cannot be cancelled', async () => {
    const one = await house();
    const { id } = await handOff(one);
    for (const wrong of [id, 'x', ''])
      expect(() => one.engine.cancel(wrong)).toThrow(/There is no running operation/);
  });

  test('a take-back while the guest shuts down: the guest keeps the card, and is not said to be untouched', async () => {
    const one = await house();
    setGuest(one.dir, 'win11', { onShutdown: 'ignores' });
    await handOff(one);
    const id = await one.engine.takeBack(GPU, { force: false }, 1000);
    await one.machine.clock.sleep(5000);
    one.engine.cancel(id);
    const operation = await one.engine.settled(id);
    expect(endOf(operation)).toBe(
      'cancelled Cancelled: It was cancelled, but the VM “win11” was asked to shut down already and may still do so.',
    );
    expect(stateOf(one)).toBe('vm');
    expectHonest(one);
  });
});

describe('one at a time', () => {
  test('the second caller is told what runs', async () => {
    const one = await house();
    const id = await one.engine.handOff('win11', 1000);
    const busy = {
      failure: 'Busy',
      message: expect.stringMatching(/^Another operation is running \(handing /),
    };
    await expect(one.engine.handOff('win11', 1001)).rejects.toMatchObject(busy);
    await expect(one.engine.takeBack(GPU, { force: true }, 1001)).rejects.toMatchObject(busy);
    await expect(
      one.engine.endHolders(GPU, [], { force: false, granted: ['end-own'] }, 1001),
    ).rejects.toMatchObject(busy);
    expect(one.engine.ownerOf(id)).toBe(1000);
    expect(endOf(await one.engine.settled(id))).toBe('done');
  });

  test('what settled is told to whoever asked for it, though the next has begun', async () => {
    const one = await house();
    const first = await one.engine.handOff('linux-no-gpu', 1000);
    const told = one.engine.settled(first);
    const next = told.then(() => one.engine.handOff('win11', 1000));
    expect((await told).id).toBe(first);
    await one.engine.settled(await next);
  });
});

describe('taking back', () => {
  test('twice: the second time says that it is at home', async () => {
    const one = await house();
    await handOff(one);
    await takeBack(one);
    const done = one.machine.acts.length;
    await expect(takeBack(one)).rejects.toMatchObject({
      failure: 'Refused',
      message: expect.stringMatching(/is at the host already; there is nothing to take back/),
    });
    expect(one.machine.acts).toHaveLength(done);
  });

  test('a card that is not there', async () => {
    const one = await house();
    await expect(one.engine.takeBack('0000:99:00.0', { force: false }, 0)).rejects.toMatchObject({
      failure: 'NoSuchCard',
    });
  });

  test('from a guest that does not listen: it keeps the card, and force gets it', async () => {
    const one = await house();
    const before = snapshot(one);
    setGuest(one.dir, 'win11', { onShutdown: 'ignores' });
    await handOff(one);
    expect(endOf(await takeBack(one))).toBe(
      'failed Failed: The VM “win11” did not shut down within 120 s: shut it down inside the guest, or force it off.',
    );
    expect(stateOf(one)).toBe('vm');
    expect(endOf(await takeBack(one, GPU, true))).toBe('done');
    expectSame(one, before);
  });

  test('from a guest that takes its time, as long as it is in time', async () => {
    const one = await house();
    setGuest(one.dir, 'win11', { shutdownMs: 110_000 });
    await handOff(one);
    expect(endOf(await takeBack(one))).toBe('done');
  });

  test('where libvirt refuses: the guest keeps the card', async () => {
    const one = await house();
    await handOff(one);
    setFaults(one.dir, { virsh: { shutdown: 'guest agent is not responding' } });
    expect(endOf(await takeBack(one))).toMatch(/^failed Failed: .*guest agent is not responding/);
    expect(stateOf(one)).toBe('vm');
    expectHonest(one);
  });

  test('where libvirt died with the guest: its functions are freed without it', async () => {
    const one = await house();
    const before = snapshot(one);
    await handOff(one);
    editModel(one.dir, 'machines', (guests) => {
      for (const guest of guests) Object.assign(guest, { running: false, pid: null });
    });
    await one.engine.refresh();
    expect(stateOf(one)).toBe('detached');
    expect(endOf(await takeBack(one))).toBe('done');
    expectSame(one, before);
  });

  test('where libvirt dies while the guest shuts down: its functions are freed without it', async () => {
    const one = await house();
    const before = snapshot(one);
    setGuest(one.dir, 'win11', { onShutdown: 'ignores' });
    await handOff(one);
    const id = await one.engine.takeBack(GPU, { force: false }, 1000);
    await one.machine.clock.sleep(3000);
    editModel(one.dir, 'machines', (guests) => {
      for (const guest of guests) Object.assign(guest, { running: false, pid: null });
    });
    expect(endOf(await one.engine.settled(id))).toBe('done');
    expectSame(one, before);
  });

  test('one of two cards that two VMs have, where libvirt died: the other VM is no hindrance', async () => {
    const one = await house('two-dgpus');
    expect(endOf(await handOff(one, 'win11'))).toBe('done');
    expect(endOf(await handOff(one, 'macos'))).toBe('done');
    setGuest(one.dir, 'win11', { onShutdown: 'ignores' });
    const id = await one.engine.takeBack(GPU, { force: false }, 1000);
    await one.machine.clock.sleep(3000);
    setGuest(one.dir, 'win11', { running: false, pid: null });
    expect(endOf(await one.engine.settled(id))).toBe('done');
    expect([stateOf(one, GPU), stateOf(one, '0000:04:00.0')]).toEqual(['host', 'vm']);
    expectHonest(one);
  });

  test('a card that a program outside libvirt has: nothing is pulled from under it', async () => {
    const one = await house();
    await handOff(one);
    editModel(one.dir, 'machines', (guests) => {
      for (const guest of guests) Object.assign(guest, { running: false, pid: null });
    });
    addProcess(one.dir, { comm: 'qemu-system-x86', uid: 0, opens: [{ path: '/dev/vfio/15' }] });
    one.machine.notes.readAll().forEach((_value, name) => {
      one.machine.notes.remove(name);
    });
    const next = inhabit(one.dir);
    await next.engine.start();
    const done = next.machine.acts.length;
    await expect(next.engine.takeBack(GPU, { force: true }, 0)).rejects.toMatchObject({
      failure: 'Refused',
      message: expect.stringMatching(/process \d+/),
    });
    expect(next.machine.acts).toHaveLength(done);
    expect(readModel(one.dir, 'alarms')).toEqual([]);
  });

  test('a card of which it could not be seen who has it is left where it is', async () => {
    const one = await house();
    await handOff(one);
    setFaults(one.dir, { unseen: 1 });
    editModel(one.dir, 'machines', (guests) => {
      for (const guest of guests) Object.assign(guest, { running: false, pid: null });
    });
    const done = one.machine.acts.length;
    await expect(one.engine.takeBack(GPU, { force: false }, 0)).rejects.toMatchObject({ failure: 'Refused' });
    expect(one.machine.acts).toHaveLength(done);
    expect(stateOf(one)).toBe('unknown');
    expect(one.engine.published().cards.find((view) => view.card.id === GPU)?.why).toMatchObject({
      key: 'holders.partly',
    });
  });

  test('a guest that runs keeps its card though not every process can be seen', async () => {
    const one = await house();
    await handOff(one);
    setFaults(one.dir, { passIncomplete: true, unseen: 4 });
    await one.engine.refresh();
    expect(stateOf(one)).toBe('vm');
    expect(endOf(await takeBack(one))).toBe('done');
    expectHonest(one);
  });
});

/** The card away from home, with nothing remembered about it. */
async function detached(scenario: ScenarioName = 'laptop') {
  const one = await house(scenario);
  const before = snapshot(one);
  await handOff(one);
  editModel(one.dir, 'machines', (guests) => {
    for (const guest of guests) Object.assign(guest, { running: false, pid: null });
  });
  one.machine.notes.readAll().forEach((_value, name) => {
    one.machine.notes.remove(name);
  });
  const next = inhabit(one.dir);
  await next.engine.start();
  return { next, before };
}

describe('detached, with nothing remembered', () => {
  test('NVIDIA’s modules come back by assumption; services that nobody remembers stay off', async () => {
    const { next } = await detached();
    expect(stateOf(next)).toBe('detached');
    expect(endOf(await takeBack(next))).toBe('done');
    expect(stateOf(next)).toBe('host');
    expect(readModel(next.dir, 'services').map((service) => service.active)).toEqual([false, false]);
    expect(next.machine.acts.filter((act) => act.do === 'set-power')).toEqual([]);
    expectHonest(next);
  });

  test('an AMD card comes back to whatever driver the kernel gives it', async () => {
    const { next, before } = await detached('desktop-amd');
    expect(endOf(await takeBack(next, AMD))).toBe('done');
    await next.machine.hands.perform(
      { do: 'set-power', addresses: [AMD, '0000:03:00.1'], control: 'auto' },
      1000,
    );
    expectSame(next, before);
  });

  test('a driver that does not take it: not done', async () => {
    const { next } = await detached('desktop-amd');
    setFaults(next.dir, { probeFails: [AMD] });
    expect(endOf(await takeBack(next, AMD))).toMatch(/^failed Failed: /);
    expect(stateOf(next, AMD)).toBe('detached');
    expectHonest(next);
  });

  test('a VM that starts takes it, and is the owner then', async () => {
    const { next } = await detached();
    expect(endOf(await handOff(next))).toBe('done');
    expect(stateOf(next)).toBe('vm');
    expect(endOf(await takeBack(next))).toBe('done');
    expectHonest(next);
  });
});

describe('detached, with a memory of home', () => {
  test('a VM that starts takes it from there, and it comes all the way home', async () => {
    const one = await house();
    const before = snapshot(one);
    await handOff(one);
    editModel(one.dir, 'machines', (guests) => {
      for (const guest of guests) Object.assign(guest, { running: false, pid: null });
    });
    expect(endOf(await handOff(one))).toBe('done');
    expect(endOf(await takeBack(one))).toBe('done');
    expectSame(one, before);
  });

  test('a VM that does not start: it comes home', async () => {
    const one = await house();
    const before = snapshot(one);
    await handOff(one);
    editModel(one.dir, 'machines', (guests) => {
      for (const guest of guests) Object.assign(guest, { running: false, pid: null });
    });
    setFaults(one.dir, { virsh: { start: 'no' } });
    expect((await handOff(one)).state).toBe('failed');
    setFaults(one.dir, {});
    await quiet(one);
    expectSame(one, before);
  });
});

describe('a card that vfio-pci had since boot', () => {
  async function isolated() {
    const dir = workstation();
    const setUp = inhabit(dir);
    for (const module of ['nvidia_drm', 'nvidia_modeset', 'nvidia_uvm'])
      await setUp.machine.hands.perform({ do: 'unload-module', module }, 1000);
    editModel(dir, 'services', (services) => {
      for (const service of services) service.active = false;
    });
    await setUp.machine.hands.perform({ do: 'unload-module', module: 'nvidia' }, 1000);
    await setUp.machine.hands.perform(
      { do: 'set-override', addresses: [GPU, SOUND], driver: 'vfio-pci' },
      1000,
    );
    await setUp.machine.hands.perform({ do: 'unbind', address: SOUND, driver: 'snd_hda_intel' }, 1000);
    await setUp.machine.hands.perform({ do: 'load-modules', modules: ['vfio_pci'] }, 1000);
    await setUp.machine.hands.perform({ do: 'probe', addresses: [GPU, SOUND] }, 1000);
    setGuest(dir, 'win11', { devices: [GPU, SOUND].map((address) => ({ address, managed: false })) });
    const one = inhabit(dir);
    await one.engine.start();
    return one;
  }

  test('is detached, goes to its VM and stays where it was afterwards, with nothing touched', async () => {
    const one = await isolated();
    const before = snapshot(one);
    expect(stateOf(one)).toBe('detached');
    expect(endOf(await handOff(one))).toBe('done');
    expect(stateOf(one)).toBe('vm');
    await one.machine.shutDownInside(uuidOf(one));
    await quiet(one);
    expect(stateOf(one)).toBe('detached');
    expect(acts(one)).toEqual(['start-vm']);
    expectSame(one, before);
  });

  test('comes to the host when that is asked for', async () => {
    const one = await isolated();
    expect(endOf(await takeBack(one))).toBe('done');
    expect(stateOf(one)).toBe('host');
    expectHonest(one);
  });
});

describe('two VMs', () => {
  test('an AMD card that comes home does not lift the block on NVIDIA’s driver while a guest has that card', async () => {
    const one = await house('two-dgpus');
    await handOff(one, 'win11');
    const blocks = readdirSync(join(one.dir, 'run/modprobe.d'));
    expect(blocks).toHaveLength(1);
    await handOff(one, 'macos');
    await takeBack(one, '0000:04:00.0');
    expect(readdirSync(join(one.dir, 'run/modprobe.d'))).toEqual(blocks);
    await takeBack(one, GPU);
    expect(readdirSync(join(one.dir, 'run/modprobe.d'))).toEqual([]);
    expectHonest(one);
  });

  test('a guest that ends while another has its own card: only the one comes back', async () => {
    const one = await house('two-dgpus');
    const before = snapshot(one);
    expect(endOf(await handOff(one, 'win11'))).toBe('done');
    expect(endOf(await handOff(one, 'macos'))).toBe('done');
    expect(endOf(await takeBack(one, GPU))).toBe('done');
    expect([stateOf(one, GPU), stateOf(one, '0000:04:00.0')]).toEqual(['host', 'vm']);
    expect(endOf(await takeBack(one, '0000:04:00.0'))).toBe('done');
    expectSame(one, before);
  });
});

test('the sentences of a whole life have no holes', async () => {
  const one = await house();
  const said: string[] = [];
  one.engine.listen(() => {
    const { operation, cards } = one.engine.published();
    for (const view of cards) if (view.why !== null) said.push(say(view.why));
    if (operation === null) return;
    said.push(say(operation.title));
    for (const step of operation.steps) {
      said.push(say(step.title));
      if (step.sentence !== null) said.push(say(step.sentence));
    }
    if (operation.sentence !== null) said.push(say(operation.sentence));
  });
  setFaults(one.dir, { busy: { module: 'nvidia', times: 1 } });
  await handOff(one);
  await handOff(one);
  await takeBack(one);
  expect(said.length).toBeGreaterThan(50);
  expect(said.filter((text) => /[{}]|undefined|null|\[object/.test(text))).toEqual([]);
});
