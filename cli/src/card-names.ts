import type { ManagerClient } from './bus/client.js';

/** Says the names of cards by their addresses. */
export type CardNames = (ids: readonly string[]) => string;

export function cardNames(cards: readonly { readonly address: string; readonly name: string }[]): CardNames {
  return (ids) =>
    ids.map((id) => cards.find((card) => card.address === id)?.name ?? id).join(', ') || 'the card';
}

/** By what the helper publishes now; starts it where it does not run. */
export async function namesOf(client: ManagerClient): Promise<CardNames> {
  return cardNames((await client.state()).cards);
}
