/**
 * The presenter: what a state is called, which icon it has and what can be done next, for both desktops and the
 * command line alike. Pure; the translator comes in as an argument.
 */
import type { HolderReport } from './holders.js';
import { printable, say, sentence, type Translate } from './words.js';

/** One shape per glance. The icons are `gpu-handoff-NAME-symbolic`. */
export type Glance = 'host' | 'asleep' | 'held' | 'vm' | 'detached' | 'switching' | 'stuck' | 'unavailable';

export type Tone = 'calm' | 'busy' | 'warning' | 'bad';

export type ActionName =
  | 'launch'
  | 'hand-off'
  | 'take-back'
  | 'force-off'
  | 'end-holders'
  | 'cancel'
  | 'doctor';

/** What the presenter needs to know of a card, as the helper publishes it or as detection finds it. */
export interface CardFacts {
  readonly name: string;
  readonly role: string;
  readonly state: string;
  readonly asleep: boolean;
  readonly driver: string;
  readonly vmName: string;
  /** Why it is stuck or unavailable, or what it is changing to; a whole sentence. */
  readonly why: string;
  /** First obstacle's sentence, or empty. */
  readonly obstacle: string;
}

export interface Presentation {
  readonly glance: Glance;
  readonly icon: string;
  readonly tone: Tone;
  /** A word or two: “At home”, “In win11”. */
  readonly label: string;
  /** One line that says more. */
  readonly line: string;
  readonly actions: readonly ActionName[];
}

const TONES: Readonly<Record<Glance, Tone>> = {
  host: 'calm',
  asleep: 'calm',
  held: 'calm',
  vm: 'calm',
  detached: 'warning',
  switching: 'busy',
  stuck: 'bad',
  unavailable: 'warning',
};

function glanceOf(card: CardFacts, holders: number): Glance {
  if (card.state === 'stuck') return 'stuck';
  if (card.state === 'switching') return 'switching';
  if (card.state === 'vm') return 'vm';
  if (card.state === 'detached') return 'detached';
  if (card.state !== 'host') return 'unavailable';
  if (card.asleep) return 'asleep';
  return holders > 0 ? 'held' : 'host';
}

function actionsOf(glance: Glance, card: CardFacts): ActionName[] {
  const leaves = card.role === 'dgpu' && card.obstacle === '';
  switch (glance) {
    case 'host':
    case 'asleep':
      return leaves ? ['launch', 'hand-off'] : ['launch'];
    case 'held':
      if (leaves) return ['launch', 'hand-off', 'end-holders'];
      // What holds the monitors' card is the session itself.
      return card.role === 'dgpu' ? ['launch', 'end-holders'] : ['launch'];
    case 'vm':
      return ['take-back', 'force-off'];
    case 'detached':
      return ['take-back'];
    case 'switching':
      return ['cancel'];
    default:
      return ['doctor'];
  }
}

/** How a card is shown. `holders` is how many apps and services hold it; 0 where that is not known. */
export function present(card: CardFacts, holders: number, translate?: Translate): Presentation {
  const glance = glanceOf(card, holders);
  const label = say(sentence(`state.${glance}`, { vm: printable(card.vmName, 24) }), translate);
  const values = {
    driver: card.driver,
    vm: printable(card.vmName, 40),
    what: card.why,
    why: card.why,
    count: holders,
  };
  const line = card.state === 'host' && card.obstacle !== '' ? card.obstacle : undefined;
  return {
    glance,
    icon: `gpu-handoff-${glance}-symbolic`,
    tone: TONES[glance],
    label,
    line: line ?? say(sentence(`state.${glance}.line`, values), translate),
    actions: actionsOf(glance, card),
  };
}

/** The one line over a list of holders. */
export function holdersLine(cardName: string, report: HolderReport, translate?: Translate): string {
  if (report.verdict === 'free') return say(sentence('holders.none', { card: cardName }), translate);
  if (report.holders.length === 0 && report.kernel.length === 0)
    return say(
      sentence(report.complete ? 'holders.unknown' : 'holders.cut-short', { count: report.unseen }),
      translate,
    );
  if (report.unseen > 0) return say(sentence('holders.partly', { count: report.unseen }), translate);
  return report.complete ? '' : say(sentence('holders.cut-short'), translate);
}
