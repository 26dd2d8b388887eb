/** systemd's services, as far as they hold a card. */
import type { ServiceFacts } from '../../facts.js';
import { ActError } from '../../machine.js';
import { editModel, readModel } from './model.js';
import { isActive } from './processes.js';
import { isLoaded } from './sysfs.js';
import type { World } from './world.js';

/** systemd's default start limit. */
const START_LIMIT = { burst: 5, intervalMs: 10_000 };

/** Which of these units are active; units that do not exist are left out. */
export function serviceFacts(world: World, units: readonly string[]): ServiceFacts[] {
  const now = world.clock.now();
  const { systemd } = readModel(world.dir, 'faults');
  if (systemd !== undefined) throw new ActError('failed', systemd);
  return readModel(world.dir, 'services')
    .filter((service) => units.includes(service.unit))
    .map((service) => ({ unit: service.unit, active: isActive(service, now) }));
}

/** A new process number, and the start time that goes with now. */
export function newProcess(world: World): { pid: number; startTicks: number } {
  const now = world.clock.now();
  return editModel(world.dir, 'kernel', (kernel) => {
    kernel.nextPid += 1;
    return { pid: kernel.nextPid, startTicks: Math.max(1, Math.round((now - kernel.bootedAt) / 10)) };
  });
}

/** `systemctl stop`; a unit that does not exist is an error, as in systemd (exit 5). */
export function stopService(world: World, unit: string): void {
  editModel(world.dir, 'services', (services) => {
    const service = services.find((s) => s.unit === unit);
    if (service === undefined) throw new ActError('gone', `Failed to stop ${unit}: Unit ${unit} not loaded.`);
    service.active = false;
  });
}

/** `systemctl start`, after `reset-failed` where `reset` is true. */
export function startService(world: World, unit: string, reset: boolean): void {
  const fresh = newProcess(world);
  const now = world.clock.now();
  const fault = editModel(world.dir, 'services', (services) => {
    const service = services.find((s) => s.unit === unit);
    if (service === undefined) return `Failed to start ${unit}: Unit ${unit} not found.`;
    if (isActive(service, now)) return null;
    const recent = (service.starts ?? []).filter((at) => now - at < START_LIMIT.intervalMs);
    service.starts = reset ? [now] : recent.concat(now);
    if (service.starts.length > START_LIMIT.burst)
      return `Job for ${unit} failed: start of the service was attempted too often.`;
    if (service.failsToStart !== undefined) return `Job for ${unit} failed: ${service.failsToStart}`;
    if (service.needsModule !== undefined && !isLoaded(world.dir, service.needsModule))
      return `Job for ${unit} failed because the control process exited with error code.`;
    service.active = true;
    service.process = { ...service.process, ...fresh };
    delete service.process.until;
    return null;
  });
  if (fault !== null) throw new ActError('failed', fault);
}
