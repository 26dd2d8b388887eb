/** All checks of the doctor, in the order in which they depend on each other. */
import type { Context } from '../context.js';
import { DOCUMENT_VERSION, type DoctorDocument } from '../documents.js';
import { OwnLook } from '../own-look.js';
import { cardChecks, handOffChecks, machineChecks } from './hardware.js';
import { launchingChecks } from './launching.js';
import { softwareChecks } from './software.js';

export async function diagnose(context: Context): Promise<DoctorDocument> {
  const { simulate, bus } = context.options;
  const look = await OwnLook.begin(simulate);
  const groups = [
    { id: 'cards', title: 'Cards', checks: cardChecks(await look.cardDocuments()) },
    { id: 'hand-off', title: 'Handing over', checks: handOffChecks(look) },
    { id: 'machines', title: 'Virtual machines', checks: await machineChecks(look) },
  ];
  // A simulated workstation has no software of its own.
  if (simulate === null) {
    groups.push({ id: 'software', title: 'Software', checks: await softwareChecks(bus, look.loaded) });
    const checks = await launchingChecks(bus, context.env, look.cards);
    groups.push({ id: 'launching', title: 'Apps on the dGPU', checks });
  }
  return { version: DOCUMENT_VERSION, groups };
}
