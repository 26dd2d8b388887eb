/** systemd's manager of the user: the environment that sessions keep there, and scopes for apps. */
import { reasonOf } from '../../../core/src/errors.js';
import { type Bus, Message, s, Variant, within } from '../../../core/src/linux/bus/dbus.js';

const SYSTEMD = {
  destination: 'org.freedesktop.systemd1',
  path: '/org/freedesktop/systemd1',
} as const;
const MANAGER = 'org.freedesktop.systemd1.Manager';

/** The manager answers at once or is not there; an app is not to wait for it. */
const LIMIT_MS = 2000;

export class UserManager {
  private readonly bus: Bus;
  private readonly complain: (text: string) => void;

  constructor(bus: Bus, complain: (text: string) => void) {
    this.bus = bus;
    this.complain = complain;
  }

  /** `NAME=value` of all variables; null where there is no manager. */
  async environment(): Promise<readonly string[] | null> {
    try {
      const question = new Message({
        ...SYSTEMD,
        interface: 'org.freedesktop.DBus.Properties',
        member: 'Get',
        signature: 'ss',
        body: [MANAGER, 'Environment'],
      });
      const value = (await within(LIMIT_MS, this.bus.call(question)))?.body[0];
      const list: unknown = value instanceof Variant ? value.value : null;
      return Array.isArray(list) ? list.filter((one): one is string => typeof one === 'string') : null;
    } catch {
      return null;
    }
  }

  /** Puts a process into a scope of its own, so that it outlives us and is told apart. False where that failed. */
  async adopt(pid: number, scope: string, description: string): Promise<boolean> {
    const properties: [string, unknown][] = [
      ['PIDs', new Variant('au', [pid])],
      ['Slice', s('app.slice')],
      ['Description', s(description)],
      ['CollectMode', s('inactive-or-failed')],
    ];
    try {
      const wish = new Message({
        ...SYSTEMD,
        interface: MANAGER,
        member: 'StartTransientUnit',
        signature: 'ssa(sv)a(sa(sv))',
        body: [scope, 'fail', properties, []],
      });
      await within(LIMIT_MS, this.bus.call(wish));
      return true;
    } catch (fault) {
      const why = reasonOf(fault);
      // Without systemd there is nobody to ask, and nothing to say.
      if (!/ServiceUnknown|not provided|not activatable|Could not activate/i.test(why))
        this.complain(`No scope ${scope}: ${why}`);
      return false;
    }
  }
}
