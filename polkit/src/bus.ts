/** The connection to the bus. dbus-next 0.10.2, with one of its faults kept from killing the helper. */
import dbus from 'dbus-next';

export type Bus = dbus.MessageBus;
export const { Message, Variant, MessageFlag, MessageType, RequestNameReply, NameFlag } = dbus;
export type Message = dbus.Message;

/** The parts of dbus-next's connection that its types do not show. */
interface Inner {
  readonly _connection: NodeJS.EventEmitter & { readonly stream: Listened };
}

interface Listened {
  on: (event: string, heard: (...args: unknown[]) => void) => unknown;
}

const SYSTEM_BUS = 'unix:path=/run/dbus/system_bus_socket';

/**
 * dbus-next parses messages inside its stream's `readable` handler, so one message that it cannot read (a
 * descriptor index without descriptors, say) would throw out of the event loop. Each throw has consumed that
 * message, so the handler is called again for the rest.
 */
function keepReading(bus: Bus, complain: (why: unknown) => void): void {
  const { _connection: connection } = bus as unknown as Inner;
  // The handshake reads lines from the same stream; the handler for messages is added right after `connect`.
  connection.once('connect', () => {
    const { stream } = connection;
    const on = stream.on.bind(stream);
    stream.on = (event, heard) => {
      if (event !== 'readable') return on(event, heard);
      return on(event, (...args: unknown[]) => {
        for (;;) {
          try {
            heard(...args);
            return;
          } catch (fault) {
            complain(fault);
          }
        }
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
    keepReading(bus, complain);
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
