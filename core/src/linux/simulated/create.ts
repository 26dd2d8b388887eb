/** Writes a simulated workstation into a directory. */
import { randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { exists, link, writeText } from './files.js';
import { type FunctionSpec, type HardwareSpec, writeSpec } from './hardware.js';
import { refresh } from './kernel.js';
import { loadModule, writeProcDevices } from './kmod.js';
import { writeModel } from './model.js';
import { moduleOfDriver } from './module-table.js';
import { makeNode } from './nodes.js';
import { SCENARIOS, type ScenarioName } from './scenarios.js';
import { deviceDir, linkDriver, setAttribute, setOverride } from './sysfs.js';
import type { World } from './world.js';

const PARTS_OF_A_TREE = ['dev', 'etc', 'model', 'proc', 'run', 'sys', 'usr', 'var'];
/** The machine has been up for this long when a scenario begins. */
const UPTIME_MS = 3 * 3600 * 1000;

function hex(value: number, digits: number): string {
  return `0x${value.toString(16).padStart(digits, '0')}`;
}

function plug(dir: string, spec: HardwareSpec, fn: FunctionSpec): void {
  const device = deviceDir(dir, fn);
  mkdirSync(join(device, 'power'), { recursive: true });
  link(join(dir, 'sys/bus/pci/devices', fn.address), device);
  setAttribute(dir, fn, 'class', hex(fn.classCode, 6));
  setAttribute(dir, fn, 'vendor', hex(fn.vendorId, 4));
  setAttribute(dir, fn, 'device', hex(fn.deviceId, 4));
  if (fn.classCode >> 16 === 0x03) setAttribute(dir, fn, 'boot_vga', fn.bootVga === true ? '1' : '0');
  setAttribute(dir, fn, 'power_state', 'D0');
  setAttribute(dir, fn, 'power/control', fn.power ?? 'on');
  setAttribute(dir, fn, 'power/runtime_status', 'active');
  setAttribute(dir, fn, 'removable', fn.external === true ? 'removable' : 'fixed');
  setOverride(dir, fn, '');
  const names = [
    `E:ID_VENDOR_FROM_DATABASE=${fn.vendorName}`,
    `E:ID_MODEL_FROM_DATABASE=${fn.deviceName}`,
    'E:SUBSYSTEM=pci',
  ];
  writeText(dir, join(dir, 'run/udev/data', `+pci:${fn.address}`), `${names.join('\n')}\n`);
  if (!spec.iommu || fn.group === null) return;
  const group = join(dir, 'sys/kernel/iommu_groups', String(fn.group));
  writeText(dir, join(group, 'type'), 'DMA\n');
  link(join(group, 'devices', fn.address), device);
  link(join(device, 'iommu_group'), group);
}

/** In the order in which a real machine ends up with them: the boot display first, so that it is card0. */
function bootDrivers(spec: HardwareSpec): string[] {
  const boot = spec.functions.filter((fn) => fn.bootVga === true);
  const order = [...boot, ...spec.functions].map((fn) => moduleOfDriver(fn.driver));
  const modules = order.filter((module) => module !== null);
  if (modules.includes('nvidia')) modules.push('nvidia_modeset', 'nvidia_uvm', 'nvidia_drm');
  return [...new Set(modules)];
}

/**
 * Writes the whole tree for a scenario, over whatever simulated workstation stood in the directory. As after
 * a boot: a new boot id, nothing under /run that is older. Refuses a directory that holds something else.
 */
export function createWorkstation(dir: string, scenario: ScenarioName): void {
  const { functions, iommu, processes, services, machines } = SCENARIOS[scenario]();
  const own = exists(join(dir, 'model', 'hardware.json'));
  if (exists(dir) && !own && readdirSync(dir).length > 0)
    throw new Error(`${dir} is not empty and holds no simulated workstation`);
  for (const part of PARTS_OF_A_TREE) rmSync(join(dir, part), { recursive: true, force: true });
  const spec: HardwareSpec = { scenario, iommu, functions };
  mkdirSync(dir, { recursive: true });
  for (const place of ['dev/dri', 'dev/snd', 'dev/vfio', 'run/modprobe.d', 'etc/modprobe.d', 'model'])
    mkdirSync(join(dir, place), { recursive: true });
  mkdirSync(join(dir, 'sys/kernel/iommu_groups'), { recursive: true });
  writeSpec(dir, spec);
  const now = Date.now();
  writeModel(dir, 'kernel', {
    extraRefs: {},
    majors: {},
    lastIndex: {},
    stuck: {},
    nextPid: 8000,
    bootedAt: now - UPTIME_MS,
    users: { 0: 'root', 971: 'nvpd', 1000: 'ada', 1001: 'grace', 64055: 'libvirt-qemu' },
  });
  for (const name of ['faults', 'nodes', 'alarms'] as const)
    writeModel(dir, name, name === 'faults' ? {} : []);
  writeText(dir, join(dir, 'proc/sys/kernel/random/boot_id'), `${randomUUID()}\n`);
  for (const fn of functions) plug(dir, spec, fn);
  const world: World = {
    dir,
    clock: { now: () => now, sleep: async () => {} },
    log: { line: () => {} },
    pace: async () => {},
  };
  makeNode(dir, { path: '/dev/vfio/vfio', number: '10:196', kind: 'vfio', module: '', address: null });
  for (const fn of functions.filter((f) => moduleOfDriver(f.driver) === null && f.driver !== ''))
    linkDriver(dir, fn, fn.driver);
  for (const module of bootDrivers(spec)) loadModule(world, module);
  writeModel(dir, 'processes', [...processes]);
  writeModel(dir, 'services', [...services]);
  writeModel(dir, 'machines', [...machines]);
  writeProcDevices(dir);
  refresh(world);
}
