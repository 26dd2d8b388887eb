/** What the kernel does with functions: binding, unbinding, and what becomes of nodes and use counts. */
import { join } from 'node:path';
import type { Address } from '../../facts.js';
import { namesIn, readText } from '../read.js';
import { remove, rewriteText, writeText } from './files.js';
import {
  makeDrm,
  makeI2c,
  makeSound,
  makeVfioGroup,
  removeDrm,
  removeI2c,
  removeSound,
  removeVfioGroup,
} from './function-nodes.js';
import { type FunctionSpec, type HardwareSpec, isDisplay, isSound } from './hardware.js';
import { alarm, editModel, readModel } from './model.js';
import { DRM_DRIVERS, MODULES, moduleOfDriver } from './module-table.js';
import { makeNode, removeNodes } from './nodes.js';
import { type LiveProcess, liveProcesses } from './processes.js';
import {
  deviceDir,
  driverOf,
  isLoaded,
  linkDriver,
  moduleDir,
  overrideOf,
  setAttribute,
  setOverride,
  unlinkDriver,
} from './sysfs.js';
import { faultsOf, Hang, specOf, type World } from './world.js';

const NVIDIA_MAJOR = 195;

/**
 * Throws where a write to this file of sysfs (path below the root) never returns. `address` is the function
 * whose lock the write takes: whoever hangs holds it until the next boot, so everything else that needs it
 * hangs as well.
 */
export function mayHang(world: World, path: string, address: Address | null): void {
  const what = `writing /${path}`;
  const stuck = address !== null && readModel(world.dir, 'kernel').stuck[address] !== undefined;
  const fault = faultsOf(world).hangs?.path;
  if (!stuck && (fault === undefined || !path.includes(fault))) return;
  if (address !== null && !stuck) markStuck(world, address, what);
  throw new Hang(what);
}

/** A function on which something hangs until the next boot. */
export function markStuck(world: World, address: Address, what: string): void {
  editModel(world.dir, 'kernel', (kernel) => {
    kernel.stuck[address] = what;
  });
}

function sameSlot(a: FunctionSpec, b: FunctionSpec): boolean {
  return a !== b && a.address.slice(0, -2) === b.address.slice(0, -2);
}

/** NVIDIA's driver beside vfio-pci on the sound function of one card has panicked kernels. */
function alarmMixed(dir: string, spec: HardwareSpec, fn: FunctionSpec, driver: string): void {
  for (const other of spec.functions.filter((o) => sameSlot(fn, o))) {
    const theirs = driverOf(dir, other);
    const mixed =
      (driver === 'nvidia' && theirs === 'vfio-pci') || (driver === 'vfio-pci' && theirs === 'nvidia');
    if (mixed && (isSound(fn) || isSound(other)))
      alarm(dir, `${fn.address} was bound to ${driver} while ${theirs} had ${other.address}: may panic`);
  }
}

/** NVIDIA numbers its cards in address order. */
function nvidiaIndex(spec: HardwareSpec, fn: FunctionSpec): number {
  return spec.functions.filter((o) => o.driver === 'nvidia').indexOf(fn);
}

/** Binds a function and lets the driver make its nodes. */
export function attach(dir: string, spec: HardwareSpec, fn: FunctionSpec, driver: string): void {
  alarmMixed(dir, spec, fn, driver);
  linkDriver(dir, fn, driver);
  if (driver === 'vfio-pci' && fn.group !== null) makeVfioGroup(dir, fn.group);
  if (driver === 'snd_hda_intel') makeSound(dir, fn);
  if (driver === 'nvidia') attachNvidia(dir, spec, fn);
  if (DRM_DRIVERS.includes(driver)) {
    makeDrm(dir, fn, moduleOfDriver(driver) ?? '');
    makeI2c(dir, fn, moduleOfDriver(driver) ?? '');
  }
}

