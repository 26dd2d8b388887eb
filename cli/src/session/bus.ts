/** The service's connection to the session bus. */
import dbus from 'dbus-next';
import { type Inner, keepReading } from '../bus/keep-reading.js';

export type Bus = dbus.MessageBus;
export const { Message, Variant, MessageFlag, MessageType, RequestNameReply, NameFlag } = dbus;
export type Message = dbus.Message;
export type Value = InstanceType<typeof Variant>;
export type Dict = Record<string, Value>;

export const s = (value: string): Value => new Variant('s', value);
export const b = (value: boolean): Value => new Variant('b', value);
export const u = (value: number): Value => new Variant('u', value);
export const as = (value: readonly string[]): Value => new Variant('as', [...value]);
export const dicts = (value: readonly Dict[]): Value => new Variant('aa{sv}', [...value]);

/** Connects, and calls `lost` once when the bus goes away. */
export function connect(address: string, lost: (why: unknown) => void): Promise<Bus> {
  return new Promise((resolve, reject) => {
    const bus = dbus.sessionBus({ busAddress: address });
    keepReading(bus);
    let connected = false;
    bus.on('error', (fault: unknown) => {
      const code = (fault as { code?: unknown } | null)?.code;
      if (!connected) reject(fault);
      // Faults of the socket have a code; what else comes here is a single message of a wrong form.
      else if (typeof code === 'string') lost(fault);
    });
    (bus as unknown as Inner)._connection.on('end', () => lost(new Error('the bus closed the connection')));
    bus.on('connect', () => {
      connected = true;
      resolve(bus);
    });
  });
}

/** The caller of a method gets its answer only while it is there; a call of ours ends after so long at the latest. */
export async function ask(bus: Bus, message: Message, limitMs: number): Promise<unknown[]> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${limitMs / 1000} s`)), limitMs);
  });
  try {
    const reply = await Promise.race([bus.call(message), late]);
    return reply?.body ?? [];
  } finally {
    clearTimeout(timer);
  }
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
