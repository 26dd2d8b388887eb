/** The per-user service on a real session bus, as it is installed, beside the /sys of a simulated workstation. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import dbus from 'dbus-next';
import type { MethodSpec } from '../../core/src/contract.js';
import { createWorkstation } from '../../core/src/linux/simulated/create.js';
import type { ScenarioName } from '../../core/src/linux/simulated/scenarios.js';
import {
  SESSION,
  SESSION_METHODS,
  type SessionMethodName,
  type SessionPropertyName,
} from '../../core/src/session-contract.js';
import { REPO } from '../rig/repo.js';
import { type Bus, type Client, connect, startBus } from './rig/session.js';
import { USERS } from './rig/tree.js';
import { BusError, type Plain, plain } from './support-helper.js';

const PROPERTIES_INTERFACE = 'org.freedesktop.DBus.Properties';
export const USER = 'alice';
export const HOME = `/home/${USER}`;
export const APPLICATIONS = '/usr/share/applications';
export const OWN = `${HOME}/.local/share/applications`;
const SERVICES = '/usr/share/dbus-1/services';
const BUS = `/run/user/${USERS[USER]}/bus`;

/** A program that does nothing until it is ended. */
export const WAITING = '#!/bin/sh\nexec sleep 1000\n';

export interface SessionOptions {
  readonly scenario?: ScenarioName;
  /** Changes the workstation before anything runs. */
  readonly prepare?: (dir: string) => void;
  /** Seconds without a call after which the service leaves; 600. */
  readonly idle?: number;
  readonly files?: Readonly<Record<string, string | { content: string; mode?: string; owner?: string }>>;
  /** Variables of the session. */
  readonly env?: Readonly<Record<string, string>>;
}

/** An entry of the menus. */
export function entry(exec: string, name = 'Blender', extra = ''): string {
  return `[Desktop Entry]\nType=Application\nName=${name}\nName[de]=${name} (de)\nExec=${exec}\nIcon=icon\n${extra}`;
}

function packaged(name: string): string {
  return readFileSync(join(REPO, 'cli/data', name), 'utf8');
}

/** A socket on the host whose connections arrive on the session bus as the user's own. */
async function openDoor(bus: Bus, path: string): Promise<Server> {
  const server = createServer((socket: Socket) => {
    const pipe = bus.pipe(['socat', '-', `UNIX-CONNECT:${BUS}`], { user: USER });
    socket.once('data', (chunk: Buffer) => {
      // The client names the test process's own user there; the bus wants the one that the kernel tells.
      const uid = Buffer.from(String(USERS[USER])).toString('hex');
      const line = chunk.toString('latin1').replace(/^(\0AUTH EXTERNAL )[0-9a-f]+/, `$1${uid}`);
      pipe.write(Buffer.from(line, 'latin1'));
      socket.pipe(pipe);
    });
    pipe.pipe(socket);
    const end = (): void => {
      socket.destroy();
      pipe.destroy();
    };
    for (const stream of [socket, pipe]) stream.on('error', end).on('close', end);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(path, resolve);
  });
  return server;
}

/** Values of a call's `a{sv}`. */
export type SessionOption = string | boolean | readonly string[];

function variant(value: SessionOption): dbus.Variant {
  if (typeof value === 'string') return new dbus.Variant('s', value);
  return typeof value === 'boolean' ? new dbus.Variant('b', value) : new dbus.Variant('as', [...value]);
}

export class SessionCaller {
  readonly client: Client;
  /** Revisions heard since `hear()`. */
  readonly revisions: number[] = [];

  constructor(client: Client) {
    this.client = client;
    client.on('error', () => {});
    client.on('message', (message: dbus.Message) => {
      if (message.type !== dbus.MessageType.SIGNAL || message.member !== 'PropertiesChanged') return;
      if (message.path !== SESSION.path) return;
      const [, values] = message.body as [string, Record<string, dbus.Variant>];
      const revision = plain(values.Revision);
      if (typeof revision === 'number') this.revisions.push(revision);
    });
  }

  /** Calls a method of the contract; options may be left out. Throws a BusError. */
  async call(
    method: SessionMethodName,
    args: readonly string[] = [],
    options: Readonly<Record<string, SessionOption>> = {},
  ): Promise<unknown> {
    const spec: MethodSpec = SESSION_METHODS[method];
    const signature = spec.in.map((argument) => argument.type).join('');
    const boxed = Object.fromEntries(Object.entries(options).map(([name, value]) => [name, variant(value)]));
    return (await this.raw(SESSION.interface, method, signature, [...args, boxed]))[0];
  }

  async raw(iface: string, member: string, signature: string, body: unknown[]): Promise<unknown[]> {
    return (await this.reply(iface, member, signature, body)).body.map(plain);
  }

  /** The reply as it came. */
  async reply(iface: string, member: string, signature: string, body: unknown[]): Promise<dbus.Message> {
    const parts = { destination: SESSION.name, path: SESSION.path, interface: iface, member };
    try {
      const reply = await this.client.call(new dbus.Message({ ...parts, signature, body }));
      if (reply === null) throw new Error('no reply');
      return reply;
    } catch (fault) {
      if (fault instanceof dbus.DBusError) throw new BusError(fault.type, fault.text);
      throw fault;
    }
  }

