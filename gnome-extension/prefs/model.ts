/**
 * What the preferences show, made from what the helper and the per-user service answer. Pure: plain values in, rows out;
 * the views put them on the screen. Values that are absent or of the wrong kind count as empty: another version may send them.
 */
import { type CardFacts, present } from '../../core/src/present.js';
import { printable, say, sentence, type Translate, WORDS, type WordKey } from '../../core/src/words.js';

/** A dictionary of the bus, variants taken off. */
export type Dict = Readonly<Record<string, unknown>>;

/** Says a sentence that came over the bus, which is English, in the user's language. */
export type Teller = (text: string) => string;

export const textOf = (dict: Dict, key: string): string => {
  const value = dict[key];
  return typeof value === 'string' ? value : '';
};

export const listOf = (value: unknown): readonly string[] =>
  Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string') : [];

export const dictsOf = (value: unknown): readonly Dict[] =>
  Array.isArray(value)
    ? value.filter((one): one is Dict => typeof one === 'object' && one !== null && !Array.isArray(one))
    : [];

// Apps

export const CHOICES = ['untouched', 'offer', 'always', 'never'] as const;
export type Choice = (typeof CHOICES)[number];

/** One app of the list. Its texts are ready to be shown; `name` is never markup. */
export interface AppRow {
  readonly id: string;
  readonly name: string;
  readonly icon: string;
  readonly choice: Choice;
  /** What is special about it, in a few words with dots between them; may be empty. */
  readonly marks: string;
  /** Why it cannot have an entry, or what the user should know; a sentence or empty. */
  readonly note: string;
  /** False where no entry can be made of it: only taking its choice back is possible. */
  readonly possible: boolean;
  /** For the search: name and id, folded. */
  readonly folded: string;
}

/** Small letters without accents, so that “elan” finds “Élan”. */
export function fold(text: string): string {
  return text
    .normalize('NFD')
    .replace(/[\u0300-\u036f]/g, '')
    .toLowerCase();
}

const isChoice = (text: string): text is Choice => (CHOICES as readonly string[]).includes(text);
const isWord = (key: string): key is WordKey => Object.hasOwn(WORDS, key);

/** The row of an app that ListApps names. */
export function appRow(app: Dict, translate: Translate, tell: Teller): AppRow {
  const id = textOf(app, 'id');
  const name = printable(textOf(app, 'name') || id);
  const choice = textOf(app, 'choice');
  const problem = tell(textOf(app, 'problem'));
  const marks = [
    ...listOf(app.special).map((one) => `special.${one}`),
    `prefs.entry.${textOf(app, 'state')}`,
  ];
  return {
    id,
    name,
    icon: textOf(app, 'icon'),
    choice: isChoice(choice) ? choice : 'untouched',
    marks: marks
      .filter(isWord)
      .map((key) => say({ key, values: {} }, translate))
      .join(' · '),
    note: problem === '' ? tell(textOf(app, 'warning')) : problem,
    possible: problem === '',
    folded: fold(`${name} ${id}`),
  };
}

/** Whether every word of a search stands in the app's name or id. */
export function matches(row: AppRow, search: string): boolean {
  return fold(search)
    .split(/\s+/)
    .every((word) => row.folded.includes(word));
}

/**
 * The list in its order: apps with a choice first, then by name. `ranks` remembers what came first when the list was
 * made, so that a row does not run away from the pointer that has just chosen something in it.
 */
export function inOrder(rows: readonly AppRow[], ranks: Map<string, number>): AppRow[] {
  for (const { id, choice } of rows) if (!ranks.has(id)) ranks.set(id, choice === 'untouched' ? 1 : 0);
  const compare = new Intl.Collator().compare;
  return [...rows].sort(
    (a, b) =>
      (ranks.get(a.id) ?? 1) - (ranks.get(b.id) ?? 1) ||
      compare(a.name, b.name) ||
      (a.id < b.id ? -1 : a.id > b.id ? 1 : 0),
  );
}

// Cards and virtual machines

/** A card of the property Cards, as the presenter wants it; its sentences already told. */
function cardFacts(card: Dict, tell: Teller): CardFacts {
  const [obstacle] = dictsOf(card.obstacles);
  return {
    name: textOf(card, 'name'),
    role: textOf(card, 'role'),
    state: textOf(card, 'state'),
    asleep: card.asleep === true,
    driver: textOf(card, 'driver'),
    vmName: textOf(card, 'vm-name'),
    why: tell(textOf(card, 'why')),
    obstacle: obstacle === undefined ? '' : tell(textOf(obstacle, 'sentence')),
  };
}

export interface CardRow {
  readonly id: string;
  readonly name: string;
  /** Its part on this machine and why. */
  readonly role: string;
  readonly icon: string;
  /** Its state in words. */
  readonly shown: string;
}

export function cardRows(cards: readonly Dict[], translate: Translate, tell: Teller): CardRow[] {
  return cards.map((card) => {
    const key = `prefs.role.${textOf(card, 'role')}`;
    const facts = cardFacts(card, tell);
    const { icon, label, line } = present(facts, 0, translate);
    // That the monitors’ card stays where it is says its part already.
    const settled = facts.role !== 'dgpu' && facts.state === 'host';
    return {
      id: textOf(card, 'id'),
      name: printable(facts.name),
      role: isWord(key) ? say({ key, values: { why: tell(textOf(card, 'reason')) } }, translate) : '',
      icon,
      shown: settled ? label : say(sentence('desk.named', { name: label, what: line }), translate),
    };
  });
}

