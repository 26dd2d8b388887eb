/** The connection to the bus. dbus-next 0.10.2, with a gate before its parser. */
import dbus from 'dbus-next';
import { Gate } from './gate.js';

export type Bus = dbus.MessageBus;
export const { Message, Variant, MessageFlag, MessageType, RequestNameReply, NameFlag } = dbus;
export type Message = dbus.Message;

/** The parts of dbus-next's connection that its types do not show. */
interface Inner {
  readonly _connection: NodeJS.EventEmitter & { readonly stream: Stream };
}

interface Stream {
  on: (event: string, heard: () => void) => unknown;
  read: (size?: number) => Buffer | null;
}

const SYSTEM_BUS = 'unix:path=/run/dbus/system_bus_socket';

/**
 * Puts the gate between the socket and dbus-next's parser, which then reads one message at a time: its 16 bytes
 * and its rest. So one that it cannot read throws here, and not out of the event loop.
 */
function guard(bus: Bus, complain: (why: unknown) => void): void {
  const { _connection: connection } = bus as unknown as Inner;
  // The handshake reads lines from the same stream; the handler for messages is added right after `connect`.
  connection.once('connect', () => {
    const { stream } = connection;
    const on = stream.on.bind(stream);
    const read = stream.read.bind(stream);
    stream.on = (event, heard) => {
      if (event !== 'readable') return on(event, heard);
      const passed: Buffer[] = [];
      // The stream itself reads nothing (0 bytes) to ask the socket for more.
      stream.read = (size) => (size === 0 ? read(0) : (passed.shift() ?? null));
      const gate = new Gate((fixed, rest) => {
        passed.push(fixed, rest);
        heard();
      }, complain);
      return on(event, () => {
        for (let chunk = read(); chunk !== null; chunk = read()) gate.push(chunk);
      });
    };
  });
}

/**
 * Connects, resolving when the bus has given a unique name. `lost` is called once when the bus goes away;
 * `complain` hears of single messages that could not be read.
 */
export function connect(
  address: string | undefined,
  lost: (why: unknown) => void,
  complain: (why: unknown) => void,
): Promise<Bus> {
  return new Promise((resolve, reject) => {
    // Not systemBus(): it takes its address from the environment alone.
    const busAddress = address ?? process.env.DBUS_SYSTEM_BUS_ADDRESS ?? SYSTEM_BUS;
    const bus = dbus.sessionBus({ busAddress });
    guard(bus, complain);
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

const DAEMON = {
  destination: 'org.freedesktop.DBus',
  path: '/org/freedesktop/DBus',
  interface: 'org.freedesktop.DBus',
} as const;

/** Calls a method of the bus itself. */
export async function askBus(
  bus: Bus,
  member: string,
  signature: string,
  body: unknown[],
): Promise<unknown[]> {
  const reply = await bus.call(new Message({ ...DAEMON, member, signature, body }));
  return reply?.body ?? [];
}

/** Calls back when a unique name leaves the bus. The sender is checked: anyone can send a signal to anyone. */
export function onNameLost(bus: Bus, heard: (name: string) => void): void {
  bus.on('message', (message: Message) => {
    if (message.type !== MessageType.SIGNAL || message.sender !== 'org.freedesktop.DBus') return;
    if (message.member !== 'NameOwnerChanged' || message.interface !== 'org.freedesktop.DBus') return;
    const [name, , owner] = message.body as [string, string, string];
    if (owner === '') heard(name);
  });
}
