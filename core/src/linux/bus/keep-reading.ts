/** A connection of dbus-next that goes on after a message that it cannot read. */
import type dbus from 'dbus-next';

interface Listened {
  on: (event: string, heard: (...args: unknown[]) => void) => unknown;
  destroy(): void;
}

/** The parts of dbus-next's connection that its types do not show. */
export interface Inner {
  readonly _connection: NodeJS.EventEmitter & { readonly stream: Listened };
}

/**
 * Anyone may send anyone a signal, and dbus-next throws at one that it cannot read out of the event loop. Each throw
 * has consumed that message, so the handler is called again for the rest.
 */
export function keepReading(bus: dbus.MessageBus): void {
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
          } catch {
            // Nothing of it is ours.
          }
        }
      });
    };
  });
}