  async get(property: SessionPropertyName): Promise<unknown> {
    return (await this.raw(PROPERTIES_INTERFACE, 'Get', 'ss', [SESSION.interface, property]))[0];
  }

  /** One app of the list. */
  async app(id: string, locale = ''): Promise<Plain> {
    const apps = (await this.call('ListApps', [], { locale })) as Plain[];
    const app = apps.find((one) => one.id === id);
    if (app === undefined) throw new Error(`no ${id} among ${apps.map((one) => one.id).join(' ')}`);
    return app;
  }

  async hear(): Promise<void> {
    const rule = `type='signal',interface='${PROPERTIES_INTERFACE}',path='${SESSION.path}'`;
    const daemon = { destination: 'org.freedesktop.DBus', path: '/org/freedesktop/DBus' };
    await this.client.call(
      new dbus.Message({
        ...daemon,
        interface: 'org.freedesktop.DBus',
        member: 'AddMatch',
        signature: 's',
        body: [rule],
      }),
    );
  }
}

export interface SessionBus {
  readonly bus: Bus;
  /** The simulated workstation, on the host. */
  readonly dir: string;
  caller(): Promise<SessionCaller>;
  /** Whether the service runs. */
  runs(): Promise<boolean>;
  /** Runs a command as the user. */
  run(argv: readonly string[]): ReturnType<Bus['run']>;
  /** Variables of a process. */
  environOf(pid: number): Promise<Record<string, string>>;
  /** The words that a process was started with. */
  argvOf(pid: number): Promise<string[]>;
  /** What the service and the bus wrote. */
  log(): string;
  stop(): Promise<void>;
}

export async function startSession(options: SessionOptions = {}): Promise<SessionBus> {
  const dir = mkdtempSync(join(tmpdir(), 'gpu-handoff-session-'));
  createWorkstation(dir, options.scenario ?? 'laptop');
  options.prepare?.(dir);
  const launcher = `#!/bin/sh\nexec /usr/libexec/gpu-handoff-session.packaged --idle ${options.idle ?? 600}\n`;
  const executable = (content: string) => ({ content, mode: '755' });
  const bus = await startBus({
    polkit: false,
    binds: [{ from: join(dir, 'sys'), to: '/sys' }],
    files: {
      '/usr/lib/gpu-handoff/package.json': '{ "type": "module" }\n',
      '/usr/lib/gpu-handoff/session/session.js': readFileSync(join(REPO, 'dist/session/session.js'), 'utf8'),
      '/usr/libexec/gpu-handoff-session.packaged': executable(packaged('gpu-handoff-session')),
      '/usr/libexec/gpu-handoff-session': executable(launcher),
      '/usr/bin/gpu-handoff-run': executable(
        readFileSync(join(REPO, 'dist/wrapper/gpu-handoff-run'), 'utf8'),
      ),
      '/usr/bin/waiting': executable(WAITING),
      [`${SERVICES}/${SESSION.name}.service`]: packaged(`${SESSION.name}.service`),
      ...options.files,
    },
  });
  await bus.run(['chown', '-R', `${USER}:`, HOME]);
  const env = Object.entries(options.env ?? {}).map(([name, value]) => `${name}=${value}`);
  const daemon = bus.spawn(
    [
      'env',
      ...env,
      'dbus-daemon',
      '--session',
      '--nofork',
      '--nopidfile',
      '--nosyslog',
      '--print-address',
    ].concat(`--address=unix:path=${BUS}`),
    { user: USER },
  );
  await daemon.waitFor(/^unix:/m);
  const socket = join(dir, 'bus');
  const door = await openDoor(bus, socket);
  const clients: SessionCaller[] = [];
  const read = async (pid: number, name: string): Promise<string[]> => {
    const { stdout } = await bus.run(['cat', `/proc/${pid}/${name}`]);
    return stdout.split('\0').filter((one) => one !== '');
  };
  const caller = async (): Promise<SessionCaller> => {
    const one = new SessionCaller(await connect(`unix:path=${socket}`));
    clients.push(one);
    return one;
  };
  let asking: Promise<SessionCaller> | null = null;
  return {
    bus,
    dir,
    caller,
    async runs() {
      asking ??= caller();
      const reply = await (await asking).client.call(
        new dbus.Message({
          destination: 'org.freedesktop.DBus',
          path: '/org/freedesktop/DBus',
          interface: 'org.freedesktop.DBus',
          member: 'NameHasOwner',
          signature: 's',
          body: [SESSION.name],
        }),
      );
      return reply?.body[0] === true;
    },
    run: (argv) => bus.run(argv, { user: USER }),
    async environOf(pid) {
      const lines = await read(pid, 'environ');
      return Object.fromEntries(lines.map((line) => [line.split('=')[0], line.slice(line.indexOf('=') + 1)]));
    },
    argvOf: (pid) => read(pid, 'cmdline'),
    log: () => daemon.stdout + daemon.stderr,
    async stop() {
      for (const one of clients) one.client.disconnect();
      door.close();
      await bus.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
