import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createWorkstation } from '../../core/src/linux/simulated/create.js';
import {
  addProcess,
  guestNamed,
  reboot,
  removeProcess,
  setFaults,
} from '../../core/src/linux/simulated/edit.js';
import { type SimulatedMachine, simulatedMachine } from '../../core/src/linux/simulated/machine.js';
import { readModel } from '../../core/src/linux/simulated/model.js';
import { SimulatedCrash } from '../../core/src/linux/simulated/world.js';
import type { Act } from '../../core/src/machine.js';

const GPU = '0000:01:00.0';
const SOUND = '0000:01:00.1';
const STACK = ['nvidia_drm', 'nvidia_modeset', 'nvidia_uvm', 'nvidia'];

let dir: string;
let machine: SimulatedMachine;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'gpu-handoff-simulated-'));
  createWorkstation(dir, 'laptop');
  machine = simulatedMachine(dir, { delays: 0 });
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const perform = (act: Act, limitMs = 30_000, on = machine) => on.hands.perform(act, limitMs);
const driver = (address: string) =>
  machine.eyes.hardware().functions.find((f) => f.address === address)?.driver;
const loaded = () => machine.eyes.hardware().modules.map((m) => m.name);
const modeset = (control: 'on' | 'auto'): Act => ({ do: 'set-power', addresses: [GPU], control });

async function holders(): Promise<string[]> {
  const nodes = machine.eyes.hardware().functions.find((f) => f.address === GPU)?.nodes ?? [];
  const pass = await machine.eyes.processes({
    numbers: ['195', ...nodes.map((n) => n.number)],
    exporters: [],
  });
  return pass.found.map((p) => p.comm);
}

async function unloadAll(): Promise<void> {
  removeProcess(dir, 4242);
  await perform({
    do: 'stop-services',
    units: ['nvidia-persistenced.service', 'nvidia-powerd.service'],
  });
  for (const module of STACK) await perform({ do: 'unload-module', module });
}

function endBlender(signal: 'TERM' | 'KILL' = 'TERM'): Promise<void> {
  const blender = readModel(dir, 'processes')
    .filter((p) => p.comm === 'blender')
    .at(-1);
  const { pid = 0, startTicks = 0 } = blender ?? {};
  return perform({ do: 'signal-process', pid, startTicks, signal });
}

