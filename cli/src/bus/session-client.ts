/** The per-user service as the command sees it. */
import { existsSync } from 'node:fs';
import dbus from 'dbus-next';
import type { MethodSpec } from '../../../core/src/contract.js';
import { asDict, type Dict } from '../../../core/src/dict.js';
import { ERROR_PREFIX, failure, HandoffError, reasonOf } from '../../../core/src/errors.js';
import { type Inner, keepReading } from '../../../core/src/linux/bus/keep-reading.js';
import { SESSION, SESSION_METHODS, type SessionMethodName } from '../../../core/src/session-contract.js';
import type { Environment } from '../terminal.js';
import { failureNamed } from './decode.js';
import { HelperError } from './errors.js';
import { unbox } from './unbox.js';

/** Nothing that the service is asked takes long; its first answer includes its start. */
const ANSWER_MS = 25_000;
const CONNECT_MS = 5000;

/** Values of a call's `a{sv}`; those that are null are left out. */
export type SessionOptions = Readonly<Record<string, string | boolean | readonly string[] | null>>;

/** Errors of the bus itself that mean that the service is not installed. */
const NOT_THERE = ['ServiceUnknown', 'NameHasNoOwner', 'Spawn.ServiceNotFound'];

/** The address of the session bus; null where this environment has none. */
export function sessionAddress(env: Environment): string | null {
  if (env.DBUS_SESSION_BUS_ADDRESS) return env.DBUS_SESSION_BUS_ADDRESS;
  const socket = env.XDG_RUNTIME_DIR ? `${env.XDG_RUNTIME_DIR}/bus` : '';
  return socket !== '' && existsSync(socket) ? `unix:path=${socket}` : null;
}

function absent(why: string): HandoffError {
  return failure('SessionAbsent', 'error.session-absent', { why });
}

function connect(address: string): Promise<dbus.MessageBus> {
  return new Promise((resolve, reject) => {
    const refuse = (fault: unknown): void => reject(absent(reasonOf(fault)));
    try {
      const bus = dbus.sessionBus({ busAddress: address });
      keepReading(bus);
      bus.on('error', refuse);
      const limit = setTimeout(() => refuse(new Error('the bus did not answer')), CONNECT_MS);
      bus.on('connect', () => {
        clearTimeout(limit);
        resolve(bus);
      });
    } catch (fault) {
      refuse(fault);
    }
  });
}

function boxed(options: SessionOptions): Record<string, dbus.Variant> {
  const all: Record<string, dbus.Variant> = {};
  for (const [name, value] of Object.entries(options)) {
    if (typeof value === 'string') all[name] = new dbus.Variant('s', value);
    else if (typeof value === 'boolean') all[name] = new dbus.Variant('b', value);
    else if (value !== null) all[name] = new dbus.Variant('as', [...value]);
  }
  return all;
}

function failureOf(fault: unknown): HandoffError {
  if (fault instanceof HandoffError) return fault;
  if (!(fault instanceof dbus.DBusError)) return absent(reasonOf(fault));
  const { type, text } = fault;
  if (type.startsWith(ERROR_PREFIX))
    return new HelperError(failureNamed(type.slice(ERROR_PREFIX.length)), text);
  const short = type.replace('org.freedesktop.DBus.Error.', '');
  return absent(NOT_THERE.includes(short) ? 'it is not installed' : text);
}

export class SessionClient {
  private readonly bus: dbus.MessageBus;

  private constructor(bus: dbus.MessageBus) {
    this.bus = bus;
  }

  static async connect(address: string): Promise<SessionClient> {
    return new SessionClient(await connect(address));
  }

  /** Calls a method of the contract. Resolves with its result without variants. Rejects with a HandoffError. */
  async call(
    method: SessionMethodName,
    args: readonly string[],
    options: SessionOptions = {},
  ): Promise<unknown> {
    const spec: MethodSpec = SESSION_METHODS[method];
    return this.send(
      new dbus.Message({
        destination: SESSION.name,
        path: SESSION.path,
        interface: SESSION.interface,
        member: method,
        signature: spec.in.map((argument) => argument.type).join(''),
        body: [...args, boxed(options)],
      }),
    );
  }

  async properties(): Promise<Dict> {
    return asDict(
      await this.send(
        new dbus.Message({
          destination: SESSION.name,
          path: SESSION.path,
          interface: 'org.freedesktop.DBus.Properties',
          member: 'GetAll',
          signature: 's',
          body: [SESSION.interface],
        }),
      ),
    );
  }

  private async send(message: dbus.Message): Promise<unknown> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(absent(`no answer within ${ANSWER_MS / 1000} s`)), ANSWER_MS);
    });
    try {
      const reply = await Promise.race([this.bus.call(message), late]);
      return unbox(reply?.body[0]);
    } catch (fault) {
      throw failureOf(fault);
    } finally {
      clearTimeout(timer);
    }
  }

  close(): void {
    this.bus.disconnect();
    (this.bus as unknown as Inner)._connection.stream.destroy();
  }
}
