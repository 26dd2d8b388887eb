/** `gpu-handoff take-back [CARD]`: brings a card back from its VM. */
import { DEFAULT_CONFIG } from '../../../core/src/config.js';
import { HelperError } from '../bus/errors.js';
import { cardNames } from '../card-names.js';
import { chooseCard } from '../choose.js';
import type { Context, ExitStatus } from '../context.js';
import { type CardDocument, DOCUMENT_VERSION, type PreviewDocument } from '../documents.js';
import { withHelper } from '../helper.js';
import { authorityOptions, operate } from '../operate.js';
import { OwnLook } from '../own-look.js';
import { showPreview } from './hand-off.js';

export interface TakeBackOptions {
  readonly force: boolean;
  readonly dryRun: boolean;
}

function isAway(card: { readonly state: string }): boolean {
  return card.state === 'vm' || card.state === 'detached' || card.state === 'unknown';
}

export function takeBack(
  context: Context,
  word: string | null,
  options: TakeBackOptions,
): Promise<ExitStatus> {
  return withHelper(context, async (client) => {
    const { cards } = await client.state();
    const card = chooseCard(cards, word, isAway);
    if (options.dryRun) return preview(context, card, cards, options.force);
    const given = authorityOptions(context, options.force ? { force: true } : {});
    const begin = () => client.call('TakeBack', [card.address, given], { limitMs: null });
    return operate(context, client, cardNames(cards), begin);
  });
}

const NOT_REMEMBERED =
  'The helper alone remembers which services it stopped; it starts those, and lifts what else it has changed.';

/** The steps of the way back, made from the core's plan and what can be seen from here. */
async function preview(
  context: Context,
  card: CardDocument,
  cards: readonly CardDocument[],
  force: boolean,
): Promise<ExitStatus> {
  const [{ assume, EVERY_STEP, planGuestLeaves, planReturn }, { say, sentence }, { FAILURES }] =
    await Promise.all([
      import('../../../core/src/plan.js'),
      import('../../../core/src/words.js'),
      import('../../../core/src/errors.js'),
    ]);
  const together = cards.filter(
    (one) => one.address === card.address || (card.vm !== null && one.vm?.uuid === card.vm.uuid),
  );
  const base = {
    version: DOCUMENT_VERSION,
    kind: 'take-back' as const,
    vm: card.vm,
    cards: together.map(({ address, name }) => ({ address, name })),
  };
  const refused = !isAway(card);
  let document: PreviewDocument;
  if (refused) {
    const refusal = {
      code: 'not-in-vm',
      error: 'Refused' as const,
      status: FAILURES.Refused,
      sentence: say(sentence('refuse.not-in-vm', { card: card.name })),
    };
    document = { ...base, ok: false, refusals: [refusal], steps: [], notes: [] };
  } else {
    const look = await OwnLook.begin(context.options.simulate);
    const chosen = look.cards.filter((one) => together.some((other) => other.address === one.id));
    // A helper on another bus may have another machine before it than this command.
    if (chosen.length !== together.length)
      throw new HelperError('Failed', 'The steps can only be shown on the machine itself.');
    const memory = assume(chosen, look.facts);
    const leave = card.vm === null ? [] : planGuestLeaves(card.vm, memory, DEFAULT_CONFIG, force);
    const back = planReturn(memory, look.facts, DEFAULT_CONFIG, EVERY_STEP);
    const steps = [...leave, ...back].map((step) => ({ id: step.id, title: say(step.title) }));
    document = { ...base, ok: true, refusals: [], steps, notes: [NOT_REMEMBERED] };
  }
  return showPreview(context, document);
}
