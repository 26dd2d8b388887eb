import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { jumpingClock } from '../../core/src/linux/simulated/clock.js';
import { createWorkstation } from '../../core/src/linux/simulated/create.js';
import { addProcess, guestNamed, setGuest } from '../../core/src/linux/simulated/edit.js';
import { type SimulatedMachine, simulatedMachine } from '../../core/src/linux/simulated/machine.js';
import { editModel, readModel } from '../../core/src/linux/simulated/model.js';
import { startService, stopService } from '../../core/src/linux/simulated/services.js';

const GPU = '0000:01:00.0';

const eventually = (check: () => void) => vi.waitFor(check, { timeout: 10_000 });

let dir: string;
let machine: SimulatedMachine;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'gpu-handoff-simulated-'));
  createWorkstation(dir, 'laptop');
  machine = simulatedMachine(dir, { delays: 0 });
});
afterEach(() => {
  machine.close();
  rmSync(dir, { recursive: true, force: true });
});

describe('several at one directory', () => {
  test('what one does the other sees', async () => {
    const other = simulatedMachine(dir, { delays: 0 });
    await machine.hands.perform({ do: 'set-override', addresses: [GPU], driver: 'vfio-pci' }, 1000);
    const gpu = other.eyes.hardware().functions.find((f) => f.address === GPU);
    expect(gpu?.driverOverride).toBe('vfio-pci');
  });

  test('changes are told once per burst, until nobody listens', async () => {
    const heard = vi.fn();
    const stop = machine.onChange(heard);
    addProcess(dir, { comm: 'one' });
    addProcess(dir, { comm: 'two' });
    await eventually(() => expect(heard).toHaveBeenCalled());
    const before = heard.mock.calls.length;
    expect(before).toBeLessThan(3);
    stop();
    addProcess(dir, { comm: 'three' });
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(heard).toHaveBeenCalledTimes(before);
  });

  test('looking changes nothing that is told', async () => {
    const heard = vi.fn();
    addProcess(dir, { comm: 'glxgears', opens: [{ card: GPU }] });
    await new Promise((resolve) => setTimeout(resolve, 100));
    const stop = machine.onChange(heard);
    machine.eyes.hardware();
    await machine.eyes.processes({ numbers: ['195'], exporters: [] });
    await machine.eyes.virtualMachines();
    await new Promise((resolve) => setTimeout(resolve, 150));
    stop();
    expect(heard).not.toHaveBeenCalled();
  });

  test('a reboot is heard, and what comes after it', async () => {
    const heard = vi.fn();
    const stop = machine.onChange(heard);
    createWorkstation(dir, 'laptop');
    await eventually(() => expect(heard).toHaveBeenCalled());
    await new Promise((resolve) => setTimeout(resolve, 150));
    heard.mockClear();
    addProcess(dir, { comm: 'late' });
    await eventually(() => expect(heard).toHaveBeenCalled());
    stop();
  });

  test('an edit that is not finished yet leaves what was there', () => {
    expect(readModel(dir, 'processes')).toHaveLength(2);
    writeFileSync(join(dir, 'model/processes.json'), '[{ "pid": 1');
    expect(readModel(dir, 'processes')).toHaveLength(2);
  });

  test('who attends does what is asked for in the file', async () => {
    createWorkstation(dir, 'desktop-amd');
    const attending = simulatedMachine(dir, { delays: 0, attends: true });
    const hooks: string[] = [];
    attending.onHook = async (operation) => {
      hooks.push(operation);
    };
    setGuest(dir, 'win11', { request: 'start' });
    await eventually(() => expect(guestNamed(dir, 'win11')).toMatchObject({ running: true, request: null }));
    setGuest(dir, 'win11', { request: 'shutdown' });
    await eventually(() =>
      expect(guestNamed(dir, 'win11')).toMatchObject({ running: false, changing: null }),
    );
    expect(hooks).toEqual(['prepare', 'start', 'started', 'stopped', 'release']);
    attending.close();
  });

  test('who attends takes up guests that were going down when the last one ended', async () => {
    setGuest(dir, 'linux-no-gpu', { running: true, pid: 9000, offAt: machine.clock.now() + 5000 });
    setGuest(dir, 'win11', { changing: 'starting' });
    const attending = simulatedMachine(dir, { delays: 0, attends: true });
    await machine.clock.sleep(6000);
    expect(guestNamed(dir, 'linux-no-gpu').running).toBe(false);
    expect(guestNamed(dir, 'win11').changing).toBeNull();
    attending.close();
  });
});

describe('services', () => {
  const world = () => ({ dir, clock: machine.clock, log: machine.log, pace: async () => {} });
  const unit = 'nvidia-powerd.service';

  test('a service that is swapped too quickly meets the start limit, unless its count is reset', () => {
    for (let i = 0; i < 5; i++) {
      stopService(world(), unit);
      startService(world(), unit, false);
    }
    stopService(world(), unit);
    expect(() => startService(world(), unit, false)).toThrow(/attempted too often/);
    startService(world(), unit, true);
    expect(readModel(dir, 'services').find((s) => s.unit === unit)?.active).toBe(true);
  });

  test('the act resets the count', async () => {
    for (let i = 0; i < 8; i++) {
      await machine.hands.perform({ do: 'stop-services', units: [unit] }, 1000);
      await machine.hands.perform({ do: 'start-services', units: [unit] }, 1000);
    }
    expect(await machine.eyes.services([unit])).toEqual([{ unit, active: true }]);
  });

  test('a unit that fails does not keep the others from starting', async () => {
    const units = ['nvidia-powerd.service', 'nvidia-persistenced.service'];
    await machine.hands.perform({ do: 'stop-services', units }, 1000);
    editModel(dir, 'services', (services) => {
      for (const s of services) if (s.unit === unit) s.failsToStart = 'Result: exit-code';
    });
    await expect(machine.hands.perform({ do: 'start-services', units }, 1000)).rejects.toThrow(/exit-code/);
    expect(await machine.eyes.services(['nvidia-persistenced.service'])).toEqual([
      { unit: 'nvidia-persistenced.service', active: true },
    ]);
  });

  test('a unit that does not exist cannot be stopped', async () => {
    const act = { do: 'stop-services', units: ['nothing.service'] } as const;
    await expect(machine.hands.perform(act, 1000)).rejects.toMatchObject({ fault: 'gone' });
  });
});

describe('time', () => {
  test('the jumping clock wakes sleepers in order and takes no time', async () => {
    const clock = jumpingClock(0);
    const woken: string[] = [];
    const sleep = async (ms: number) => {
      await clock.sleep(ms);
      woken.push(`${ms} at ${clock.now()}`);
    };
    const begun = performance.now();
    await Promise.all([sleep(60_000), sleep(10), sleep(500)]);
    expect(woken).toEqual(['10 at 10', '500 at 500', '60000 at 60000']);
    expect(performance.now() - begun).toBeLessThan(1000);
  });

  test('with delays, steps take their time', async () => {
    const live = simulatedMachine(dir, { delays: 0.2 });
    const begun = Date.now();
    await live.hands.perform({ do: 'set-power', addresses: [GPU], control: 'on' }, 1000);
    expect(Date.now() - begun).toBeGreaterThanOrEqual(28);
  });

  test('when a process was started', async () => {
    const { bootedAt } = readModel(dir, 'kernel');
    expect(machine.eyes.startedAt(186_400)).toBe(bootedAt + 1_864_000);
    expect(machine.eyes.startTicks(4242)).toBe(186_400);
    expect(machine.eyes.startTicks(1)).toBeNull();
  });
});