describe('faults', () => {
  test('busy: a module does not unload, whatever its count says', async () => {
    setFaults(dir, { busy: { module: 'nvidia_uvm', times: 1 } });
    await expect(unloadAll()).rejects.toMatchObject({ fault: 'busy' });
    expect(loaded()).toEqual(expect.arrayContaining(['nvidia', 'nvidia_uvm']));
    expect(loaded()).not.toContain('nvidia_drm');
    await unloadAll();
    expect(loaded()).not.toContain('nvidia');
  });

  test('comesBack: a process is there again, so many times, under another pid', async () => {
    setFaults(dir, { comesBack: { comm: 'blender', times: 2 } });
    for (const expected of [true, true, false]) {
      await endBlender();
      await machine.clock.sleep(1000);
      expect((await holders()).includes('blender')).toBe(expected);
    }
  });

  test('comesBack: masked nodes keep it from the card', async () => {
    setFaults(dir, { comesBack: { comm: 'blender' } });
    const hardware = machine.eyes.hardware();
    const nodes = [...hardware.nvidiaNodes, ...hardware.functions.flatMap((f) => f.nodes)];
    await perform({ do: 'mask-nodes', nodes: nodes.map((n) => ({ ...n, mode: null })) });
    await endBlender('KILL');
    expect(readModel(dir, 'processes').map((p) => p.comm)).toContain('blender');
    expect(await holders()).not.toContain('blender');
  });

  test('loadsAgain: something loads the driver at once, unless it is blocked', async () => {
    setFaults(dir, { loadsAgain: { module: 'nvidia' } });
    await unloadAll();
    expect(driver(GPU)).toBe('nvidia');
    await perform({ do: 'block-modules', modules: STACK });
    await perform({ do: 'unload-module', module: 'nvidia' });
    expect(driver(GPU)).toBeNull();
  });

  test('hangs: a write that never returns is given up after its limit', async () => {
    setFaults(dir, { hangs: { path: `${GPU}/driver_override` } });
    const begun = machine.clock.now();
    await expect(perform({ do: 'set-override', addresses: [GPU], driver: 'x' }, 7000)).rejects.toMatchObject({
      fault: 'stuck',
    });
    expect(machine.clock.now() - begun).toBe(7000);
    await perform({ do: 'set-override', addresses: [SOUND], driver: '' });
    // Whoever hangs holds the function's lock until the next boot.
    setFaults(dir, {});
    await expect(perform({ do: 'probe', addresses: [GPU] })).rejects.toMatchObject({ fault: 'stuck' });
    reboot(dir);
    await perform({ do: 'probe', addresses: [GPU] });
  });

  test('hangs: a whole act, and libvirt in the middle of a start', async () => {
    setFaults(dir, { hangs: { act: 'probe' } });
    await expect(perform({ do: 'probe', addresses: [SOUND] })).rejects.toMatchObject({ fault: 'stuck' });
    await unloadAll();
    setFaults(dir, { hangs: { path: 'vfio-pci/bind' } });
    const { uuid } = guestNamed(dir, 'win11');
    await expect(perform({ do: 'start-vm', uuid })).rejects.toMatchObject({ fault: 'time' });
    await expect(perform({ do: 'unbind', address: GPU, driver: 'vfio-pci' })).resolves.toBeUndefined();
    const clear = perform({ do: 'set-override', addresses: [GPU], driver: '' });
    await expect(clear).rejects.toMatchObject({ fault: 'stuck' });
  });

  test('virsh: libvirt fails in its own words', async () => {
    await unloadAll();
    const { uuid } = guestNamed(dir, 'win11');
    setFaults(dir, { virsh: { start: 'internal error: no room for memory' } });
    await expect(perform({ do: 'start-vm', uuid })).rejects.toThrow('no room for memory');
    expect(driver(SOUND)).toBe('snd_hda_intel');
    setFaults(dir, { virsh: { list: 'no list' } });
    await expect(machine.eyes.virtualMachines()).rejects.toThrow('no list');
    setFaults(dir, { virsh: { connect: 'failed to connect to the hypervisor' } });
    for (const what of ['start-vm', 'shutdown-vm', 'destroy-vm'] as const)
      await expect(perform({ do: what, uuid })).rejects.toThrow(/failed to connect/);
    await expect(machine.eyes.virtualMachines()).rejects.toThrow(/failed to connect/);
  });

  test('probeFails: a function stays without a driver', async () => {
    await perform({ do: 'unbind', address: SOUND, driver: 'snd_hda_intel' });
    setFaults(dir, { probeFails: [SOUND] });
    await perform({ do: 'probe', addresses: [SOUND] });
    expect(driver(SOUND)).toBeNull();
    setFaults(dir, {});
    await perform({ do: 'probe', addresses: [SOUND] });
    expect(driver(SOUND)).toBe('snd_hda_intel');
  });

  test('slow: acts take longer, and too long', async () => {
    setFaults(dir, { slow: 2000 });
    const begun = machine.clock.now();
    await perform(modeset('on'));
    expect(machine.clock.now() - begun).toBe(2000);
    await expect(perform(modeset('auto'), 1500)).rejects.toMatchObject({ fault: 'time' });
  });

  test('waits: acts of that kind go on when it is taken away, or give up at their limit', async () => {
    setFaults(dir, { waits: { act: 'set-power' } });
    let over = false;
    const waiting = perform(modeset('on')).then(() => {
      over = true;
    });
    await machine.clock.sleep(500);
    expect(over).toBe(false);
    setFaults(dir, {});
    await waiting;
    setFaults(dir, { waits: { act: 'set-power' } });
    await expect(perform(modeset('auto'), 1500)).rejects.toMatchObject({ fault: 'time' });
  });

  test('waits: only on the module that is named', async () => {
    setFaults(dir, { waits: { act: 'unload-module', module: 'nvidia_modeset' } });
    const unload = (module: string) => perform({ do: 'unload-module', module }, 1000);
    await expect(unload('nvidia_drm')).rejects.toMatchObject({ fault: 'busy' });
    await expect(unload('nvidia_modeset')).rejects.toMatchObject({ fault: 'time' });
  });

  test('passIncomplete and unseen', async () => {
    setFaults(dir, { passIncomplete: true, unseen: 3 });
    const pass = await machine.eyes.processes({ numbers: [], exporters: [] });
    expect(pass.complete).toBe(false);
    expect(pass.unseen).toHaveLength(3);
  });
});

