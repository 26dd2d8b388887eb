/**
 * The service's door: every message from the bus comes through here. What is not of the contract is answered with an
 * error; what fails inside is answered with a name and one sentence, never with a stack.
 */

import type { MethodSpec } from '../../../core/src/contract.js';
import { failure, HandoffError, reasonOf } from '../../../core/src/errors.js';
import {
  SESSION,
  SESSION_METHODS,
  SESSION_PROPERTIES,
  type SessionMethodName,
  type SessionPropertyName,
  sessionIntrospectionXml,
} from '../../../core/src/session-contract.js';
import { printable } from '../../../core/src/words.js';
import { type Bus, type Dict, errorFor, type Message, MessageFlag, replyTo, type Value } from './bus.js';

/** One call of a method of the contract, with arguments of the contract's types. */
export interface Call {
  readonly caller: string;
  readonly body: readonly unknown[];
}

export type Methods = { readonly [M in SessionMethodName]: (call: Call) => Promise<readonly unknown[]> };
export type Properties = Record<SessionPropertyName, Value>;

const INTROSPECTABLE = 'org.freedesktop.DBus.Introspectable';
const PROPERTIES_INTERFACE = 'org.freedesktop.DBus.Properties';
const PEER = 'org.freedesktop.DBus.Peer';

/** Signature and values of an answer. */
type Answer = readonly [string, readonly unknown[]];

export interface DoorOptions {
  readonly bus: Bus;
  readonly methods: Methods;
  readonly properties: () => Promise<Properties>;
  readonly complain: (text: string) => void;
}

export class Door {
  private readonly options: DoorOptions;
  private working = 0;
  private outside: Message[] | null = null;
  /** When the last message came, in milliseconds since 1970. */
  lastCall = Date.now();

  constructor(options: DoorOptions) {
    this.options = options;
  }

  open(): void {
    this.options.bus.addMethodHandler((message: Message) => {
      this.lastCall = Date.now();
      if (this.outside === null) void this.receive(message);
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
    for (const message of waiting) void this.receive(message);
  }

  /** True while a call is being answered. */
  get busy(): boolean {
    return this.working > 0;
  }

  /** Never rejects. */
  private async receive(message: Message): Promise<void> {
    this.working += 1;
    try {
      const answer = await this.answer(message);
      if (!isSilent(message)) this.send(replyTo(message, ...answer));
    } catch (fault) {
      const failed =
        fault instanceof HandoffError
          ? fault
          : failure('Failed', 'error.session-internal', { why: reasonOf(fault) });
      if (!(fault instanceof HandoffError)) this.options.complain(`${message.member}: ${reasonOf(fault)}`);
      if (!isSilent(message)) this.send(errorFor(message, nameOnBus(failed), failed.message));
    } finally {
      this.working -= 1;
      this.lastCall = Date.now();
    }
  }

  private send(message: Message): void {
    try {
      this.options.bus.send(message);
    } catch (fault) {
      this.options.complain(`An answer could not be sent: ${reasonOf(fault)}`);
    }
  }

  private async answer(message: Message): Promise<Answer> {
    const { path, interface: iface, member } = message;
    if (iface === INTROSPECTABLE && member === 'Introspect') return ['s', [introspect(path ?? '/')]];
    if (iface === PEER && member === 'Ping') return ['', []];
    if (path !== SESSION.path) throw unknown(iface, member);
    if (iface === PROPERTIES_INTERFACE) return this.property(message);
    if (iface !== undefined && iface !== SESSION.interface) throw unknown(iface, member);
    if (member === undefined || !Object.hasOwn(SESSION_METHODS, member)) throw unknown(iface, member);
    const name = member as SessionMethodName;
    const spec: MethodSpec = SESSION_METHODS[name];
    const expected = spec.in.map((argument) => argument.type).join('');
    if (message.signature !== expected)
      throw failure('InvalidArgument', 'error.invalid-argument', {
        argument: `list of ${name}`,
        why: `its types are “${expected}”.`,
      });
    const body = await this.options.methods[name]({ caller: message.sender ?? '', body: message.body });
    return [spec.out.map((argument) => argument.type).join(''), body];
  }

  private async property(message: Message): Promise<Answer> {
    const { member, signature } = message;
    const [iface, name] = message.body as [string, string];
    const ours = iface === SESSION.interface || iface === '';
    const invalid = (why: string): HandoffError =>
      failure('InvalidArgument', 'error.invalid-argument', { argument: 'property', why });
    if (member === 'Get' && signature === 'ss' && ours) {
      if (!Object.hasOwn(SESSION_PROPERTIES, name))
        throw invalid(`there is no property ${printable(name, 40)}.`);
      return ['v', [(await this.options.properties())[name as SessionPropertyName]]];
    }
    if (member === 'GetAll' && signature === 's')
      return ['a{sv}', [ours ? await this.options.properties() : ({} satisfies Dict)]];
    if (member === 'Set' && signature === 'ssv') throw invalid('all properties are for reading only.');
    throw unknown(PROPERTIES_INTERFACE, member);
  }
}

/** The tree above our object, so that d-feet and busctl find their way. */
function introspect(path: string): string {
  if (path === SESSION.path) return sessionIntrospectionXml();
  const prefix = path === '/' ? '/' : `${path}/`;
  if (!SESSION.path.startsWith(prefix)) return '<node/>\n';
  const child = SESSION.path.slice(prefix.length).split('/')[0];
  return `<node><node name="${child}"/></node>\n`;
}

function isSilent(call: Message): boolean {
  return ((call.flags ?? 0) & MessageFlag.NO_REPLY_EXPECTED) !== 0;
}

function unknown(iface: string | undefined, member: string | undefined): HandoffError {
  const values = { method: printable(member ?? '', 60), interface: printable(iface ?? '', 80) };
  return failure('UnknownMethod', 'error.unknown-method', values);
}

function nameOnBus(failed: HandoffError): string {
  return failed.failure === 'UnknownMethod' ? 'org.freedesktop.DBus.Error.UnknownMethod' : failed.dbusName;
}
