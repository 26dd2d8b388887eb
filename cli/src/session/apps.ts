/**
 * The apps with their choices: what the service answers, and what the command does by itself where there is no session
 * bus. Each question looks at the folders anew; files are read again only when they have changed.
 */
import { failure, HandoffError, invalidArgument } from '../../../core/src/errors.js';
import { isAppId } from '../../../core/src/launch/app-id.js';
import type { Choice } from '../../../core/src/launch/entry.js';
import { type Choices, type EntryState, sourceOf } from '../../../core/src/launch/sync.js';
import { cardsNow, seatFor } from '../../../core/src/linux/launch/cards.js';
import { choicesOf, readChoices } from '../../../core/src/linux/launch/choices.js';
import {
  type Environment,
  type LaunchFolders,
  launchFolders,
} from '../../../core/src/linux/launch/folders.js';
import { fingerprintOf } from '../../../core/src/linux/launch/index-file.js';
import { type ListedApp, listApp, listApps } from '../../../core/src/linux/launch/list.js';
import { LaunchLook, readBytes } from '../../../core/src/linux/launch/look.js';
import { sessionEnvironment } from '../../../core/src/linux/launch/session-environment.js';
import { type StartResult, startApp } from '../../../core/src/linux/launch/start-app.js';
import {
  digest,
  type SyncJob,
  type SyncReport,
  setChoice,
  syncEntries,
  undoEntries,
  WRAPPER,
} from '../../../core/src/linux/launch/sync.js';
import { printable, say, sentence } from '../../../core/src/words.js';
import { type WayNow, wayNow } from './way.js';

const CHOICES: readonly string[] = ['offer', 'always', 'never', 'untouched'] satisfies readonly Choice[];

export function isChoice(text: string): text is Choice {
  return CHOICES.includes(text);
}

export interface LaunchWish {
  readonly on: 'dgpu' | 'igpu';
  /** PCI address, or null. */
  readonly card: string | null;
  readonly action: string | null;
  /** Absolute paths or URIs. */
  readonly files: readonly string[];
  readonly activationToken: string;
}

/** What starts apps in the session. */
export interface Session {
  /** The environment that the user's manager has now; null where there is no manager. */
  readonly environment: () => Promise<readonly string[] | null>;
  readonly adopt: (pid: number, scope: string, description: string) => Promise<boolean>;
  /** Whether what apps say goes where our own words go. */
  readonly inherit: boolean;
}

export interface ChoiceResult {
  readonly state: EntryState;
  readonly sentence: string;
  readonly warning: string;
  /** A file could not be written. */
  readonly failed: boolean;
}

export interface Listing {
  readonly apps: readonly ListedApp[];
  /** Why the choices could not be read; empty where they could. */
  readonly fault: string;
}

export class Apps {
  private readonly env: Environment;
  private readonly systemBus: string | null;
  private last: { readonly key: string; readonly listing: Listing } | null = null;
  private judged: WayNow | null = null;

  /** `systemBus`: the address of another bus than the system's, or null. */
  constructor(env: Environment, systemBus: string | null) {
    this.env = env;
    this.systemBus = systemBus;
  }

  get folders(): LaunchFolders {
    return launchFolders(this.env);
  }

  /** Judged anew at each sync, since switcheroo-control comes, goes and is replaced. */
  async way(): Promise<WayNow> {
    this.judged ??= await wayNow(this.env, this.systemBus);
    return this.judged;
  }

  private async job(): Promise<SyncJob> {
    this.judged = await wayNow(this.env, this.systemBus);
    const { way, settled } = this.judged;
    return { folders: this.folders, way: settled ? way : null };
  }

  /** Something that changes with every answer of `list` but for its language. */
  mark(): string {
    const { folders } = this;
    return fingerprintOf(new LaunchLook(folders).keys, [readChoices(folders.choices).text]);
  }

