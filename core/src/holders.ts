/**
 * Who keeps a card from leaving: processes (by one pass over /proc), and the kernel (by use counts). Pure: what to
 * ask for, and what the answers mean.
 */
import { type Card, usedByHost } from './detect.js';
import type { HardwareFacts, ModuleFacts, PassResult, ProcessUse } from './facts.js';
import type { PassQuestion } from './machine.js';
import { printable, type Sentence, sentence } from './words.js';

export type OwnerKind = 'app' | 'service' | 'user-service' | 'session' | 'container' | 'vm' | 'process';

/** To what a process belongs, by its cgroup (systemd’s naming of units for desktop applications). */
export interface Owner {
  readonly kind: OwnerKind;
  /** `org.blender.Blender`, `nvidia-persistenced.service`, …; the process's name where there is nothing better. */
  readonly name: string;
  /** The systemd unit, or null. */
  readonly unit: string | null;
}

export interface Holder {
  /** `PID:STARTTICKS`; names one process for as long as the machine runs. */
  readonly id: string;
  readonly pid: number;
  readonly startTicks: number;
  readonly uid: number;
  /** Null where the uid has no name. */
  readonly user: string | null;
  /** The process's own name (comm). */
  readonly process: string;
  readonly argv: readonly string[];
  readonly owner: Owner;
  /** Paths of the nodes it uses, or numbers where the path is not known; `dma-buf` for a buffer. */
  readonly nodes: readonly string[];
  /** A node is mapped, though no descriptor may be open any more. */
  readonly mapped: boolean;
  /** Milliseconds since 1970 at which the process was started; it cannot have held the card for longer. */
  readonly since: number;
  readonly gpuMemoryBytes: number | null;
  /** Ending it logs somebody out. */
  readonly essential: boolean;
  /** A hand-off stops it and the way back starts it again. */
  readonly stopsByItself: boolean;
}

export interface KernelHolder {
  readonly module: string;
  /** Uses that neither other modules nor processes explain. */
  readonly count: number;
}

export interface HolderReport {
  /** `free` is said only when everything could be seen. */
  readonly verdict: 'free' | 'held' | 'unknown';
  /** False where the counts alone said that nobody can hold it. */
  readonly passMade: boolean;
  readonly complete: boolean;
  readonly holders: readonly Holder[];
  readonly kernel: readonly KernelHolder[];
  /** How many processes could not be looked into. */
  readonly unseen: number;
}

/** The report where the use counts said that nobody can hold the card, so that no pass was made. */
export const NOBODY: HolderReport = {
  verdict: 'free',
  passMade: false,
  complete: true,
  holders: [],
  kernel: [],
  unseen: 0,
};

function moduleNamed(facts: HardwareFacts, name: string): ModuleFacts | undefined {
  return facts.modules.filter((m) => m.name === name)[0];
}

/** The module of a driver, as the kernel names it: the driver snd_hda_intel, the module snd_hda_intel. */
function moduleOfDriver(driver: string): string {
  return driver.replace(/-/g, '_');
}

/** NVIDIA's core module and everything that uses it, users before used: the order in which they unload. */
export function nvidiaStack(facts: HardwareFacts): string[] {
  const order: string[] = [];
  const visit = (name: string, depth: number): void => {
    const module = moduleNamed(facts, name);
    if (module === undefined || order.indexOf(name) >= 0 || depth > 16) return;
    for (const user of module.holders) visit(user, depth + 1);
    order.push(name);
  };
  visit('nvidia', 0);
  return order;
}

/** Modules that count the users of a card: those of its functions' drivers, and NVIDIA's stack on top. */
function countingModules(card: Card, facts: HardwareFacts): string[] | null {
  const names: string[] = [];
  for (const fn of card.functions) {
    if (!usedByHost(fn) || fn.driver === null) continue;
    const added = fn.driver === 'nvidia' ? nvidiaStack(facts) : [moduleOfDriver(fn.driver)];
    if (added.length === 0) return null;
    for (const name of added) if (names.indexOf(name) < 0) names.push(name);
  }
  return names;
}

/** Uses of a module beyond the modules that hold it; null where the kernel does not count. */
function openUses(facts: HardwareFacts, name: string): number | null {
  const module = moduleNamed(facts, name);
  if (module === undefined || module.useCount === null) return null;
  return Math.max(0, module.useCount - module.holders.length);
}

