import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createWorkstation } from '../../core/src/linux/simulated/create.js';
import { addProcess, alarms, guestNamed, setGuest } from '../../core/src/linux/simulated/edit.js';
import { type SimulatedMachine, simulatedMachine } from '../../core/src/linux/simulated/machine.js';
import { editModel } from '../../core/src/linux/simulated/model.js';
import type { Act } from '../../core/src/machine.js';

const GPU = '0000:03:00.0';
const SOUND = '0000:03:00.1';

let dir: string;
let machine: SimulatedMachine;
let calls: string[];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'gpu-handoff-simulated-'));
  createWorkstation(dir, 'desktop-amd');
  machine = simulatedMachine(dir, { delays: 0 });
  calls = [];
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const uuidOf = (name: string): string => guestNamed(dir, name).uuid;
const perform = (act: Act, limitMs = 30_000) => machine.hands.perform(act, limitMs);
const start = (name = 'win11') => perform({ do: 'start-vm', uuid: uuidOf(name) });
const driver = (address: string) =>
  machine.eyes.hardware().functions.find((f) => f.address === address)?.driver;
const isRunning = async (name: string) =>
  (await machine.eyes.virtualMachines()).find((vm) => vm.name === name)?.running;

/** Notes each call of the hook with the GPU's driver at that moment. */
function listen(fails?: string): void {
  machine.onHook = async (operation, suboperation, extra, domain) => {
    calls.push(`${operation} ${suboperation} ${extra} ${domain.name}: ${driver(GPU)}`);
    if (operation === fails) throw new Error('the hook says no');
  };
}

describe('the order of hooks', () => {
  test('a start and a forced end', async () => {
    listen();
    await start();
    expect(await isRunning('win11')).toBe(true);
    await perform({ do: 'destroy-vm', uuid: uuidOf('win11') });
    expect(calls).toEqual([
      'prepare begin - win11: amdgpu',
      'start begin - win11: vfio-pci',
      'started begin - win11: vfio-pci',
      'stopped end destroyed win11: vfio-pci',
      'release end destroyed win11: amdgpu',
    ]);
    expect(driver(SOUND)).toBe('snd_hda_intel');
    expect(alarms(dir)).toEqual([]);
  });

  test('a failing prepare: stopped and release all the same, and nothing was detached', async () => {
    listen('prepare');
    await expect(start()).rejects.toThrow('Hook script execution failed: the hook says no');
    expect(calls).toEqual([
      'prepare begin - win11: amdgpu',
      'stopped end - win11: amdgpu',
      'release end failed win11: amdgpu',
    ]);
    expect(await isRunning('win11')).toBe(false);
  });

  test.each(['start', 'started'])('a failing %s: the devices are given back', async (which) => {
    listen(which);
    await expect(start()).rejects.toThrow(/the hook says no/);
    expect(calls.slice(-2)).toEqual([
      'stopped end failed win11: vfio-pci',
      'release end failed win11: amdgpu',
    ]);
    expect(await isRunning('win11')).toBe(false);
  });

  test('what the hook says at stopped and release is ignored', async () => {
    listen('stopped');
    await start();
    await perform({ do: 'destroy-vm', uuid: uuidOf('win11') });
    expect(driver(GPU)).toBe('amdgpu');
  });

  test('the daemon is restarted: a hook that refuses at reconnect kills the guest', async () => {
    listen('reconnect');
    await start();
    await machine.restartLibvirt();
    expect(await isRunning('win11')).toBe(false);
    expect(calls.at(-1)).toBe('release end failed win11: amdgpu');
  });

  test('a hook that asks libvirt waits for itself', async () => {
    let said = '';
    machine.onHook = async (operation) => {
      if (operation !== 'prepare') return;
      await machine.eyes.virtualMachines().catch((fault: Error) => {
        said = fault.message;
      });
    };
    await start();
    expect(said).toMatch(/did not answer/);
    expect(alarms(dir)).toHaveLength(1);
  });

  test('others who ask while a hook runs are answered after it', async () => {
    machine.onHook = () => machine.clock.sleep(100);
    const starting = start();
    const seen = await machine.eyes.virtualMachines();
    expect(seen).toHaveLength(2);
    await starting;
    expect(alarms(dir)).toEqual([]);
  });
});

