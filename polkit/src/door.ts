/**
 * The helper's door: every message from the bus comes through here. What is not of the contract is answered with
 * an error; what fails inside is answered with a name and one sentence, never with a stack.
 */
import {
  introspectionXml,
  MANAGER,
  METHODS,
  type MethodName,
  PROPERTIES,
  type PropertyName,
} from '../../core/src/contract.js';
import { failure, HandoffError, reasonOf } from '../../core/src/errors.js';
import { printable } from '../../core/src/words.js';
import { type Bus, Message, MessageFlag, MessageType } from './bus.js';
import type { Properties } from './encode.js';

/** One call of a method of the contract, with arguments of the contract's types. */
export interface Call {
  readonly caller: string;
  readonly body: readonly unknown[];
}

export type Methods = { readonly [M in MethodName]: (call: Call) => Promise<readonly unknown[]> };

/** Calls that may wait for an answer at once: of one caller, and of all. */
const MOST_CALLS_OF_ONE = 16;
const MOST_CALLS = 128;
/** Longest string that means anything here: libvirt's domain XML, which the hook passes. */
const LONGEST_TEXT = 4 * 1024 * 1024;

const INTROSPECTABLE = 'org.freedesktop.DBus.Introspectable';
const PROPERTIES_INTERFACE = 'org.freedesktop.DBus.Properties';
const PEER = 'org.freedesktop.DBus.Peer';

export class Door {
  private readonly bus: Bus;
  private readonly methods: Methods;
  private readonly properties: () => Properties;
  private readonly complain: (text: string) => void;
  private readonly waiting = new Map<string, number>();
  private total = 0;
  /** When the last call came, in milliseconds since 1970. */
  lastCall = Date.now();

  constructor(bus: Bus, methods: Methods, properties: () => Properties, complain: (text: string) => void) {
    this.bus = bus;
    this.methods = methods;
    this.properties = properties;
    this.complain = complain;
  }

  open(): void {
    this.bus.addMethodHandler((message: Message) => {
      this.lastCall = Date.now();
      this.answer(message).catch((fault) => this.complain(`an answer could not be sent: ${reasonOf(fault)}`));
      // Nothing is left to dbus-next's own handlers, which would answer faults with their stack.
      return true;
    });
  }

  get busy(): boolean {
    return this.total > 0;
  }

  private async answer(message: Message): Promise<void> {
    if (message.type !== MessageType.METHOD_CALL) return;
    const caller = message.sender ?? '';
    const silent = ((message.flags ?? 0) & MessageFlag.NO_REPLY_EXPECTED) !== 0;
    const mine = this.waiting.get(caller) ?? 0;
    try {
      if (mine >= MOST_CALLS_OF_ONE || this.total >= MOST_CALLS)
        throw failure('Busy', 'error.busy', { what: 'too many calls wait for an answer' });
      this.waiting.set(caller, mine + 1);
      this.total += 1;
      try {
        const [signature, body] = await this.dispatch(message, caller);
        if (!silent) this.bus.send(replyTo(message, signature, body));
      } finally {
        this.total -= 1;
        const left = (this.waiting.get(caller) ?? 1) - 1;
        if (left === 0) this.waiting.delete(caller);
        else this.waiting.set(caller, left);
      }
    } catch (fault) {
      const failed =
        fault instanceof HandoffError ? fault : failure('Failed', 'error.internal', { why: reasonOf(fault) });
      if (!(fault instanceof HandoffError)) this.complain(`${message.member}: ${reasonOf(fault)}`);
      if (!silent) this.bus.send(errorFor(message, nameOnBus(failed), failed.message));
    }
  }

  private async dispatch(message: Message, caller: string): Promise<[string, unknown[]]> {
    const { path, interface: iface, member } = message;
    if (iface === INTROSPECTABLE && member === 'Introspect') return ['s', [this.introspect(path ?? '/')]];
    if (iface === PEER && member === 'Ping') return ['', []];
    if (path !== MANAGER.path) throw unknown(iface, member);
    if (iface === PROPERTIES_INTERFACE) return this.property(message);
    if (iface !== undefined && iface !== MANAGER.interface) throw unknown(iface, member);
    if (member === undefined || !Object.hasOwn(METHODS, member)) throw unknown(iface, member);
    const name = member as MethodName;
    const spec = METHODS[name];
    const expected = spec.in.map((argument) => argument.type).join('');
    if (message.signature !== expected)
      throw failure('InvalidArgument', 'error.invalid-argument', {
        argument: `list of ${name}`,
        why: `its types are “${expected}”, not “${printable(message.signature ?? '', 40)}”`,
      });
    for (const [i, value] of message.body.entries()) {
      if (typeof value === 'string' && value.length > LONGEST_TEXT)
        throw failure('InvalidArgument', 'error.invalid-argument', {
          argument: spec.in[i]?.name ?? '',
          why: 'it is too long',
        });
    }
    const body = await this.methods[name]({ caller, body: message.body });
    return [spec.out.map((argument) => argument.type).join(''), [...body]];
  }

  private property(message: Message): [string, unknown[]] {
    const { member, signature } = message;
    const [iface, name] = message.body as [string, string];
    if (member === 'Get' && signature === 'ss' && ours(iface)) {
      if (!Object.hasOwn(PROPERTIES, name))
        throw failure('InvalidArgument', 'error.invalid-argument', {
          argument: 'property',
          why: `there is no property ${printable(name, 40)}`,
        });
      return ['v', [this.properties()[name as PropertyName]]];
    }
    if (member === 'GetAll' && signature === 's') return ['a{sv}', [ours(iface) ? this.properties() : {}]];
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
