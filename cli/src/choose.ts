/** Finds what the user named: a card by address or name, a holder by process, unit or name. */
import { failure } from '../../core/src/errors.js';
import { printable } from '../../core/src/words.js';
import type { HolderDocument } from './documents.js';
import { shortName } from './short-name.js';

export interface NamedCard {
  readonly address: string;
  readonly name: string;
  readonly role: string;
  readonly state: string;
}

function named(cards: readonly NamedCard[]): string {
  return cards.map((card) => `${printable(card.name, 40)} at ${card.address}`).join(', ');
}

/** The cards that a word may mean: by address, with or without its domain, or by name or a part of it. */
export function cardsNamed<T extends NamedCard>(cards: readonly T[], word: string): T[] {
  const wanted = word.toLowerCase();
  const tests: ((card: T) => boolean)[] = [
    (card) => card.address === wanted || card.address === `0000:${wanted}`,
    (card) => card.name.toLowerCase() === wanted,
    (card) => wanted !== '' && card.name.toLowerCase().includes(wanted),
  ];
  for (const test of tests) {
    const found = cards.filter(test);
    if (found.length > 0) return found;
  }
  return [];
}

function theOnly<T extends NamedCard>(cards: readonly T[]): T {
  const [first, second] = cards;
  if (first === undefined) throw failure('NoSuchCard', 'error.no-dgpu');
  if (second !== undefined) throw failure('InvalidArgument', 'error.which-card', { cards: named(cards) });
  return first;
}

/**
 * The card that is meant. Without a word it is the only dGPU, or the only one that `prefers` holds for where there are
 * several.
 */
export function chooseCard<T extends NamedCard>(
  cards: readonly T[],
  word: string | null,
  prefers: (card: T) => boolean = () => false,
): T {
  if (word !== null) {
    const found = cardsNamed(cards, word);
    if (found.length === 0) throw failure('NoSuchCard', 'error.no-such-card', { card: printable(word) });
    return theOnly(found);
  }
  const dgpus = cards.filter((card) => card.role === 'dgpu');
  const preferred = dgpus.filter(prefers);
  return theOnly(preferred.length === 1 ? preferred : dgpus);
}

/** The holders that a word names: an id, a pid, a unit, an application or a process's name (all of that name). */
export function holdersNamed(holders: readonly HolderDocument[], word: string): HolderDocument[] {
  const tests: ((holder: HolderDocument) => boolean)[] = [
    (holder) => holder.id === word || String(holder.pid) === word,
    (holder) => holder.unit === word || holder.ownerName === word,
    (holder) => [shortName(holder), holder.process].some((n) => n.toLowerCase() === word.toLowerCase()),
  ];
  for (const test of tests) {
    const found = holders.filter(test);
    if (found.length > 0) return found;
  }
  throw failure('NoSuchHolder', 'error.no-such-holder', { holder: printable(word, 40) });
}
