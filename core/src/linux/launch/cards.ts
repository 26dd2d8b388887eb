/** On which GPU an app that is started now really runs. */
import { accessSync, constants } from 'node:fs';
import { type Card, detect } from '../../detect.js';
import { failure } from '../../errors.js';
import type { Address, HardwareFacts } from '../../facts.js';
import { cardForLaunch, launchEnvironment } from '../../launch/environment.js';
import { type Sentence, sentence } from '../../words.js';
import { loadConfig } from '../config-file.js';
import { readHardware } from '../hardware.js';
import { codeOf } from './files.js';

export interface Seat {
  readonly on: 'dgpu' | 'igpu';
  /** The card that was asked for, or the one for apps; null where the machine has no dGPU. */
  readonly card: Address | null;
  /** Why it is the iGPU though the dGPU was wanted; null otherwise. */
  readonly why: Sentence | null;
}

/** The graphics cards of this machine, as the configuration wants their roles. */
export async function cardsNow(look: () => HardwareFacts = readHardware): Promise<Card[]> {
  return detect(look(), (await loadConfig()).config);
}

/**
 * Whether this user may open the node that apps open, judged as the wrapper does: nodes are closed while a card changes
 * hands, a render node may be for a group alone, and NVIDIA's may be missing until the first app has it made.
 */
export function mayOpen({ main }: Card): boolean {
  const render = main.nodes.filter((node) => node.kind === 'render')[0];
  const path = main.driver === 'nvidia' ? '/dev/nvidiactl' : render?.path;
  if (path === undefined) return true;
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return true;
  } catch (fault) {
    return codeOf(fault) === 'ENOENT';
  }
}

/** `wanted`: the address of one of several dGPUs, or null. Throws where it names none. */
export function seatFor(
  cards: readonly Card[],
  on: 'dgpu' | 'igpu',
  wanted: Address | null,
  opens: (card: Card) => boolean = mayOpen,
): Seat {
  if (on === 'igpu') return { on, card: null, why: null };
  const named = wanted === null ? null : (cards.find((card) => card.id === wanted) ?? null);
  if (wanted !== null && (named === null || named.role !== 'dgpu'))
    throw failure('NoSuchCard', 'error.no-such-card', { card: wanted.slice(0, 40) });
  const card = named ?? cardForLaunch(cards, opens);
  if (card === null) return { on: 'igpu', card: null, why: sentence('start.no-dgpu') };
  if (launchEnvironment(card) !== null) {
    if (opens(card)) return { on: 'dgpu', card: card.id, why: null };
    return { on: 'igpu', card: card.id, why: sentence('start.no-access', { card: card.name }) };
  }
  const { driver } = card.main;
  const why =
    driver === null
      ? sentence('start.no-driver', { card: card.name })
      : sentence('start.away', { card: card.name, driver });
  return { on: 'igpu', card: card.id, why };
}
