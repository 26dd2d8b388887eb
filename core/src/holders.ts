/**
 * Who keeps a card from leaving: processes (by one pass over /proc), and the kernel (by use counts). Pure: what to
 * ask for, and what the answers mean.
 */
import { type Card, usedByHost } from './detect.js';
import type { HardwareFacts, ModuleFacts, PassResult, ProcessUse } from './facts.js';
import type { PassQuestion } from './machine.js';
import { printable, type Sentence, say, sentence } from './words.js';

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
  /** A hand-off makes it let go without anybody's doing, and it has the card again afterwards. */
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

/** Undoes systemd's escaping of unit names: `\x2d` is a hyphen, and so is each byte of what is not ASCII. */
function unescapeUnit(name: string): string {
  return name.replace(/(?:\\x[0-9a-f]{2})+/g, (escaped) => {
    try {
      return decodeURIComponent(escaped.replace(/\\x/g, '%'));
    } catch {
      return escaped;
    }
  });
}

const APP_SCOPE =
  /^app-(?:(?:gnome|kde|gpuhandoff|dbus|flatpak|niri|sway|Hyprland)-)?(.+?)-[0-9a-f]+\.scope$/;
const APP_SERVICE = /^app-(?:(?:gnome|kde|flatpak)-)?(.+?)(?:@[^@]*)?\.service$/;
/** Started by the bus on behalf of an app: `dbus-:1.2-org.gnome.Nautilus@0.service`. */
const BUS_SERVICE = /^dbus-:[0-9.]+-(.+?)@[^@]*\.service$/;
const SNAP = /^snap\.([^.]+)\..+\.(?:scope|service)$/;
const CONTAINER = /^(?:docker|libpod|crio|cri-containerd)-([0-9a-f]{12})[0-9a-f]*\.scope$/;
const LXC = /^lxc\.payload\.(.+)$/;
const GUEST = /^machine-qemu\\x2d[0-9]+\\x2d(.+)\.scope$/;
/** Of systemd-nspawn and others that register with machined. */
const REGISTERED = /^machine-(.+)\.scope$/;

function firstMatch(unit: string, ...patterns: readonly RegExp[]): string | null {
  for (const pattern of patterns) {
    const found = pattern.exec(unit)?.[1];
    if (found !== undefined) return unescapeUnit(found);
  }
  return null;
}

/**
 * The unit of a cgroup path by systemd's own rule: the first part below slices, and in a user's manager the first
 * below its slices. Groups below a unit have names that others chose: a container's own systemd, or any user.
 */
function unitOf(cgroup: string): { readonly unit: string; readonly ofUser: boolean } {
  const parts = cgroup.split('/').filter((part) => part !== '' && !/\.slice$/.test(part));
  const ofUser = /^user@[0-9]+\.service$/.test(parts[0] ?? '');
  return { unit: parts[ofUser ? 1 : 0] ?? '', ofUser };
}

/** To what a process belongs, by its cgroup path. */
export function ownerOf(cgroup: string, comm: string): Owner {
  const { unit, ofUser } = unitOf(cgroup);
  const guest = firstMatch(unit, GUEST);
  if (guest !== null) return { kind: 'vm', name: guest, unit };
  const container = firstMatch(unit, CONTAINER, LXC, REGISTERED);
  if (container !== null) return { kind: 'container', name: container, unit };
  const app = ofUser ? firstMatch(unit, APP_SCOPE, BUS_SERVICE, APP_SERVICE, SNAP) : null;
  if (app !== null) return { kind: 'app', name: app, unit };
  if (/^session-[^/]+\.scope$/.test(unit)) return { kind: 'session', name: comm, unit };
  if (/\.service$/.test(unit)) return { kind: ofUser ? 'user-service' : 'service', name: unit, unit };
  return { kind: 'process', name: comm, unit: /\.scope$/.test(unit) ? unit : null };
}

/** Compositors, display servers, login managers and the shells that a session cannot do without, by comm. */
const SESSION_PROGRAMS = [
  'gnome-shell',
  'kwin_wayland',
  'kwin_x11',
  'plasmashell',
  'Xorg',
  'Xwayland',
  'mutter',
  'cinnamon',
  'cosmic-comp',
  'sway',
  'Hyprland',
  'niri',
  'labwc',
  'wayfire',
  'weston',
  'gdm',
  'sddm',
  'lightdm',
  'greetd',
  'systemd',
  'systemd-logind',
];

