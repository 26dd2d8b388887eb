/** The simulated workstation as a Machine. */
import { existsSync, type FSWatcher, watch } from 'node:fs';
import { join } from 'node:path';
import type { Act, Clock, Log, Machine } from '../../machine.js';
import { readHardware } from '../hardware.js';
import { directoryNotes } from '../notes.js';
import { perform } from './acts.js';
import { jumpingClock, realClock } from './clock.js';
import { refresh, refreshQuietly } from './kernel.js';
import { type Hook, SimulatedLibvirt } from './libvirt.js';
import { editModel, readModel } from './model.js';
import { liveProcesses, pass } from './processes.js';
import { attendRequests } from './requests.js';
import { serviceFacts } from './services.js';
import { SimulatedCrash, type World } from './world.js';

export interface SimulatedOptions {
  /**
   * Scale of the steps' own times: 1 is about a real machine's, 0 (for tests) takes none and lets the clock
   * jump from one wait to the next. Default 1.
   */
  readonly delays?: number;
  /** Default: the real clock, or one that jumps where `delays` is 0. */
  readonly clock?: Clock;
  /** Default: lines are kept in `lines`. */
  readonly log?: Log;
  /**
   * Carry out what others ask for in machines.json (`request`), and end guests whose time has come. For the
   * one process that owns the directory: the helper. Default false.
   */
  readonly attends?: boolean;
}

export interface SimulatedMachine extends Machine {
  readonly simulated: true;
  readonly dir: string;
  /** What was logged, where no log was given. */
  readonly lines: string[];
  /** Called as libvirt calls its hook; a rejection is a hook that fails. Null: no hook is installed. */
  onHook: Hook | null;
  /** Acts that were performed through this machine, in order, with those that failed. */
  readonly acts: Act[];
  /** A guest is started by another program, such as virt-manager. */
  startByOther(uuid: string): Promise<void>;
  /** The guest's own user shuts it down; resolves when libvirt is done with it. */
  shutDownInside(uuid: string): Promise<void>;
  /** libvirt's daemon is restarted. */
  restartLibvirt(): Promise<void>;
  /**
   * After a simulated crash, called when libvirt's hook next asks for the helper: the bus would start a new
   * one. Make a new machine over the directory there and set its `onHook`.
   */
  onCrash: (() => Promise<void>) | null;
  /** True after a simulated crash: every act and note then throws. */
  readonly crashed: boolean;
  /** Stops attending to requests. */
  close(): void;
}

interface Shared {
  readonly libvirt: SimulatedLibvirt;
  clock: Clock | null;
}

/** libvirt outlives the programs that use it, and time is the same for all of them. */
const shared = new Map<string, Shared>();

function sharedOf(dir: string): Shared {
  const found = shared.get(dir) ?? { libvirt: new SimulatedLibvirt(), clock: null };
  shared.set(dir, found);
  return found;
}

/** Nodes and guests change in bursts; whoever listens is told once per burst. */
const QUIET_MS = 50;
const WATCHED = ['model', 'dev', 'dev/dri', 'dev/snd', 'dev/vfio'];
/** How long QEMU may take to start when another program starts it. */
const OTHERS_LIMIT_MS = 300_000;

function watchDirectory(dir: string, heard: () => void): () => void {
  let timer: NodeJS.Timeout | null = null;
  const soon = (): void => {
    if (timer !== null) return;
    timer = setTimeout(() => {
      timer = null;
      // A directory that was made anew (by a reboot) has to be watched anew.
      closeAll();
      watchers = open();
      heard();
    }, QUIET_MS);
    timer.unref();
  };
  const open = (): FSWatcher[] =>
    WATCHED.map((name) => join(dir, name))
      .filter((path) => existsSync(path))
      .map((path) => watch(path, { persistent: false }, soon).on('error', () => {}));
  const closeAll = (): void => {
    for (const watcher of watchers) watcher.close();
  };
  let watchers = open();
  return () => {
    closeAll();
    if (timer !== null) clearTimeout(timer);
  };
}

