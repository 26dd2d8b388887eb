import { realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { isAddress } from '../config.js';
import type { Address, HardwareFacts, PciFunction } from '../facts.js';
import { type NodeNumber, nodeIn, nodesBelow, numberInFile, numberOfNode } from './device-nodes.js';
import { moduleFacts } from './modules.js';
import { nvidiaNodes, nvidiaNumbers } from './nvidia-devices.js';
import { pciNames } from './pci-names.js';
import { lineValue, linkName, namesIn, readNumber, readText } from './read.js';

/** What a reader of another machine, or of a tree that stands for one, does in its own way. */
export interface HardwareWays {
  /** `major:minor` of a path in /dev. Default: by stat; in a root other than `/`, a file holds the number. */
  readonly nodeNumber?: NodeNumber;
  /**
   * The raw text of a function's `driver_override`, or null. Default: reads the file in a root other than `/`, and
   * tells nothing on the machine itself: reading it there takes the device's lock, which the kernel holds for as
   * long as it binds or unbinds the function. The reader would hang with a card that hangs.
   */
  readonly override?: (address: Address) => string | null;
}

const DISPLAY = 0x03;
const HOST_BRIDGE = 0x0600;
const PCI_BRIDGE = 0x0604;

/**
 * Reads `sys`, `proc`, `run/udev/data` and `dev` below a root. Synchronous, a few milliseconds; never throws: what
 * is gone or half gone is left out, and a fact that the machine does not tell is null. Nothing it reads wakes a
 * sleeping card: not `config`, no resources, no probing of connectors, and not /proc/driver/nvidia, whose
 * `information` takes a power reference.
 */
export function readHardware(root = '/', ways: HardwareWays = {}): HardwareFacts {
  const numberAt = ways.nodeNumber ?? (root === '/' ? numberOfNode : numberInFile);
  const override =
    ways.override ??
    ((address: Address) =>
      root === '/' ? null : readText(join(functionPath(root, address), 'driver_override')));
  const functions: PciFunction[] = [];
  const drivers = new Set<string>(['nvidia']);
  for (const [address, identity] of identities(root)) {
    functions.push(readFunction(root, address, identity, override));
    const module = linkName(join(functionPath(root, address), 'driver/module'));
    if (module !== null) drivers.add(module);
  }
  const numbers = nvidiaNumbers(root);
  return {
    bootId: readText(join(root, 'proc/sys/kernel/random/boot_id')) ?? '',
    iommu: hasIommu(root),
    functions,
    modules: moduleFacts(root, drivers),
    nvidiaNumbers: numbers,
    nvidiaNodes: nvidiaNodes(root, numbers, numberAt),
  };
}

/** What stays as it is for as long as a device is there. */
type Identity = Pick<
  PciFunction,
  'classCode' | 'vendorId' | 'deviceId' | 'vendorName' | 'deviceName' | 'bootVga' | 'iommuGroup' | 'external'
>;

interface Inventory {
  /** The names of all PCI devices: any that comes or goes makes the inventory void. */
  readonly devices: string;
  readonly identities: ReadonlyMap<Address, Identity>;
}

/** Of this machine alone: the helper looks again and again, and most of what there is to read never changes. */
let inventory: Inventory | null = null;

/** By address, what is of interest: see `addressesOfInterest`. */
function identities(root: string): ReadonlyMap<Address, Identity> {
  const names = namesIn(join(root, 'sys/bus/pci/devices'));
  const devices = names.join(' ');
  if (root === '/' && inventory?.devices === devices && isSame(inventory)) return inventory.identities;
  const found = new Map<Address, Identity>();
  for (const address of addressesOfInterest(root, names)) {
    const identity = readIdentity(root, address);
    if (identity !== null) found.set(address, identity);
  }
  if (root === '/') inventory = { devices, identities: found };
  return found;
}

/** False when another device has taken the place of one between two looks. */
function isSame(known: Inventory): boolean {
  for (const [address, { vendorId, deviceId }] of known.identities) {
    const path = functionPath('/', address);
    if (readNumber(join(path, 'vendor')) !== vendorId || readNumber(join(path, 'device')) !== deviceId)
      return false;
  }
  return true;
}

function functionPath(root: string, address: Address): string {
  return join(root, 'sys/bus/pci/devices', address);
}

/** Every function of a slot with a display function, and what shares an IOMMU group with one of them; sorted. */
function addressesOfInterest(root: string, names: readonly string[]): Address[] {
  const slots = new Map<string, Address[]>();
  const displays = new Set<string>();
  for (const address of names) {
    if (!isAddress(address)) continue;
    const path = functionPath(root, address);
    // A virtual function of SR-IOV looks like a further function of the slot, but is a device of its own.
    if (linkName(join(path, 'physfn')) !== null) continue;
    const slot = address.slice(0, -2);
    slots.set(slot, [...(slots.get(slot) ?? []), address]);
    if ((readNumber(join(path, 'class')) ?? 0) >>> 16 === DISPLAY) displays.add(slot);
  }
  const wanted = new Set<Address>();
  for (const slot of displays) for (const address of slots.get(slot) ?? []) wanted.add(address);
  for (const address of [...wanted]) {
    for (const member of namesIn(join(functionPath(root, address), 'iommu_group/devices'))) {
      if (isAddress(member) && !wanted.has(member) && !isBridge(root, member)) wanted.add(member);
    }
  }
  return [...wanted].sort();
}

/**
 * Bridges in a group are no strangers: vfio lets them stay with their driver. So are the dummy host bridges that
 * AMD's processors put beside each port, as long as no driver has them.
 */
function isBridge(root: string, address: Address): boolean {
  const path = functionPath(root, address);
  const kind = (readNumber(join(path, 'class')) ?? 0) >>> 8;
  return kind === PCI_BRIDGE || (kind === HOST_BRIDGE && linkName(join(path, 'driver')) === null);
}

function readIdentity(root: string, address: Address): Identity | null {
  const path = functionPath(root, address);
  const classCode = readNumber(join(path, 'class'));
  const vendorId = readNumber(join(path, 'vendor'));
  const deviceId = readNumber(join(path, 'device'));
  if (classCode === null || vendorId === null || deviceId === null) return null;
  const group = linkName(join(path, 'iommu_group'));
  return {
    classCode,
    vendorId,
    deviceId,
    ...pciNames(root, address, vendorId, deviceId),
    bootVga: readText(join(path, 'boot_vga')) === '1',
    iommuGroup: group !== null && /^\d+$/.test(group) ? Number(group) : null,
    external: isExternal(path),
  };
}

function readFunction(
  root: string,
  address: Address,
  identity: Identity,
  override: (address: Address) => string | null,
): PciFunction {
  const path = functionPath(root, address);
  const { nodes, connectors } = nodesBelow(path);
  if (identity.iommuGroup !== null) {
    const groupNode = nodeIn(join(root, 'sys/devices/virtual/vfio', String(identity.iommuGroup)));
    if (groupNode !== null) nodes.push(groupNode);
  }
  const card = nodes.find((node) => node.kind === 'card');
  return {
    address,
    ...identity,
    driver: linkName(join(path, 'driver')),
    driverOverride: overrideOf(override(address)),
    power: {
      state: readText(join(path, 'power_state')),
      runtime: readText(join(path, 'power/runtime_status')),
      control: readText(join(path, 'power/control')),
    },
    nodes,
    connectors,
    seat: card === undefined ? null : seatOf(root, card.number),
  };
}

/** The kernel writes `(null)` where no driver was named. */
function overrideOf(text: string | null): string | null {
  return text === null || text === '' || text === '(null)' ? null : text;
}

/** The function or a bridge above it is marked `removable`: it hangs on a port that leads out of the machine. */
function isExternal(path: string): boolean {
  let directory: string;
  try {
    directory = realpathSync(path);
  } catch {
    return false;
  }
  for (; isAddress(basename(directory)); directory = dirname(directory)) {
    if (readText(join(directory, 'removable')) === 'removable') return true;
  }
  return false;
}

/** By udev's database, where a rule or `loginctl attach` names a seat; logind reads the rest as seat0. */
function seatOf(root: string, number: string): string {
  return lineValue(readText(join(root, 'run/udev/data', `c${number}`)), 'E:ID_SEAT') || 'seat0';
}

/** A group that only vfio's no-IOMMU mode made does not count. */
function hasIommu(root: string): boolean {
  const groups = join(root, 'sys/kernel/iommu_groups');
  return namesIn(groups).some((group) => readText(join(groups, group, 'name')) !== 'vfio-noiommu');
}
