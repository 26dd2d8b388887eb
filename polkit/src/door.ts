/**
 * The helper's door: every message from the bus comes through here. What is not of the contract is answered with
 * an error; what fails inside is answered with a name and one sentence, never with a stack.
 */
import {
  introspectionXml,
  MANAGER,
  METHODS,
  type MethodName,
  type MethodSpec,
  PROPERTIES,
  type PropertyName,
} from '../../core/src/contract.js';
import { failure, HandoffError, reasonOf } from '../../core/src/errors.js';
import { printable } from '../../core/src/words.js';
import { type Bus, Message, MessageFlag, MessageType } from './bus.js';
import type { Clients } from './clients.js';
import type { Properties } from './encode.js';
import { MOST_BODY_KIB } from './gate.js';

/** One call of a method of the contract, with arguments of the contract's types. */
export interface Call {
  readonly caller: string;
  /** The caller's user. */
  readonly uid: number;
  readonly body: readonly unknown[];
}

export type Methods = { readonly [M in MethodName]: (call: Call) => Promise<readonly unknown[]> };

/** Calls that may wait for an answer at once: of one connection, and of all of one user's. */
const MOST_CALLS = 16;
const MOST_CALLS_OF_USER = 48;

const INTROSPECTABLE = 'org.freedesktop.DBus.Introspectable';
const PROPERTIES_INTERFACE = 'org.freedesktop.DBus.Properties';
const PEER = 'org.freedesktop.DBus.Peer';

/** Signature and values of an answer. */
type Answer = readonly [string, readonly unknown[]];

export interface DoorOptions {
  readonly bus: Bus;
  readonly clients: Clients;
  readonly methods: Methods;
  readonly properties: () => Properties;
  readonly complain: (text: string) => void;
}

/** Counts by key; what has come to nothing is forgotten. */
class Counts<K> {
  private readonly counts = new Map<K, number>();

  of(key: K): number {
    return this.counts.get(key) ?? 0;
  }

  add(key: K, more: 1 | -1): void {
    const count = this.of(key) + more;
    if (count === 0) this.counts.delete(key);
    else this.counts.set(key, count);
  }
}

export class Door {
  private readonly options: DoorOptions;
  private readonly ofCaller = new Counts<string>();
  private readonly ofUser = new Counts<number>();
  private working = 0;
  /** Messages that wait because the door is shut for a moment. */
  private outside: Message[] | null = null;
  /** When the last message came, in milliseconds since 1970. */
  lastCall = Date.now();

  constructor(options: DoorOptions) {
    this.options = options;
  }

  open(): void {
    this.options.bus.addMethodHandler((message: Message) => {
      this.lastCall = Date.now();
      if (this.outside === null) this.receive(message);
      else this.outside.push(message);
      // Nothing is left to dbus-next's own handlers, which would answer faults with their stack.
      return true;
    });
  }

  /** Lets messages wait until `reopen`. */
  shut(): void {
    this.outside ??= [];
  }

  /** How many messages wait outside. */
  get knocking(): number {
    return this.outside?.length ?? 0;
  }

  reopen(): void {
    const waiting = this.outside ?? [];
    this.outside = null;
    for (const message of waiting) this.receive(message);
  }

  /** True while a call is being answered. */
  get busy(): boolean {
    return this.working > 0;
  }

  private receive(message: Message): void {
    try {
      const answer = this.answerAtOnce(message);
      if (answer !== null) this.reply(message, answer);
      else void this.work(message);
    } catch (fault) {
      this.refuse(message, fault);
    }
  }

  /** What needs no more than what is at hand; null for a method of the contract. */
  private answerAtOnce(message: Message): Answer | null {
    const { path, interface: iface, member } = message;
    if (iface === INTROSPECTABLE && member === 'Introspect') return ['s', [this.introspect(path ?? '/')]];
    if (iface === PEER && member === 'Ping') return ['', []];
    if (path !== MANAGER.path) throw unknown(iface, member);
    if (iface === PROPERTIES_INTERFACE) return this.property(message);
    if (iface !== undefined && iface !== MANAGER.interface) throw unknown(iface, member);
    if (member === undefined || !Object.hasOwn(METHODS, member)) throw unknown(iface, member);
    return null;
  }

