/** Ending processes. */
import { ActError } from '../../machine.js';
import { editModel, type Faults, type ProcessModel } from './model.js';
import { type LiveProcess, liveProcesses, mayOpen } from './processes.js';
import { newProcess, startService } from './services.js';
import type { World } from './world.js';

/** What became of a signal, for whoever keeps the guests. */
export interface Signalled {
  /** QEMU of this guest died. */
  readonly guest: string | null;
}

/** Sends a signal to a process whose start time is as said; `gone` where there is none. */
export function signalProcess(
  world: World,
  pid: number,
  startTicks: number,
  signal: 'TERM' | 'KILL',
): Signalled {
  const now = world.clock.now();
  const target = liveProcesses(world.dir, now).find((p) => p.pid === pid && p.startTicks === startTicks);
  if (target === undefined) throw new ActError('gone', `there is no process ${pid} any more`);
  const { model } = target;
  if (model.unkillable === true) return { guest: null };
  if (signal === 'TERM' && model.onTerm === 'ignores') return { guest: null };
  const end = now + (signal === 'KILL' ? 0 : (model.endsAfterMs ?? 0));
  if (target.guest !== null) return { guest: target.guest };
  if (target.unit !== null) endService(world, target.unit, pid, end);
  else endProcess(world, target, end);
  return { guest: null };
}

function endProcess(world: World, target: LiveProcess, end: number): void {
  const now = world.clock.now();
  editModel(world.dir, 'processes', (processes) => {
    const kept = processes.filter((p) => (p.until ?? Number.POSITIVE_INFINITY) > now);
    const index = kept.findIndex((p) => p.pid === target.pid);
    const ended = kept[index];
    if (ended !== undefined) {
      if (end <= now) kept.splice(index, 1);
      else ended.until = Math.min(end, ended.until ?? end);
    }
    processes.splice(0, processes.length, ...kept);
  });
  const again = editModel(world.dir, 'faults', (faults) => comesBack(faults, target));
  if (again !== null) comeBack(world, target.model, end + again);
}

/** How long after its end the process is back, or null. */
function comesBack(faults: Faults, target: LiveProcess): number | null {
  const fault = faults.comesBack;
  if (fault === undefined || fault.comm.slice(0, 15) !== target.comm) return null;
  const left = fault.times ?? 1;
  if (left <= 0) return null;
  fault.times = left - 1;
  return fault.afterMs ?? 0;
}

/** The same program once more. It opens the card only where its nodes let it. */
function comeBack(world: World, model: ProcessModel, from: number): void {
  const copy: ProcessModel = { ...model, ...newProcess(world), from };
  delete copy.until;
  copy.opens = (model.opens ?? []).filter((o) => mayOpen(world.dir, o, model.uid ?? 1000));
  editModel(world.dir, 'processes', (processes) => {
    processes.push(copy);
  });
}

function endService(world: World, unit: string, pid: number, end: number): void {
  const restarts = editModel(world.dir, 'services', (services) => {
    const service = services.find((s) => s.unit === unit && s.process.pid === pid);
    if (service === undefined) return false;
    if (end > world.clock.now()) service.process.until = end;
    else service.active = false;
    return service.restarts === true && !service.active;
  });
  if (!restarts) return;
  try {
    startService(world, unit, false);
  } catch (fault) {
    world.log.line('info', `systemd could not start ${unit} again: ${String(fault)}`);
  }
}
