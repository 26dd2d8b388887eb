/**
 * The door of a service with one object: every message from the bus comes through here. What is not of the contract is
 * answered with an error; what fails inside is answered with a name and one sentence, never with a stack.
 */
import { interfaceXml, type MethodSpec, type ServiceContract } from '../../contract.js';
import { failure, HandoffError, invalidArgument, reasonOf } from '../../errors.js';
import { printable, type Sentence } from '../../words.js';
import { type Boxes, type Bus, errorFor, type Message, MessageFlag, replyTo, type Value } from './dbus.js';

/** One call of a method of the contract, with arguments of the contract's types. */
export interface Call {
  /** The unique name of who calls. */
  readonly caller: string;
  readonly body: readonly unknown[];
}

export type MethodsOf<Name extends string, C extends Call = Call> = {
  readonly [M in Name]: (call: C) => Promise<readonly unknown[]>;
};
export type PropertiesOf<Name extends string> = Readonly<Record<Name, Value>>;

export interface DoorOptions<M extends string, P extends string, C extends Call> {
  readonly bus: Bus;
  readonly contract: ServiceContract<M, P>;
  readonly methods: MethodsOf<M, C>;
  readonly properties: () => PropertiesOf<P> | Promise<PropertiesOf<P>>;
  /** Lets a call in, or rejects; `answer` is what the call is for. */
  readonly admit: (
    call: Call,
    answer: (call: C) => Promise<readonly unknown[]>,
  ) => Promise<readonly unknown[]>;
  /** Added to what is said to a call whose arguments are not of the contract. */
  readonly alsoWrong?: string;
  /** What a fault of our own is told as. */
  readonly fault: (why: string) => Sentence;
  readonly complain: (text: string) => void;
}

const INTROSPECTABLE = 'org.freedesktop.DBus.Introspectable';
const PROPERTIES = 'org.freedesktop.DBus.Properties';
const PEER = 'org.freedesktop.DBus.Peer';

/** Signature and values of an answer. */
type Answer = readonly [string, readonly unknown[]];

export class Door<M extends string, P extends string, C extends Call> {
  private readonly options: DoorOptions<M, P, C>;
  private working = 0;
  /** Messages that wait because the door is shut for a moment. */
  private outside: Message[] | null = null;
  /** When the last message came or was answered, in milliseconds since 1970. */
  lastCall = Date.now();

  constructor(options: DoorOptions<M, P, C>) {
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
      this.refuse(message, fault);
    } finally {
      this.working -= 1;
      this.lastCall = Date.now();
    }
  }

  private refuse(message: Message, fault: unknown): void {
    const known = fault instanceof HandoffError;
    const why = reasonOf(fault);
    const failed = known ? fault : new HandoffError('Failed', this.options.fault(why));
    if (!known) this.options.complain(`${message.member}: ${why}`);
    if (!isSilent(message)) this.send(errorFor(message, nameOnBus(failed), failed.message));
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
    const { contract } = this.options;
    if (iface === INTROSPECTABLE && member === 'Introspect') return ['s', [this.introspect(path ?? '/')]];
    if (iface === PEER && member === 'Ping') return ['', []];
    if (path !== contract.path) throw unknown(iface, member);
    if (iface === PROPERTIES) return await this.property(message);
    if (iface !== undefined && iface !== contract.interface) throw unknown(iface, member);
    if (member === undefined || !isOneOf(contract.methods, member)) throw unknown(iface, member);
    return await this.method(member, message);
  }

  private async method(name: M, message: Message): Promise<Answer> {
    const { contract, methods, admit, alsoWrong } = this.options;
    const spec: MethodSpec = contract.methods[name];
    const expected = typesOf(spec.in);
    const call: Call = { caller: message.sender ?? '', body: message.body };
    const body = await admit(call, (admitted) => {
      if (message.signature !== expected)
        throw invalidArgument(`list of ${name}`, `its types are “${expected}”${alsoWrong ?? ''}.`);
      return methods[name](admitted);
    });
    return [typesOf(spec.out), body];
  }

  private async property(message: Message): Promise<Answer> {
    const { contract, properties } = this.options;
    const { member, signature } = message;
    const [iface, name] = message.body as [string, string];
    const ours = iface === contract.interface || iface === '';
    if (member === 'Get' && signature === 'ss' && ours) {
      if (!isOneOf(contract.properties, name))
        throw invalidArgument('property', `there is no property ${printable(name, 40)}.`);
      return ['v', [(await properties())[name]]];
    }
    if (member === 'GetAll' && signature === 's')
      return ['a{sv}', [ours ? await properties() : ({} satisfies Boxes)]];
    if (member === 'Set' && signature === 'ssv')
      throw invalidArgument('property', 'all properties are for reading only.');
    throw unknown(PROPERTIES, member);
  }

  /** The tree above our object, so that d-feet and busctl find their way. */
  private introspect(path: string): string {
    const { contract } = this.options;
    if (path === contract.path)
      return interfaceXml(contract.interface, contract.methods, contract.properties);
    const prefix = path === '/' ? '/' : `${path}/`;
    if (!contract.path.startsWith(prefix)) return '<node/>\n';
    const child = contract.path.slice(prefix.length).split('/')[0];
    return `<node><node name="${child}"/></node>\n`;
  }
}

function typesOf(args: MethodSpec['in']): string {
  return args.map((argument) => argument.type).join('');
}

function isOneOf<Name extends string>(table: Readonly<Record<Name, unknown>>, name: string): name is Name {
  return Object.hasOwn(table, name);
}

function isSilent(call: Message): boolean {
  return ((call.flags ?? 0) & MessageFlag.NO_REPLY_EXPECTED) !== 0;
}

function unknown(iface: string | undefined, member: string | undefined): HandoffError {
  const values = { method: printable(member ?? '', 60), interface: printable(iface ?? '', 80) };
  return failure('UnknownMethod', 'error.unknown-method', values);
}

/** Generic clients know the bus's own name for this one. */
function nameOnBus(failed: HandoffError): string {
  return failed.failure === 'UnknownMethod' ? 'org.freedesktop.DBus.Error.UnknownMethod' : failed.dbusName;
}
