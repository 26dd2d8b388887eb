import { ActError } from '../machine.js';
import { type ChildResult, complaintOf, type Run } from './child.js';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Asks libvirt's system instance. Rejects with an ActError; `gone` when virsh or the daemon is not there. */
export async function virsh(run: Run, limitMs: number, ...args: string[]): Promise<ChildResult> {
  const result = await run({
    program: 'virsh',
    args: ['-q', '-c', 'qemu:///system', ...args],
    limitMs,
    most: 16 * 1024 * 1024,
  });
  if (result.status === 0) return result;
  const why = complaintOf(result);
  if (/failed to connect to the hypervisor|failed to get domain|domain not found|no domain with/i.test(why))
    throw new ActError('gone', why);
  throw new ActError('failed', why);
}

export function checkUuid(uuid: string): void {
  if (!UUID.test(uuid)) throw new ActError('failed', 'that is no UUID');
}
