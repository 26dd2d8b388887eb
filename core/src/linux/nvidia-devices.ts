import { join } from 'node:path';
import type { DeviceNode } from '../facts.js';
import type { NodeNumber } from './device-nodes.js';
import { entriesIn, readText } from './read.js';

/** NVIDIA's own major, assigned for good; its other majors are dynamic. */
const NVIDIA_MAJOR = '195';

/**
 * The numbers that NVIDIA's modules have taken: `195` for a whole major by `/proc/devices` (nvidia, nvidia-uvm,
 * nvidia-caps…), `10:122` for one node by `/proc/misc`. Its driver has no devices in sysfs.
 */
export function nvidiaNumbers(root: string): string[] {
  const numbers = new Set<string>();
  const devices = readText(join(root, 'proc/devices')) ?? '';
  // Block majors are another space of numbers.
  const characters = devices.split(/^Block devices:/m)[0] ?? '';
  for (const found of characters.matchAll(/^\s*(\d+)\s+nvidia/gm)) numbers.add(found[1] ?? '');
  const misc = readText(join(root, 'proc/misc')) ?? '';
  for (const found of misc.matchAll(/^\s*(\d+)\s+nvidia/gm)) numbers.add(`10:${found[1] ?? ''}`);
  return [...numbers].sort((a, b) => (a < b ? -1 : 1));
}

/**
 * The nodes in /dev that carry one of those numbers: /dev/nvidiactl, /dev/nvidia0, /dev/nvidia-caps/…. Nodes left
 * over from a driver that is gone are left out where their major may be anybody's by now.
 */
export function nvidiaNodes(root: string, numbers: readonly string[], numberAt: NodeNumber): DeviceNode[] {
  const taken = new Set(numbers);
  const nodes: DeviceNode[] = [];
  const look = (path: string): void => {
    const number = numberAt(join(root, path));
    if (number === null) return;
    const major = number.slice(0, number.indexOf(':'));
    if (major === NVIDIA_MAJOR || taken.has(major) || taken.has(number))
      nodes.push({ number, path, kind: 'nvidia' });
  };
  for (const entry of entriesIn(join(root, 'dev'))) {
    if (!entry.name.startsWith('nvidia')) continue;
    const path = `/dev/${entry.name}`;
    if (entry.isDirectory()) for (const below of entriesIn(join(root, path))) look(`${path}/${below.name}`);
    else look(path);
  }
  return nodes.sort((a, b) => (a.path < b.path ? -1 : 1));
}
