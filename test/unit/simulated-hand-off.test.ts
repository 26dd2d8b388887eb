import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { HardwareFacts, PciFunction } from '../../core/src/facts.js';
import { createWorkstation } from '../../core/src/linux/simulated/create.js';
import { addProcess, alarms, guestNamed, removeProcess } from '../../core/src/linux/simulated/edit.js';
import { type SimulatedMachine, simulatedMachine } from '../../core/src/linux/simulated/machine.js';
import type { Act } from '../../core/src/machine.js';

const GPU = '0000:01:00.0';
const SOUND = '0000:01:00.1';
const BOTH = [GPU, SOUND];
const STACK = ['nvidia_drm', 'nvidia_modeset', 'nvidia_uvm', 'nvidia'];
const SERVICES = ['nvidia-powerd.service', 'nvidia-persistenced.service'];

let dir: string;
let machine: SimulatedMachine;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'gpu-handoff-simulated-'));
  createWorkstation(dir, 'laptop');
  machine = simulatedMachine(dir, { delays: 0 });
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const perform = (act: Act) => machine.hands.perform(act, 30_000);
const facts = (): HardwareFacts => machine.eyes.hardware();

function fn(address: string): PciFunction {
  const found = facts().functions.find((f) => f.address === address);
  if (found === undefined) throw new Error(`no ${address}`);
  return found;
}

const count = (name: string) => facts().modules.find((m) => m.name === name)?.useCount;
const card = () => fn(GPU).nodes.find((n) => n.kind === 'card')?.path;

async function leave(): Promise<void> {
  removeProcess(dir, 4242);
  await perform({ do: 'set-power', addresses: BOTH, control: 'on' });
  await perform({ do: 'set-override', addresses: BOTH, driver: 'vfio-pci' });
  await perform({ do: 'block-modules', modules: STACK });
  await perform({ do: 'stop-services', units: SERVICES });
  for (const module of STACK) await perform({ do: 'unload-module', module });
}

async function comeBack(): Promise<void> {
  await perform({ do: 'set-override', addresses: BOTH, driver: '' });
  await perform({ do: 'unblock-modules' });
  await perform({ do: 'probe', addresses: [SOUND] });
  await perform({ do: 'load-modules', modules: ['nvidia_uvm', 'nvidia_drm'] });
  await perform({ do: 'start-services', units: SERVICES });
}

describe('the way to a VM and back', () => {
  test('the card leaves, a guest has it, and it comes home with other minors', async () => {
    const before = card();
    await leave();
    expect(fn(GPU).driver).toBeNull();
    expect(fn(GPU).nodes).toEqual([]);
    expect(facts().modules.map((m) => m.name)).not.toContain('nvidia');
    expect(facts().nvidiaNumbers).toEqual([]);

    const { uuid } = guestNamed(dir, 'win11');
    await perform({ do: 'start-vm', uuid });
    expect(BOTH.map((a) => fn(a).driver)).toEqual(['vfio-pci', 'vfio-pci']);
    const group = fn(GPU).nodes.find((n) => n.kind === 'vfio');
    expect(group?.path).toBe('/dev/vfio/15');
    const held = await machine.eyes.processes({ numbers: [group?.number ?? ''], exporters: [] });
    expect(held.found.map((p) => p.comm)).toEqual(['qemu-system-x86']);

    await perform({ do: 'destroy-vm', uuid });
    expect(fn(GPU).driver).toBeNull();
    expect(fn(SOUND).driver).toBe('snd_hda_intel');
    await comeBack();
    expect(fn(GPU).driver).toBe('nvidia');
    expect([before, card()]).toEqual(['/dev/dri/card1', '/dev/dri/card2']);
    expect(await machine.eyes.services(SERVICES)).toEqual(
      expect.arrayContaining(SERVICES.map((unit) => ({ unit, active: true }))),
    );
    expect(alarms(dir)).toEqual([]);
  });

  test('a module in use does not unload', async () => {
    await expect(perform({ do: 'unload-module', module: 'nvidia_uvm' })).rejects.toMatchObject({
      fault: 'busy',
    });
    expect(count('nvidia_uvm')).toBe(1);
    removeProcess(dir, 4242);
    await perform({ do: 'unload-module', module: 'nvidia_uvm' });
    await perform({ do: 'unload-module', module: 'nvidia_uvm' });
    expect(count('nvidia_uvm')).toBeUndefined();
  });

  test('a process that is added raises the count of the module that serves it', () => {
    const before = count('nvidia_drm') ?? 0;
    addProcess(dir, { comm: 'glxgears', opens: [{ card: GPU, kind: 'render' }] });
    expect(count('nvidia_drm')).toBe(before + 1);
  });

  test('the block keeps the stack from loading', async () => {
    await leave();
    const load = perform({ do: 'load-modules', modules: ['nvidia_drm'] });
    await expect(load).rejects.toThrow(/install command/);
    expect(facts().modules.map((m) => m.name)).not.toContain('nvidia');
  });

  test('the override keeps the card from a driver that is loaded', async () => {
    await leave();
    await perform({ do: 'unblock-modules' });
    await expect(perform({ do: 'load-modules', modules: ['nvidia'] })).rejects.toThrow(/No such device/);
    expect(fn(GPU).driver).toBeNull();
  });

  test('masked nodes have no permissions until they are unmasked', async () => {
    const nodes = fn(GPU).nodes.map((n) => ({ ...n, mode: machine.eyes.nodeMode(n) }));
    await perform({ do: 'mask-nodes', nodes });
    expect(nodes.map((n) => machine.eyes.nodeMode(n))).toEqual(nodes.map(() => 0));
    await perform({ do: 'unmask-nodes', nodes });
    expect(nodes.map((n) => machine.eyes.nodeMode(n))).toEqual(nodes.map((n) => n.mode));
    expect(nodes[0]?.mode).toBe(0o660);
  });

  test('a sleeping card: nobody but the daemons has it open', () => {
    expect(fn(GPU).power.state).toBe('D0');
    removeProcess(dir, 4242);
    expect(fn(GPU).power).toEqual({ state: 'D3cold', runtime: 'suspended', control: 'auto' });
  });
});
