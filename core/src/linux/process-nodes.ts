import { type Dirent, lstatSync, readdirSync } from 'node:fs';
import { deviceNumber } from './process-child.js';

/*
 * The nodes in this machine's own /dev, by inode. A descriptor of one of them need not be followed to know
 * its number; following is for a child only, since a process may put another file in its place at any moment.
 */

/** /dev/snd/by-path, /dev/bus/usb/001: nothing of interest lies deeper. */
const DEPTH = 4;

/** Nothing where the directory is not there any more: udev makes and removes them. */
function entriesOf(directory: string): Dirent[] {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch {
    // What is not known is asked for.
    return [];
  }
}

function addNodes(directory: string, device: number, depth: number, nodes: Map<string, string>): void {
  for (const entry of entriesOf(directory)) {
    const path = `${directory}/${entry.name}`;
    const isDirectory = entry.isDirectory() && depth < DEPTH;
    if (!isDirectory && !entry.isCharacterDevice()) continue;
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat === undefined) continue;
    if (stat.isCharacterDevice()) nodes.set(`${stat.dev} ${stat.ino}`, deviceNumber(stat.rdev));
    // Terminals are a file system of their own; what else is mounted below /dev is none of ours.
    else if (isDirectory && (stat.dev === device || path === '/dev/pts'))
      addNodes(path, device, depth + 1, nodes);
  }
}

/** Device numbers, `major:minor`, by `st_dev inode`. Empty where /dev cannot be read. */
export function knownNodes(): ReadonlyMap<string, string> {
  const nodes = new Map<string, string>();
  const dev = lstatSync('/dev', { throwIfNoEntry: false });
  if (dev !== undefined) addNodes('/dev', dev.dev, 1, nodes);
  return nodes;
}