  list(locale: string): Listing {
    const { folders } = this;
    const stored = readChoices(folders.choices);
    const look = new LaunchLook(folders);
    const desktops = (this.env.XDG_CURRENT_DESKTOP ?? '').split(':').filter((one) => one !== '');
    const key = fingerprintOf(look.keys, [stored.kind, stored.text, locale, desktops.join(':')]);
    if (this.last?.key === key) return this.last.listing;
    const { choices, fault } = this.choices();
    const listing = { apps: listApps(look, choices, locale, desktops), fault };
    // What changed at the moment of the look may have changed again without its times showing it.
    this.last = look.unsure ? null : { key, listing };
    return listing;
  }

  /** Where they cannot be read, what the entries themselves say. */
  private choices(): { choices: Choices | null; fault: string } {
    const path = this.folders.choices;
    try {
      return { choices: choicesOf(readChoices(path), path), fault: '' };
    } catch (fault) {
      if (fault instanceof HandoffError) return { choices: null, fault: fault.message };
      throw fault;
    }
  }

  /** Why the choices cannot be read; null where they can. */
  fault(): string | null {
    return this.choices().fault || null;
  }

  /** An app of the list. Throws where there is none of this id. */
  private find(id: string, locale: string): { readonly look: LaunchLook; readonly app: ListedApp } {
    const look = new LaunchLook(this.folders);
    const app = isAppId(id) ? listApp(look, this.choices().choices, id, locale) : null;
    if (app === null) throw failure('NoSuchApp', 'error.no-such-app', { app: printable(id) });
    return { look, app };
  }

  async setChoice(id: string, choice: string): Promise<ChoiceResult> {
    if (!isChoice(choice)) throw invalidArgument(printable(choice), say(sentence('error.choice')));
    const before = this.find(id, '').app;
    if (choice !== 'untouched' && before.problem !== '' && before.choice === 'untouched')
      throw failure('Refused', 'apps.no-entry', { app: printable(before.name), why: before.problem });
    const report = await setChoice(await this.job(), id, choice);
    const after = listApp(new LaunchLook(this.folders), this.choices().choices, id, '');
    const told = [
      ...report.notes,
      ...report.problems.filter((one) => one.id === id).map((one) => one.sentence),
    ];
    const { failed } = report;
    return { state: after?.state ?? '', sentence: told.join(' '), warning: after?.warning ?? '', failed };
  }

  async sync(): Promise<SyncReport> {
    return syncEntries(await this.job());
  }

  /** Of one app, or (null) of all. */
  async undo(id: string | null): Promise<SyncReport> {
    if (id !== null) this.find(id, '');
    return undoEntries(await this.job(), id);
  }

  async launch(id: string, wish: LaunchWish, session: Session): Promise<StartResult> {
    const { look } = this.find(id, '');
    const source = sourceOf(look.filesOf(id), digest);
    if (source === null) throw failure('Refused', 'start.away-app', { app: printable(id) });
    return this.start(id, source, wish, session);
  }

  /** Starts what a .desktop file says that may be in no folder of apps. */
  async launchFile(path: string, wish: LaunchWish, session: Session): Promise<StartResult> {
    const bytes = readBytes(path);
    if (bytes === null) throw failure('InvalidArgument', 'entry.unreadable', { path: printable(path, 300) });
    const id = path.slice(path.lastIndexOf('/') + 1);
    return this.start(id, { path, bytes }, wish, session);
  }

  private async start(
    id: string,
    source: { readonly path: string; readonly bytes: string },
    wish: LaunchWish,
    session: Session,
  ): Promise<StartResult> {
    const seat = seatFor(await cardsNow(), wish.on, wish.card);
    const environment = sessionEnvironment(await session.environment(), this.env);
    return startApp({
      id,
      source: source.bytes,
      path: source.path,
      action: wish.action,
      files: wish.files,
      locale: environment.LC_ALL || environment.LC_MESSAGES || environment.LANG || '',
      seat,
      activationToken: wish.activationToken,
      environment,
      wrapper: WRAPPER,
      inherit: session.inherit,
      adopt: session.adopt,
    });
  }
}
