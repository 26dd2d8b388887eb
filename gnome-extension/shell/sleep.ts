/** Tells when the machine is awake again after it slept, as the login manager says. */
import Gio from 'gi://Gio';

const LOGIN = 'org.freedesktop.login1';

export class Sleep {
  private readonly connection = Gio.DBus.system;
  private readonly signalId: number;

  constructor(woke: () => void) {
    this.signalId = this.connection.signal_subscribe(
      LOGIN,
      `${LOGIN}.Manager`,
      'PrepareForSleep',
      '/org/freedesktop/login1',
      null,
      Gio.DBusSignalFlags.NONE,
      (_connection, _sender, _path, _interface, _signal, parameters) => {
        const [before] = parameters.recursiveUnpack() as [boolean];
        if (!before) woke();
      },
    );
  }

  destroy(): void {
    this.connection.signal_unsubscribe(this.signalId);
  }
}