/** A machine over a directory that `createWorkstation` made. Several processes may look at one directory. */
export function simulatedMachine(dir: string, options: SimulatedOptions = {}): SimulatedMachine {
  const delays = options.delays ?? 1;
  const { libvirt, ...rest } = sharedOf(dir);
  const clock = options.clock ?? (delays > 0 ? realClock : (rest.clock ?? jumpingClock()));
  if (delays === 0) sharedOf(dir).clock = clock;
  const lines: string[] = [];
  const log: Log = options.log ?? { line: (level, text) => lines.push(`${level}: ${text}`) };
  const pace = async (ms: number): Promise<void> => {
    if (ms * delays > 0) await clock.sleep(ms * delays);
  };
  const world: World = { dir, clock, log, pace };
  const acts: Act[] = [];
  const notes = directoryNotes(join(dir, 'run/gpu-handoff'), log);
  let crashed = false;
  let hook: Hook | null = null;

  const mustLive = (): void => {
    if (crashed) throw new SimulatedCrash();
  };
  const crash = (): never => {
    crashed = true;
    editModel(dir, 'faults', (faults) => {
      delete faults.crashAfter;
    });
    if (libvirt.hook === hook) {
      libvirt.hook = null;
      libvirt.activate = machine.onCrash;
    }
    throw new SimulatedCrash();
  };

  const machine: SimulatedMachine = {
    simulated: true,
    dir,
    lines,
    acts,
    clock,
    log,
    eyes: {
      hardware: () => {
        refreshQuietly(world);
        return readHardware(dir);
      },
      processes: async (question) => pass(dir, clock.now(), question),
      virtualMachines: () => libvirt.list(world),
      services: async (units) => serviceFacts(world, units),
      nodeMode: (node) =>
        readModel(dir, 'nodes').find((n) => n.path === node.path && n.number === node.number)?.mode ?? null,
      startTicks: (pid) => liveProcesses(dir, clock.now()).find((p) => p.pid === pid)?.startTicks ?? null,
      userName: (uid) => readModel(dir, 'kernel').users[String(uid)] ?? null,
      startedAt: (startTicks) => readModel(dir, 'kernel').bootedAt + startTicks * 10,
    },
    hands: {
      perform: async (act, limitMs) => {
        mustLive();
        if (readModel(dir, 'faults').crashAfter === 0) crash();
        acts.push(act);
        try {
          await perform(world, libvirt, act, limitMs);
        } finally {
          mustLive();
          const left = readModel(dir, 'faults').crashAfter;
          if (left !== undefined && left <= 1) crash();
          if (left !== undefined)
            editModel(dir, 'faults', (faults) => {
              faults.crashAfter = left - 1;
            });
        }
      },
    },
    notes: {
      readAll: () => notes.readAll(),
      write: (name, value) => {
        mustLive();
        notes.write(name, value);
      },
      remove: (name) => {
        mustLive();
        notes.remove(name);
      },
    },
    onChange: (heard) => watchDirectory(dir, heard),
    get onHook() {
      return hook;
    },
    set onHook(value) {
      hook = value;
      libvirt.hook = value;
    },
    get crashed() {
      return crashed;
    },
    startByOther: async (uuid) => {
      try {
        await libvirt.start(world, uuid, OTHERS_LIMIT_MS);
      } finally {
        refresh(world);
      }
    },
    shutDownInside: async (uuid) => {
      await libvirt.end(world, uuid, 'shutdown');
      refresh(world);
    },
    restartLibvirt: async () => {
      await libvirt.restart(world);
      refresh(world);
    },
    onCrash: null,
    close: () => stop(),
  };
  const stop = options.attends === true ? attendRequests(world, libvirt, watchDirectory) : () => {};
  return machine;
}
