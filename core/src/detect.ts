/**
 * Which cards there are, which of them serves the monitors and which can change hands, and what stands in the way.
 * Pure: everything comes from HardwareFacts.
 */
import type { Config } from './config.js';
import type { Address, HardwareFacts, PciFunction, VirtualMachine } from './facts.js';
import { type Sentence, sentence } from './words.js';

export type Role = 'igpu' | 'dgpu' | 'ignored';

export type ObstacleCode =
  | 'one-card'
  | 'no-iommu'
  | 'second-nvidia'
  | 'drives-monitor'
  | 'group-strangers'
  | 'is-igpu';

/** Something that keeps a card from being handed off at all, whatever the VM. */
export interface Obstacle {
  readonly code: ObstacleCode;
  readonly sentence: Sentence;
}

export interface Card {
  /** The address of its display function; the card's name on the bus and on the command line. */
  readonly id: Address;
  /** A short name for people, such as `GeForce RTX 4070`. */
  readonly name: string;
  /** `NVIDIA`, `AMD`, `Intel` or what pci.ids says. */
  readonly vendor: string;
  readonly role: Role;
  /** Why it has that role: the end of a sentence that begins with its name. */
  readonly reason: Sentence;
  /** Its display function. */
  readonly main: PciFunction;
  /** All functions of its slot, by address; `main` among them. */
  readonly functions: readonly PciFunction[];
  readonly obstacles: readonly Obstacle[];
}

/** Drivers under which a function waits for a guest. */
export const KEEPERS: readonly string[] = ['vfio-pci', 'pci-stub'];

/** Drivers that only keep a function for a guest, or for nobody. */
const PLACEHOLDER_DRIVERS = KEEPERS.concat('pcieport');

/** True where a function is kept for a guest, whether one has it or not. */
export function isKept(fn: PciFunction): boolean {
  return fn.driver !== null && KEEPERS.indexOf(fn.driver) >= 0;
}

export function isDisplay(fn: PciFunction): boolean {
  return fn.classCode >> 16 === 0x03;
}

/** `0000:01:00` of `0000:01:00.0`. */
export function slotOf(address: Address): string {
  return address.slice(0, address.lastIndexOf('.'));
}

/** True where a driver of the host has the function, so that a guest could not take its group. */
export function usedByHost(fn: PciFunction): boolean {
  return fn.driver !== null && PLACEHOLDER_DRIVERS.indexOf(fn.driver) < 0;
}

/** True for a card that can only leave by unloading NVIDIA's modules. */
export function leavesByUnloading(card: Card): boolean {
  return card.main.driver === 'nvidia';
}

/** Asleep: the kernel has cut or nearly cut its power. Reading this wakes nothing. */
export function isAsleep(fn: PciFunction): boolean {
  return fn.power.state === 'D3cold' || fn.power.runtime === 'suspended';
}

const VENDORS: Readonly<Record<number, string>> = {
  4318: 'NVIDIA', // 10de
  4098: 'AMD', // 1002
  32902: 'Intel', // 8086
};

/** Makers of the controllers through which servers are managed: ASPEED, Matrox (iDRAC, iLO), Huawei. */
export const MANAGEMENT_VENDORS: readonly number[] = [0x1a03, 0x102b, 0x19e5];

function hex4(value: number): string {
  return value.toString(16).padStart(4, '0');
}

/** pci.ids has the chip's name with the market's name in brackets: `AD104 [GeForce RTX 4070]`. */
function shortName(fn: PciFunction): string {
  const full = fn.deviceName;
  if (full === null || full === '') return `Display device ${hex4(fn.vendorId)}:${hex4(fn.deviceId)}`;
  const market = /\[([^\]]+)\]\s*$/.exec(full);
  return market?.[1] ?? full;
}

function vendorOf(fn: PciFunction): string {
  const known = VENDORS[fn.vendorId];
  if (known !== undefined) return known;
  return fn.vendorName || hex4(fn.vendorId);
}

function litConnectors(functions: readonly PciFunction[]): string[] {
  const names: string[] = [];
  for (const fn of functions) for (const c of fn.connectors) if (c.enabled) names.push(c.name);
  return names;
}

/** Members of the card's IOMMU groups that are no functions of its slot and that the host uses. */
function strangersOf(functions: readonly PciFunction[], facts: HardwareFacts): PciFunction[] {
  const groups = functions.map((fn) => fn.iommuGroup).filter((group) => group !== null);
  const own = functions.map((fn) => fn.address);
  return facts.functions.filter(
    (fn) =>
      fn.iommuGroup !== null &&
      groups.indexOf(fn.iommuGroup) >= 0 &&
      own.indexOf(fn.address) < 0 &&
      usedByHost(fn),
  );
}