function attachNvidia(dir: string, spec: HardwareSpec, fn: FunctionSpec): void {
  const index = nvidiaIndex(spec, fn);
  const lines = [
    `Model: \t\t ${fn.deviceName}`,
    `Bus Location: \t ${fn.address}`,
    `Device Minor: \t ${index}`,
  ];
  const information = join(dir, 'proc/driver/nvidia/gpus', fn.address, 'information');
  writeText(dir, information, `${lines.join('\n')}\n`);
  makeI2c(dir, fn, 'nvidia');
  makeNode(dir, {
    path: `/dev/nvidia${index}`,
    number: `${NVIDIA_MAJOR}:${index}`,
    kind: 'nvidia',
    module: 'nvidia',
    address: fn.address,
  });
  if (isLoaded(dir, 'nvidia_drm')) makeDrm(dir, fn, 'nvidia_drm');
}

/** Takes a function from its driver, and away what the driver made. */
export function detach(dir: string, spec: HardwareSpec, fn: FunctionSpec): void {
  const driver = driverOf(dir, fn);
  if (driver === null) return;
  removeDrm(dir, fn);
  removeI2c(dir, fn);
  removeSound(dir, fn);
  removeNodes(dir, (node) => node.address === fn.address);
  remove(dir, join(dir, 'proc/driver/nvidia/gpus', fn.address));
  unlinkDriver(dir, fn, driver);
  const { group } = fn;
  const groupInUse = spec.functions.some((o) => o.group === group && driverOf(dir, o) === 'vfio-pci');
  if (driver === 'vfio-pci' && group !== null && !groupInUse) removeVfioGroup(dir, group);
}

/** True while a process, or the kernel itself, uses a display function through its driver. */
function isHeld(world: World, fn: FunctionSpec, driver: string): boolean {
  if (!isDisplay(fn)) return false;
  const kernel = readModel(world.dir, 'kernel');
  const modules = driver === 'nvidia' ? ['nvidia', 'nvidia_modeset', 'nvidia_drm'] : [];
  if (modules.some((name) => (kernel.extraRefs[name] ?? 0) > 0)) return true;
  return liveProcesses(world.dir, world.clock.now()).some((p) =>
    p.uses.some((use) => use.address === fn.address),
  );
}

/**
 * Writes a function's address to its driver's `unbind`. With a display function that somebody holds, this
 * never returns, and nor does anything else that needs the function's lock.
 */
export function unbindBySysfs(world: World, fn: FunctionSpec): void {
  const { dir } = world;
  const driver = driverOf(dir, fn);
  if (driver === null) return;
  const path = `sys/bus/pci/drivers/${driver}/unbind`;
  mayHang(world, path, fn.address);
  if (driver === 'nvidia') alarm(dir, `${fn.address} was taken from nvidia through sysfs`);
  if (driver === 'vfio-pci' && guestHas(world, fn)) {
    alarm(dir, `${fn.address} was taken from vfio-pci while a guest had it`);
    markStuck(world, fn.address, `writing /${path}`);
    throw new Hang(`writing /${path}`);
  }
  if (driver !== 'vfio-pci' && isHeld(world, fn, driver)) {
    // The kernel takes the link away before it calls the driver, which then waits for its last user.
    unlinkDriver(dir, fn, driver);
    markStuck(world, fn.address, `writing /${path}`);
    throw new Hang(`writing /${path}`);
  }
  detach(dir, specOf(world), fn);
}

function guestHas(world: World, fn: FunctionSpec): boolean {
  return liveProcesses(world.dir, world.clock.now()).some(
    (p) =>
      p.guest !== null && p.uses.some((use) => use.number !== '' && groupNumber(world, fn) === use.number),
  );
}

function groupNumber(world: World, fn: FunctionSpec): string | undefined {
  return readModel(world.dir, 'nodes').find((node) => node.path === `/dev/vfio/${fn.group}`)?.number;
}

/** Writes `driver_override`; an empty driver clears it. */
export function overrideBySysfs(world: World, fn: FunctionSpec, driver: string): void {
  mayHang(world, `sys/bus/pci/devices/${fn.address}/driver_override`, fn.address);
  setOverride(world.dir, fn, driver);
}

export function powerBySysfs(world: World, fn: FunctionSpec, control: 'on' | 'auto'): void {
  mayHang(world, `sys/bus/pci/devices/${fn.address}/power/control`, null);
  setAttribute(world.dir, fn, 'power/control', control);
}

