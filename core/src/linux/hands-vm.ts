import { ActError } from '../machine.js';
import type { Tools } from './tools.js';
import { checkUuid, virsh } from './virsh.js';

/** What virsh says when there is nothing to do: the act was done before. */
const DONE = {
  start: /already (active|running)/i,
  shutdown: /not running/i,
  destroy: /not running/i,
} as const;

/** Starts a VM, asks it to shut down, or turns it off, by its UUID. Ends when libvirt has answered. */
export async function actOnVm(tools: Tools, what: keyof typeof DONE, uuid: string): Promise<void> {
  checkUuid(uuid);
  try {
    await virsh(tools.run, tools.left(), what, uuid);
  } catch (fault) {
    if (!(fault instanceof ActError) || !DONE[what].test(fault.message)) throw fault;
  }
}
