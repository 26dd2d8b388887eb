import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import type { Connector, DeviceNode, NodeKind } from '../facts.js';
import { entriesIn, lineValue, linkName, readText } from './read.js';

/** Says the `major:minor` of the character device at a path, or null where there is none. */
export type NodeNumber = (path: string) => string | null;

/** By the inode, not followed through links: a link in /dev may point anywhere. */
export const numberOfNode: NodeNumber = (path) => {
  try {
    const stat = lstatSync(path);
    return stat.isCharacterDevice() ? deviceNumber(stat.rdev) : null;
  } catch {
    return null;
  }
};

/** In a tree that only stands for a machine, where nobody may make nodes, a file that holds `major:minor`. */
export const numberInFile: NodeNumber = (path) => {
  const text = readText(path);
  return text !== null && /^\d+:\d+$/.test(text) ? text : null;
};

/** `major:minor` of a stat's rdev, in the kernel's 32-bit encoding (new_encode_dev). */
export function deviceNumber(rdev: number): string {
  return `${(rdev >>> 8) & 0xfff}:${(rdev & 0xff) | ((rdev >>> 12) & 0xfff00)}`;
}

export interface NodesAndConnectors {
  readonly nodes: DeviceNode[];
  readonly connectors: Connector[];
}

/**
 * What is not looked into. `usbN` and `input…` on purpose: opening a USB device behind the card's USB-C port, or a
 * jack's event node, does not keep the function from leaving, as both are made for unplugging. The rest has no nodes.
 */
const SKIPPED =
  /^(power|msi_irqs|pools|hwmon|net|block|usb\d+|input\d*|pci[0-9a-f]{4}:.*|[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7].*|gt|tile\d+|engine|ras|statistics)$/;
/** A connector's DDC node is six levels down: drm/card1/card1-DP-1/i2c-9/i2c-dev/i2c-9. */
const DEEPEST = 9;
/** A ceiling for one function, far above what a real card has (about 200). */
const MOST_DIRECTORIES = 2000;

/**
 * The character devices below a function's directory in sysfs (`dev` and `uevent` of each), and the connectors of
 * its DRM cards. A connector's `status` is what the kernel last knew: reading it does not probe and wakes nothing.
 */
export function nodesBelow(directory: string): NodesAndConnectors {
  const nodes: DeviceNode[] = [];
  const connectors: Connector[] = [];
  let directories = 0;

  const visit = (path: string, name: string, depth: number): void => {
    directories += 1;
    if (directories > MOST_DIRECTORIES) return;
    const below: string[] = [];
    for (const entry of entriesIn(path)) {
      if (entry.isDirectory()) {
        if (depth < DEEPEST && !SKIPPED.test(entry.name)) below.push(entry.name);
      } else if (entry.name === 'dev') {
        const node = nodeIn(path);
        if (node !== null) nodes.push(node);
      } else if (entry.name === 'enabled') {
        const found = /^card\d+-(.+)$/.exec(name)?.[1];
        if (found !== undefined) connectors.push(connectorIn(path, found));
      }
    }
    for (const child of below.sort()) visit(join(path, child), child, depth + 1);
  };
  visit(directory, '', 0);
  nodes.sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
  return { nodes, connectors };
}

/** The node that a device's directory describes; null for a block device or one that udev gives no name. */
export function nodeIn(directory: string): DeviceNode | null {
  const number = readText(join(directory, 'dev'));
  const uevent = readText(join(directory, 'uevent'));
  const name = lineValue(uevent, 'DEVNAME');
  if (number === null || !/^\d+:\d+$/.test(number) || name === null || name === '') return null;
  // Block devices have numbers of their own, which mean other character devices.
  if (linkName(join(directory, 'subsystem')) === 'block') return null;
  return { number, path: `/dev/${name}`, kind: kindOf(name) };
}

function kindOf(name: string): NodeKind {
  if (/^dri\/card\d/.test(name)) return 'card';
  if (/^dri\/renderD\d/.test(name)) return 'render';
  if (name.startsWith('snd/')) return 'sound';
  if (/^i2c-\d/.test(name)) return 'i2c';
  if (/^fb\d/.test(name)) return 'fb';
  if (name.startsWith('vfio/')) return 'vfio';
  if (name.startsWith('nvidia')) return 'nvidia';
  return 'other';
}

function connectorIn(directory: string, name: string): Connector {
  return {
    name,
    connected: readText(join(directory, 'status')) === 'connected',
    enabled: readText(join(directory, 'enabled')) === 'enabled',
  };
}
