/** The list of apps, as the menus have them, with their choices. */
import { type Choice, readEntry, type Special } from '../../launch/entry.js';
import { type Choices, choiceFor, type EntryState, entryState, sourceOf } from '../../launch/sync.js';
import { isApplication, isForDesktop } from '../../launch/visibility.js';
import { say, sentence } from '../../words.js';
import type { LaunchLook } from './look.js';
import { digest } from './sync.js';

export interface ListedApp {
  readonly id: string;
  readonly name: string;
  readonly icon: string;
  readonly choice: Choice;
  /** Stands in the menus of this desktop. */
  readonly shown: boolean;
  readonly special: readonly Special[];
  /** Why no entry can be made of it; empty where one can. */
  readonly problem: string;
  readonly warning: string;
  readonly state: EntryState;
}

/** `desktops`: XDG_CURRENT_DESKTOP, in order. Null for what is no app. */
function listed(
  look: LaunchLook,
  choices: Choices | null,
  id: string,
  locale: string,
  desktops: readonly string[],
): ListedApp | null {
  const files = look.filesOf(id);
  const choice = choiceFor(files, choices);
  const source = sourceOf(files, digest);
  const state = files.own === null ? '' : entryState(files, digest);
  if (source === null) {
    if (choice === 'untouched' && state === '') return null;
    const problem = say(sentence('entry.away'));
    return { id, name: id, icon: '', choice, shown: false, special: [], problem, warning: '', state };
  }
  if (!isApplication(source.bytes) && choice === 'untouched' && state === '') return null;
  const facts = readEntry(source.bytes, locale);
  return {
    id,
    name: facts.name === '' ? id : facts.name,
    icon: facts.icon,
    choice,
    shown: facts.shown && isForDesktop(source.bytes, desktops),
    special: facts.special,
    problem: facts.problem === null ? '' : say(facts.problem),
    warning: facts.warnings.map((one) => say(one)).join(' '),
    state,
  };
}

/** All apps, by id. */
export function listApps(
  look: LaunchLook,
  choices: Choices | null,
  locale: string,
  desktops: readonly string[],
): ListedApp[] {
  const ids = [...new Set([...look.ids(), ...Object.keys(choices ?? {})])].sort();
  return ids.flatMap((id) => listed(look, choices, id, locale, desktops) ?? []);
}

export function listApp(
  look: LaunchLook,
  choices: Choices | null,
  id: string,
  locale: string,
): ListedApp | null {
  return listed(look, choices, id, locale, []);
}