/** Writes an address to `drivers_probe`: the loaded driver that fits takes the function, or none does. */
export function probeBySysfs(world: World, fn: FunctionSpec): void {
  const { dir } = world;
  mayHang(world, 'sys/bus/pci/drivers_probe', fn.address);
  if (driverOf(dir, fn) !== null) return;
  const driver = wantedDriver(dir, fn);
  if (driver === '' || !driverLoaded(dir, driver)) return;
  if (driver !== 'vfio-pci' && faultsOf(world).probeFails?.includes(fn.address)) return;
  attach(dir, specOf(world), fn, driver);
}

/** The driver that takes a function by its override, or by its ids. */
export function wantedDriver(dir: string, fn: FunctionSpec): string {
  return overrideOf(dir, fn) || fn.driver;
}

function driverLoaded(dir: string, driver: string): boolean {
  const module = moduleOfDriver(driver);
  return module === null || isLoaded(dir, module);
}

/**
 * The use count of a loaded module: its holders, everything that is open, and what the kernel itself uses.
 */
export function useCount(world: World, module: string): number {
  const holders = namesIn(join(moduleDir(world.dir, module), 'holders')).length;
  return holders + ownUses(world, liveProcesses(world.dir, world.clock.now()))(module);
}

function ownUses(world: World, processes: readonly LiveProcess[]): (module: string) => number {
  const kernel = readModel(world.dir, 'kernel');
  return (module) => {
    let count = kernel.extraRefs[module] ?? 0;
    for (const p of processes)
      for (const use of p.uses) if (use.module === module) count += Math.max(1, use.fds.length);
    return count;
  };
}

/** Brings the files that the kernel computes (use counts, power states) up to date with the model. */
export function refresh(world: World): void {
  const { dir } = world;
  const processes = liveProcesses(dir, world.clock.now());
  const uses = ownUses(world, processes);
  for (const { name } of MODULES) {
    if (!isLoaded(dir, name)) continue;
    const holders = namesIn(join(moduleDir(dir, name), 'holders')).length;
    rewriteText(dir, join(moduleDir(dir, name), 'refcnt'), `${holders + uses(name)}\n`);
  }
  const awake = new Set<string>();
  for (const p of processes)
    for (const use of p.uses) if (use.address !== null && !use.idle) awake.add(use.address);
  for (const fn of specOf(world).functions) {
    if (!isDisplay(fn) && !isSound(fn)) continue;
    const device = deviceDir(dir, fn);
    const asleep = maySleep(dir, fn) && !awake.has(fn.address);
    // Only the whole slot goes cold; a sound function alone rests in D3hot.
    const cold = isDisplay(fn) || !awake.has(fn.address.replace(/.$/, '0'));
    rewriteText(dir, join(device, 'power_state'), asleep ? (cold ? 'D3cold\n' : 'D3hot\n') : 'D0\n');
    rewriteText(dir, join(device, 'power/runtime_status'), asleep ? 'suspended\n' : 'active\n');
  }
}

/** Like refresh, where the whole directory may be gone or be made anew at this moment. */
export function refreshQuietly(world: World): void {
  try {
    refresh(world);
  } catch (fault) {
    world.log.line('info', `could not bring the tree up to date: ${String(fault)}`);
  }
}

function maySleep(dir: string, fn: FunctionSpec): boolean {
  const driver = driverOf(dir, fn);
  if (driver === null || driver === 'vfio-pci') return false;
  return readText(join(deviceDir(dir, fn), 'power/control')) === 'auto' && !isLit(dir, fn);
}

/** A connector of the function shows a picture, as its files say now: they may have been edited. */
function isLit(dir: string, fn: FunctionSpec): boolean {
  const drm = join(deviceDir(dir, fn), 'drm');
  return namesIn(drm).some((card) =>
    (fn.connectors ?? []).some(
      (c) => readText(join(drm, card, `${card}-${c.name}`, 'enabled')) === 'enabled',
    ),
  );
}
