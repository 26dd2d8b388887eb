/** The per-user service on the session bus: which apps there are, what was chosen for them, and launching. */
import Gio from 'gi://Gio';
import GLib from 'gi://GLib';

import { SESSION } from '../../../core/src/session-contract.js';
import { type CallFault, callBus, NO_LIMIT, PROPERTIES_INTERFACE } from './call.js';
import { isAtHand, Presence } from './presence.js';

export interface AppRecord {
  readonly choice: string;
  readonly special: readonly string[];
  readonly problem: string;
}

export interface Launched {
  /** The GPU on which it really runs. */
  readonly on: string;
  readonly warning: string;
}

export type Choice = 'always' | 'offer' | 'never' | 'untouched';

const UNKNOWN: AppRecord = { choice: 'untouched', special: [], problem: '' };

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

export class Session {
  /** Whether the service is installed. */
  present = false;

  private readonly connection = Gio.DBus.session;
  private readonly cancellable = new Gio.Cancellable();
  private readonly presence: Presence;
  private readonly propertiesId: number;
  /** Null until it was asked, and after it said that they changed. */
  private apps: ReadonlyMap<string, AppRecord> | null = null;
  private asking: Promise<void> | null = null;

  constructor() {
    this.presence = new Presence(this.connection, SESSION.name, {
      owner: () => this.look(),
      servicesChanged: () => this.look(),
    });
    this.propertiesId = this.connection.signal_subscribe(
      SESSION.name,
      PROPERTIES_INTERFACE,
      'PropertiesChanged',
      SESSION.path,
      SESSION.interface,
      Gio.DBusSignalFlags.NONE,
      () => {
        this.apps = null;
      },
    );
  }

  destroy(): void {
    this.cancellable.cancel();
    this.presence.destroy();
    this.connection.signal_unsubscribe(this.propertiesId);
  }

  /** What is known of an app without asking; null where it has to be asked. */
  known(id: string): AppRecord | null {
    return this.apps === null ? null : (this.apps.get(id) ?? UNKNOWN);
  }

  /** Asks for all apps, unless they are known. Rejects with a CallFault. */
  async ask(): Promise<void> {
    if (this.apps !== null) return;
    this.asking ??= this.list().finally(() => {
      this.asking = null;
    });
    await this.asking;
  }

  /** Starts an app on a dGPU; rejects with a CallFault. */
  async launch(id: string, card: string, token: string): Promise<Launched> {
    const options: Record<string, GLib.Variant> = { on: new GLib.Variant('s', 'dgpu') };
    if (card !== '') options.card = new GLib.Variant('s', card);
    if (token !== '') options['activation-token'] = new GLib.Variant('s', token);
    const [result] = await this.call('Launch', new GLib.Variant('(sa{sv})', [id, options]));
    const dict = (result ?? {}) as Record<string, unknown>;
    return { on: textOf(dict.on), warning: textOf(dict.warning) };
  }

  /** Keeps a choice; resolves with a warning or an empty string, rejects with a CallFault. */
  async choose(id: string, choice: Choice): Promise<string> {
    const [result] = await this.call('SetChoice', new GLib.Variant('(ssa{sv})', [id, choice, {}]));
    this.apps = null;
    const dict = (result ?? {}) as Record<string, unknown>;
    const sentence = textOf(dict.sentence);
    return sentence === '' ? textOf(dict.warning) : sentence;
  }

  private call(member: string, body: GLib.Variant): Promise<unknown[]> {
    return callBus(this.connection, SESSION, member, body, this.cancellable, { limit: NO_LIMIT });
  }

  private look(): void {
    this.apps = null;
    isAtHand(this.connection, SESSION.name, this.cancellable)
      .then((present) => {
        this.present = present;
      })
      .catch((_fault: CallFault) => {
        this.present = false;
      });
  }

  private async list(): Promise<void> {
    const locale = GLib.get_language_names()[0] ?? '';
    const options = { locale: new GLib.Variant('s', locale) };
    const [answer] = await this.call('ListApps', new GLib.Variant('(a{sv})', [options]));
    const apps = new Map<string, AppRecord>();
    for (const one of Array.isArray(answer) ? (answer as Record<string, unknown>[]) : []) {
      const special = Array.isArray(one.special) ? one.special.map(textOf) : [];
      apps.set(textOf(one.id), { choice: textOf(one.choice), special, problem: textOf(one.problem) });
    }
    this.apps = apps;
  }
}
