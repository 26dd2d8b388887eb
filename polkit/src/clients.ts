/** Who calls, who watches, and when nobody needs the helper any more. */
import { askBus, type Bus, onNameLost } from './bus.js';

/** Watchers per helper; more are refused. */
const MOST_WATCHERS = 256;

export class Clients {
  private readonly bus: Bus;
  private readonly watchers = new Set<string>();
  private readonly users = new Map<string, Promise<number>>();
  private readonly left: (caller: string) => void;

  constructor(bus: Bus, left: (caller: string) => void) {
    this.bus = bus;
    this.left = left;
    onNameLost(bus, (name) => {
      if (this.users.delete(name) || this.watchers.has(name)) this.left(name);
      this.watchers.delete(name);
    });
  }

  /** Begins to hear of callers that leave. */
  async listen(): Promise<void> {
    const rule =
      "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',member='NameOwnerChanged',arg2=''";
    await askBus(this.bus, 'AddMatch', 's', [rule]);
  }

  /** The Unix user of a caller, as the bus itself knows it from the socket. */
  userOf(caller: string): Promise<number> {
    const known = this.users.get(caller);
    if (known !== undefined) return known;
    const asked = askBus(this.bus, 'GetConnectionUnixUser', 's', [caller]).then((body) => body[0] as number);
    asked.catch(() => this.users.delete(caller));
    this.users.set(caller, asked);
    return asked;
  }

  /** Returns false when there are too many already. */
  watch(caller: string): boolean {
    if (this.watchers.size >= MOST_WATCHERS && !this.watchers.has(caller)) return false;
    this.watchers.add(caller);
    return true;
  }

  get watching(): number {
    return this.watchers.size;
  }
}
