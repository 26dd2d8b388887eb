/** Who runs and what is open: processes of the model, main processes of services, and QEMU for each guest. */
import type { Address, DeviceUse, PassResult, ProcessUse } from '../../facts.js';
import type { PassQuestion } from '../../machine.js';
import { functionAt, type HardwareSpec, readSpec } from './hardware.js';
import {
  type GuestModel,
  type NodeModel,
  type Opening,
  type ProcessModel,
  readModel,
  type ServiceModel,
} from './model.js';

/** One device or buffer that is open now. */
export interface LiveUse extends DeviceUse {
  readonly exporter: string | null;
  /** The module that counts it; empty where none does. */
  readonly module: string;
  readonly address: Address | null;
  readonly idle: boolean;
}

export interface LiveProcess extends ProcessUse {
  readonly uses: readonly LiveUse[];
  /** Where it stands in the model. */
  readonly model: ProcessModel;
  readonly unit: string | null;
  readonly guest: string | null;
}

/** /dev/vfio/vfio, which every user of VFIO has open. */
const VFIO_CONTAINER = '10:196';

const EXPORTER_MODULES: Readonly<Record<string, string>> = {
  nv_dmabuf: 'nvidia',
  'nvidia-drm': 'nvidia_drm',
  amdgpu: 'amdgpu',
  i915: 'i915',
};

function applicationNodes(address: Address, nodes: readonly NodeModel[]): NodeModel[] {
  const own = nodes.filter((n) => n.address === address && (n.kind === 'render' || n.kind === 'nvidia'));
  const nvidia = own.some((n) => n.kind === 'nvidia');
  const shared = nodes.filter((n) => nvidia && ['/dev/nvidiactl', '/dev/nvidia-uvm'].includes(n.path));
  return own.concat(shared);
}

function nodesOf(opening: Opening, nodes: readonly NodeModel[]): NodeModel[] {
  if (opening.path !== undefined) return nodes.filter((n) => n.path === opening.path);
  if (opening.number !== undefined) return nodes.filter((n) => n.number === opening.number);
  if (opening.card === undefined) return [];
  const { card, kind } = opening;
  if (kind === undefined) return applicationNodes(card, nodes);
  return nodes.filter((n) => n.address === card && n.kind === kind).slice(0, 1);
}

/** What an opening comes to with the nodes that exist now. A number without its node is still open. */
function resolve(opening: Opening, nodes: readonly NodeModel[], firstFd: number): LiveUse[] {
  const via = opening.via ?? (opening.exporter === undefined ? 'fd' : 'dmabuf');
  const idle = opening.idle === true;
  const fds = (at: number): number[] => opening.fds ?? (via === 'map' ? [] : [firstFd + at]);
  if (via === 'dmabuf') {
    const exporter = opening.exporter ?? 'nv_dmabuf';
    const module = EXPORTER_MODULES[exporter] ?? '';
    return [{ number: '', via, fds: fds(0), exporter, module, address: opening.card ?? null, idle }];
  }
  const found = nodesOf(opening, nodes);
  if (found.length === 0 && opening.number !== undefined)
    return [{ number: opening.number, via, fds: fds(0), exporter: null, module: '', address: null, idle }];
  return found.map((n, i) => ({
    number: n.number,
    via,
    fds: fds(i),
    exporter: null,
    module: n.module,
    address: n.address,
    idle,
  }));
}

/** Sound servers close what they may not open any more (see `holders.ts`), unless one is stubborn. */
function wasClosed(model: ProcessModel, use: LiveUse, nodes: readonly NodeModel[]): boolean {
  if (model.stubborn === true || model.uid === 0 || !/^(wireplumber|pipewire|pulseaudio)$/.test(model.comm))
    return false;
  return nodes.some((node) => node.number === use.number && node.kind === 'sound' && node.mode === 0);
}

function live(
  model: ProcessModel,
  nodes: readonly NodeModel[],
  unit: string | null,
  guest: string | null,
): LiveProcess {
  const uses: LiveUse[] = [];
  for (const opening of model.opens ?? []) {
    const found = resolve(opening, nodes, 12 + uses.length);
    uses.push(...found.filter((use) => !wasClosed(model, use, nodes)));
  }
  return {
    pid: model.pid,
    startTicks: model.startTicks ?? 100_000 + model.pid,
    uid: model.uid ?? 1000,
    comm: model.comm.slice(0, 15),
    argv: model.argv ?? [model.comm],
    cgroup: model.cgroup ?? '',
    uses,
    gpuMemoryBytes: model.gpuMemoryBytes ?? null,
    model,
    unit,
    guest,
  };
}

