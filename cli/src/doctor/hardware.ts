/** What the hardware allows: cards and their roles, the IOMMU and its groups, obstacles. */
import { cardsOf } from '../../../core/src/detect.js';
import { reasonOf } from '../../../core/src/errors.js';
import type { VirtualMachine } from '../../../core/src/facts.js';
import { preflight } from '../../../core/src/preflight.js';
import { say } from '../../../core/src/words.js';
import type { CardDocument, CheckDocument } from '../documents.js';
import type { OwnLook } from '../own-look.js';
import { cannotTell, missing, ok } from './check.js';

const ROLES: Readonly<Record<string, string>> = { igpu: 'iGPU', dgpu: 'dGPU', ignored: 'left alone' };

/** A sentence of the core says what is wrong, and after a colon what to do. */
function split(sentence: string): readonly [what: string, advice: string | null] {
  const at = sentence.indexOf(': ');
  if (at < 0) return [sentence, null];
  const advice = sentence.slice(at + 2);
  return [`${sentence.slice(0, at)}.`, advice.charAt(0).toUpperCase() + advice.slice(1)];
}

export function cardChecks(cards: readonly CardDocument[]): CheckDocument[] {
  const checks = cards.map((card) => {
    const role = ROLES[card.role] ?? card.role;
    return ok(`card:${card.address}`, card.name, `${role} at ${card.address}: ${card.reason}.`);
  });
  if (cards.length === 0)
    checks.push(missing('cards', 'Graphics cards', 'None was found on this machine.', null));
  else if (!cards.some((card) => card.role === 'dgpu'))
    checks.push(missing('dgpu', 'A card for VMs', 'No card is left beside the one for the monitors.', null));
  return checks;
}

export function handOffChecks(look: OwnLook): CheckDocument[] {
  const { facts, cards } = look;
  const checks: CheckDocument[] = [
    facts.iommu
      ? ok('iommu', 'IOMMU', 'It is on.')
      : missing(
          'iommu',
          'IOMMU',
          'It is off, so no VM can be given a card.',
          'Turn on VT-d or AMD-Vi in the firmware set-up, and add intel_iommu=on to the kernel command line where it is an Intel processor.',
        ),
  ];
  for (const card of cards.filter((one) => one.role === 'dgpu')) {
    const title = card.name;
    const obstacles = card.obstacles.filter((one) => one.code !== 'no-iommu');
    for (const obstacle of obstacles)
      checks.push(missing(`${obstacle.code}:${card.id}`, title, ...split(say(obstacle.sentence))));
    if (obstacles.length > 0 || card.main.iommuGroup === null) continue;
    const functions = card.functions.map((fn) => fn.address).join(', ');
    const sentence = `It can leave, with its IOMMU group ${card.main.iommuGroup} (${functions}).`;
    checks.push(ok(`group:${card.id}`, title, sentence));
  }
  return checks;
}

/** Whether the VMs that have a card among their devices could be given it. */
export async function machineChecks(look: OwnLook): Promise<CheckDocument[]> {
  let machines: readonly VirtualMachine[];
  try {
    machines = await (await look.eyes()).virtualMachines();
  } catch (fault) {
    const why = `libvirt was not asked: ${reasonOf(fault)}.`;
    return [
      cannotTell('machines', 'VMs', why, 'Ask as root or as a member of the group libvirt to see them.'),
    ];
  }
  const withCards = machines.filter((vm) => cardsOf(vm, look.cards).length > 0);
  if (withCards.length === 0)
    return [
      missing(
        'machines',
        'VMs',
        'No VM has a graphics card of this machine among its devices.',
        'Add one as a PCI host device in virt-manager, with all its functions.',
      ),
    ];
  return withCards.map((vm) => {
    const cards = cardsOf(vm, look.cards);
    const names = cards.map((card) => card.name).join(', ');
    // Whether it runs is no fault of its set-up, and what stands in every VM's way is said above.
    const refusals = preflight({ ...vm, running: null }, look.cards, look.facts, {
      guests: new Map(),
      stuck: new Map(),
    }).filter((one) => one.code !== 'no-iommu' && one.code !== 'one-card');
    const first = refusals[0];
    if (first === undefined)
      return ok(`vm:${vm.uuid}`, vm.name, `It has ${names} with all that has to go along.`);
    return missing(`vm:${vm.uuid}`, vm.name, ...split(say(first.sentence)));
  });
}
