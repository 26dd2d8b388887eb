/**
 * The part of the workstation that no sysfs holds: processes, services, guests, faults. Plain JSON files
 * below `DIR/model`, read anew at each look, so that people, tests and other processes can edit them while it
 * runs.
 */
import { join } from 'node:path';
import type { Address, HostDevice, NodeKind } from '../../facts.js';
import type { Act } from '../../machine.js';
import { readText } from '../read.js';
import { writeText } from './files.js';

/**
 * A device that a process has open. Named by `number`, by `path`, or by `card` (and `kind`), which follows
 * the card through changing minors; a `card` without `kind` means all the nodes that an application using the
 * card opens.
 */
export interface Opening {
  number?: string;
  path?: string;
  card?: Address;
  kind?: NodeKind;
  via?: 'fd' | 'map' | 'dmabuf';
  fds?: number[];
  /** For a dma-buf: `nv_dmabuf`, or the DRM driver's name. */
  exporter?: string;
  /** The device is open, but does not keep the card awake. */
  idle?: boolean;
}

export interface ProcessModel {
  pid: number;
  startTicks?: number;
  uid?: number;
  comm: string;
  argv?: string[];
  cgroup?: string;
  opens?: Opening[];
  gpuMemoryBytes?: number | null;
  /** What it does when asked to end: `ends` (default), or nothing until it is killed. */
  onTerm?: 'ends' | 'ignores';
  /** How long it takes to end, in milliseconds. */
  endsAfterMs?: number;
  /** A sound server that keeps open what it may not open any more. */
  stubborn?: boolean;
  /** It sits in the kernel and does not even die when killed. */
  unkillable?: boolean;
  /** Milliseconds since 1970 from which on, or until which, it is there. */
  from?: number;
  until?: number;
}

export interface ServiceModel {
  unit: string;
  active: boolean;
  /** The main process while active. */
  process: ProcessModel;
  /** Without this module it does not start. */
  needsModule?: string;
  /**
   * When it was started since `reset-failed`, in milliseconds since 1970; systemd allows five in ten seconds.
   */
  starts?: number[];
  /** Starting fails with this text. */
  failsToStart?: string;
  /** Systemd starts it again when its process ends by itself. */
  restarts?: boolean;
}

export interface GuestModel {
  uuid: string;
  name: string;
  devices: HostDevice[];
  running: boolean;
  /** libvirt is starting or ending it. */
  changing?: 'starting' | 'stopping' | null;
  /** QEMU's pid while it runs. */
  pid?: number | null;
  startTicks?: number;
  /** What the guest does when asked to shut down. */
  onShutdown?: 'obeys' | 'ignores';
  /** How long it takes to shut down, in milliseconds. */
  shutdownMs?: number;
  /** How long QEMU takes to start, in milliseconds. */
  startMs?: number;
  /** When it will be off, in milliseconds since 1970, once it was asked to shut down. */
  offAt?: number | null;
  /**
   * Do this from outside, as virt-manager or the guest's own user would; taken by the process that attends.
   */
  request?: 'start' | 'shutdown' | 'destroy' | null;
}

/** What the kernel knows beyond sysfs. */
export interface KernelModel {
  /** Uses of a module that no process explains: an i2c user in the kernel, a descriptor in flight. */
  extraRefs: Record<string, number>;
  /** Dynamic majors by driver name: they change each time that the driver is loaded. */
  majors: Record<string, number>;
  /** The last index that a function's nodes had, so that the next one differs. */
  lastIndex: Record<string, number>;
  /** Functions on which a write hangs until the next boot, with what hangs. */
  stuck: Record<string, string>;
  nextPid: number;
  /** Milliseconds since 1970. */
  bootedAt: number;
  users: Record<string, string>;
}

/**
 * A node in /dev. Its permission bits stand here: a file of mode 0000 could not even be read by its owner.
 */
