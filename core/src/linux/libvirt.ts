import { reasonOf } from '../errors.js';
import type { VirtualMachine } from '../facts.js';
import { ActError, type Log } from '../machine.js';
import type { Run } from './child.js';
import { parseDomain } from './domain-xml.js';
import { virsh } from './virsh.js';

/** Each question to libvirt, which waits for a domain whose hook runs. */
const LIMIT_MS = 10_000;
const AT_ONCE = 4;

/**
 * All domains of qemu:///system with their PCI host devices. What runs is asked for as it runs (a device may have been
 * attached since), the rest for what it would start with. A domain that goes away meanwhile, or that cannot be read,
 * is left out. Rejects with an ActError, `gone` where libvirt is absent.
 */
export async function virtualMachines(run: Run, log?: Log, limitMs = LIMIT_MS): Promise<VirtualMachine[]> {
  const all = uuidsIn((await virsh(run, limitMs, 'list', '--all', '--uuid')).stdout);
  const active = new Set(uuidsIn((await virsh(run, limitMs, 'list', '--uuid')).stdout));
  // One that was started between the two questions, or one that lives only while it runs.
  const uuids = [...new Set([...all, ...active])];
  const machines: VirtualMachine[] = [];
  const worker = async (): Promise<void> => {
    for (let uuid = uuids.shift(); uuid !== undefined; uuid = uuids.shift()) {
      const running = active.has(uuid);
      const machine = await machineOf(run, uuid, running, limitMs, log);
      if (machine !== null) machines.push(machine);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return machines.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.uuid < b.uuid ? -1 : 1));
}

async function machineOf(
  run: Run,
  uuid: string,
  running: boolean,
  limitMs: number,
  log: Log | undefined,
): Promise<VirtualMachine | null> {
  try {
    const args = running ? ['dumpxml', uuid] : ['dumpxml', '--inactive', uuid];
    const { stdout } = await virsh(run, limitMs, ...args);
    return { ...parseDomain(stdout), running };
  } catch (fault) {
    // Libvirt that does not answer in time says nothing about any domain.
    if (fault instanceof ActError && (fault.fault === 'time' || fault.fault === 'stuck')) throw fault;
    log?.line('warning', `The VM ${uuid} was left out: ${reasonOf(fault)}`);
    return null;
  }
}

function uuidsIn(text: string): string[] {
  return text.match(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(?=\s*$)/gm) ?? [];
}
