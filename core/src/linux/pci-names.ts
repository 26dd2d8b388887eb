import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { lineValue, readText } from './read.js';

export interface PciNames {
  readonly vendorName: string | null;
  readonly deviceName: string | null;
}

/** Debian and openSUSE have the first, Fedora and Arch the second. */
const PCI_IDS = ['usr/share/misc/pci.ids', 'usr/share/hwdata/pci.ids'];

/** Looked up once per kind of device: the list has 1.5 MB, and names do not change while the helper runs. */
const known = new Map<string, PciNames>();

/**
 * The names of a PCI function: what udev's hardware database said when the device appeared, else the system's
 * pci.ids; null where neither knows it.
 */
export function pciNames(root: string, address: string, vendorId: number, deviceId: number): PciNames {
  const udev = readText(join(root, 'run/udev/data', `+pci:${address}`));
  const vendorName = lineValue(udev, 'E:ID_VENDOR_FROM_DATABASE');
  const deviceName = lineValue(udev, 'E:ID_MODEL_FROM_DATABASE');
  if (vendorName !== null && deviceName !== null) return { vendorName, deviceName };
  const key = `${root} ${vendorId} ${deviceId}`;
  let listed = known.get(key);
  if (listed === undefined) {
    listed = searchPciIds(root, hex4(vendorId), hex4(deviceId));
    known.set(key, listed);
  }
  return { vendorName: vendorName ?? listed.vendorName, deviceName: deviceName ?? listed.deviceName };
}

function hex4(id: number): string {
  return id.toString(16).padStart(4, '0');
}

function searchPciIds(root: string, vendor: string, device: string): PciNames {
  for (const file of PCI_IDS) {
    let list: Buffer;
    try {
      list = readFileSync(join(root, file));
    } catch {
      continue;
    }
    return searchList(list, vendor, device);
  }
  return { vendorName: null, deviceName: null };
}

/** Searches the bytes: `VENDOR  Name` begins a block of `TAB DEVICE  Name` lines, which the next vendor ends. */
function searchList(list: Buffer, vendor: string, device: string): PciNames {
  const at = list.indexOf(`\n${vendor}  `);
  if (at < 0) return { vendorName: null, deviceName: null };
  const found = list.indexOf(`\n\t${device}  `, at);
  // No vendor's line may stand between the two, or the device belongs to another vendor.
  const own = found >= 0 && !/\n[0-9a-f]/.test(list.toString('latin1', at + 1, found));
  return { vendorName: restOfLine(list, at + 7), deviceName: own ? restOfLine(list, found + 8) : null };
}

function restOfLine(list: Buffer, from: number): string {
  const end = list.indexOf('\n', from);
  return list.toString('utf8', from, end < 0 ? list.length : end).trim();
}
