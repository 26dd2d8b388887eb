/** Device nodes: numbers, files in /dev, entries in sysfs and in udev's database. */
import { join } from 'node:path';
import type { Address, NodeKind } from '../../facts.js';
import { link, remove, writeText } from './files.js';
import { editModel, type NodeModel, readModel } from './model.js';

const MODES: Readonly<Record<NodeKind, number>> = {
  card: 0o660,
  render: 0o666,
  sound: 0o660,
  i2c: 0o660,
  fb: 0o660,
  nvidia: 0o666,
  vfio: 0o600,
  other: 0o600,
};

export interface NewNode {
  readonly path: string;
  readonly number: string;
  readonly kind: NodeKind;
  readonly module: string;
  readonly address: Address | null;
  /** Its directory in sysfs; none for NVIDIA's own nodes, which sysfs does not know. */
  readonly sysfs?: string;
}

/** Makes a node: the file in /dev, and `dev` and `uevent` in sysfs. */
export function makeNode(dir: string, node: NewNode): void {
  if (node.sysfs !== undefined) {
    const [major, minor] = node.number.split(':');
    const uevent = `MAJOR=${major}\nMINOR=${minor}\nDEVNAME=${node.path.slice('/dev/'.length)}\n`;
    writeText(dir, join(node.sysfs, 'uevent'), uevent);
    writeText(dir, join(node.sysfs, 'dev'), `${node.number}\n`);
    link(join(dir, 'sys/dev/char', node.number), node.sysfs);
  }
  const { path, number, kind, module, address } = node;
  editModel(dir, 'nodes', (nodes) => {
    nodes.push({ path, number, kind, mode: MODES[kind], module, address });
  });
  writeText(dir, join(dir, node.path), `${node.number}\n`);
}

/** Removes all nodes that `which` names, with what /dev and udev have of them. */
export function removeNodes(dir: string, which: (node: NodeModel) => boolean): void {
  const gone = readModel(dir, 'nodes').filter(which);
  for (const node of gone) {
    remove(dir, join(dir, node.path));
    remove(dir, join(dir, 'sys/dev/char', node.number));
    remove(dir, join(dir, 'run/udev/data', `c${node.number}`));
  }
  if (gone.length > 0)
    editModel(dir, 'nodes', (nodes) => {
      const kept = nodes.filter((node) => !which(node));
      nodes.splice(0, nodes.length, ...kept);
    });
}

/**
 * A free index of a class of nodes. After a reload it differs from the one before (card1, then card2):
 * nothing may rely on it, so the simulated kernel never gives the same one twice in a row.
 */
export function nextIndex(
  dir: string,
  what: string,
  owner: string,
  taken: (index: number) => boolean,
): number {
  return editModel(dir, 'kernel', (kernel) => {
    const key = `${what} ${owner}`;
    let index = 0;
    while (taken(index) || index === kernel.lastIndex[key]) index += 1;
    kernel.lastIndex[key] = index;
    return index;
  });
}

/** A dynamic major: another one each time. */
export function nextMajor(dir: string, driver: string): number {
  return editModel(dir, 'kernel', (kernel) => {
    const used = Object.values(kernel.majors);
    let major = 511;
    while (used.includes(major)) major -= 1;
    kernel.majors[driver] = major;
    return major;
  });
}

/** True when a node of this path exists. */
export function hasNode(dir: string, path: string): boolean {
  return readModel(dir, 'nodes').some((node) => node.path === path);
}

/** The first minor of a major that no node has. */
export function freeMinor(dir: string, major: number): number {
  const numbers = readModel(dir, 'nodes').map((node) => node.number);
  let minor = 0;
  while (numbers.includes(`${major}:${minor}`)) minor += 1;
  return minor;
}