describe('a crash', () => {
  test('after so many acts the program is gone, and another takes over the directory', async () => {
    setFaults(dir, { crashAfter: 2 });
    await perform(modeset('on'));
    await expect(perform({ do: 'set-override', addresses: [GPU], driver: 'vfio-pci' })).rejects.toThrow(
      SimulatedCrash,
    );
    expect(machine.crashed).toBe(true);
    await expect(perform(modeset('auto'))).rejects.toThrow(SimulatedCrash);
    expect(() => machine.notes.write('journal', {})).toThrow(SimulatedCrash);

    const next = simulatedMachine(dir, { delays: 0 });
    const gpu = next.eyes.hardware().functions.find((f) => f.address === GPU);
    // Both acts were done before the crash.
    expect(gpu?.driverOverride).toBe('vfio-pci');
    expect(gpu?.power.control).toBe('on');
    await perform(modeset('auto'), 1000, next);
  });

  test('before the first act', async () => {
    setFaults(dir, { crashAfter: 0 });
    await expect(perform(modeset('on'))).rejects.toThrow(SimulatedCrash);
    expect(machine.eyes.hardware().functions.find((f) => f.address === GPU)?.power.control).toBe('auto');
  });

  test('within a hook: libvirt goes on, and the bus starts the helper anew', async () => {
    await unloadAll();
    setFaults(dir, { crashAfter: 1 });
    const calls: string[] = [];
    machine.onHook = async (operation) => {
      calls.push(`first ${operation}`);
      await perform(modeset('on'));
    };
    machine.onCrash = async () => {
      const next = simulatedMachine(dir, { delays: 0 });
      next.onHook = async (operation) => {
        calls.push(`second ${operation}`);
      };
    };
    const { uuid } = guestNamed(dir, 'win11');
    await expect(machine.startByOther(uuid)).rejects.toThrow(/Hook script execution failed/);
    expect(calls).toEqual(['first prepare', 'second stopped', 'second release']);
  });
});

describe('processes', () => {
  test('one that ignores being asked ends when it is killed', async () => {
    const { pid, startTicks = 0 } = addProcess(dir, { comm: 'stubborn', onTerm: 'ignores' });
    await perform({ do: 'signal-process', pid, startTicks, signal: 'TERM' });
    expect(machine.eyes.startTicks(pid)).toBe(startTicks);
    await perform({ do: 'signal-process', pid, startTicks, signal: 'KILL' });
    expect(machine.eyes.startTicks(pid)).toBeNull();
  });

  test('one that takes its time, and one that cannot be killed', async () => {
    const slow = addProcess(dir, { comm: 'slow', endsAfterMs: 3000 });
    const dead = addProcess(dir, { comm: 'dead', unkillable: true });
    for (const { pid, startTicks = 0 } of [slow, dead])
      await perform({ do: 'signal-process', pid, startTicks, signal: 'TERM' });
    expect(machine.eyes.startTicks(slow.pid)).not.toBeNull();
    await machine.clock.sleep(3000);
    expect(machine.eyes.startTicks(slow.pid)).toBeNull();
    expect(machine.eyes.startTicks(dead.pid)).not.toBeNull();
  });

  test('another process with the same pid is left alone', async () => {
    const act: Act = { do: 'signal-process', pid: 4242, startTicks: 1, signal: 'KILL' };
    await expect(perform(act)).rejects.toMatchObject({ fault: 'gone' });
    expect(await holders()).toContain('blender');
  });

  test('a service ends with its main process, or systemd starts it again', async () => {
    const service = readModel(dir, 'services')[0];
    const { pid = 0, startTicks = 0 } = service?.process ?? {};
    await perform({ do: 'signal-process', pid, startTicks, signal: 'TERM' });
    expect(await machine.eyes.services(['nvidia-persistenced.service', 'no-such.service'])).toEqual([
      { unit: 'nvidia-persistenced.service', active: false },
    ]);
  });

  test('buffers, mappings and uses without a process', async () => {
    await unloadAll();
    await perform({ do: 'load-modules', modules: ['nvidia_uvm', 'nvidia_drm'] });
    addProcess(dir, { comm: 'player', opens: [{ exporter: 'nv_dmabuf', card: GPU }] });
    addProcess(dir, { comm: 'mapper', opens: [{ card: GPU, kind: 'render', via: 'map' }] });
    const pass = await machine.eyes.processes({ numbers: ['226'], exporters: ['nv_dmabuf'] });
    const uses = pass.found.map((p) => [p.comm, p.uses[0]?.via, p.uses[0]?.fds.length]);
    expect(uses).toEqual(
      expect.arrayContaining([
        ['player', 'dmabuf', 1],
        ['mapper', 'map', 0],
      ]),
    );
    await expect(perform({ do: 'unload-module', module: 'nvidia_drm' })).rejects.toMatchObject({
      fault: 'busy',
    });
  });
});
