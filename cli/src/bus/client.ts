/** The helper as its clients see it: properties, methods, changes. Low-level messages of our own contract. */
import dbus from 'dbus-next';
import { MANAGER, METHODS, type MethodName, type MethodSpec } from '../../../core/src/contract.js';
import { asDict, type Dict } from '../../../core/src/dict.js';
import { HandoffError, reasonOf } from '../../../core/src/errors.js';
import { type Inner, keepReading } from '../../../core/src/linux/bus/keep-reading.js';
import { addressOf } from './address.js';
import { failureOfError, helperAbsent } from './errors.js';
import { type State, stateOf } from './state.js';
import { unbox } from './unbox.js';

const DAEMON = {
  destination: 'org.freedesktop.DBus',
  path: '/org/freedesktop/DBus',
  interface: 'org.freedesktop.DBus',
} as const;
const PROPERTIES_INTERFACE = 'org.freedesktop.DBus.Properties';

/** How long the bus or a running helper may take to answer a question that needs no authorization. */
const ANSWER_MS = 25_000;

const ENDED = new Error('the bus closed the connection');

/** What was thrown by a call, as a failure with one sentence. */
function failureOf(fault: unknown): HandoffError {
  if (fault instanceof HandoffError) return fault;
  if (!(fault instanceof dbus.DBusError)) return helperAbsent(reasonOf(fault));
  return failureOfError(fault.type, fault.text);
}

/** What a follower hears. */
export interface Follower {
  /** The helper published something new. */
  changed(state: State): void;
  /** The helper left the bus, or the bus itself is gone. */
  lost?(why: HandoffError): void;
  /** A helper is there, after one was lost or none was there. */
  found?(): void;
}

export interface CallOptions {
  /** Start the helper where it does not run. Default true. */
  readonly start?: boolean;
  /** Milliseconds to wait; null: as long as it takes, since a user may be typing a password. */
  readonly limitMs?: number | null;
}

export class ManagerClient {
  private readonly bus: dbus.MessageBus;
  /** Rejecters of calls in flight: dbus-next forgets them when the connection ends. */
  private readonly waiting = new Set<(fault: HandoffError) => void>();
  private readonly followers = new Set<Follower>();
  private following: Promise<void> | null = null;
  /** The unique name of the running helper; null where none runs. Known once something is followed. */
  private owner: string | null = null;
  private properties: Dict = {};
  private closed = false;

  private constructor(bus: dbus.MessageBus) {
    this.bus = bus;
    const gone = (fault: unknown): void => {
      // Faults of the socket have a code, the end of the stream is ours; the rest are single messages of a wrong form.
      const socket = fault === ENDED || typeof (fault as { code?: unknown } | null)?.code === 'string';
      if (this.closed || !socket) return;
      const why = helperAbsent(reasonOf(fault));
      this.closed = true;
      for (const reject of this.waiting) reject(why);
      this.ownerIs(null, why);
    };
    bus.on('error', gone);
    (bus as unknown as Inner)._connection.on('end', () => gone(ENDED));
    bus.on('message', (message: dbus.Message) => this.heard(message));
  }

  /** Connects to the system bus, or to the bus of this address. Does not start the helper. */
  static connect(address: string | null): Promise<ManagerClient> {
    return new Promise((resolve, reject) => {
      const refuse = (fault: unknown): void => reject(helperAbsent(reasonOf(fault)));
      try {
        // Not systemBus(): it takes its address from the environment alone.
        const busAddress = addressOf(address);
        const bus = dbus.sessionBus({ busAddress });
        keepReading(bus);
        bus.on('error', refuse);
        const limit = setTimeout(() => refuse(new Error('the bus did not answer')), ANSWER_MS);
        bus.on('connect', () => {
          clearTimeout(limit);
          bus.off('error', refuse);
          resolve(new ManagerClient(bus));
        });
      } catch (fault) {
        refuse(fault);
      }
    });
  }

  /** Ends the connection; nothing is heard any more. */
  close(): void {
    this.closed = true;
    this.followers.clear();
    this.bus.disconnect();
    (this.bus as unknown as Inner)._connection.stream.destroy();
  }

  /** Whether somebody owns this name now, or could be started for it by the bus. */
  async isAvailable(name: string = MANAGER.name): Promise<boolean> {
    const [has] = await this.send({ ...DAEMON, member: 'NameHasOwner', signature: 's', body: [name] });
    if (has === true) return true;
    const [names] = await this.send({ ...DAEMON, member: 'ListActivatableNames' });
    return Array.isArray(names) && names.includes(name);
  }

  /** Everything that is published, or a rejection with HelperAbsent. */
  async state(options: CallOptions = {}): Promise<State> {
    return stateOf(await this.everything(options));
  }

  private async everything(options: CallOptions): Promise<Dict> {
    const { name: destination, path } = MANAGER;
    const question = { destination, path, interface: PROPERTIES_INTERFACE, member: 'GetAll' };
    const [all] = await this.send({ ...question, signature: 's', body: [MANAGER.interface] }, options);
    return asDict(all);
  }