/** systemd escapes hyphens in the names of machines' scopes. */
function scopeName(text: string): string {
  return text.replace(/-/g, '\\x2d');
}

function qemu(guest: GuestModel, spec: HardwareSpec): ProcessModel {
  const groups = new Set<number>();
  for (const device of guest.devices) {
    const group = functionAt(spec, device.address)?.group;
    if (group !== null && group !== undefined) groups.add(group);
  }
  const opens: Opening[] = [...groups].map((group) => ({ path: `/dev/vfio/${group}` }));
  if (opens.length > 0) opens.push({ number: VFIO_CONTAINER });
  const pid = guest.pid ?? 0;
  return {
    pid,
    startTicks: guest.startTicks ?? 100_000 + pid,
    uid: 64055,
    comm: 'qemu-system-x86',
    argv: [
      '/usr/bin/qemu-system-x86_64',
      '-name',
      `guest=${guest.name.replace(/,/g, ',,')},debug-threads=on`,
      '-uuid',
      guest.uuid,
    ],
    cgroup: `/machine.slice/machine-qemu\\x2d1\\x2d${scopeName(guest.name)}.scope/libvirt/emulator`,
    opens,
  };
}

function isThere(process: ProcessModel, now: number): boolean {
  return (process.from ?? 0) <= now && now < (process.until ?? Number.POSITIVE_INFINITY);
}

/** A service is active until its main process has ended. */
export function isActive(service: ServiceModel, now: number): boolean {
  return service.active && isThere(service.process, now);
}

/**
 * True where a user can open at least one of the nodes that an opening means: masked nodes let only root in.
 */
export function mayOpen(dir: string, opening: Opening, uid: number): boolean {
  if (opening.via === 'dmabuf' || opening.exporter !== undefined) return true;
  return nodesOf(opening, readModel(dir, 'nodes')).some((node) => uid === 0 || node.mode !== 0);
}

function ofService(service: ServiceModel): ProcessModel {
  return { uid: 0, cgroup: `/system.slice/${service.unit}`, ...service.process };
}

/** All processes of the model at a moment (milliseconds since 1970). */
export function liveProcesses(dir: string, now: number): LiveProcess[] {
  const nodes = readModel(dir, 'nodes');
  const spec = readSpec(dir);
  const services = readModel(dir, 'services').filter((s) => isActive(s, now));
  const guests = readModel(dir, 'machines').filter((m) => m.running && (m.pid ?? null) !== null);
  return [
    ...readModel(dir, 'processes')
      .filter((p) => isThere(p, now))
      .map((p) => live(p, nodes, null, null)),
    ...services.map((s) => live(ofService(s), nodes, s.unit, null)),
    ...guests.map((g) => live(qemu(g, spec), nodes, null, g.uuid)),
  ];
}

/** The other processes of a workstation: looked at, holding nothing. */
const BYSTANDERS = 240;

/** One pass over the processes, as over /proc. */
export function pass(dir: string, now: number, question: PassQuestion): PassResult {
  const asked = (use: LiveUse): boolean => {
    if (use.via === 'dmabuf') return question.exporters.includes(use.exporter ?? '');
    const major = use.number.split(':')[0] ?? '';
    return question.numbers.includes(use.number) || question.numbers.includes(major);
  };
  const faults = readModel(dir, 'faults');
  const all = liveProcesses(dir, now);
  const found: ProcessUse[] = [];
  for (const process of all) {
    const uses = process.uses.filter(asked).map(({ number, via, fds }) => ({ number, via, fds }));
    if (uses.length === 0) continue;
    const { pid, startTicks, uid, comm, argv, cgroup, gpuMemoryBytes } = process;
    found.push({ pid, startTicks, uid, comm, argv, cgroup, uses, gpuMemoryBytes });
  }
  const unseen = Array.from({ length: faults.unseen ?? 0 }, (_, i) => ({
    pid: 900 + i,
    uid: 1000,
    comm: `unseen-${i + 1}`,
  }));
  return { processes: BYSTANDERS + all.length, found, unseen, complete: faults.passIncomplete !== true };
}