/**
 * True when the use counts alone prove that nobody can hold the card: every open file, mapping and buffer of a
 * device keeps a use of its driver's module (`fops->owner`). A shared module in use elsewhere proves nothing.
 */
export function countsSayFree(card: Card, facts: HardwareFacts): boolean {
  const names = countingModules(card, facts);
  return names?.every((name) => openUses(facts, name) === 0) ?? false;
}

/** What a pass has to look for to find all holders of these cards. */
export function holderQuestion(cards: readonly Card[], facts: HardwareFacts): PassQuestion {
  const numbers: string[] = [];
  const exporters: string[] = [];
  const add = (list: string[], value: string): void => {
    if (list.indexOf(value) < 0) list.push(value);
  };
  for (const card of cards) {
    for (const fn of card.functions)
      for (const node of fn.nodes) if (node.kind !== 'vfio') add(numbers, node.number);
    if (card.main.driver === 'nvidia') {
      for (const number of facts.nvidiaNumbers) add(numbers, number);
      add(exporters, 'nv_dmabuf');
      add(exporters, 'nvidia-drm');
    } else if (card.main.driver !== null && usedByHost(card.main) && !driverShared(card, cards, facts)) {
      add(exporters, card.main.driver);
    }
  }
  return { numbers, exporters };
}

/** A buffer names its driver, not its card: where a card that stays has the same driver it proves nothing. */
function driverShared(card: Card, leaving: readonly Card[], facts: HardwareFacts): boolean {
  const own = ([] as string[]).concat(...leaving.map((c) => c.functions.map((fn) => fn.address)));
  return facts.functions.some((fn) => fn.driver === card.main.driver && own.indexOf(fn.address) < 0);
}

/** Undoes systemd's escaping of unit names: `\x2d` is a hyphen. */
function unescapeUnit(name: string): string {
  return name.replace(/\\x([0-9a-f]{2})/g, (_, code: string) =>
    String.fromCharCode(Number.parseInt(code, 16)),
  );
}

const APP_SCOPE = /^app-(?:(?:gnome|kde|dbus|flatpak|niri|sway|Hyprland)-)?(.+?)-[0-9a-f]+\.scope$/;
const APP_SERVICE = /^app-(?:(?:gnome|kde|flatpak)-)?(.+?)(?:@[^@]*)?\.service$/;
const SNAP = /^snap\.([^.]+)\.[^/]+\.(?:scope|service)$/;
const CONTAINER = /^(?:docker|libpod|crio|cri-containerd)-([0-9a-f]{12})[0-9a-f]*\.scope$/;
const GUEST = /^machine-qemu\\x2d[0-9]+\\x2d(.+)\.scope$/;

/** To what a process belongs, by its cgroup path. */
export function ownerOf(cgroup: string, comm: string): Owner {
  const parts = cgroup.split('/').filter((part) => part !== '');
  const inUserManager = parts.some((part) => /^user@[0-9]+\.service$/.test(part));
  for (let i = parts.length - 1; i >= 0; i--) {
    const unit = parts[i] ?? '';
    const app = APP_SCOPE.exec(unit) ?? APP_SERVICE.exec(unit) ?? SNAP.exec(unit);
    if (app?.[1] !== undefined) return { kind: 'app', name: unescapeUnit(app[1]), unit };
    const container = CONTAINER.exec(unit);
    if (container?.[1] !== undefined) return { kind: 'container', name: container[1], unit };
    const guest = GUEST.exec(unit);
    if (guest?.[1] !== undefined) return { kind: 'vm', name: unescapeUnit(guest[1]), unit };
    if (/^session-[^/]+\.scope$/.test(unit)) return { kind: 'session', name: comm, unit };
    if (/\.service$/.test(unit) && !/^user@[0-9]+\.service$/.test(unit))
      return { kind: inUserManager ? 'user-service' : 'service', name: unit, unit };
    if (/\.scope$/.test(unit)) return { kind: 'process', name: comm, unit };
  }
  return { kind: 'process', name: comm, unit: null };
}

const SESSION_PROGRAMS = [
  'gnome-shell',
  'kwin_wayland',
  'kwin_x11',
  'Xorg',
  'Xwayland',
  'plasmashell',
  'sddm',
  'gdm',
  'systemd',
  'systemd-logind',
];

