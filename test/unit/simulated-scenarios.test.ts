import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DEFAULT_CONFIG } from '../../core/src/config.js';
import { type Card, cardsOf, detect } from '../../core/src/detect.js';
import { createWorkstation } from '../../core/src/linux/simulated/create.js';
import { reboot, setConnector } from '../../core/src/linux/simulated/edit.js';
import { type SimulatedMachine, simulatedMachine } from '../../core/src/linux/simulated/machine.js';
import { readModel } from '../../core/src/linux/simulated/model.js';
import { SCENARIO_NAMES, type ScenarioName } from '../../core/src/linux/simulated/scenarios.js';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'gpu-handoff-simulated-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function make(scenario: ScenarioName): SimulatedMachine {
  createWorkstation(dir, scenario);
  return simulatedMachine(dir, { delays: 0 });
}

const cardsIn = (machine: SimulatedMachine): Card[] => detect(machine.eyes.hardware(), DEFAULT_CONFIG);

/** Each card as `role driver: obstacles`. */
const summary = (machine: SimulatedMachine): string[] =>
  cardsIn(machine).map((c) =>
    `${c.role} ${c.main.driver}: ${c.obstacles.map((o) => o.code).join(' ')}`.trimEnd(),
  );

describe('the scenarios', () => {
  test.each<[ScenarioName, string[]]>([
    ['laptop', ['igpu i915: is-igpu', 'dgpu nvidia:']],
    ['desktop-amd', ['dgpu amdgpu:', 'igpu amdgpu: is-igpu']],
    ['two-dgpus', ['igpu i915: is-igpu', 'dgpu nvidia:', 'dgpu amdgpu:']],
    ['one-card', ['igpu nvidia: one-card']],
    ['no-iommu', ['igpu i915: is-igpu no-iommu', 'dgpu nvidia: no-iommu']],
    ['two-nvidia', ['igpu i915: is-igpu', 'dgpu nvidia: second-nvidia', 'dgpu nvidia: second-nvidia']],
    ['monitor-on-dgpu', ['igpu i915: is-igpu', 'dgpu nvidia: drives-monitor']],
    ['shared-group', ['igpu i915: is-igpu', 'dgpu nvidia: group-strangers']],
    ['external', ['igpu i915: is-igpu', 'dgpu nvidia:']],
    ['long-names', ['igpu i915: is-igpu', 'dgpu nvidia:']],
    ['many-holders', ['igpu i915: is-igpu', 'dgpu nvidia:']],
  ])('%s', (scenario, expected) => {
    expect(summary(make(scenario))).toEqual(expected);
  });

  test.each(SCENARIO_NAMES)(
    '%s: every VM with devices has a card of the machine, whole',
    async (scenario) => {
      const machine = make(scenario);
      const cards = cardsIn(machine);
      const addresses = machine.eyes.hardware().functions.map((fn) => fn.address);
      for (const vm of await machine.eyes.virtualMachines()) {
        expect(vm.devices.every((d) => addresses.includes(d.address))).toBe(true);
        if (vm.devices.length === 0) continue;
        const functions = cardsOf(vm, cards).flatMap((c) => c.functions.map((fn) => fn.address));
        expect(vm.devices.map((d) => d.address).sort()).toEqual(functions.sort());
      }
    },
  );

  test('laptop: an app and two services hold the card', async () => {
    const machine = make('laptop');
    const numbers = machine.eyes
      .hardware()
      .functions.filter((fn) => fn.address.startsWith('0000:01'))
      .flatMap((fn) => fn.nodes.map((n) => n.number));
    const { nvidiaNumbers } = machine.eyes.hardware();
    const pass = await machine.eyes.processes({ numbers: [...numbers, ...nvidiaNumbers], exporters: [] });
    expect(pass.found.map((p) => p.comm)).toEqual(['blender', 'nvidia-persiste', 'nvidia-powerd']);
    expect(pass.found[0]?.cgroup).toContain('app-gnome-org.blender.Blender-4242.scope');
    expect(pass.complete).toBe(true);
    expect(machine.eyes.userName(pass.found[0]?.uid ?? -1)).toBe('ada');
  });

  test('many-holders: thirty of them', async () => {
    const machine = make('many-holders');
    const own = machine.eyes.hardware().functions.filter((fn) => fn.address.startsWith('0000:01'));
    const numbers = own.flatMap((fn) => fn.nodes.map((n) => n.number));
    const { found } = await machine.eyes.processes({ numbers: [...numbers, '195'], exporters: [] });
    expect(found).toHaveLength(30);
  });

  test('external: the card hangs on a port that leads out', () => {
    const machine = make('external');
    const outside = machine.eyes.hardware().functions.filter((fn) => fn.external);
    expect(outside.map((fn) => fn.address)).toEqual(['0000:3f:00.0', '0000:3f:00.1']);
  });

  test('the card for apps is hidden from the seat', () => {
    const seats = make('laptop')
      .eyes.hardware()
      .functions.map((fn) => fn.seat);
    expect(seats).toEqual(['seat0', 'seat1', null]);
  });

  test('UUIDs are the same in every tree', async () => {
    const first = (await make('laptop').eyes.virtualMachines()).map((vm) => vm.uuid);
    createWorkstation(dir, 'laptop');
    expect(readModel(dir, 'machines').map((m) => m.uuid)).toEqual(first);
    for (const uuid of first)
      expect(uuid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}$/);
  });
});

describe('the directory', () => {
  test('one that holds something else is refused', () => {
    writeFileSync(join(dir, 'letter.txt'), 'Dear');
    expect(() => createWorkstation(dir, 'laptop')).toThrow(/not empty/);
  });

  test('a reboot begins the scenario anew with another boot id and no notes', () => {
    const machine = make('laptop');
    const { bootId } = machine.eyes.hardware();
    machine.notes.write('journal', { step: 1 });
    reboot(dir);
    expect(machine.eyes.hardware().bootId).not.toBe(bootId);
    expect(machine.notes.readAll().size).toBe(0);
  });

  test('a monitor can be plugged in', () => {
    const machine = make('laptop');
    setConnector(dir, '0000:01:00.0', 'HDMI-A-1', { connected: true, enabled: true });
    expect(summary(machine)[1]).toBe('dgpu nvidia: drives-monitor');
  });
});
