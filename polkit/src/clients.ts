/** Who calls, who watches, and when nobody needs the helper any more. */
import { askBus, type Bus, onNameLost } from '../../core/src/linux/bus/dbus.js';

/** Watching connections of one user; more are refused, and cost the other users nothing. */
const MOST_WATCHERS_OF_USER = 64;

export class Clients {
  private readonly bus: Bus;
  /** Users of the watching connections, by connection. */
  private readonly watchers = new Map<string, number>();
  /** Users of all connections that called and are still there. */
  private readonly users = new Map<string, Promise<number>>();
  private readonly left: (caller: string) => void;

  constructor(bus: Bus, left: (caller: string) => void) {
    this.bus = bus;
    this.left = left;
  }

  /** Begins to hear of callers that leave. */
  async listen(): Promise<void> {
    await onNameLost(this.bus, (name) => {
      if (this.users.delete(name)) this.left(name);
      this.watchers.delete(name);
    });
  }

  /** The Unix user of a caller, as the bus knows it from the socket. Rejects when the caller has left. */
  userOf(caller: string): Promise<number> {
    const known = this.users.get(caller);
    if (known !== undefined) return known;
    const asked = askBus(this.bus, 'GetConnectionUnixUser', [caller]).then((body) => body[0] as number);
    asked.catch(() => this.users.delete(caller));
    this.users.set(caller, asked);
    return asked;
  }

  /** Returns false when the user has too many already. */
  watch(caller: string, uid: number): boolean {
    // It left while its call was looked at; nobody would ever tell us so again.
    if (!this.users.has(caller) || this.watchers.has(caller)) return true;
    const same = [...this.watchers.values()].filter((one) => one === uid);
    if (same.length >= MOST_WATCHERS_OF_USER) return false;
    this.watchers.set(caller, uid);
    return true;
  }

  get watching(): number {
    return this.watchers.size;
  }
}
