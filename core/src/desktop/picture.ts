/**
 * All that a desktop shows of the machine, as plain values in the user's language: the icon in the bar, the tile, and
 * one section for each card. Pure; both desktops draw this and decide nothing.
 */
import { type Glance, type Presentation, present, type Tone } from '../present.js';
import { recognise } from '../recognise.js';
import { printable, say, sentence, type Translate, type WordKey } from '../words.js';
import {
  type AppLook,
  capital,
  groupHolders,
  type HolderGroup,
  notToClose,
  toClose,
} from './holder-groups.js';
import { namingOf, sayOnDesktop } from './naming.js';
import type {
  CardPublished,
  HoldersPublished,
  MachinePublished,
  OperationPublished,
  Published,
  Told,
} from './published.js';

/**
 * Whether what is known is fresh. `live`: the helper publishes. `asking`: it was asked and has not answered yet.
 * `absent`: nothing on this machine could be started for its name. `lost`: it should be there and does not answer.
 */
export type Link = 'asking' | 'live' | 'absent' | 'lost';

/** Something that the user asked for here, until its end is shown. */
export interface Asked {
  readonly what: 'close' | 'hand-off' | 'take-back' | 'cancel';
  readonly card: string;
  /** Key of the row, for `close`; empty where all of them are meant. */
  readonly group: string;
  readonly force: boolean;
  /** Id of the operation; empty until the helper answered. */
  readonly operation: string;
  /** UUID of the VM to which the card goes, for `hand-off` and for closing before it. */
  readonly vm: string;
  /** For `hand-off`: keys of the rows that the user agreed to have closed if they are in its way. */
  readonly closes: readonly string[];
  /** Why the helper refused, a whole sentence, or empty. */
  readonly refused: string;
}

/** Everything that is known; the desktop fills it in. */
export interface Known {
  readonly link: Link;
  /** Why it does not answer, for `lost`. */
  readonly why: string;
  /** Null unless `live`: what was true once is not shown. */
  readonly published: Published | null;
  /** By card; missing while nobody asked. */
  readonly holders: Readonly<Record<string, HoldersPublished>>;
  /** By card: why its holders could not be seen. */
  readonly holdersWhy: Readonly<Record<string, string>>;
  /** Null while nobody asked. */
  readonly machines: readonly MachinePublished[] | null;
  /** Why the VMs could not be listed, or empty. */
  readonly machinesWhy: string;
  readonly asked: readonly Asked[];
  /** Ids of operations whose failure the user has read. */
  readonly dismissed: readonly string[];
  /** To which VM a card shall go, where the user is to be asked whether somebody may be closed for it. */
  readonly question: { readonly card: string; readonly vm: string } | null;
  /** Login name of the user who looks. */
  readonly me: string;
}

export const NOTHING_KNOWN: Known = {
  link: 'asking',
  why: '',
  published: null,
  holders: {},
  holdersWhy: {},
  machines: null,
  machinesWhy: '',
  asked: [],
  dismissed: [],
  question: null,
  me: '',
};

/** A row of the list of holders. */
export interface Row extends HolderGroup {
  /** It is being ended: the word for it, or empty. */
  readonly busy: string;
  /** Why it did not end, or empty. */
  readonly refused: string;
  /** What a button does that ends it: empty where it has none. */
  readonly button: '' | 'close' | 'force';
  readonly buttonLabel: string;
}

export interface StepPicture {
  readonly title: string;
  /** waiting, running, done, failed, undone. */
  readonly state: string;
  /** The state as a word, for who cannot see the icon. */
  readonly word: string;
  readonly sentence: string;
}

export interface Progress {
  readonly operation: string;
  readonly title: string;
  readonly steps: readonly StepPicture[];
  readonly cancellable: boolean;
  /** Milliseconds since 1970. */
  readonly started: number;
}

/** What went wrong, and what can be done about it. */
export interface Trouble {
  /** Empty where no operation began at all. */
  readonly operation: string;
  readonly title: string;
  readonly sentence: string;
  readonly offers: readonly Offer[];
}

export interface Offer {
  readonly act:
    | 'close-and-hand-off'
    | 'force-and-hand-off'
    | 'force-off'
    | 'hand-off'
    | 'take-back'
    | 'doctor';
  readonly vm: string;
  readonly label: string;
}

