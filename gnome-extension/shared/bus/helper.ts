/**
 * The helper on the system bus: what it publishes, kept as it comes, and calls to it. On a connection of its own, so
 * that the helper learns at once when nobody here watches any more.
 */
import Gio from 'gi://Gio';
import GLib from 'gi://GLib';

import { MANAGER } from '../../../core/src/contract.js';
import type { Link } from '../../../core/src/desktop/picture.js';
import type { Dict } from '../../../core/src/dict.js';
import { CallFault, type CallSettings, callBus, PROPERTIES_INTERFACE } from './call.js';
import { Presence } from './presence.js';

export interface HelperHeard {
  /** What is published, or null where nothing is known that is fresh; `why` is a sentence for `lost`. */
  changed(link: Link, properties: Dict | null, why: string): void;
}

/** Sentences for what no helper could say. */
export interface HelperWords {
  noBus(): string;
  endsAtOnce(): string;
}

/** A helper that ends this soon after it came, this often in a row, is not started again until the user asks. */
const SOON_MICROSECONDS = 5_000_000;
const OFTEN = 3;
const NO_REPLY = 'org.freedesktop.DBus.Error.NoReply';

export class Helper {
  private readonly heard: HelperHeard;
  private readonly words: HelperWords;
  private readonly cancellable = new Gio.Cancellable();
  private connection: Gio.DBusConnection | null = null;
  private closedId = 0;
  private propertiesId = 0;
  private presence: Presence | null = null;
  private properties: Dict | null = null;
  private link: Link = 'asking';
  private owner = '';
  private cameAt = 0;
  private shortLives = 0;
  private watching = false;

  constructor(heard: HelperHeard, words: HelperWords) {
    this.heard = heard;
    this.words = words;
    this.connect();
  }

  destroy(): void {
    this.cancellable.cancel();
    this.disconnect();
  }

  /** Tries again what did not answer. */
  retry(): void {
    if (this.link === 'live' || this.cancellable.is_cancelled()) return;
    this.shortLives = 0;
    this.tell('asking', null, '');
    if (this.connection === null) this.connect();
    else this.watch();
  }

  /** Calls a method of the contract; rejects with a CallFault. */
  call(member: string, body: GLib.Variant, settings: CallSettings = {}): Promise<unknown[]> {
    if (this.connection === null) return Promise.reject(new CallFault('', this.words.noBus()));
    return callBus(this.connection, MANAGER, member, body, this.cancellable, settings);
  }

  private tell(link: Link, properties: Dict | null, why: string): void {
    this.link = link;
    this.properties = properties;
    this.heard.changed(link, properties, why);
  }

  private connect(): void {
    // For the system bus this reads a variable of the environment, and waits for nothing.
    const address = Gio.dbus_address_get_for_bus_sync(Gio.BusType.SYSTEM, null);
    Gio.DBusConnection.new_for_address(
      address,
      Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION,
      null,
      this.cancellable,
      (_source, result) => {
        try {
          const connection = Gio.DBusConnection.new_for_address_finish(result);
          if (this.cancellable.is_cancelled()) connection.close(null, null);
          else this.connected(connection);
        } catch {
          if (!this.cancellable.is_cancelled()) this.busGone();
        }
      },
    );
  }

  private connected(connection: Gio.DBusConnection): void {
    this.connection = connection;
    this.closedId = connection.connect('closed', () => {
      this.disconnect();
      this.busGone();
    });
    this.propertiesId = connection.signal_subscribe(
      MANAGER.name,
      PROPERTIES_INTERFACE,
      'PropertiesChanged',
      MANAGER.path,
      MANAGER.interface,
      Gio.DBusSignalFlags.NONE,
      (_connection, _sender, _path, _interface, _signal, parameters) => {
        const [, changed] = parameters.recursiveUnpack() as [string, Dict];
        // Before everything was read once, a part of it says nothing.
        if (this.properties !== null) this.tell('live', { ...this.properties, ...changed }, '');
      },
    );
    this.presence = new Presence(connection, MANAGER.name, {
      owner: (owner) => this.ownerIs(owner),
      servicesChanged: () => {
        if (this.link === 'absent' || this.link === 'lost') this.retry();
      },
    });
  }

  private disconnect(): void {
    const { connection } = this;
    this.connection = null;
    this.presence?.destroy();
    this.presence = null;
    if (connection === null) return;
    connection.signal_unsubscribe(this.propertiesId);
    connection.disconnect(this.closedId);
    this.owner = '';
    if (!connection.is_closed()) connection.close(null, null);
  }

  /** No bus: nothing is known. The shell ends with it as a rule; if not, the user's next look tries again. */
  private busGone(): void {
    this.tell('lost', null, this.words.noBus());
  }

  private ownerIs(owner: string): void {
    const before = this.owner;
    this.owner = owner;
    const now = GLib.get_monotonic_time();
    if (owner !== '') {
      this.cameAt = now;
      this.watch();
      return;
    }
    if (before === '') {
      // At the beginning: nobody runs yet.
      if (this.link === 'asking') this.watch();
      return;
    }
    this.shortLives = now - this.cameAt < SOON_MICROSECONDS ? this.shortLives + 1 : 0;
    this.tell('asking', null, '');
    // Watching starts it again; one that always ends at once is left alone.
    if (this.shortLives < OFTEN) this.watch();
    else this.tell('lost', null, this.words.endsAtOnce());
  }

  /** Keeps the helper running and its properties fresh, and reads them. */
  private watch(): void {
    const { connection } = this;
    if (connection === null || this.watching) return;
    this.watching = true;
    const asked = this.owner;
    const options = new GLib.Variant('(a{sv})', [{}]);
    this.call('Watch', options)
      .then(() => this.read(connection))
      .then(
        () => this.watched(connection, asked, null),
        (fault: CallFault) => this.watched(connection, asked, fault),
      );
  }

  /** `asked`: who had the name when the helper was asked to be watched; empty where that started it. */
  private watched(connection: Gio.DBusConnection, asked: string, fault: CallFault | null): void {
    this.watching = false;
    if (this.connection !== connection || this.cancellable.is_cancelled()) return;
    // Another helper came while the one before was asked, and knows nothing of us.
    if (this.owner !== '' && this.owner !== asked && (asked !== '' || fault !== null)) {
      this.watch();
      return;
    }
    if (fault === null) return;
    // It ended before it answered.
    if (fault.dbusName === NO_REPLY && this.shortLives < OFTEN) {
      this.shortLives += 1;
      this.watch();
    } else if (fault.nobodyThere) this.tell('absent', null, '');
    else this.tell('lost', null, fault.message);
  }

  private async read(connection: Gio.DBusConnection): Promise<void> {
    const question = new GLib.Variant('(s)', [MANAGER.interface]);
    const target = { ...MANAGER, interface: PROPERTIES_INTERFACE };
    const [all] = await callBus(connection, target, 'GetAll', question, this.cancellable, { start: false });
    if (this.connection === connection && this.owner !== '') this.tell('live', all as Dict, '');
  }
}
