/** Finds what the user named: a card by address or name, a holder by process, unit or name. */
import { isAddress } from '../../core/src/config.js';
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

/** What the first of these tests finds that finds anything. */
function firstFound<T>(all: readonly T[], tests: readonly ((one: T) => boolean)[]): T[] {
  for (const test of tests) {
    const found = all.filter(test);
    if (found.length > 0) return found;
  }
  return [];
}

/** An address as sysfs writes it, also where its domain was left out; what is no address stays as it is. */
export function wholeAddress(word: string): string {
  const wanted = word.toLowerCase();
  return [wanted, `0000:${wanted}`].find(isAddress) ?? word;
}

/** The cards that a word means without a doubt: by address, or by the whole name. */
function cardsCalled<T extends NamedCard>(cards: readonly T[], word: string): T[] {
  if (word === '') return [];
  return firstFound(cards, [
    (card) => card.address === wholeAddress(word),
    (card) => card.name.toLowerCase() === word.toLowerCase(),
  ]);
}

/** The cards that a word may mean: by address, with or without its domain, or by name or a part of it. */
export function cardsNamed<T extends NamedCard>(cards: readonly T[], word: string): T[] {
  const called = cardsCalled(cards, word);
  if (called.length > 0 || word === '') return called;
  return cards.filter((card) => card.name.toLowerCase().includes(word.toLowerCase()));
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

/** The holders that go by a word; none by an empty one, which is what a script's unset variable comes to. */
function holdersCalled(holders: readonly HolderDocument[], word: string): HolderDocument[] {
  if (word === '') return [];
  return firstFound(holders, [
    (holder) => holder.id === word || String(holder.pid) === word,
    (holder) => holder.unit === word || holder.ownerName === word,
    (holder) => [shortName(holder), holder.process].some((n) => n.toLowerCase() === word.toLowerCase()),
  ]);
}

/** The holders that a word names: an id, a pid, a unit, an application or a process's name (all of that name). */
export function holdersNamed(holders: readonly HolderDocument[], word: string): HolderDocument[] {
  const found = holdersCalled(holders, word);
  if (found.length === 0)
    throw failure('NoSuchHolder', 'error.no-such-holder', { holder: printable(word, 40) });
  return found;
}

/**
 * The cards that a word may mean where it may be a holder as well. A holder that is taken for a card would have all
 * that holds the card ended, so a number is a process, always, and a part of a name has to be whole words of it.
 */
export function cardsBeforeHolders<T extends NamedCard>(cards: readonly T[], word: string): T[] {
  if (/^\d*$/.test(word)) return [];
  const called = cardsCalled(cards, word);
  if (called.length > 0 || !/\p{L}/u.test(word)) return called;
  return cards.filter((card) => ` ${card.name} `.toLowerCase().includes(` ${word} `.toLowerCase()));
}

/**
 * The card and the holders among the words of a command that takes both. The first word is a card only where no holder
 * goes by it, unless it is the card's address or whole name; without one the card is the only one at home.
 */
export async function cardAndHolders<T extends NamedCard>(
  cards: readonly T[],
  words: readonly string[],
  holdersOf: (card: T) => Promise<readonly HolderDocument[]>,
): Promise<{ readonly card: T; readonly holders: readonly string[] }> {
  const [first = '', ...others] = words;
  const maybe = cardsBeforeHolders(cards, first);
  const isHolder = async (): Promise<boolean> => {
    const asked = cards.filter((card) => card.role === 'dgpu' || maybe.includes(card));
    return holdersCalled((await Promise.all(asked.map(holdersOf))).flat(), first).length > 0;
  };
  if (maybe.length > 0 && (cardsCalled(cards, first).length > 0 || !(await isHolder())))
    return { card: theOnly(maybe), holders: others };
  return { card: chooseCard(cards, null, (card) => card.state === 'host'), holders: words };
}