/** A VM that has the card among its devices. */
export interface Destination {
  readonly vm: string;
  readonly name: string;
  readonly label: string;
  /** Why it cannot be chosen now, or empty. */
  readonly reason: string;
  /** What is closed first, named, or empty where nobody is in the way. */
  readonly first: string;
  /** What is in the way and has to be closed by hand, or empty. */
  readonly stays: string;
  readonly firstLabel: string;
  /** The user is asked about what is in the way, without a click. */
  readonly asks: boolean;
}

export interface Section {
  readonly card: string;
  readonly name: string;
  readonly presentation: Presentation;
  /** What the parts below do not say themselves, or empty. */
  readonly line: string;
  readonly progress: Progress | null;
  readonly trouble: Trouble | null;
  /** Null where holders are of no interest (the card is away). */
  readonly holders: readonly Row[] | null;
  /** A line over or instead of the rows, or empty. */
  readonly holdersLine: string;
  readonly destinations: readonly Destination[];
  /** Why there are no destinations, or empty. */
  readonly destinationsLine: string;
  /** Label of what brings the card back, or empty. */
  readonly back: string;
  /** Label of what looks into the set-up, or empty. */
  readonly doctor: string;
}

export interface Picture {
  readonly glance: Glance;
  readonly icon: string;
  readonly tone: Tone;
  /** A word or two. */
  readonly label: string;
  readonly title: string;
  /** How many cards there are, where there are several, or the name of the only one. */
  readonly subtitle: string;
  /** Which card and what is with it, for a screen reader. */
  readonly spoken: string;
  /** Nothing to say: every card is at home, and nobody waits for one. */
  readonly quiet: boolean;
  /** Instead of sections, or null. */
  readonly notice: { readonly title: string; readonly line: string; readonly retry: string } | null;
  readonly sections: readonly Section[];
}

/** The card that the one icon stands for: the first of these states that any card has. */
const LOUDEST: readonly Glance[] = [
  'stuck',
  'switching',
  'unavailable',
  'detached',
  'vm',
  'held',
  'host',
  'asleep',
];

const QUIET: readonly Glance[] = ['host', 'asleep', 'held'];

/** Says what the helper told of one card, below that card's name and beside the rows of who holds it. */
type Telling = (what: Told) => string;

function tellingOf(
  groups: readonly HolderGroup[],
  known: Known,
  translate?: Translate,
  look?: AppLook,
): Telling {
  const naming = namingOf(groups, look);
  const cards = known.published?.cards ?? [];
  return (what) => sayOnDesktop(what, cards, naming, translate);
}

function presentationOf(
  card: CardPublished,
  groups: number,
  tell: Telling,
  translate?: Translate,
): Presentation {
  const obstacle = card.obstacles[0];
  return present(
    {
      name: card.name,
      role: card.role,
      state: card.state,
      asleep: card.asleep,
      driver: card.driver,
      vmName: card.vmName,
      why: tell(card.why),
      obstacle: obstacle === undefined ? '' : tell(obstacle),
    },
    groups,
    translate,
  );
}

function concerns(operation: OperationPublished, card: string): boolean {
  return operation.cards.length === 0 || operation.cards.indexOf(card) >= 0;
}

/** The question of a row that the running operation answers has its own place, in the row. */
function isOfRow(operation: OperationPublished, asked: readonly Asked[]): boolean {
  return asked.some((one) => one.operation === operation.id && one.what === 'close' && one.group !== '');
}

/**
 * Whether a hand-off was refused because of holders, and its request goes on by closing them: that refusal is no news,
 * and nothing that the user has to deal with.
 */
export function goesOn(operation: OperationPublished, asked: Asked): boolean {
  if (asked.closes.length === 0 || asked.refused !== '') return false;
  if (operation.kind !== 'hand-off' || operation.state !== 'failed' || operation.error !== 'Held')
    return false;
  // The helper's answer, which tells the id, may come after what it publishes.
  return asked.operation === '' ? operation.vmUuid === asked.vm : asked.operation === operation.id;
}

const UNWILLING: readonly string[] = ['fail.refused-to-close', 'fail.would-not-end'];

/** Whether somebody was asked to close and would not: only then force is what is left. */
function refusedToClose({ kind, steps }: OperationPublished): boolean {
  return (
    kind === 'end-holders' &&
    steps.some(({ state, sentence: { key, text } }) => {
      const said = key === '' ? (recognise(text)?.key ?? '') : key;
      return state === 'failed' && UNWILLING.indexOf(said) >= 0;
    })
  );
}

