/** `gpu-handoff hand-off VM`: gives the VM its graphics cards and starts it. */
import type { ManagerClient } from '../bus/client.js';
import { decodePreflight } from '../bus/decode.js';
import { namesOf } from '../card-names.js';
import { type Context, type ExitStatus, writeJson } from '../context.js';
import { DOCUMENT_VERSION, type PreviewDocument } from '../documents.js';
import { withHelper } from '../helper.js';
import { authorityOptions, operate } from '../operate.js';
import { renderPreview } from '../render/preview.js';

export interface HandOffOptions {
  readonly dryRun: boolean;
}

async function preview(context: Context, client: ManagerClient, vm: string): Promise<ExitStatus> {
  const found = decodePreflight(await client.call('Preflight', [vm, {}]));
  const { cards } = await client.state();
  const document: PreviewDocument = {
    version: DOCUMENT_VERSION,
    kind: 'hand-off',
    ok: found.ok,
    vm: found.vm,
    cards: cards
      .filter((card) => found.cards.includes(card.address))
      .map(({ address, name }) => ({ address, name })),
    refusals: found.refusals,
    steps: found.steps,
    notes: [],
  };
  return showPreview(context, document);
}

/** Writes a preview; its status is that of the first refusal. */
export function showPreview(context: Context, document: PreviewDocument): ExitStatus {
  const { out, options } = context;
  if (options.json) writeJson(context, document);
  else {
    const cards = document.cards.map((card) => card.name).join(', ');
    const vm = document.vm === null ? '' : ` the VM “${document.vm.name}”`;
    const title =
      document.kind === 'hand-off'
        ? `To hand ${cards} to${vm}:`
        : document.kind === 'take-back'
          ? `To take ${cards} back${vm === '' ? '' : ` from${vm}`}:`
          : `To end what holds ${cards}:`;
    out.write(renderPreview(out.paper, title, document));
  }
  return document.refusals[0]?.status ?? 0;
}

export function handOff(context: Context, vm: string, options: HandOffOptions): Promise<ExitStatus> {
  return withHelper(context, async (client) => {
    if (options.dryRun) return preview(context, client, vm);
    const begin = () => client.call('HandOff', [vm, authorityOptions(context)], { limitMs: null });
    return operate(context, client, await namesOf(client), begin);
  });
}