describe('who has the card', () => {
  test('another VM with the same card fails only after prepare', async () => {
    editModel(dir, 'machines', (guests) => {
      guests.push({
        ...guestNamed(dir, 'win11'),
        name: 'other',
        uuid: '1b4e28ba-2fa1-41d2-883f-0016d3cca427',
      });
    });
    await start();
    listen();
    await expect(start('other')).rejects.toThrow(/in use by driver QEMU, domain win11/);
    expect(calls.map((c) => c.split(':')[0])).toEqual([
      'prepare begin - other',
      'stopped end failed other',
      'release end failed other',
    ]);
    expect(driver(GPU)).toBe('vfio-pci');
    expect(await isRunning('win11')).toBe(true);
  });

  test('a card that is held is stuck once libvirt takes it', async () => {
    addProcess(dir, { comm: 'blender', opens: [{ card: GPU }] });
    await expect(start()).rejects.toMatchObject({ fault: 'time' });
    expect(driver(GPU)).toBeNull();
    await expect(perform({ do: 'set-override', addresses: [GPU], driver: '' })).rejects.toMatchObject({
      fault: 'stuck',
    });
    expect(await isRunning('win11')).toBe(false);
    await expect(start()).rejects.toThrow(/state change lock/);
    // The other card stays usable.
    await perform({ do: 'set-power', addresses: ['0000:13:00.0'], control: 'on' });
  });

  test('with managed="no" libvirt takes nothing', async () => {
    setGuest(dir, 'win11', { devices: [{ address: GPU, managed: false }] });
    await expect(start()).rejects.toThrow(/must be manually detached/);
    await perform({ do: 'set-override', addresses: [GPU], driver: 'vfio-pci' });
    await perform({ do: 'unbind', address: GPU, driver: 'amdgpu' });
    expect(driver(GPU)).toBeNull();
    await perform({ do: 'load-modules', modules: ['vfio_pci'] });
    await perform({ do: 'probe', addresses: [GPU] });
    await start();
    await perform({ do: 'destroy-vm', uuid: uuidOf('win11') });
    expect(driver(GPU)).toBe('vfio-pci');
  });

  test('a group that is not whole', async () => {
    createWorkstation(dir, 'two-dgpus');
    setGuest(dir, 'macos', { devices: [{ address: '0000:04:00.0', managed: true }] });
    await expect(start('macos')).rejects.toThrow(/group 18 is not viable/);
    expect(driver('0000:04:00.0')).toBe('amdgpu');
  });

  test('a device that is not there, and no IOMMU', async () => {
    setGuest(dir, 'win11', { devices: [{ address: '0000:99:00.0', managed: true }] });
    await expect(start()).rejects.toThrow(/not found/);
    createWorkstation(dir, 'no-iommu');
    await expect(start()).rejects.toThrow(/passthrough/);
  });

  test('a second card of NVIDIA cannot be taken by the kernel while libvirt has its sound', async () => {
    createWorkstation(dir, 'two-dgpus');
    setGuest(dir, 'win11', { devices: [{ address: '0000:01:00.1', managed: true }] });
    await expect(start()).rejects.toThrow(/not viable/);
    expect(alarms(dir)[0]).toMatch(/may panic/);
  });

  test('taking a card from nvidia through sysfs is noted', async () => {
    createWorkstation(dir, 'two-nvidia');
    editModel(dir, 'services', (services) => {
      for (const service of services) service.active = false;
    });
    await start('win11');
    expect(alarms(dir)[0]).toMatch(/taken from nvidia through sysfs/);
  });
});

describe('guests', () => {
  test('one that obeys goes down after its time', async () => {
    setGuest(dir, 'win11', { shutdownMs: 45_000 });
    await start();
    const asked = machine.clock.now();
    await perform({ do: 'shutdown-vm', uuid: uuidOf('win11') });
    expect(await isRunning('win11')).toBe(true);
    while (driver(GPU) !== 'amdgpu') await machine.clock.sleep(500);
    expect(machine.clock.now() - asked).toBeGreaterThanOrEqual(45_000);
    expect(machine.clock.now() - asked).toBeLessThan(50_000);
    // Asking again does no harm.
    await perform({ do: 'shutdown-vm', uuid: uuidOf('win11') });
  });

  test('one that ignores it stays', async () => {
    setGuest(dir, 'win11', { onShutdown: 'ignores' });
    await start();
    await perform({ do: 'shutdown-vm', uuid: uuidOf('win11') });
    await machine.clock.sleep(600_000);
    expect(await isRunning('win11')).toBe(true);
    await perform({ do: 'destroy-vm', uuid: uuidOf('win11') });
    expect(await isRunning('win11')).toBe(false);
  });

  test('one that starts for longer than the limit comes up all the same', async () => {
    setGuest(dir, 'win11', { startMs: 60_000 });
    await expect(start()).rejects.toMatchObject({ fault: 'time' });
    await machine.clock.sleep(40_000);
    expect(await isRunning('win11')).toBe(true);
  });

  test('one that is shut down inside, and one whose QEMU is killed', async () => {
    listen();
    await start();
    await machine.shutDownInside(uuidOf('win11'));
    await machine.startByOther(uuidOf('win11'));
    const { pid = null, startTicks = 0 } = guestNamed(dir, 'win11');
    await perform({ do: 'signal-process', pid: pid ?? 0, startTicks, signal: 'KILL' });
    expect(calls.filter((c) => c.startsWith('stopped')).map((c) => c.split(' ')[2])).toEqual([
      'shutdown',
      'crashed',
    ]);
    expect(driver(GPU)).toBe('amdgpu');
  });

  test('a VM without a card starts and takes nothing', async () => {
    await start('linux-no-gpu');
    expect(driver(GPU)).toBe('amdgpu');
    // Our own start of what runs has nothing to do; another's is refused, as by virsh.
    await start('linux-no-gpu');
    await expect(machine.startByOther(uuidOf('linux-no-gpu'))).rejects.toThrow(/already running/);
    const act: Act = { do: 'start-vm', uuid: '00000000-0000-4000-a000-000000000000' };
    await expect(perform(act)).rejects.toMatchObject({ fault: 'gone' });
  });
});
