/** Loading and unloading modules, as modprobe and delete_module do. */
import { join } from 'node:path';
import { ActError } from '../../machine.js';
import { namesIn, readText } from '../read.js';
import { link, remove, writeText } from './files.js';
import { makeDrm, removeDrm } from './function-nodes.js';
import { attach, detach, mayHang, useCount, wantedDriver } from './kernel.js';
import { alarm, editModel, readModel } from './model.js';
import { type ModuleSpec, moduleNamed } from './module-table.js';
import { makeNode, nextMajor, removeNodes } from './nodes.js';
import { boundTo, driverDir, driverOf, isLoaded, moduleDir } from './sysfs.js';
import { specOf, useUp, type World } from './world.js';

/** Where modprobe reads its configuration; the directory under /run comes first. */
const CONFIGURATION = ['run/modprobe.d', 'etc/modprobe.d'];

/** True where an `install NAME /bin/false` line keeps a module from being loaded. */
function isBlocked(dir: string, module: string): boolean {
  for (const place of CONFIGURATION) {
    for (const name of namesIn(join(dir, place)).filter((n) => n.endsWith('.conf'))) {
      for (const line of (readText(join(dir, place, name)) ?? '').split('\n')) {
        const [verb, what, command] = line.trim().split(/\s+/);
        const same = what?.replace(/-/g, '_') === module;
        if (verb === 'install' && same && /\/(false|true)$/.test(command ?? '')) return true;
      }
    }
  }
  return false;
}

/** `modprobe NAME`: loads what it needs first. Rejects with modprobe's own words. */
export function loadModule(world: World, name: string): void {
  const { dir } = world;
  const module = moduleNamed(name);
  if (module === undefined) throw new ActError('failed', `modprobe: FATAL: Module ${name} not found.`);
  if (isLoaded(dir, module.name)) return;
  for (const needed of module.needs) loadModule(world, needed);
  if (isBlocked(dir, module.name))
    throw new ActError(
      'failed',
      `modprobe: ERROR: Error running install command '/bin/false' for module ${module.name}: retcode 1`,
    );
  mayHang(world, `sys/module/${module.name}`, null);
  insert(dir, module);
  startDrivers(world, module);
  if (module.name === 'nvidia' && boundTo(dir, specOf(world), 'nvidia').length === 0) {
    // NVIDIA's driver refuses to stay where it got no card.
    removeModule(world, module);
    throw new ActError('failed', "modprobe: ERROR: could not insert 'nvidia': No such device");
  }
  makeModuleNodes(world, module.name);
}

function insert(dir: string, module: ModuleSpec): void {
  const path = moduleDir(dir, module.name);
  writeText(dir, join(path, 'refcnt'), '0\n');
  for (const needed of module.needs)
    link(join(moduleDir(dir, needed), 'holders', module.name), moduleDir(dir, module.name));
  for (const driver of module.drivers) {
    link(join(driverDir(dir, driver), 'module'), path);
    link(join(path, 'drivers', `pci:${driver}`), driverDir(dir, driver));
  }
  writeText(dir, join(path, 'initstate'), 'live\n');
}

/** A new driver takes every function that is free for it. */
function startDrivers(world: World, module: ModuleSpec): void {
  const spec = specOf(world);
  for (const fn of spec.functions) {
    const wanted = wantedDriver(world.dir, fn);
    if (driverOf(world.dir, fn) === null && module.drivers.includes(wanted))
      attach(world.dir, spec, fn, wanted);
  }
}

function makeModuleNodes(world: World, module: string): void {
  const { dir } = world;
  const node = (path: string, number: string): void =>
    makeNode(dir, { path, number, kind: 'nvidia', module, address: null });
  if (module === 'nvidia') {
    node('/dev/nvidiactl', '195:255');
    const caps = nextMajor(dir, 'nvidia-caps');
    node('/dev/nvidia-caps/nvidia-cap1', `${caps}:1`);
    node('/dev/nvidia-caps/nvidia-cap2', `${caps}:2`);
  }
  if (module === 'nvidia_modeset') node('/dev/nvidia-modeset', '195:254');
  if (module === 'nvidia_uvm') {
    const uvm = nextMajor(dir, 'nvidia-uvm');
    node('/dev/nvidia-uvm', `${uvm}:0`);
    node('/dev/nvidia-uvm-tools', `${uvm}:1`);
  }
  if (module === 'nvidia_drm')
    for (const fn of boundTo(dir, specOf(world), 'nvidia')) makeDrm(dir, fn, 'nvidia_drm');
  writeProcDevices(dir);
}

/** `/proc/devices`, by what is loaded now. */
export function writeProcDevices(dir: string): void {
  const { majors } = readModel(dir, 'kernel');
  const lines = ['  1 mem', ' 10 misc', ' 29 fb', ' 89 i2c', '116 alsa'];
  if (isLoaded(dir, 'nvidia')) lines.push('195 nvidia', '195 nvidiactl');
  if (isLoaded(dir, 'nvidia_modeset')) lines.push('195 nvidia-modeset');
  lines.push('226 drm', '241 vfio');
  if (isLoaded(dir, 'nvidia')) lines.push(`${majors['nvidia-caps']} nvidia-caps`);
  if (isLoaded(dir, 'nvidia_uvm')) lines.push(`${majors['nvidia-uvm']} nvidia-uvm`);
  const text = `Character devices:\n${lines.join('\n')}\n\nBlock devices:\n  8 sd\n259 blkext\n`;
  writeText(dir, join(dir, 'proc/devices'), text);
}

/** `delete_module` without waiting. Done where it is not loaded; `busy` while it is in use. */
export function unloadModule(world: World, name: string): void {
  const { dir } = world;
  const module = moduleNamed(name);
  if (module === undefined || !isLoaded(dir, module.name)) return;
  const busy = editModel(dir, 'faults', (f) => f.busy?.module === module.name && useUp(f.busy));
  if (busy || useCount(world, module.name) > 0)
    throw new ActError('busy', `the module ${module.name} is in use`);
  mayHang(world, `sys/module/${module.name}`, null);
  if (module.drivers.some((driver) => boundTo(dir, specOf(world), driver).some((fn) => fn.bootVga)))
    alarm(dir, `${module.name} was unloaded from under the boot display`);
  removeModule(world, module);
  const again = editModel(dir, 'faults', (f) =>
    f.loadsAgain?.module === module.name && useUp(f.loadsAgain) ? f.loadsAgain.module : null,
  );
  if (again !== null) loadBehind(world, again);
}

/** Something else (udev, a setuid nvidia-modprobe) wants the module back at once. */
function loadBehind(world: World, module: string): void {
  try {
    loadModule(world, module);
  } catch (fault) {
    world.log.line('info', `something tried to load ${module}: ${String(fault)}`);
  }
}

function removeModule(world: World, module: ModuleSpec): void {
  const { dir } = world;
  const spec = specOf(world);
  if (module.name === 'nvidia_drm') for (const fn of boundTo(dir, spec, 'nvidia')) removeDrm(dir, fn);
  for (const driver of module.drivers) {
    for (const fn of boundTo(dir, spec, driver)) detach(dir, spec, fn);
    remove(dir, driverDir(dir, driver));
  }
  removeNodes(dir, (node) => node.module === module.name);
  for (const needed of module.needs) remove(dir, join(moduleDir(dir, needed), 'holders', module.name));
  remove(dir, moduleDir(dir, module.name));
  writeProcDevices(dir);
}
