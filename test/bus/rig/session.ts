import { createServer, type Server, type Socket } from 'node:net';
import dbus from 'dbus-next';
import { openSandbox, type Running, type Sandbox, type SandboxOptions } from './sandbox.js';
import { USERS } from './tree.js';

/** Folders that the daemons read when they start. */
export const PLACES = {
  /** Bus policies: `NAME.conf`. */
  busPolicies: '/usr/share/dbus-1/system.d',
  /** System services that the bus starts on demand: `NAME.service`, with `Exec=` and `User=`. */
  activation: '/usr/share/dbus-1/system-services',
  /** polkit actions: `NAME.policy`. */
  actions: '/usr/share/polkit-1/actions',
  /** polkit rules: `NN-name.rules`, JavaScript. */
  rules: '/etc/polkit-1/rules.d',
} as const;

/** What the bus is started with. */
export interface BusOptions extends SandboxOptions {
  /** Files that are there before anything starts: path to text, or text with mode and owner. */
  readonly files?: Readonly<Record<string, string | { content: string; mode?: string; owner?: string }>>;
  /** False for a bus without polkitd. */
  readonly polkit?: boolean;
}

/** What an authentication agent does. */
export interface AgentOptions {
  /** Who runs the agent; polkit wants it to be the subject's own user. */
  readonly user: string;
  /** For whom it answers: a process (pid inside the sandbox), or the one behind a connection on the bus. */
  readonly subject: { readonly pid: number } | { readonly busName: string };
  /** Typed when it asks for a password. */
  readonly password: string;
  /** Which is chosen of several administrators, counted from 1; left out, where there is but one. */
  readonly identity?: number;
}

/** A private system bus with polkitd on it, in a sandbox. */
export interface Bus extends Sandbox {
  /**
   * Address of the bus for clients in the test process. They come as the test process's user (root), and the bus
   * does not see their pid; where that matters (polkit) take `addressFor`.
   */
  readonly address: string;
  /** Address at which each connection of the test process arrives on the bus as a process of that user. */
  addressFor(user: string): Promise<string>;
  /** The unique name of the connection that owns `name`, or undefined. */
  owner(name: string): Promise<string | undefined>;
  /** Waits until `name` has an owner and gives its unique name; throws after 5 000 ms. */
  waitForName(name: string, timeoutMs?: number): Promise<string>;
  /** Waits until `name` has no owner any more; throws after 5 000 ms. */
  waitForNoName(name: string, timeoutMs?: number): Promise<void>;
  /** Starts a session bus for a user at the address that its commands already have in their environment. */
  startSessionBus(user: string): Promise<void>;
  /** Registers a text agent (pkttyagent on a terminal) that answers polkit's questions; kill it to end it. */
  agent(options: AgentOptions): Promise<Running>;
  /** What dbus-daemon and polkitd wrote so far. */
  log(): string;
}

const SOCKET = '/run/dbus/system_bus_socket';

/** Starts a private system bus; resolves when dbus-daemon and polkitd answer. */
export async function startBus(options: BusOptions = {}): Promise<Bus> {
  const sandbox = await openSandbox(options);
  const bus = new PrivateBus(sandbox);
  try {
    await bus.start(options);
    return bus;
  } catch (error) {
    const log = bus.log();
    await bus.stop();
    throw new Error(`the bus did not start: ${String(error)}\n${log}`, { cause: error });
  }
}

class PrivateBus implements Bus {
  readonly hostPid: number;
  readonly address: string;
  readonly run: Sandbox['run'];
  readonly spawn: Sandbox['spawn'];
  readonly terminal: Sandbox['terminal'];
  readonly pipe: Sandbox['pipe'];
  readonly put: Sandbox['put'];
  readonly get: Sandbox['get'];
  readonly exists: Sandbox['exists'];
  readonly #sandbox: Sandbox;
  readonly #daemons: Running[] = [];
  readonly #doors = new Map<string, Promise<Door>>();
  #client: Promise<Client> | undefined;
  #stopped = false;

  constructor(sandbox: Sandbox) {
    this.#sandbox = sandbox;
    this.hostPid = sandbox.hostPid;
    // Unix sockets connect across mount namespaces; /proc/PID/root is a way to name one without a folder on the host.
    this.address = `unix:path=/proc/${sandbox.hostPid}/root${SOCKET}`;
    this.run = sandbox.run.bind(sandbox);
    this.spawn = sandbox.spawn.bind(sandbox);
    this.terminal = sandbox.terminal.bind(sandbox);
    this.pipe = sandbox.pipe.bind(sandbox);
    this.put = sandbox.put.bind(sandbox);
    this.get = sandbox.get.bind(sandbox);
    this.exists = sandbox.exists.bind(sandbox);
  }

  async start(options: BusOptions): Promise<void> {
    await Promise.all(
      Object.entries(options.files ?? {}).map(([path, file]) =>
        typeof file === 'string' ? this.put(path, file) : this.put(path, file.content, file.mode, file.owner),
      ),
    );
    const daemon = this.spawn([
      ...['dbus-daemon', '--system', '--nofork', '--nopidfile', '--nosyslog', '--print-address'],
    ]);
    this.#daemons.push(daemon);
    // Printed once it listens.
    await daemon.waitFor(/^unix:/m);
    if (options.polkit !== false) {
      // As its unit starts it, but for --no-debug, which would send its complaints about rules to /dev/null.
      const polkitd = this.spawn(['/usr/lib/polkit-1/polkitd', '--log-level=notice'], {
        user: 'polkitd',
      });
      this.#daemons.push(polkitd);
      await this.waitForName('org.freedesktop.PolicyKit1');
    }
  }

