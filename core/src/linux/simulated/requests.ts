/**
 * What people and other processes ask for by editing machines.json: a guest started or ended from outside.
 */
import { refreshQuietly } from './kernel.js';
import type { SimulatedLibvirt } from './libvirt.js';
import { editModel, type GuestModel } from './model.js';
import type { World } from './world.js';

const START_LIMIT_MS = 300_000;

interface Task {
  readonly uuid: string;
  readonly what: NonNullable<GuestModel['request']>;
}

/** Takes the requests that stand in the file, so that each is carried out once. */
function takeRequests(world: World): Task[] {
  const tasks: Task[] = [];
  // Nothing is written where nothing is asked: the directory may be gone by now.
  editModel(world.dir, 'machines', (guests) => {
    for (const guest of guests) {
      if (guest.request === null || guest.request === undefined) continue;
      tasks.push({ uuid: guest.uuid, what: guest.request });
      guest.request = null;
    }
  });
  return tasks;
}

async function carryOut(world: World, libvirt: SimulatedLibvirt, task: Task): Promise<void> {
  try {
    if (task.what === 'start') await libvirt.start(world, task.uuid, START_LIMIT_MS);
    if (task.what === 'shutdown') await libvirt.shutdown(world, task.uuid);
    if (task.what === 'destroy') await libvirt.destroy(world, task.uuid);
  } catch (fault) {
    world.log.line(
      'warning',
      `virsh ${task.what}: ${fault instanceof Error ? fault.message : String(fault)}`,
    );
  } finally {
    refreshQuietly(world);
  }
}

/**
 * Carries out requests as they come. `watchDirectory` calls back when the directory changes. Returns the way
 * to stop.
 */
export function attendRequests(
  world: World,
  libvirt: SimulatedLibvirt,
  watchDirectory: (dir: string, heard: () => void) => () => void,
): () => void {
  const look = (): void => {
    for (const task of takeRequests(world)) void carryOut(world, libvirt, task);
  };
  libvirt.adopt(world);
  const stop = watchDirectory(world.dir, look);
  look();
  return stop;
}
