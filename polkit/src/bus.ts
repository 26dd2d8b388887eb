/** The helper's connection to the bus, with a gate before dbus-next's parser. */
import { type Bus, connectTo } from '../../core/src/linux/bus/dbus.js';
import { Gate } from './gate.js';

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
  return connectTo({
    address: address ?? process.env.DBUS_SYSTEM_BUS_ADDRESS ?? SYSTEM_BUS,
    guard: (bus) => guard(bus, complain),
    lost,
    complain,
  });
}
