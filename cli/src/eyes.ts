/**
 * The machine with all that sees processes and libvirt. A part of its own, which is loaded only where sysfs alone does
 * not say enough: most looks do not need it.
 */
import type { Machine } from '../../core/src/machine.js';

export { lookForGuests, lookForHolders } from '../../core/src/engine/look.js';

/** This machine, or the simulated workstation in a directory. Looking only: nothing of it is written to a log. */
export async function machineOf(simulate: string | null): Promise<Machine> {
  const silent = { line: () => {} };
  if (simulate === null) {
    const { realMachine } = await import('../../core/src/linux/machine.js');
    return { ...realMachine(), log: silent };
  }
  const { simulatedMachine } = await import('../../core/src/linux/simulated/machine.js');
  return simulatedMachine(simulate, { log: silent });
}