/** Whether all that was to be closed had gone by itself: nothing failed, and an id says nothing to people. */
export function wereGone(operation: OperationPublished): boolean {
  return operation.kind === 'end-holders' && operation.error === 'NoSuchHolder';
}

function progressOf(operation: OperationPublished, tell: Telling, translate?: Translate): Progress {
  return {
    operation: operation.id,
    title: capital(tell(operation.title)),
    steps: operation.steps.map((step) => {
      const key = `desk.step.${step.state}` as WordKey;
      return {
        title: tell(step.title),
        state: step.state,
        word: say({ key, values: {} }, translate),
        sentence: tell(step.sentence),
      };
    }),
    cancellable: operation.cancellable,
    started: operation.started,
  };
}

/** Whether what failed is still so: the card has not gone its way since. */
function stillFailed(operation: OperationPublished, card: CardPublished): boolean {
  if (operation.kind === 'hand-off') return card.state !== 'vm';
  if (operation.kind === 'take-back') return card.state !== 'host';
  return true;
}

function offersAfter(
  operation: OperationPublished,
  card: CardPublished,
  groups: readonly HolderGroup[],
  translate?: Translate,
): Offer[] {
  const vm = operation.vmUuid;
  const name = printable(operation.vmName, 24);
  if (card.state === 'stuck') return [];
  if (operation.kind === 'take-back' && card.state === 'vm')
    return [
      { act: 'take-back', vm, label: say(sentence('do.try-again'), translate) },
      { act: 'force-off', vm, label: say(sentence('do.force-off', { vm: name }), translate) },
    ];
  if (operation.kind !== 'hand-off' || vm === '' || card.state !== 'host') return [];
  if (operation.error === 'Held' && toClose(groups).length > 0)
    return [{ act: 'close-and-hand-off', vm, label: say(sentence('do.close-all'), translate) }];
  return [{ act: 'hand-off', vm, label: say(sentence('do.try-again'), translate) }];
}

/** Whether the user is asked who may be closed, or will be as soon as the VMs are known. */
function isAsked(card: CardPublished, destinations: readonly Destination[], known: Known): boolean {
  if (known.question?.card !== card.id) return false;
  return known.machines === null ? known.machinesWhy === '' : destinations.some((one) => one.asks);
}

/** Why it failed. Who holds the card may be others by now, and it is those whom a button beneath closes. */
function failureOf(
  operation: OperationPublished,
  card: CardPublished,
  groups: readonly HolderGroup[],
  tell: Telling,
  translate?: Translate,
): string {
  const holders = toClose(groups).concat(notToClose(groups));
  if (operation.sentence.key !== 'refuse.held' || operation.cards.length !== 1 || holders.length === 0)
    return tell(operation.sentence);
  const values = { card: card.name, holders: named(holders, translate) };
  return tell({ text: '', key: 'desk.held-by', values });
}

function troubleOf(
  card: CardPublished,
  operation: OperationPublished | null,
  groups: readonly HolderGroup[],
  destinations: readonly Destination[],
  known: Known,
  tell: Telling,
  translate?: Translate,
): Trouble | null {
  // What was refused at once is newer than any operation that ended before.
  const refused = known.asked.filter(
    (one) => one.card === card.id && one.refused !== '' && one.group === '',
  )[0];
  if (refused !== undefined) {
    const kind = refused.what === 'close' ? 'end-holders' : refused.what;
    const title = say({ key: `desk.failed.${kind}`, values: {} }, translate);
    return { operation: '', title, sentence: refused.refused, offers: [] };
  }
  if (operation === null || operation.state !== 'failed' || !concerns(operation, card.id)) return null;
  if (known.dismissed.indexOf(operation.id) >= 0 || isOfRow(operation, known.asked)) return null;
  if (!stillFailed(operation, card) || wereGone(operation)) return null;
  if (known.asked.some((one) => goesOn(operation, one))) return null;
  // The question says who is in the way.
  if (operation.error === 'Held' && isAsked(card, destinations, known)) return null;
  const waiting = known.asked.filter((one) => one.operation === operation.id && one.vm !== '')[0];
  const offers =
    waiting !== undefined && !waiting.force && refusedToClose(operation)
      ? [
          {
            act: 'force-and-hand-off' as const,
            vm: waiting.vm,
            label: say(sentence('do.force-all'), translate),
          },
        ]
      : offersAfter(operation, card, groups, translate);
  return {
    operation: operation.id,
    title: say({ key: `desk.failed.${operation.kind}` as WordKey, values: {} }, translate),
    sentence: failureOf(operation, card, groups, tell, translate),
    offers,
  };
}

