/** Changes that tests and people make to a simulated workstation from outside, as the world would. */
import { join } from 'node:path';
import type { Address } from '../../facts.js';
import { namesIn } from '../read.js';
import { createWorkstation } from './create.js';
import { writeText } from './files.js';
import { functionAt, readSpec } from './hardware.js';
import {
  editModel,
  type Faults,
  type GuestModel,
  type ProcessModel,
  readModel,
  writeModel,
} from './model.js';
import type { ScenarioName } from './scenarios.js';
import { deviceDir } from './sysfs.js';

/**
 * Adds a process; its pid follows from what is there unless it is given. Returns it as it stands in the file.
 */
export function addProcess(dir: string, process: Partial<ProcessModel> & { comm: string }): ProcessModel {
  return editModel(dir, 'processes', (processes) => {
    const pid = Math.max(7000, ...processes.map((p) => p.pid)) + 1;
    const added: ProcessModel = { pid, startTicks: 300_000 + pid, ...process };
    processes.push(added);
    return added;
  });
}

/** The process is gone, by itself. */
export function removeProcess(dir: string, pid: number): void {
  const left = readModel(dir, 'processes').filter((p) => p.pid !== pid);
  writeModel(dir, 'processes', left);
}

/** Replaces the faults; an empty object switches all of them off. */
export function setFaults(dir: string, faults: Faults): void {
  writeModel(dir, 'faults', faults);
}

/** What a real machine might not have survived, so far. */
export function alarms(dir: string): string[] {
  return readModel(dir, 'alarms');
}

/** A guest by its name; throws where there is none. */
export function guestNamed(dir: string, name: string): GuestModel {
  const guest = readModel(dir, 'machines').find((g) => g.name === name);
  if (guest === undefined) throw new Error(`the simulated workstation has no VM “${name}”`);
  return guest;
}

/** Changes a guest: how it shuts down, its devices, what is asked of it. */
export function setGuest(dir: string, name: string, change: Partial<GuestModel>): void {
  editModel(dir, 'machines', (guests) => {
    for (const guest of guests) if (guest.name === name) Object.assign(guest, change);
  });
}

/** Plugs a monitor in or out, or lights it; while the card has a driver. */
export function setConnector(
  dir: string,
  address: Address,
  name: string,
  state: { readonly connected: boolean; readonly enabled: boolean },
): void {
  const fn = functionAt(readSpec(dir), address);
  if (fn === undefined) throw new Error(`there is no PCI function ${address}`);
  const drm = join(deviceDir(dir, fn), 'drm');
  for (const card of namesIn(drm).filter((n) => n.startsWith('card'))) {
    const path = join(drm, card, `${card}-${name}`);
    writeText(dir, join(path, 'status'), state.connected ? 'connected\n' : 'disconnected\n');
    writeText(dir, join(path, 'enabled'), state.enabled ? 'enabled\n' : 'disabled\n');
  }
}

/**
 * Reboots: the scenario begins anew, with another boot id and an empty /run. Processes and guests with it.
 */
export function reboot(dir: string): void {
  createWorkstation(dir, readSpec(dir).scenario as ScenarioName);
}