function isEssential(use: ProcessUse): boolean {
  return (
    use.pid === 1 || SESSION_PROGRAMS.some((name) => use.comm === name || use.comm.indexOf(`${name}:`) === 0)
  );
}

/** By comm, which the kernel cuts after 15 characters: of pipewire-media-session the beginning. */
const SOUND_SERVERS = ['wireplumber', 'pipewire', 'pipewire-media-', 'pulseaudio'];

/**
 * A sound server has the control node of every sound card open, played on or not. It watches /dev/snd, as for the
 * change of users, and closes a card that it may not open any more, so that closing the nodes is enough. Root may
 * open everything, and a node that is not of sound is none of its business.
 */
function isSoundServer(use: ProcessUse, facts: HardwareFacts): boolean {
  if (use.uid === 0 || SOUND_SERVERS.indexOf(use.comm) < 0) return false;
  const isSound = (number: string): boolean =>
    facts.functions.some((fn) => fn.nodes.some((node) => node.kind === 'sound' && node.number === number));
  return use.uses.every((one) => isSound(one.number));
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

/** Drivers that take no use of their own module for other parts of the kernel, as i915 does for its sound. */
const COUNTING_DRIVERS = ['amdgpu', 'radeon'];

/** Modules that serve nothing but these cards, so that every use of theirs is a use of one of the cards. */
function accusingModules(cards: readonly Card[], facts: HardwareFacts): string[] {
  const names: string[] = [];
  for (const card of cards) {
    const driver = card.main.driver ?? '';
    const own = COUNTING_DRIVERS.indexOf(driver) >= 0 && !driverShared(card, cards, facts);
    for (const name of driver === 'nvidia' ? nvidiaStack(facts) : own ? [driver] : [])
      if (names.indexOf(name) < 0) names.push(name);
  }
  return names;
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
        (unloading && owner.kind === 'service' && owner.unit !== null && services.indexOf(owner.unit) >= 0) ||
        isSoundServer(use, facts),
    };
  });
  const sawAll = pass.complete && pass.unseen.length === 0;
  const kernel: KernelHolder[] = [];
  // Who was not seen may explain every use.
  if (holders.length === 0 && sawAll) {
    for (const name of accusingModules(cards, facts)) {
      const count = openUses(facts, name);
      if (count !== null && count > 0) kernel.push({ module: name, count });
    }
  }
  const held = holders.length > 0 || kernel.length > 0;
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

/** The same report with nobody excused, for when those who let go by themselves should have done so. */
export function withoutExcuse(report: HolderReport): HolderReport {
  const holders = report.holders.map((holder) => Object.assign({}, holder, { stopsByItself: false }));
  return Object.assign({}, report, { holders });
}

/** One holder for people: the app or service, the process and its user. */
export function nameHolder(holder: Holder): string {
  const user = holder.user ?? String(holder.uid);
  if (holder.owner.kind === 'service')
    return say(sentence('holder.service', { unit: printable(holder.owner.name) }));
  const name = printable(holder.owner.kind === 'app' ? holder.owner.name : holder.process, 40);
  return say(sentence('holder.named', { name, pid: holder.pid, user: printable(user, 32) }));
}

/** Several holders in one phrase; after three the rest are counted. */
export function nameHolders(holders: readonly Holder[]): string {
  const names = holders.slice(0, 3).map(nameHolder).join(', ');
  const count = holders.length - 3;
  return count > 0 ? say(sentence('holder.and-more', { names, count })) : names;
}

/** Why the card cannot leave now by this report, or null when it can. */
export function holderRefusal(cardName: string, report: HolderReport): Sentence | null {
  const others = inTheWay(report);
  if (others.length > 0) return sentence('refuse.held', { card: cardName, holders: nameHolders(others) });
  if (report.kernel.length > 0) {
    const modules = report.kernel.map((k) => `${k.module}: ${k.count}`).join(', ');
    return sentence('refuse.held-kernel', { card: cardName, modules });
  }
  const why = say(
    report.complete ? sentence('holders.partly', { count: report.unseen }) : sentence('holders.cut-short'),
  );
  if (!report.complete || report.unseen > 0)
    return sentence('refuse.could-not-look', { card: cardName, why });
  return null;
}
