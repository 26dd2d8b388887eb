/** The two services that the preferences ask, alike to the pages: whether one is there, its properties, calls. */
import Gio from 'gi://Gio';
import GLib from 'gi://GLib';
import { SESSION } from '../../core/src/session-contract.js';
import { CallFault, callBus, NO_LIMIT, PROPERTIES_INTERFACE } from '../shared/bus/call.js';
import { Helper, type HelperWords } from '../shared/bus/helper.js';
import { Presence as Watch } from '../shared/bus/presence.js';
import type { Dict, Presence } from './model.js';

/** A service as the pages see it. */
export interface Service {
  readonly presence: Presence;
  /** Asks anew where it did not answer. */
  ask(): void;
  /** Calls a method; what comes back is without variants. Rejects with a CallFault, never after `stop`. */
  call(method: string, signature: string, values: unknown[]): Promise<readonly unknown[]>;
  /** Ends everything; no callback comes afterwards. */
  stop(): void;
}

/** The sentence of what a call failed with. */
export function reasonOf(fault: unknown): string {
  return fault instanceof Error ? fault.message : String(fault);
}

const NOT_YET: Presence = { state: 'asking', why: '', properties: {} };

/** The helper, kept running while the window is open. `changed` is called whenever `presence` is another one. */
export class HelperService implements Service {
  presence: Presence = NOT_YET;
  readonly #helper: Helper;
  #stopped = false;

  constructor(words: HelperWords, changed: () => void) {
    const heard = {
      changed: (link: string, properties: Dict | null, why: string): void => {
        if (this.#stopped) return;
        if (link === 'live') this.presence = { state: 'here', why, properties: properties ?? {} };
        else
          this.presence = {
            state: link === 'absent' || link === 'lost' ? link : 'asking',
            why,
            properties: {},
          };
        changed();
      },
    };
    this.#helper = new Helper(heard, words);
  }

  ask(): void {
    this.#helper.retry();
  }

  call(method: string, signature: string, values: unknown[]): Promise<readonly unknown[]> {
    return unlessStopped(this.#helper.call(method, new GLib.Variant(signature, values)), () => this.#stopped);
  }

  stop(): void {
    this.#stopped = true;
    this.#helper.destroy();
  }
}

/** The per-user service, which leaves when it is idle: what it said then holds until it says something else. */
export class UserService implements Service {
  presence: Presence = NOT_YET;
  readonly #changed: () => void;
  readonly #cancellable = new Gio.Cancellable();
  readonly #connection = Gio.DBus.session;
  readonly #watch: Watch;
  readonly #subscription: number;
  #question = 0;

  constructor(changed: () => void) {
    this.#changed = changed;
    this.#subscription = this.#connection.signal_subscribe(
      SESSION.name,
      PROPERTIES_INTERFACE,
      'PropertiesChanged',
      SESSION.path,
      SESSION.interface,
      Gio.DBusSignalFlags.NONE,
      (_connection, _sender, _path, _interface, _signal, parameters) => {
        const [, values] = parameters.recursiveUnpack() as [string, Dict];
        const { properties } = this.presence;
        if (this.presence.state === 'here')
          this.#show({ ...this.presence, properties: { ...properties, ...values } });
      },
    );
    this.#watch = new Watch(this.#connection, SESSION.name, {
      owner: (owner) => {
        if (owner !== '' && this.presence.state !== 'here') this.ask();
      },
      servicesChanged: () => this.ask(),
    });
    this.ask();
  }

  ask(): void {
    this.#question += 1;
    const question = this.#question;
    const target = { ...SESSION, interface: PROPERTIES_INTERFACE };
    const body = new GLib.Variant('(s)', [SESSION.interface]);
    callBus(this.#connection, target, 'GetAll', body, this.#cancellable).then(
      ([properties]) => {
        if (question === this.#question)
          this.#show({ state: 'here', why: '', properties: properties as Dict });
      },
      (fault: unknown) => {
        const absent = fault instanceof CallFault && fault.nobodyThere;
        if (question === this.#question)
          this.#show({ state: absent ? 'absent' : 'lost', why: reasonOf(fault), properties: {} });
      },
    );
  }

  call(method: string, signature: string, values: unknown[]): Promise<readonly unknown[]> {
    const body = new GLib.Variant(signature, values);
    return unlessStopped(
      callBus(this.#connection, SESSION, method, body, this.#cancellable, { limit: NO_LIMIT }),
      () => this.#cancellable.is_cancelled(),
    );
  }

  stop(): void {
    this.#cancellable.cancel();
    this.#watch.destroy();
    this.#connection.signal_unsubscribe(this.#subscription);
  }

  #show(presence: Presence): void {
    if (this.#cancellable.is_cancelled()) return;
    this.presence = presence;
    this.#changed();
  }
}

/** The same answer, or none at all once the window is closed. */
function unlessStopped<Value>(answer: Promise<Value>, stopped: () => boolean): Promise<Value> {
  return new Promise((resolve, reject) => {
    answer.then(
      (value) => {
        if (!stopped()) resolve(value);
      },
      (fault: unknown) => {
        if (!stopped()) reject(fault);
      },
    );
  });
}
