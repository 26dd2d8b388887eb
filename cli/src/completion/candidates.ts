/** The names that can stand for an argument, with what they are. */
import type { ManagerClient } from '../bus/client.js';
import { decodeHolders, decodeMachines } from '../bus/decode.js';
import { cardsBeforeHolders, chooseCard, type NamedCard } from '../choose.js';
import type { Context } from '../context.js';
import type { HolderDocument } from '../documents.js';
import { withHelperOrNull } from '../helper.js';
import { holdersDocument, OwnLook } from '../own-look.js';
import { shortName } from '../short-name.js';
import type { ArgumentKind } from './tree.js';

export interface Candidate {
  readonly value: string;
  readonly description: string;
  /** Another way to name something that is offered already: only for those who begin to type it. */
  readonly other: boolean;
}

/** Nobody waits longer than this for a completion. */
const LIMIT_MS = 3000;

/** What is asked of the helper, or of an own look where it cannot be had. */
interface Sources {
  cards(): Promise<readonly NamedCard[]>;
  machines(): Promise<
    readonly { readonly uuid: string; readonly name: string; readonly running: boolean | null }[]
  >;
  holders(address: string): Promise<readonly HolderDocument[]>;
}

function helperSources(client: ManagerClient): Sources {
  const limit = { limitMs: LIMIT_MS };
  return {
    cards: async () => (await client.state(limit)).cards,
    machines: async () => decodeMachines(await client.call('ListVirtualMachines', [{}], limit)),
    holders: async (address) => decodeHolders(await client.call('GetHolders', [address, {}], limit)).holders,
  };
}

async function ownSources(context: Context): Promise<Sources> {
  const look = await OwnLook.begin(context.options.simulate);
  return {
    cards: () => look.cardDocuments(),
    machines: async () => (await look.eyes()).virtualMachines(),
    holders: async (address) => {
      const card = look.cards.find((one) => one.id === address);
      return card === undefined ? [] : holdersDocument(card.name, await look.holders(card)).holders;
    },
  };
}

/** A terminal takes a control character for its own, and the shell's protocol has one name in a line. */
function isTypable(name: string): boolean {
  return !/\p{Cc}|\p{Zl}|\p{Zp}/u.test(name) && name !== '';
}

async function vms(sources: Sources): Promise<Candidate[]> {
  return (await sources.machines()).map(({ uuid, name, running }) => {
    const description = running === true ? 'running' : 'VM';
    if (isTypable(name)) return { value: name, description, other: false };
    return { value: uuid, description: 'a VM whose name cannot be typed', other: false };
  });
}

/** `named`: also by their names. */
async function cards(sources: Sources, named: boolean): Promise<Candidate[]> {
  const dgpus = (await sources.cards()).filter((card) => card.role === 'dgpu');
  return dgpus.flatMap(({ address, name }) => {
    const byAddress = { value: address, description: name, other: false };
    return named ? [byAddress, { value: name, description: address, other: true }] : [byAddress];
  });
}

const isAtHome = (card: NamedCard): boolean => card.state === 'host';

async function holders(sources: Sources, word: string): Promise<Candidate[]> {
  const all = await sources.cards();
  const [named, another] = cardsBeforeHolders(all, word);
  const card = named !== undefined && another === undefined ? named : chooseCard(all, null, isAtHome);
  const found = await sources.holders(card.address);
  const names = new Map<string, HolderDocument[]>();
  for (const one of found) names.set(shortName(one), [...(names.get(shortName(one)) ?? []), one]);
  const byName = [...names].map(([value, ones]) => ({
    value,
    description: ones.length === 1 ? (ones[0]?.name ?? '') : `${ones.length} processes`,
    other: false,
  }));
  const byPid = found.map((one) => ({ value: String(one.pid), description: one.name, other: true }));
  return [...byName, ...byPid];
}

async function ask(sources: Sources, kinds: readonly ArgumentKind[], first: string): Promise<Candidate[]> {
  const lists = await Promise.all(
    kinds.map((kind) => {
      if (kind === 'vm') return vms(sources);
      if (kind === 'card' || kind === 'address') return cards(sources, kind === 'card');
      return kind === 'holder' ? holders(sources, first) : [];
    }),
  );
  return lists.flat().filter((one) => isTypable(one.value));
}

const ACTS: readonly (readonly [string, string])[] = [
  ['set', 'choose for an app'],
  ['sync', 'make entries follow'],
  ['undo', 'give back what was there'],
];
const CHOICES: readonly (readonly [string, string])[] = [
  ['always', 'on the dGPU'],
  ['offer', 'an action in its menu'],
  ['never', 'not on the dGPU'],
  ['untouched', 'as it was'],
];

/** Of apps, for which the helper is not asked; null for every other kind. `first`: what is done with the app. */
async function ofApps(
  context: Context,
  kinds: readonly ArgumentKind[],
  first: string,
): Promise<Candidate[] | null> {
  const fixed = (list: typeof ACTS): Candidate[] =>
    list.map(([value, description]) => ({ value, description, other: false }));
  if (kinds.includes('apps-act')) return fixed(ACTS);
  if (kinds.includes('choice')) return first === 'set' ? fixed(CHOICES) : [];
  if (!kinds.includes('app')) return null;
  if (first === 'sync') return [];
  const { appCandidates } = await import('../commands/apps.js');
  const apps = await appCandidates(context);
  return apps.map(({ id, name }) => ({ value: id, description: name, other: false }));
}

/** What can stand for an argument of these kinds. `first` is the command's first argument. Never rejects. */
export async function candidates(
  context: Context,
  kinds: readonly ArgumentKind[],
  first: string,
): Promise<Candidate[]> {
  try {
    const apps = await ofApps(context, kinds, first);
    if (apps !== null) return apps.filter((one) => isTypable(one.value));
    const answer = await withHelperOrNull(context, (client) => ask(helperSources(client), kinds, first));
    return answer ?? (await ask(await ownSources(context), kinds, first));
  } catch {
    // A completion that cannot be made is no completion; the command itself will say why.
    return [];
  }
}