interface Slot {
  readonly main: PciFunction;
  readonly functions: readonly PciFunction[];
}

function slots(facts: HardwareFacts): Slot[] {
  const found: Slot[] = [];
  for (const main of facts.functions) {
    if (!isDisplay(main)) continue;
    const slot = slotOf(main.address);
    // A slot with two display functions is one card; the lower function is its name.
    if (found.some((other) => slotOf(other.main.address) === slot)) continue;
    found.push({ main, functions: facts.functions.filter((fn) => slotOf(fn.address) === slot) });
  }
  return found;
}

/**
 * How much speaks for a card as the one for the monitors. What lights a monitor now outweighs what the firmware
 * chose at boot, and that outweighs where the card sits; a card that a guest has cannot serve the session.
 *
 * Where no card lights any (`dark`), a monitor that is plugged in outweighs what the firmware chose, so that roles do
 * not swap whenever the screen is blanked. It does not outweigh the processor's own card that the firmware chose: the
 * cable may be a monitor's second input, for the guest.
 */
function fitsMonitors(slot: Slot, dark: boolean): number {
  if (isKept(slot.main)) return -1;
  // Its picture goes to an administrator far away, lit or not: better than a mere compute card, worse than others.
  if (isManagement(slot.main)) return 1.5;
  let score = 0;
  if (litConnectors(slot.functions).length > 0) score += 8;
  if (dark && darkConnectors(slot).length > 0) score += 5.5;
  if (slot.main.bootVga) score += 4;
  if (onRootBus(slot.main)) score += 2;
  if (slot.main.driver !== null && slot.main.driver !== 'nvidia') score += 1;
  return score;
}

/**
 * Connectors with a monitor that shows nothing, as all of them while the desktop has blanked the screen. A card that
 * udev hides from the desktop by another seat has none: nothing there will wake up with the session.
 */
function darkConnectors(slot: Slot): string[] {
  if (slot.main.seat !== null && slot.main.seat !== 'seat0') return [];
  const names: string[] = [];
  for (const fn of slot.functions)
    for (const c of fn.connectors) if (c.connected && !c.enabled) names.push(c.name);
  return names;
}

/** True where a card lights a monitor that people of this machine look at. */
function lightsMonitor(slot: Slot): boolean {
  return !isKept(slot.main) && !isManagement(slot.main) && litConnectors(slot.functions).length > 0;
}

function isManagement(fn: PciFunction): boolean {
  return MANAGEMENT_VENDORS.indexOf(fn.vendorId) >= 0;
}

/** On bus 0: part of the processor or its chipset, not behind a port. */
function onRootBus(fn: PciFunction): boolean {
  return /^[0-9a-f]{4}:00:/.test(fn.address);
}

/** The sentence for one connector, or that for several. */
function ofMonitors(
  one: 'role.monitor' | 'role.monitor-dark',
  several: 'role.monitors' | 'role.monitors-dark',
  names: readonly string[],
): Sentence {
  return sentence(names.length > 1 ? several : one, { connectors: names.join(', ') });
}

function whyMonitors(slot: Slot, config: Config): Sentence {
  const lit = litConnectors(slot.functions);
  if (config.igpu === slot.main.address) return sentence('role.configured');
  if (lit.length > 0) return ofMonitors('role.monitor', 'role.monitors', lit);
  if (slot.main.bootVga) return sentence('role.boot');
  // The best card lights none, so none does, and what is plugged in has counted.
  const dark = darkConnectors(slot);
  if (dark.length > 0) return ofMonitors('role.monitor-dark', 'role.monitors-dark', dark);
  if (onRootBus(slot.main)) return sentence('role.integrated');
  return sentence('role.only-one-left');
}

function bestForMonitors(all: readonly Slot[], config: Config): Slot | null {
  const candidates = all.filter(
    (slot) => config.ignore.indexOf(slot.main.address) < 0 && config.dgpus.indexOf(slot.main.address) < 0,
  );
  const configured = candidates.filter((slot) => slot.main.address === config.igpu)[0];
  if (configured !== undefined) return configured;
  const dark = !candidates.some(lightsMonitor);
  let best: Slot | null = null;
  for (const slot of candidates) {
    if (best === null || fitsMonitors(slot, dark) > fitsMonitors(best, dark)) best = slot;
  }
  return best;
}