function rowOf(
  group: HolderGroup,
  card: string,
  operation: OperationPublished | null,
  known: Known,
  tell: Telling,
  translate?: Translate,
): Row {
  const all = toClose([group]).length > 0;
  /** It is about to be closed: the hand-off was refused because of it a moment ago. */
  const isNext = (one: Asked): boolean =>
    operation !== null && one.operation === operation.id && goesOn(operation, one);
  const asked = known.asked.filter(
    (one) =>
      one.card === card &&
      (one.what === 'close'
        ? one.group === group.key || (one.group === '' && all)
        : one.closes.indexOf(group.key) >= 0 && isNext(one)),
  )[0];
  const own = asked !== undefined && asked.group !== '';
  const ended = asked !== undefined && operation !== null && operation.id === asked.operation;
  const failed = ended && operation.state === 'failed' && !wereGone(operation);
  // The helper's answer may come before what it publishes.
  const pending =
    asked !== undefined &&
    asked.refused === '' &&
    (asked.what !== 'close' || !(ended && operation.state !== 'running'));
  const busy =
    pending && group.endLabel !== ''
      ? say(sentence(asked.force ? 'desk.forcing' : 'desk.closing'), translate)
      : '';
  const refused = !own ? '' : failed ? tell(operation.sentence) : asked.refused;
  const button =
    group.endLabel === '' || group.ids.length === 0 || busy !== ''
      ? ''
      : own && failed && !asked.force && refusedToClose(operation)
        ? 'force'
        : 'close';
  const buttonLabel =
    button === '' ? '' : button === 'force' ? say(sentence('do.force'), translate) : group.endLabel;
  return Object.assign({}, group, { busy, refused, button: button as Row['button'], buttonLabel });
}

/** At most three names; a sentence with thirty is not read. */
function named(groups: readonly HolderGroup[], translate?: Translate): string {
  const names = groups.slice(0, 3).map((group) => group.name);
  const count = groups.length - names.length;
  const list = names.join(', ');
  return count > 0 ? say(sentence('holder.and-more', { names: list, count }), translate) : list;
}

function destinationsOf(
  card: CardPublished,
  groups: readonly HolderGroup[],
  known: Known,
  translate?: Translate,
): Destination[] {
  const closing = toClose(groups);
  const staying = notToClose(groups);
  const machines = (known.machines ?? []).filter((vm) => vm.cards.indexOf(card.id) >= 0);
  return machines.map((vm) => {
    const name = printable(vm.name, 120);
    return {
      vm: vm.uuid,
      name,
      label: say(sentence('do.hand-off', { vm: name }), translate),
      reason: vm.running ? say(sentence('refuse.vm-running', { vm: name }), translate) : '',
      first:
        closing.length === 0
          ? ''
          : say(sentence('desk.closed-first', { names: named(closing, translate) }), translate),
      stays:
        staying.length === 0
          ? ''
          : say(sentence('desk.stays-first', { names: named(staying, translate) }), translate),
      firstLabel: say(sentence('do.close-all'), translate),
      asks: !vm.running && known.question?.card === card.id && known.question.vm === vm.uuid,
    };
  });
}

function holdersLineOf(card: CardPublished, known: Known, tell: Telling, translate?: Translate): string {
  const report = known.holders[card.id];
  const why = known.holdersWhy[card.id];
  if (why !== undefined) return say(sentence('desk.not-seen', { why }), translate);
  if (report === undefined) return say(sentence('desk.looking'), translate);
  if (report.verdict === 'free') return tell({ text: '', key: 'holders.none', values: { card: card.name } });
  return tell(report.sentence);
}

