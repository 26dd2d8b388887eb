/** `gpu-handoff end-holders [CARD] [HOLDER…]`: ends what keeps a card from leaving. */
import { FAILURES, failure } from '../../../core/src/errors.js';
import type { ManagerClient } from '../bus/client.js';
import { decodeHolders } from '../bus/decode.js';
import { cardNames } from '../card-names.js';
import { cardAndHolders, holdersNamed } from '../choose.js';
import type { Context, ExitStatus } from '../context.js';
import {
  type CardDocument,
  DOCUMENT_VERSION,
  type HolderDocument,
  type HoldersDocument,
  type PreviewDocument,
} from '../documents.js';
import { withHelper } from '../helper.js';
import { authorityOptions, operate } from '../operate.js';
import { showPreview } from './hand-off.js';

export interface EndHoldersOptions {
  readonly force: boolean;
  readonly dryRun: boolean;
}

/** What would be ended. Without words that is all that stands in the way, but for the session itself. */
function chosen(report: HoldersDocument, words: readonly string[]): HolderDocument[] {
  if (words.length === 0) return report.holders.filter((one) => !one.stopsByItself && !one.essential);
  return [...new Set(words.flatMap((word) => holdersNamed(report.holders, word)))];
}

export function endHolders(
  context: Context,
  words: readonly string[],
  options: EndHoldersOptions,
): Promise<ExitStatus> {
  return withHelper(context, async (client) => {
    const { cards } = await client.state();
    const { card, holders } = await cardAndHolders(
      cards,
      words,
      async (one) => (await report(client, one)).holders,
    );
    if (options.dryRun) return preview(context, client, card, holders);
    let ids: readonly string[] = [];
    if (holders.length > 0) ids = chosen(await report(client, card), holders).map((holder) => holder.id);
    const given = authorityOptions(context, options.force ? { force: true } : {});
    const begin = () => client.call('EndHolders', [card.address, ids, given], { limitMs: null });
    return operate(context, client, cardNames(cards), begin);
  });
}

async function report(client: ManagerClient, card: CardDocument): Promise<HoldersDocument> {
  return decodeHolders(await client.call('GetHolders', [card.address, {}]));
}

async function preview(
  context: Context,
  client: ManagerClient,
  card: CardDocument,
  words: readonly string[],
): Promise<ExitStatus> {
  const holders = chosen(await report(client, card), words);
  const nothing = failure('Refused', 'error.nothing-to-end', { card: card.name });
  const document: PreviewDocument = {
    version: DOCUMENT_VERSION,
    kind: 'end-holders',
    ok: holders.length > 0,
    vm: null,
    cards: [{ address: card.address, name: card.name }],
    refusals:
      holders.length > 0
        ? []
        : [
            {
              code: 'nothing-to-end',
              error: nothing.failure,
              status: FAILURES[nothing.failure],
              sentence: nothing.message,
            },
          ],
    steps: holders.map((holder) => ({
      id: holder.id,
      title: `${holder.ownerKind === 'service' ? 'Stop the service' : 'End'} ${holder.name}`,
    })),
    notes: [],
  };
  return showPreview(context, document);
}
