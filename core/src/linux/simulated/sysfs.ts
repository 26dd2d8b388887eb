/** Paths and single files of the tree, in sysfs's own layout. */
import { join } from 'node:path';
import { linkName, readText } from '../read.js';
import { exists, link, remove, writeText } from './files.js';
import type { FunctionSpec, HardwareSpec } from './hardware.js';

/** The real directory of a function, below its bridges. */
export function deviceDir(dir: string, fn: FunctionSpec): string {
  const root = `pci${fn.address.slice(0, 4)}:00`;
  return join(dir, 'sys/devices', root, ...fn.behind, fn.address);
}

export function driverDir(dir: string, driver: string): string {
  return join(dir, 'sys/bus/pci/drivers', driver);
}

export function moduleDir(dir: string, module: string): string {
  return join(dir, 'sys/module', module);
}

/** The driver that a function is bound to now, or null. */
export function driverOf(dir: string, fn: FunctionSpec): string | null {
  return linkName(join(deviceDir(dir, fn), 'driver'));
}

/** The override that stands, or an empty text. */
export function overrideOf(dir: string, fn: FunctionSpec): string {
  const text = readText(join(deviceDir(dir, fn), 'driver_override')) ?? '';
  return text === '(null)' ? '' : text;
}

/** Writes an attribute of a function. */
export function setAttribute(dir: string, fn: FunctionSpec, name: string, value: string): void {
  writeText(dir, join(deviceDir(dir, fn), name), `${value}\n`);
}

export function setOverride(dir: string, fn: FunctionSpec, driver: string): void {
  setAttribute(dir, fn, 'driver_override', driver === '' ? '(null)' : driver);
}

export function linkDriver(dir: string, fn: FunctionSpec, driver: string): void {
  const device = deviceDir(dir, fn);
  link(join(device, 'driver'), driverDir(dir, driver));
  link(join(driverDir(dir, driver), fn.address), device);
}

export function unlinkDriver(dir: string, fn: FunctionSpec, driver: string): void {
  remove(dir, join(deviceDir(dir, fn), 'driver'));
  remove(dir, join(driverDir(dir, driver), fn.address));
}

export function isLoaded(dir: string, module: string): boolean {
  return exists(join(moduleDir(dir, module), 'initstate'));
}

/** All functions that are bound to a driver now. */
export function boundTo(dir: string, spec: HardwareSpec, driver: string): FunctionSpec[] {
  return spec.functions.filter((fn) => driverOf(dir, fn) === driver);
}
