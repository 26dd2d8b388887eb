/** One of our services on a bus, asked without ever waiting for it: whether it is there, its properties, calls. */
import Gio from 'gi://Gio';
import GLib from 'gi://GLib';
import type { Dict, Presence } from './model.js';

/** A table of the contract: MANAGER or SESSION. */
export interface Address {
  readonly bus: 'system' | 'session';
  readonly name: string;
  readonly path: string;
  readonly interface: string;
}

export interface Wishes {
  /** True for the helper: it is asked to stay, and asked again when it ends. The per-user service leaves when idle. */
  readonly stays: boolean;
  /** Words for a bus that is gone, and for a service that ends as often as it is started. */
  readonly noBus: string;
  readonly endsAgain: string;
}

const BUS = { name: 'org.freedesktop.DBus', path: '/org/freedesktop/DBus' };
const PROPERTIES = 'org.freedesktop.DBus.Properties';

/** What says that nobody could answer, because nothing of that name is installed. */
const ABSENT = [
  'org.freedesktop.DBus.Error.ServiceUnknown',
  'org.freedesktop.DBus.Error.NameHasNoOwner',
  'org.freedesktop.DBus.Error.Spawn.ServiceNotFound',
  'org.freedesktop.DBus.Error.Spawn.FileInvalid',
  'org.freedesktop.systemd1.NoSuchUnit',
];

/** This many endings within this time (microseconds) are no accident. */
const ENDINGS = 3;
const ENDINGS_WITHIN = 20_000_000;

/** The sentence of an error of the bus, without what GLib writes before it. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof GLib.Error)) return String(error);
  Gio.DBusError.strip_remote_error(error);
  return error.message;
}

export class Service {
  readonly #address: Address;
  readonly #wishes: Wishes;
  readonly #changed: () => void;
  readonly #cancellable = new Gio.Cancellable();
  #connection: Gio.DBusConnection | null = null;
  #presence: Presence = { state: 'asking', why: '', properties: {} };
  #watch = 0;
  #subscriptions: number[] = [];
  #closed = 0;
  #question = 0;
  #endings: number[] = [];

  /** `changed` is called whenever `presence` is another one. */
  constructor(address: Address, wishes: Wishes, changed: () => void) {
    this.#address = address;
    this.#wishes = wishes;
    this.#changed = changed;
  }

  get presence(): Presence {
    return this.#presence;
  }

  /** Connects and asks; answers come by `changed`. */
  start(): void {
    const type = this.#address.bus === 'system' ? Gio.BusType.SYSTEM : Gio.BusType.SESSION;
    Gio.bus_get(type, this.#cancellable, (_source, result) => {
      try {
        this.#connected(Gio.bus_get_finish(result));
      } catch (error) {
        this.#fail(error, this.#wishes.noBus);
      }
    });
  }

  /** Ends everything; no callback comes afterwards. */
  stop(): void {
    this.#cancellable.cancel();
    if (this.#watch !== 0) Gio.bus_unwatch_name(this.#watch);
    for (const id of this.#subscriptions) this.#connection?.signal_unsubscribe(id);
    if (this.#closed !== 0) this.#connection?.disconnect(this.#closed);
    this.#watch = this.#closed = 0;
    this.#subscriptions = [];
    this.#connection = null;
  }

  /** Asks anew whether it is there and what its properties are. */
  ask(): void {
    this.#question += 1;
    const question = this.#question;
    const call = new GLib.Variant('(s)', [this.#address.interface]);
    this.#send(PROPERTIES, 'GetAll', call).then(
      ([properties]) => {
        if (question === this.#question)
          this.#show({ state: 'here', why: '', properties: properties as Dict });
      },
      (error: unknown) => {
        if (question === this.#question) this.#fail(error);
      },
    );
    // A promise that fails is no news beside the question above.
    if (this.#wishes.stays)
      this.#send(this.#address.interface, 'Watch', new GLib.Variant('(a{sv})', [{}])).catch(() => {});
  }

  /** Calls a method of the interface; what comes back is without variants. Throws GLib.Error. */
  call(method: string, signature: string, values: unknown[]): Promise<readonly unknown[]> {
    return this.#send(this.#address.interface, method, new GLib.Variant(signature, values));
  }

  #send(where: string, method: string, body: GLib.Variant): Promise<readonly unknown[]> {
    const connection = this.#connection;
    if (connection === null) return Promise.reject(new Error(this.#wishes.noBus));
    const { name, path } = this.#address;
    return new Promise((resolve, reject) => {
      const none = Gio.DBusCallFlags.NONE;
      connection.call(
        name,
        path,
        where,
        method,
        body,
        null,
        none,
        -1,
        this.#cancellable,
        (_source, result) => {
          try {
            resolve(connection.call_finish(result).recursiveUnpack() as unknown[]);
          } catch (error) {
            // After `stop` nobody wants to hear it.
            if (!this.#cancellable.is_cancelled()) reject(error);
          }
        },
      );
    });
  }

  #connected(connection: Gio.DBusConnection): void {
    // A bus that goes must not take the settings window with it.
    connection.exit_on_close = false;
    this.#connection = connection;
    this.#closed = connection.connect('closed', () => {
      this.#show({ state: 'lost', why: this.#wishes.noBus, properties: {} });
    });
    const { name, path } = this.#address;
    const none = Gio.DBusSignalFlags.NONE;
    const subscribe = (
      sender: string,
      where: string,
      signal: string,
      object: string,
      heard: (body: readonly unknown[]) => void,
    ): void => {
      const id = connection.signal_subscribe(sender, where, signal, object, null, none, (...args) => {
        heard(args[5].recursiveUnpack() as unknown[]);
      });
      this.#subscriptions.push(id);
    };
    subscribe(name, PROPERTIES, 'PropertiesChanged', path, ([, values]) => {
      if (this.#presence.state !== 'here') return;
      const properties = { ...this.#presence.properties, ...(values as Dict) };
      this.#show({ ...this.#presence, properties });
    });
    // A package that was installed while the window is open.
    subscribe(BUS.name, BUS.name, 'ActivatableServicesChanged', BUS.path, () => this.ask());
    this.#watch = Gio.bus_watch_name_on_connection(
      connection,
      name,
      Gio.BusNameWatcherFlags.NONE,
      () => {
        if (this.#presence.state !== 'here') this.ask();
      },
      () => this.#vanished(),
    );
    this.ask();
  }

  #vanished(): void {
    // Before the first answer nobody was there; and who may leave has left.
    if (this.#presence.state !== 'here' || !this.#wishes.stays) return;
    const now = GLib.get_monotonic_time();
    this.#endings = [...this.#endings.filter((time) => now - time < ENDINGS_WITHIN), now];
    if (this.#endings.length >= ENDINGS) {
      this.#show({ state: 'lost', why: this.#wishes.endsAgain, properties: {} });
      return;
    }
    this.#show({ state: 'asking', why: '', properties: {} });
    this.ask();
  }

  #fail(error: unknown, otherwise?: string): void {
    if (this.#cancellable.is_cancelled()) return;
    const name = error instanceof GLib.Error ? Gio.DBusError.get_remote_error(error) : null;
    const state = name !== null && ABSENT.includes(name) ? 'absent' : 'lost';
    this.#show({ state, why: otherwise ?? reasonOf(error), properties: {} });
  }

  #show(presence: Presence): void {
    this.#presence = presence;
    this.#changed();
  }
}