  /** Answers a method of the contract. Never rejects. */
  private async work(message: Message): Promise<void> {
    const caller = message.sender ?? '';
    const { ofCaller, ofUser } = this;
    let uid: number | null = null;
    this.working += 1;
    ofCaller.add(caller, 1);
    try {
      const spec: MethodSpec = METHODS[message.member as MethodName];
      const expected = spec.in.map((argument) => argument.type).join('');
      if (message.signature !== expected)
        throw failure('InvalidArgument', 'error.invalid-argument', {
          argument: `list of ${message.member}`,
          why: `its types are “${expected}”, and it has at most ${MOST_BODY_KIB} KiB`,
        });
      if (ofCaller.of(caller) > MOST_CALLS) throw tooMany();
      const user = await this.options.clients.userOf(caller);
      uid = user;
      ofUser.add(user, 1);
      if (ofUser.of(user) > MOST_CALLS_OF_USER) throw tooMany();
      const call: Call = { caller, uid: user, body: message.body };
      const body = await this.options.methods[message.member as MethodName](call);
      this.reply(message, [spec.out.map((argument) => argument.type).join(''), body]);
    } catch (fault) {
      this.refuse(message, fault);
    } finally {
      this.working -= 1;
      ofCaller.add(caller, -1);
      if (uid !== null) ofUser.add(uid, -1);
    }
  }

  private reply(message: Message, [signature, body]: Answer): void {
    if (isSilent(message)) return;
    this.send(replyTo(message, signature, [...body]));
  }

  private refuse(message: Message, fault: unknown): void {
    const failed =
      fault instanceof HandoffError ? fault : failure('Failed', 'error.internal', { why: reasonOf(fault) });
    if (!(fault instanceof HandoffError)) this.options.complain(`${message.member}: ${reasonOf(fault)}`);
    if (!isSilent(message)) this.send(errorFor(message, nameOnBus(failed), failed.message));
  }

  private send(message: Message): void {
    try {
      this.options.bus.send(message);
    } catch (fault) {
      this.options.complain(`An answer could not be sent: ${reasonOf(fault)}`);
    }
  }

  private property(message: Message): Answer {
    const { member, signature } = message;
    const [iface, name] = message.body as [string, string];
    if (member === 'Get' && signature === 'ss' && ours(iface)) {
      if (!Object.hasOwn(PROPERTIES, name))
        throw failure('InvalidArgument', 'error.invalid-argument', {
          argument: 'property',
          why: `there is no property ${printable(name, 40)}`,
        });
      return ['v', [this.options.properties()[name as PropertyName]]];
    }
    if (member === 'GetAll' && signature === 's')
      return ['a{sv}', [ours(iface) ? this.options.properties() : {}]];
    if (member === 'Set' && signature === 'ssv')
      throw failure('InvalidArgument', 'error.invalid-argument', {
        argument: 'property',
        why: 'all properties are for reading only',
      });
    throw unknown(PROPERTIES_INTERFACE, member);
  }

  /** The tree above our object, so that d-feet and busctl find their way. */
  private introspect(path: string): string {
    if (path === MANAGER.path) return introspectionXml();
    const prefix = path === '/' ? '/' : `${path}/`;
    if (!MANAGER.path.startsWith(prefix)) return '<node/>\n';
    const child = MANAGER.path.slice(prefix.length).split('/')[0];
    return `<node><node name="${child}"/></node>\n`;
  }
}

type MessageParts = ConstructorParameters<typeof Message>[0];

/** dbus-next's types describe the arguments of Message.newMethodReturn and newError as those of a signal. */
function replyTo(call: Message, signature: string, body: unknown[]): Message {
  const parts = { type: MessageType.METHOD_RETURN, replySerial: call.serial, destination: call.sender };
  return new Message({ ...parts, signature, body } as unknown as MessageParts);
}

function errorFor(call: Message, errorName: string, text: string): Message {
  const parts = { type: MessageType.ERROR, replySerial: call.serial, destination: call.sender };
  return new Message({ ...parts, errorName, signature: 's', body: [text] } as unknown as MessageParts);
}

function isSilent(call: Message): boolean {
  return ((call.flags ?? 0) & MessageFlag.NO_REPLY_EXPECTED) !== 0;
}

function tooMany(): HandoffError {
  return failure('Busy', 'error.busy', { what: 'too many calls of yours wait for an answer' });
}

function ours(iface: string): boolean {
  return iface === MANAGER.interface || iface === '';
}

function unknown(iface: string | undefined, member: string | undefined): HandoffError {
  const values = { method: printable(member ?? '', 60), interface: printable(iface ?? '', 80) };
  return failure('UnknownMethod', 'error.unknown-method', values);
}

/** Generic clients know the bus's own name for this one. */
function nameOnBus(failed: HandoffError): string {
  return failed.failure === 'UnknownMethod' ? 'org.freedesktop.DBus.Error.UnknownMethod' : failed.dbusName;
}
