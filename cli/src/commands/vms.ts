/** `gpu-handoff vms`: the VMs of this machine and the cards among their devices. */
import { cardsOf } from '../../../core/src/detect.js';
import { failure, reasonOf } from '../../../core/src/errors.js';
import { ActError } from '../../../core/src/machine.js';
import { decodeMachines } from '../bus/decode.js';
import { type Context, type ExitStatus, writeJson } from '../context.js';
import {
  type CardDocument,
  DOCUMENT_VERSION,
  type MachineDocument,
  type MachinesDocument,
} from '../documents.js';
import { withHelperOrNull } from '../helper.js';
import { OwnLook } from '../own-look.js';
import { renderMachines } from '../render/vms.js';

interface Listed {
  readonly uuid: string;
  readonly name: string;
  readonly running: boolean | null;
  readonly cards: readonly string[];
}

function documentsOf(listed: readonly Listed[], cards: readonly CardDocument[]): MachineDocument[] {
  return listed.map(({ uuid, name, running, cards: ids }) => ({
    uuid,
    name,
    running,
    cards: ids.map((address) => {
      const card = cards.find((one) => one.address === address);
      return { address, name: card?.name ?? address, has: card?.vm?.uuid === uuid };
    }),
  }));
}

function askHelper(context: Context): Promise<MachineDocument[] | null> {
  return withHelperOrNull(context, async (client) => {
    const listed = decodeMachines(await client.call('ListVirtualMachines', [{}]));
    return documentsOf(listed, (await client.state()).cards);
  });
}

async function look(context: Context): Promise<MachineDocument[]> {
  const own = await OwnLook.begin(context.options.simulate);
  try {
    const machines = await (await own.eyes()).virtualMachines();
    const listed = machines.map((vm) => ({ ...vm, cards: cardsOf(vm, own.cards).map((card) => card.id) }));
    return documentsOf(listed, await own.cardDocuments());
  } catch (fault) {
    if (!(fault instanceof ActError)) throw fault;
    throw failure('LibvirtAbsent', 'refuse.libvirt-absent', { why: reasonOf(fault) });
  }
}

export async function vms(context: Context): Promise<ExitStatus> {
  const answer = await askHelper(context);
  const document: MachinesDocument = {
    version: DOCUMENT_VERSION,
    source: answer === null ? 'own-look' : 'helper',
    machines: answer ?? (await look(context)),
  };
  if (context.options.json) writeJson(context, document);
  else context.out.write(renderMachines(context.out.paper, document));
  return 0;
}