export interface NodeModel {
  path: string;
  number: string;
  kind: NodeKind;
  mode: number;
  /** The module that counts its users; empty where none does. */
  module: string;
  /** Null for nodes of a whole driver, such as /dev/nvidiactl. */
  address: Address | null;
}

/** Which acts wait. */
export interface Waiting {
  act: Act['do'];
  module?: string;
}

/** Faults that can be switched on; see README.md. An empty object: none. */
export interface Faults {
  /** Unloading this module fails with EBUSY (whatever its count says); `times` limits how often. */
  busy?: { module: string; times?: number };
  /** A process of this name comes back after it was ended, `times` times (once where not said). */
  comesBack?: { comm: string; times?: number; afterMs?: number };
  /**
   * Something loads this module (and what it needs) again right after it was unloaded, unless it is blocked.
   */
  loadsAgain?: { module: string; times?: number };
  /** A write to a sysfs file whose path contains `path` never returns, or a whole act of that kind. */
  hangs?: { path?: string; act?: Act['do'] };
  /** Texts with which libvirt fails, by `list`, `start`, `shutdown`, `destroy`; `connect`: everything. */
  virsh?: Partial<Record<'connect' | 'list' | 'start' | 'shutdown' | 'destroy', string>>;
  /** Text with which systemd fails to say which services run. */
  systemd?: string;
  /** These functions stay without a driver when they are probed. */
  probeFails?: Address[];
  /** After so many acts the program is gone: a SimulatedCrash comes out of perform. */
  crashAfter?: number;
  /** Every act takes so many milliseconds longer. */
  slow?: number;
  /** Acts of these kinds, and on this module where one is named, wait until the fault is taken away. */
  waits?: Waiting | Waiting[];
  /** A pass over the processes is cut short. */
  passIncomplete?: boolean;
  /** So many processes cannot be looked into. */
  unseen?: number;
}

interface Model {
  processes: ProcessModel[];
  services: ServiceModel[];
  machines: GuestModel[];
  nodes: NodeModel[];
  kernel: KernelModel;
  faults: Faults;
  /** What a real machine might not have survived: sentences, for tests and people. */
  alarms: string[];
}

export type ModelName = keyof Model;

function emptyModel(): Model {
  return {
    processes: [],
    services: [],
    machines: [],
    nodes: [],
    kernel: {
      extraRefs: {},
      majors: {},
      lastIndex: {},
      stuck: {},
      nextPid: 5000,
      bootedAt: 0,
      users: {},
    },
    faults: {},
    alarms: [],
  };
}

const lastGood = new Map<string, string>();

function modelFile(dir: string, name: ModelName): string {
  return join(dir, 'model', `${name}.json`);
}

/** Reads one file of the model. While somebody's edit is not valid JSON, what stood there before is used. */
export function readModel<K extends ModelName>(dir: string, name: K): Model[K] {
  const path = modelFile(dir, name);
  const text = readText(path);
  const empty = emptyModel()[name];
  if (text === null) return empty;
  const parsed = parse(text) ?? parse(lastGood.get(path) ?? '');
  if (parsed === undefined) throw new Error(`${path} is not valid JSON`);
  if (parse(text) !== undefined) lastGood.set(path, text);
  return Array.isArray(empty) ? (parsed as Model[K]) : Object.assign({}, empty, parsed);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export function writeModel<K extends ModelName>(dir: string, name: K, value: Model[K]): void {
  writeText(dir, modelFile(dir, name), `${JSON.stringify(value, null, 2)}\n`);
}

/** Reads, changes and (where it changed) writes one file of the model, without anything in between. */
export function editModel<K extends ModelName, R>(dir: string, name: K, change: (value: Model[K]) => R): R {
  const value = readModel(dir, name);
  const before = JSON.stringify(value);
  const result = change(value);
  if (JSON.stringify(value) !== before) writeModel(dir, name, value);
  return result;
}

/** Notes down what a real machine might not have survived. */
export function alarm(dir: string, text: string): void {
  editModel(dir, 'alarms', (alarms) => {
    if (!alarms.includes(text)) alarms.push(text);
  });
}
