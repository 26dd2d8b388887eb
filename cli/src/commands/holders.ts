/** `gpu-handoff holders [CARD]`: who keeps a card from leaving. */
import { decodeHolders } from '../bus/decode.js';
import { chooseCard, type NamedCard } from '../choose.js';
import { type Context, type ExitStatus, writeJson } from '../context.js';
import { type CardHoldersDocument, DOCUMENT_VERSION, type HoldersListDocument } from '../documents.js';
import { withHelperOrNull } from '../helper.js';
import { holdersDocument, OwnLook } from '../own-look.js';
import { renderHolders } from '../render/holders.js';

/** The named card, or all dGPUs. */
function wanted<T extends NamedCard>(cards: readonly T[], word: string | null): T[] {
  const dgpus = cards.filter((card) => card.role === 'dgpu');
  return word === null && dgpus.length > 1 ? dgpus : [chooseCard(cards, word)];
}

function askHelper(context: Context, word: string | null): Promise<CardHoldersDocument[] | null> {
  return withHelperOrNull(context, async (client) => {
    const { cards } = await client.state();
    const answers = wanted(cards, word).map(async ({ address, name }) => ({
      card: { address, name },
      ...decodeHolders(await client.call('GetHolders', [address, {}])),
    }));
    return Promise.all(answers);
  });
}

async function look(context: Context, word: string | null): Promise<CardHoldersDocument[]> {
  const own = await OwnLook.begin(context.options.simulate);
  const documents = await own.cardDocuments();
  const found: CardHoldersDocument[] = [];
  for (const { address, name } of wanted(documents, word)) {
    const card = own.cards.find((one) => one.id === address);
    if (card === undefined) continue;
    found.push({ card: { address, name }, ...holdersDocument(name, await own.holders(card)) });
  }
  return found;
}

export async function holders(context: Context, word: string | null): Promise<ExitStatus> {
  const answer = await askHelper(context, word);
  const document: HoldersListDocument = {
    version: DOCUMENT_VERSION,
    source: answer === null ? 'own-look' : 'helper',
    cards: answer ?? (await look(context, word)),
  };
  if (context.options.json) writeJson(context, document);
  else context.out.write(renderHolders(context.out.paper, document, Date.now()));
  return 0;
}