  /** Calls a method of the contract. Resolves with its first result without variants. */
  async call(method: MethodName, args: readonly unknown[], options: CallOptions = {}): Promise<unknown> {
    const spec: MethodSpec = METHODS[method];
    const [first] = await this.send(
      {
        destination: MANAGER.name,
        path: MANAGER.path,
        interface: MANAGER.interface,
        member: method,
        signature: spec.in.map((argument) => argument.type).join(''),
        body: [...args],
      },
      options,
    );
    return first;
  }

  /**
   * Hears of every change from now on, and at once of the state as it is where a helper runs. Follows the name, so a
   * helper that is started again is heard, too.
   */
  async follow(follower: Follower): Promise<void> {
    this.following ??= this.subscribe();
    await this.following;
    this.followers.add(follower);
    if (this.owner !== null) await this.refresh();
  }

  unfollow(follower: Follower): void {
    this.followers.delete(follower);
  }

  private async subscribe(): Promise<void> {
    const rules = [
      `type='signal',sender='${MANAGER.name}',path='${MANAGER.path}',interface='${PROPERTIES_INTERFACE}',member='PropertiesChanged',arg0='${MANAGER.interface}'`,
      `type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='${MANAGER.name}'`,
    ];
    for (const rule of rules)
      await this.send({ ...DAEMON, member: 'AddMatch', signature: 's', body: [rule] });
    try {
      const [owner] = await this.send({
        ...DAEMON,
        member: 'GetNameOwner',
        signature: 's',
        body: [MANAGER.name],
      });
      this.owner = typeof owner === 'string' ? owner : null;
    } catch {
      this.owner = null;
    }
  }

  /** Reads everything anew and tells it. */
  private async refresh(): Promise<void> {
    this.properties = await this.everything({ start: false });
    this.tell();
  }

  private tell(): void {
    const state = stateOf(this.properties);
    for (const follower of [...this.followers]) follower.changed(state);
  }

  private heard(message: dbus.Message): void {
    if (message.type !== dbus.MessageType.SIGNAL) return;
    if (message.sender === DAEMON.destination && message.member === 'NameOwnerChanged') {
      const [name, , owner] = message.body as [string, string, string];
      if (name === MANAGER.name)
        this.ownerIs(owner === '' ? null : owner, helperAbsent('it ended before it answered'));
      return;
    }
    // Anyone can send anyone a signal; only the owner of the name speaks for the helper.
    if (message.member !== 'PropertiesChanged' || message.interface !== PROPERTIES_INTERFACE) return;
    if (message.path !== MANAGER.path || message.sender !== this.owner) return;
    const [iface, changed] = message.body as [string, unknown];
    if (iface !== MANAGER.interface) return;
    this.properties = { ...this.properties, ...asDict(unbox(changed)) };
    this.tell();
  }

  private ownerIs(owner: string | null, why: HandoffError): void {
    const before = this.owner;
    this.owner = owner;
    if (owner === null) {
      if (before !== null) for (const follower of [...this.followers]) follower.lost?.(why);
      return;
    }
    for (const follower of [...this.followers]) follower.found?.();
    this.refresh().catch(() => {
      // It is gone again already; that is told by the next change of owner.
    });
  }

  /** Sends a call and resolves with the body of its answer, unboxed. Rejects with a HandoffError. */
  private async send(fields: dbus.MessageLike, options: CallOptions = {}): Promise<unknown[]> {
    const message = new dbus.Message({
      ...fields,
      flags: options.start === false ? dbus.MessageFlag.NO_AUTO_START : 0,
    });
    const limitMs = options.limitMs === undefined ? ANSWER_MS : options.limitMs;
    let reject: (fault: HandoffError) => void = () => {};
    let timer: NodeJS.Timeout | undefined;
    const broken = new Promise<never>((_, refuse) => {
      reject = refuse;
      if (this.closed) refuse(helperAbsent('the connection to the bus is closed'));
      if (limitMs !== null)
        timer = setTimeout(() => refuse(helperAbsent(`no answer within ${limitMs / 1000} s`)), limitMs);
    });
    this.waiting.add(reject);
    try {
      const answer = this.closed ? broken : this.bus.call(message);
      const reply = await Promise.race([answer, broken]);
      return (reply?.body ?? []).map(unbox);
    } catch (fault) {
      throw failureOf(fault);
    } finally {
      clearTimeout(timer);
      this.waiting.delete(reject);
    }
  }
}

/** The options of a call, boxed as the contract wants them. */
export function boxed(options: Readonly<Record<string, boolean>>): Record<string, dbus.Variant> {
  const all: Record<string, dbus.Variant> = {};
  for (const [name, value] of Object.entries(options)) all[name] = new dbus.Variant('b', value);
  return all;
}