export interface MachineRow {
  readonly uuid: string;
  readonly name: string;
  readonly running: boolean;
  /** Which cards it has, or gets when it is started. */
  readonly line: string;
  readonly state: string;
}

/** The VMs of ListVirtualMachines, beside the cards that they have by the property Cards. */
export function machineRows(
  machines: readonly Dict[],
  cards: readonly Dict[],
  translate: Translate,
): MachineRow[] {
  const nameOf = (id: string): string => {
    const card = cards.find((one) => textOf(one, 'id') === id);
    return card === undefined ? id : printable(textOf(card, 'name'));
  };
  return machines.map((machine) => {
    const uuid = textOf(machine, 'uuid');
    const running = machine.running === true;
    const has = cards
      .filter((card) => textOf(card, 'state') === 'vm' && textOf(card, 'vm-uuid') === uuid)
      .map((card) => printable(textOf(card, 'name')));
    const gets = listOf(machine.cards).map(nameOf);
    const line =
      has.length > 0
        ? sentence('prefs.machine.has', { cards: has.join(', ') })
        : gets.length > 0
          ? sentence('prefs.machine.gets', { cards: gets.join(', ') })
          : sentence('prefs.machine.no-card');
    const state = sentence(running ? 'prefs.machine.running' : 'prefs.machine.off');
    return {
      uuid,
      name: printable(textOf(machine, 'name')),
      running,
      line: say(line, translate),
      state: say(state, translate),
    };
  });
}

// Health

export type Health = 'fine' | 'wrong' | 'not-known';

export interface Finding {
  readonly health: Health;
  readonly title: string;
  readonly line: string;
}

/** What a service of ours is like at the moment. `why` says it in words where it does not answer. */
export interface Presence {
  readonly state: 'asking' | 'absent' | 'lost' | 'here';
  readonly why: string;
  readonly properties: Dict;
}

export interface HealthSections {
  readonly parts: readonly Finding[];
  readonly cards: readonly Finding[];
  readonly configuration: readonly Finding[];
  readonly launching: readonly Finding[];
}

function partOf(
  title: WordKey,
  presence: Presence,
  words: { readonly asking: WordKey; readonly absent: WordKey; readonly lost: WordKey },
  translate: Translate,
  tell: Teller,
): Finding {
  const name = say({ key: title, values: {} }, translate);
  if (presence.state === 'here') {
    const version = printable(textOf(presence.properties, 'Version'));
    return { health: 'fine', title: name, line: say(sentence('prefs.version', { version }), translate) };
  }
  const line = say({ key: words[presence.state], values: { why: tell(presence.why) } }, translate);
  return { health: presence.state === 'asking' ? 'not-known' : 'wrong', title: name, line };
}

function cardFinding(card: Dict, translate: Translate, tell: Teller): Finding {
  const facts = cardFacts(card, tell);
  const title = printable(facts.name);
  if (facts.state === 'stuck' || facts.state === 'unknown' || facts.state === 'detached')
    return { health: 'wrong', title, line: present(facts, 0, translate).line };
  if (facts.role !== 'dgpu') {
    const line = cardRows([card], translate, tell)[0]?.role ?? '';
    return { health: 'fine', title, line: line || say(sentence('prefs.card-stays'), translate) };
  }
  const obstacles = dictsOf(card.obstacles).map((one) => tell(textOf(one, 'sentence')));
  return obstacles.length > 0
    ? { health: 'wrong', title, line: obstacles.join(' ') }
    : { health: 'fine', title, line: say(sentence('prefs.card-fine'), translate) };
}

/** What helper and per-user service know about the health of the set-up, with what to do about it. */
export function healthOf(
  helper: Presence,
  service: Presence,
  translate: Translate,
  tell: Teller,
): HealthSections {
  const parts = [
    partOf(
      'prefs.helper',
      helper,
      { asking: 'desk.asking.line', absent: 'desk.absent.line', lost: 'desk.lost.line' },
      translate,
      tell,
    ),
    partOf(
      'prefs.service',
      service,
      { asking: 'prefs.asking', absent: 'prefs.no-service.line', lost: 'prefs.lost' },
      translate,
      tell,
    ),
  ];
  const here = [helper, service].filter(({ state }) => state === 'here');
  const versions = new Set(here.map(({ properties }) => textOf(properties, 'Version')));
  if (versions.size > 1)
    parts.push({
      health: 'wrong',
      title: say(sentence('prefs.versions-differ'), translate),
      line: say(sentence('prefs.versions-differ.line'), translate),
    });

  const seen = helper.state === 'here' ? dictsOf(helper.properties.Cards) : [];
  const cards = seen.map((card) => cardFinding(card, translate, tell));
  if (helper.state === 'here' && !seen.some((card) => textOf(card, 'role') === 'dgpu'))
    cards.push({
      health: 'wrong',
      title: say(sentence('desk.no-second'), translate),
      line: say(sentence('desk.no-second.line'), translate),
    });

  const faults = helper.state === 'here' ? dictsOf(helper.properties.Faults) : [];
  const configuration = faults.map((fault): Finding => {
    const line = typeof fault.line === 'number' ? fault.line : 0;
    return {
      health: 'wrong',
      title: say(sentence('prefs.configuration', { line }), translate),
      line: tell(textOf(fault, 'sentence')),
    };
  });

  const reason = service.state === 'here' ? tell(textOf(service.properties, 'WayReason')) : '';
  const launching: Finding[] =
    reason === '' ? [] : [{ health: 'fine', title: say(sentence('prefs.way'), translate), line: reason }];
  return { parts, cards, configuration, launching };
}
