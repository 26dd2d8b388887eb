/** Whether a service is there, or could be started: told at the beginning, and whenever it changes. */
import Gio from 'gi://Gio';
import GLib from 'gi://GLib';

import { callBus, DAEMON } from './call.js';

export interface PresenceHeard {
  /** Who owns the name now; empty when nobody does. */
  owner(owner: string): void;
  /** Packages were installed or removed: what could not be started before may be there now. */
  servicesChanged(): void;
}

export class Presence {
  private readonly connection: Gio.DBusConnection;
  private readonly watchId: number;
  private readonly signalId: number;

  constructor(connection: Gio.DBusConnection, name: string, heard: PresenceHeard) {
    this.connection = connection;
    this.watchId = Gio.bus_watch_name_on_connection(
      connection,
      name,
      Gio.BusNameWatcherFlags.NONE,
      (_connection, _name, owner) => heard.owner(owner),
      () => heard.owner(''),
    );
    this.signalId = connection.signal_subscribe(
      DAEMON.name,
      DAEMON.interface,
      'ActivatableServicesChanged',
      DAEMON.path,
      null,
      Gio.DBusSignalFlags.NONE,
      () => heard.servicesChanged(),
    );
  }

  destroy(): void {
    Gio.bus_unwatch_name(this.watchId);
    this.connection.signal_unsubscribe(this.signalId);
  }
}

/** Whether somebody owns the name or could be started for it. Rejects with a CallFault. */
export async function isAtHand(
  connection: Gio.DBusConnection,
  name: string,
  cancellable: Gio.Cancellable,
): Promise<boolean> {
  const question = new GLib.Variant('(s)', [name]);
  const [owned] = await callBus(connection, DAEMON, 'NameHasOwner', question, cancellable);
  if (owned === true) return true;
  const [names] = await callBus(connection, DAEMON, 'ListActivatableNames', null, cancellable);
  return Array.isArray(names) && names.includes(name);
}
