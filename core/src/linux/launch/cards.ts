/** On which GPU an app that is started now really runs. */
import { type Card, detect } from '../../detect.js';
import { failure } from '../../errors.js';
import type { Address, HardwareFacts } from '../../facts.js';
import { cardForLaunch, launchEnvironment } from '../../launch/environment.js';
import { type Sentence, sentence } from '../../words.js';
import { loadConfig } from '../config-file.js';
import { readHardware } from '../hardware.js';

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

/** `wanted`: the address of one of several dGPUs, or null. Throws where it names none. */
export function seatFor(cards: readonly Card[], on: 'dgpu' | 'igpu', wanted: Address | null): Seat {
  if (on === 'igpu') return { on, card: null, why: null };
  const named = wanted === null ? null : (cards.find((card) => card.id === wanted) ?? null);
  if (wanted !== null && (named === null || named.role !== 'dgpu'))
    throw failure('NoSuchCard', 'error.no-such-card', { card: wanted.slice(0, 40) });
  const card = named ?? cardForLaunch(cards);
  if (card === null) return { on: 'igpu', card: null, why: sentence('start.no-dgpu') };
  if (launchEnvironment(card) !== null) return { on: 'dgpu', card: card.id, why: null };
  const { driver } = card.main;
  const why =
    driver === null
      ? sentence('start.no-driver', { card: card.name })
      : sentence('start.away', { card: card.name, driver });
  return { on: 'igpu', card: card.id, why };
}