function roleOf(slot: Slot, monitors: Slot | null, config: Config): Role {
  if (config.ignore.indexOf(slot.main.address) >= 0) return 'ignored';
  if (slot === monitors) return 'igpu';
  if (config.dgpus.indexOf(slot.main.address) >= 0) return 'dgpu';
  return config.dgpus.length > 0 || isManagement(slot.main) ? 'ignored' : 'dgpu';
}

function reasonOf(slot: Slot, role: Role, monitors: Slot | null, config: Config): Sentence {
  const { address } = slot.main;
  if (role === 'igpu') return whyMonitors(slot, config);
  const named = config.ignore.indexOf(address) >= 0 || config.dgpus.indexOf(address) >= 0;
  if (role === 'ignored' && !named && isManagement(slot.main)) return sentence('role.management');
  if (role === 'ignored' || named || monitors === null) return sentence('role.configured');
  return sentence('role.other', { card: shortName(monitors.main) });
}

/** All cards of the machine, in address order, with their roles and obstacles. */
export function detect(facts: HardwareFacts, config: Config): Card[] {
  const all = slots(facts);
  const monitors = bestForMonitors(all, config);
  const cards = all.map((slot): Card => {
    const role = roleOf(slot, monitors, config);
    return {
      id: slot.main.address,
      name: shortName(slot.main),
      vendor: vendorOf(slot.main),
      role,
      reason: reasonOf(slot, role, monitors, config),
      main: slot.main,
      functions: slot.functions,
      obstacles: [],
    };
  });
  return cards.map((card) => Object.assign({}, card, { obstacles: obstaclesOf(card, [card], cards, facts) }));
}

/**
 * What stands in the way of `card` when it leaves together with `leaving` (itself among them). `guestHas` are
 * further addresses that the VM takes: they are no strangers in the group.
 */
export function obstaclesOf(
  card: Card,
  leaving: readonly Card[],
  cards: readonly Card[],
  facts: HardwareFacts,
  guestHas: readonly Address[] = [],
): Obstacle[] {
  const obstacles: Obstacle[] = [];
  if (cards.length < 2) {
    obstacles.push({ code: 'one-card', sentence: sentence('refuse.one-card', { card: card.name }) });
  } else if (card.role === 'igpu') {
    obstacles.push({ code: 'is-igpu', sentence: sentence('refuse.is-igpu', { card: card.name }) });
  }
  if (!facts.iommu || card.main.iommuGroup === null) {
    obstacles.push({ code: 'no-iommu', sentence: sentence('refuse.no-iommu') });
  }
  if (leavesByUnloading(card)) {
    const other = cards.filter((c) => leavesByUnloading(c) && !leaving.some((l) => l.id === c.id))[0];
    if (other !== undefined) {
      const values = { card: card.name, other: other.name === card.name ? other.id : other.name };
      obstacles.push({ code: 'second-nvidia', sentence: sentence('refuse.second-nvidia', values) });
    }
  }
  const lit = litConnectors(card.functions);
  if (lit.length > 0 && card.role !== 'igpu') {
    const key = lit.length > 1 ? 'refuse.drives-monitors' : 'refuse.drives-monitor';
    const values = { card: card.name, connectors: lit.join(', ') };
    obstacles.push({ code: 'drives-monitor', sentence: sentence(key, values) });
  }
  const taken = guestHas.concat(...leaving.map((l) => l.functions.map((fn) => fn.address)));
  const strangers = strangersOf(card.functions, facts).filter((fn) => taken.indexOf(fn.address) < 0);
  if (strangers.length > 0) {
    const values = {
      card: card.name,
      group: groupsOf(strangers),
      strangers: strangers.map((fn) => `${fn.deviceName ?? 'device'} at ${fn.address}`).join(', '),
    };
    obstacles.push({ code: 'group-strangers', sentence: sentence('refuse.group-strangers', values) });
  }
  return obstacles;
}

/** The numbers of the groups of these functions. */
function groupsOf(functions: readonly PciFunction[]): string {
  const groups = functions.map((fn) => String(fn.iommuGroup));
  return groups.filter((group, i) => groups.indexOf(group) === i).join(', ');
}

/** The cards whose functions stand among a VM's host devices. Ignored cards are left alone here too. */
export function cardsOf(vm: VirtualMachine, cards: readonly Card[]): Card[] {
  const taken = vm.devices.map((device) => device.address);
  return cards.filter(
    (card) => card.role !== 'ignored' && card.functions.some((fn) => taken.indexOf(fn.address) >= 0),
  );
}
