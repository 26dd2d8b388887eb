import { chmodSync, lstatSync, type Stats } from 'node:fs';
import { join } from 'node:path';
import type { DeviceNode } from '../facts.js';
import { ActError, type MaskedNode } from '../machine.js';
import { deviceNumber } from './device-nodes.js';
import type { Tools } from './tools.js';

const PATH = /^\/dev(\/[A-Za-z0-9_:+@-][A-Za-z0-9_.:+@-]*)+$/;

/** Says the number of the device that an inode is, or null; a test's tree cannot have real devices. */
export type NumberOf = (stat: Stats) => string | null;

export const numberOf: NumberOf = (stat) => (stat.isCharacterDevice() ? deviceNumber(stat.rdev) : null);

/**
 * Takes every permission from the nodes. One that is gone needs no closing; one that is another device by now is not
 * touched and makes the act fail, since then the facts are old. Between lstat and chmod nobody but root could put
 * another file there: /dev is root's.
 */
export function maskNodes(tools: Tools, nodes: readonly MaskedNode[], number: NumberOf = numberOf): void {
  for (const node of nodes) {
    const stat = statOf(tools.root, node);
    if (stat === null) continue;
    const found = number(stat);
    if (found !== node.number)
      throw new ActError('failed', `${node.path} is ${found ?? 'no device'} now, not ${node.number}`);
    chmodSync(join(tools.root, node.path), 0o000);
  }
}

/** Gives nodes their permissions back that are still the same devices and still have none at all. */
export function unmaskNodes(tools: Tools, nodes: readonly MaskedNode[], number: NumberOf = numberOf): void {
  for (const node of nodes) {
    const stat = statOf(tools.root, node);
    if (stat === null || node.mode === null || number(stat) !== node.number) continue;
    if ((stat.mode & 0o777) === 0) chmodSync(join(tools.root, node.path), node.mode & 0o777);
  }
}

/** The permission bits of a node; null where it is gone or is another device. */
export function nodeMode(root: string, node: DeviceNode, number: NumberOf = numberOf): number | null {
  const stat = PATH.test(node.path) ? statOf(root, node) : null;
  return stat !== null && number(stat) === node.number ? stat.mode & 0o777 : null;
}

function statOf(root: string, node: DeviceNode): Stats | null {
  if (!PATH.test(node.path)) throw new ActError('failed', 'that is no path of a device');
  try {
    // Not followed: a link in /dev is nobody's node.
    return lstatSync(join(root, node.path));
  } catch {
    return null;
  }
}
