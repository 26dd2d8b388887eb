/** Calls on a bus, and what comes back: plain values, or a fault that says which error it was. */
import Gio from 'gi://Gio';
import GLib from 'gi://GLib';

/** Where a call goes. */
export interface Target {
  readonly name: string;
  readonly path: string;
  readonly interface: string;
}

export const DAEMON: Target = {
  name: 'org.freedesktop.DBus',
  path: '/org/freedesktop/DBus',
  interface: 'org.freedesktop.DBus',
};

export const PROPERTIES_INTERFACE = 'org.freedesktop.DBus.Properties';

/** What a call failed with: the error's name on the bus (empty where the bus itself failed) and its sentence. */
export class CallFault extends Error {
  readonly dbusName: string;

  constructor(dbusName: string, message: string) {
    super(message);
    this.name = 'CallFault';
    this.dbusName = dbusName;
  }

  /** True where nothing could be started for the name: its package is not installed. */
  get nobodyThere(): boolean {
    return (
      this.dbusName === 'org.freedesktop.DBus.Error.ServiceUnknown' ||
      this.dbusName === 'org.freedesktop.DBus.Error.NameHasNoOwner'
    );
  }
}

function faultOf(error: unknown): CallFault {
  if (!(error instanceof GLib.Error)) return new CallFault('', String(error));
  const name = Gio.DBusError.get_remote_error(error) ?? '';
  Gio.DBusError.strip_remote_error(error);
  return new CallFault(name, error.message);
}

export interface CallSettings {
  /** Start the service where it does not run. */
  readonly start?: boolean;
  /** Milliseconds; a user may be typing a password meanwhile, so calls that ask have no limit. */
  readonly limit?: number;
}

const LIMIT_MS = 30_000;
export const NO_LIMIT = 2_147_483_647;

/** Calls a method. Resolves with the body of the answer as plain values; rejects with a CallFault. */
export function callBus(
  connection: Gio.DBusConnection,
  target: Target,
  member: string,
  body: GLib.Variant | null,
  cancellable: Gio.Cancellable,
  settings: CallSettings = {},
): Promise<unknown[]> {
  const flags = settings.start === false ? Gio.DBusCallFlags.NO_AUTO_START : Gio.DBusCallFlags.NONE;
  return new Promise((resolve, reject) => {
    connection.call(
      target.name,
      target.path,
      target.interface,
      member,
      body,
      null,
      flags,
      settings.limit ?? LIMIT_MS,
      cancellable,
      (_source, result) => {
        try {
          resolve(connection.call_finish(result).recursiveUnpack() as unknown[]);
        } catch (error) {
          reject(faultOf(error));
        }
      },
    );
  });
}
