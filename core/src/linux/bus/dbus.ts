/** dbus-next 0.10.2 as our services use it: a connection, messages, and values with their types said where they are made. */
import dbus from 'dbus-next';
import type { Inner } from './keep-reading.js';

export type Bus = dbus.MessageBus;
export const { Message, Variant, MessageFlag, MessageType, RequestNameReply, NameFlag } = dbus;
export type Message = dbus.Message;
export type Value = InstanceType<typeof Variant>;
export type Boxes = Record<string, Value>;

export const s = (value: string): Value => new Variant('s', value);
export const b = (value: boolean): Value => new Variant('b', value);
export const u = (value: number): Value => new Variant('u', value);
/** Times and sizes: a double holds them exactly where QML and gjs have no 64-bit integers. */
export const d = (value: number): Value => new Variant('d', value);
export const as = (value: readonly string[]): Value => new Variant('as', [...value]);
export const dicts = (value: readonly Boxes[]): Value => new Variant('aa{sv}', [...value]);

export interface Connecting {
  readonly address: string;
  /** Puts something between the socket and the library's parser, which throws at what it cannot read. */
  readonly guard: (bus: Bus) => void;
  /** Called once when the bus goes away. */
  readonly lost: (why: unknown) => void;
  /** Hears of single messages that could not be read. */
  readonly complain: (why: unknown) => void;
}

/** Connects, resolving when the bus has given a unique name. */
export function connectTo({ address, guard, lost, complain }: Connecting): Promise<Bus> {
  return new Promise((resolve, reject) => {
    // Not systemBus(): it takes its address from the environment alone.
    const bus = dbus.sessionBus({ busAddress: address });
    guard(bus);
    let connected = false;
    bus.on('error', (fault: unknown) => {
      const code = (fault as { code?: unknown } | null)?.code;
      if (!connected) reject(fault);
      // Faults of the socket have a code; what else comes here is a single message of a wrong form.
      else if (typeof code === 'string') lost(fault);
      else complain(fault);
    });
    (bus as unknown as Inner)._connection.on('end', () => lost(new Error('the bus closed the connection')));
    bus.on('connect', () => {
      connected = true;
      resolve(bus);
    });
  });
}

/** A promise's result, or a rejection when it takes longer. */
export async function within<T>(limitMs: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${limitMs / 1000} s`)), limitMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

const DAEMON = {
  destination: 'org.freedesktop.DBus',
  path: '/org/freedesktop/DBus',
  interface: 'org.freedesktop.DBus',
} as const;

/** Calls a method of the bus itself with texts. Resolves with the body of its answer. */
export async function askBus(bus: Bus, member: string, texts: readonly string[]): Promise<unknown[]> {
  const call = new Message({ ...DAEMON, member, signature: 's'.repeat(texts.length), body: [...texts] });
  return (await bus.call(call))?.body ?? [];
}

/**
 * Calls back when a unique name leaves the bus, once the promise has resolved. The sender is checked: anyone can send a
 * signal to anyone.
 */
export async function onNameLost(bus: Bus, heard: (name: string) => void): Promise<void> {
  bus.on('message', (message: Message) => {
    if (message.type !== MessageType.SIGNAL || message.sender !== DAEMON.destination) return;
    if (message.member !== 'NameOwnerChanged' || message.interface !== DAEMON.interface) return;
    const [name, , owner] = message.body as [string, string, string];
    if (owner === '') heard(name);
  });
  const rule = `type='signal',sender='${DAEMON.destination}',interface='${DAEMON.interface}',member='NameOwnerChanged',arg2=''`;
  await askBus(bus, 'AddMatch', [rule]);
}

const PROPERTIES = 'org.freedesktop.DBus.Properties';

/** The signal that tells everybody the new values of properties. */
export function propertiesChanged(path: string, iface: string, changed: Boxes): Message {
  return Message.newSignal(path, PROPERTIES, 'PropertiesChanged', 'sa{sv}as', [iface, changed, []]);
}

type MessageParts = ConstructorParameters<typeof Message>[0];

/** dbus-next's types describe the arguments of an answer as those of a signal. */
export function replyTo(call: Message, signature: string, body: readonly unknown[]): Message {
  const parts = { type: MessageType.METHOD_RETURN, replySerial: call.serial, destination: call.sender };
  return new Message({ ...parts, signature, body: [...body] } as unknown as MessageParts);
}

export function errorFor(call: Message, errorName: string, text: string): Message {
  const parts = { type: MessageType.ERROR, replySerial: call.serial, destination: call.sender };
  return new Message({ ...parts, errorName, signature: 's', body: [text] } as unknown as MessageParts);
}