function isEssential(use: ProcessUse): boolean {
  return (
    use.pid === 1 || SESSION_PROGRAMS.some((name) => use.comm === name || use.comm.indexOf(`${name}:`) === 0)
  );
}

/** How users and start times are looked up; given by the adapter. */
export interface People {
  userName(uid: number): string | null;
  startedAt(startTicks: number): number;
}

function nodeNames(use: ProcessUse, facts: HardwareFacts): string[] {
  const names: string[] = [];
  for (const one of use.uses) {
    let name = one.number === '' ? 'dma-buf' : one.number;
    for (const fn of facts.functions)
      for (const node of fn.nodes) if (node.number === one.number) name = node.path;
    for (const node of facts.nvidiaNodes) if (node.number === one.number) name = node.path;
    if (names.indexOf(name) < 0) names.push(name);
  }
  return names.sort();
}

/** What a pass found, in the users' terms. `services` are the units that a hand-off stops by itself. */
export function reportHolders(
  cards: readonly Card[],
  facts: HardwareFacts,
  pass: PassResult,
  services: readonly string[],
  people: People,
): HolderReport {
  const unloading = cards.some((card) => card.main.driver === 'nvidia');
  const holders = pass.found.map((use): Holder => {
    const owner = ownerOf(use.cgroup, use.comm);
    return {
      id: `${use.pid}:${use.startTicks}`,
      pid: use.pid,
      startTicks: use.startTicks,
      uid: use.uid,
      user: people.userName(use.uid),
      process: use.comm,
      argv: use.argv,
      owner,
      nodes: nodeNames(use, facts),
      mapped: use.uses.some((one) => one.via === 'map'),
      since: people.startedAt(use.startTicks),
      gpuMemoryBytes: use.gpuMemoryBytes,
      essential: isEssential(use),
      stopsByItself:
        unloading && owner.kind === 'service' && owner.unit !== null && services.indexOf(owner.unit) >= 0,
    };
  });
  const kernel: KernelHolder[] = [];
  if (holders.length === 0 && unloading) {
    // Only NVIDIA's modules serve nothing but these cards, so only their counts accuse.
    for (const name of nvidiaStack(facts)) {
      const count = openUses(facts, name);
      if (count !== null && count > 0) kernel.push({ module: name, count });
    }
  }
  const held = holders.length > 0 || kernel.length > 0;
  const sawAll = pass.complete && pass.unseen.length === 0;
  return {
    verdict: held ? 'held' : sawAll ? 'free' : 'unknown',
    passMade: true,
    complete: pass.complete,
    holders,
    kernel,
    unseen: pass.unseen.length,
  };
}

/** Holders that a hand-off would not stop by itself. */
export function inTheWay(report: HolderReport): Holder[] {
  return report.holders.filter((holder) => !holder.stopsByItself);
}

/** One holder for people: the app or service, the process and its user. */
export function nameHolder(holder: Holder): string {
  const user = holder.user ?? String(holder.uid);
  if (holder.owner.kind === 'service') return `${printable(holder.owner.name)} (service)`;
  const name = holder.owner.kind === 'app' ? holder.owner.name : holder.process;
  return `${printable(name, 40)} (process ${holder.pid}, ${printable(user, 32)})`;
}

/** Several holders in one phrase; after three the rest are counted. */
export function nameHolders(holders: readonly Holder[]): string {
  const named = holders.slice(0, 3).map(nameHolder);
  const more = holders.length - named.length;
  if (more > 0) return `${named.join(', ')} and ${more} more`;
  return named.join(', ');
}

/** Why the card cannot leave now by this report, or null when it can. */
export function holderRefusal(cardName: string, report: HolderReport): Sentence | null {
  const others = inTheWay(report);
  if (others.length > 0) return sentence('refuse.held', { card: cardName, holders: nameHolders(others) });
  if (report.kernel.length > 0) {
    const modules = report.kernel.map((k) => `${k.module}: ${k.count}`).join(', ');
    return sentence('refuse.held-kernel', { card: cardName, modules });
  }
  if (!report.complete)
    return sentence('refuse.could-not-look', {
      card: cardName,
      why: 'the look at the processes was cut short',
    });
  if (report.unseen > 0)
    return sentence('refuse.could-not-look', {
      card: cardName,
      why: `${report.unseen} processes could not be looked into`,
    });
  return null;
}