  async addressFor(user: string): Promise<string> {
    if (this.#stopped) {
      throw new Error('the bus has been stopped');
    }
    let door = this.#doors.get(user);
    if (door === undefined) {
      door = openDoor(this.#sandbox, user);
      this.#doors.set(user, door);
    }
    return (await door).address;
  }

  async owner(name: string): Promise<string | undefined> {
    const client = await this.#connect();
    try {
      const reply = await client.call(driverCall('GetNameOwner', name));
      return reply?.body[0] as string;
    } catch (error) {
      if (error instanceof dbus.DBusError && error.type === 'org.freedesktop.DBus.Error.NameHasNoOwner') {
        return undefined;
      }
      throw error;
    }
  }

  async waitForName(name: string, timeoutMs = 5_000): Promise<string> {
    const owner = await this.#waitForOwner(name, (value) => value !== undefined, timeoutMs);
    return owner as string;
  }

  async waitForNoName(name: string, timeoutMs = 5_000): Promise<void> {
    await this.#waitForOwner(name, (value) => value === undefined, timeoutMs);
  }

  async startSessionBus(user: string): Promise<void> {
    const daemon = this.spawn(
      ['dbus-daemon', '--session', '--nofork', '--nopidfile', '--nosyslog', '--print-address'].concat(
        `--address=unix:path=/run/user/${USERS[user]}/bus`,
      ),
      { user },
    );
    this.#daemons.push(daemon);
    await daemon.waitFor(/^unix:/m);
  }

  async agent(options: AgentOptions): Promise<Running> {
    const { subject, user, password, identity } = options;
    // polkit registers agents for processes and logins only, though it answers for connections.
    const pid = 'pid' in subject ? subject.pid : await this.#pidOf(subject.busName);
    const choose =
      identity === undefined ? [] : [{ expect: 'Choose identity[^:]*: ', send: `${identity}\n` }];
    const agent = this.terminal(['pkttyagent', '--notify-fd', '@NOTIFY@', '--process', `${pid}`], {
      user,
      notify: true,
      steps: [...choose, { expect: 'Password: ', send: `${password}\n`, hidden: true }],
    });
    await agent.waitFor(/^READY$/m);
    return agent;
  }

  log(): string {
    return this.#daemons.map((daemon) => daemon.stdout + daemon.stderr).join('');
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    // Before the daemon goes: a client that loses its bus reports an error.
    (await this.#client?.catch(() => undefined))?.disconnect();
    for (const door of this.#doors.values()) {
      (await door.catch(() => undefined))?.close();
    }
    this.#doors.clear();
    await this.#sandbox.stop();
  }

  async #pidOf(busName: string): Promise<number> {
    const reply = await (await this.#connect()).call(driverCall('GetConnectionUnixProcessID', busName));
    return reply?.body[0] as number;
  }

  #connect(): Promise<Client> {
    this.#client ??= connect(this.address);
    return this.#client;
  }

  async #waitForOwner(
    name: string,
    wanted: (owner: string | undefined) => boolean,
    timeoutMs: number,
  ): Promise<string | undefined> {
    const until = performance.now() + timeoutMs;
    for (;;) {
      const owner = await this.owner(name);
      if (wanted(owner)) {
        return owner;
      }
      if (performance.now() > until) {
        throw new Error(
          `${name} is ${owner === undefined ? 'not' : 'still'} on the bus after ${timeoutMs} ms`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

function driverCall(member: string, name: string): dbus.Message {
  return new dbus.Message({
    destination: 'org.freedesktop.DBus',
    path: '/org/freedesktop/DBus',
    interface: 'org.freedesktop.DBus',
    member,
    signature: 's',
    body: [name],
  });
}

/** A socket on the host whose connections arrive on the bus as processes of one user. */
interface Door {
  readonly address: string;
  close(): void;
}

/** The bus believes the kernel about who connects, so the connecting is done by a process of that user. */
async function openDoor(sandbox: Sandbox, user: string): Promise<Door> {
  const uid = USERS[user];
  if (uid === undefined) {
    throw new Error(`the tree has no user ${user}`);
  }
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    const pipe = sandbox.pipe(['socat', '-', `UNIX-CONNECT:${SOCKET}`], { user });
    let greeting = '';
    socket.on('data', function greet(chunk: Buffer) {
      greeting += chunk.toString('latin1');
      if (greeting.includes('\n')) {
        socket.off('data', greet);
        // The client names the test process's own user there; the bus wants the one that the kernel tells.
        const line = greeting.replace(/^(\0AUTH EXTERNAL )[0-9a-f]+/, `$1${hex(String(uid))}`);
        pipe.write(Buffer.from(line, 'latin1'));
        socket.pipe(pipe);
      }
    });
    pipe.pipe(socket);
    const end = (): void => {
      sockets.delete(socket);
      socket.destroy();
      pipe.destroy();
    };
    for (const stream of [socket, pipe]) {
      stream.on('error', end).on('close', end);
    }
  });
  // In the sandbox's own /run, so that nothing is left of it in the host's folders.
  const path = `/proc/${sandbox.hostPid}/root/run/doors/${user}`;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(path, resolve);
  });
  return {
    address: `unix:path=${path}`,
    close() {
      server.close();
      for (const socket of sockets) {
        socket.destroy();
      }
    },
  };
}

function hex(text: string): string {
  return Buffer.from(text, 'latin1').toString('hex');
}

/** A connected dbus-next client, with its unique name (which the library's own types leave out). */
export type Client = dbus.MessageBus & { readonly name: string };

/** Connects a dbus-next client; rejects when the bus refuses it. */
export function connect(address: string): Promise<Client> {
  // Named for the session bus, but the one of the two that takes an address.
  const client = dbus.sessionBus({ busAddress: address }) as Client;
  return new Promise((resolve, reject) => {
    client.once('connect', () => resolve(client));
    client.once('error', reject);
  });
}