function sectionOf(card: CardPublished, known: Known, translate?: Translate, look?: AppLook): Section {
  const operation = known.published?.operation ?? null;
  const atHome = card.state === 'host';
  const report = known.holders[card.id];
  const all = atHome && report !== undefined ? groupHolders(report, known.me, translate, look) : [];
  // What serves the driver and gives way by itself is no use of the card; of one that sleeps it is not worth a word.
  const users = all.filter((group) => !group.stopsByItself);
  const groups = card.asleep ? users : all;
  const tell = tellingOf(all, known, translate, look);
  const presentation = presentationOf(card, users.length, tell, translate);
  const running = operation !== null && operation.state === 'running';
  const progress =
    running && concerns(operation, card.id) && !isOfRow(operation, known.asked)
      ? progressOf(operation, tell, translate)
      : null;
  const mayLeave = presentation.actions.indexOf('hand-off') >= 0 && !running;
  const destinations = mayLeave ? destinationsOf(card, groups, known, translate) : [];
  const noVm = mayLeave && known.machines !== null && destinations.length === 0;
  const back =
    running || presentation.actions.indexOf('take-back') < 0
      ? ''
      : card.state === 'vm'
        ? say(sentence('do.take-back', { vm: printable(card.vmName, 40) }), translate)
        : say(sentence('do.bring-back'), translate);
  return {
    card: card.id,
    name: printable(card.name, 60),
    presentation,
    // Steps say more than a state, and rows more than a number; what keeps the card here is said in any case.
    line:
      progress !== null || (presentation.glance === 'held' && card.obstacles.length === 0)
        ? ''
        : presentation.line,
    progress,
    trouble:
      progress === null ? troubleOf(card, operation, groups, destinations, known, tell, translate) : null,
    holders: atHome ? groups.map((group) => rowOf(group, card.id, operation, known, tell, translate)) : null,
    // One that sleeps says so, and that is enough where nobody uses it.
    holdersLine:
      atHome && (!card.asleep || users.length > 0) ? holdersLineOf(card, known, tell, translate) : '',
    destinations,
    destinationsLine:
      known.machinesWhy !== '' && mayLeave
        ? say(sentence('desk.no-vms', { why: known.machinesWhy }), translate)
        : noVm
          ? say(sentence('desk.no-vm'), translate)
          : '',
    back,
    doctor: presentation.actions.indexOf('doctor') >= 0 ? say(sentence('do.doctor'), translate) : '',
  };
}

function withoutSections(
  title: string,
  label: string,
  line: string,
  retry: string,
  quiet: boolean,
  translate?: Translate,
): Picture {
  return {
    glance: 'unavailable',
    icon: 'gpu-handoff-unavailable-symbolic',
    tone: quiet ? 'calm' : 'warning',
    label,
    title,
    subtitle: '',
    spoken: say(sentence('desk.named', { name: title, what: label }), translate),
    quiet,
    notice: { title: label, line, retry },
    sections: [],
  };
}

/** The whole picture. `look` tells how the desktop calls an app. */
export function pictureOf(known: Known, translate?: Translate, look?: AppLook): Picture {
  const title = say(sentence('desk.title'), translate);
  const retry = say(sentence('do.try-again'), translate);
  if (known.link === 'absent')
    return withoutSections(
      title,
      say(sentence('desk.absent'), translate),
      say(sentence('desk.absent.line'), translate),
      retry,
      false,
      translate,
    );
  if (known.link === 'lost')
    return withoutSections(
      title,
      say(sentence('desk.lost'), translate),
      say(sentence('desk.lost.line', { why: known.why }), translate),
      retry,
      false,
      translate,
    );
  if (known.published === null || known.link === 'asking')
    return withoutSections(
      title,
      say(sentence('desk.asking'), translate),
      say(sentence('desk.asking.line'), translate),
      '',
      true,
      translate,
    );
  const cards = known.published.cards.filter((card) => card.role === 'dgpu');
  if (cards.length === 0)
    return withoutSections(
      title,
      say(sentence('desk.no-second'), translate),
      say(sentence('desk.no-second.line'), translate),
      '',
      true,
      translate,
    );
  const sections = cards.map((card) => sectionOf(card, known, translate, look));
  const rank = (section: Section): number => LOUDEST.indexOf(section.presentation.glance);
  const loudest = sections.reduce((best, one) => (rank(one) < rank(best) ? one : best));
  const { glance, icon, tone, label } = loudest.presentation;
  return {
    glance,
    icon,
    tone,
    label,
    title,
    subtitle:
      cards.length === 1 ? loudest.name : say(sentence('desk.cards', { count: cards.length }), translate),
    spoken: say(sentence('desk.named', { name: loudest.name, what: label }), translate),
    quiet: sections.every(
      (one) => QUIET.indexOf(one.presentation.glance) >= 0 && one.progress === null && one.trouble === null,
    ),
    notice: null,
    sections,
  };
}
