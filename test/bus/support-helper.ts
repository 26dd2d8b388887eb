/** The built helper on a private bus, started by the bus as when installed, over a simulated workstation. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import dbus from 'dbus-next';
import { MANAGER, METHODS, type MethodName, type PropertyName } from '../../core/src/contract.js';
import { createWorkstation } from '../../core/src/linux/simulated/create.js';
import { editModel, type GuestModel } from '../../core/src/linux/simulated/model.js';
import type { ScenarioName } from '../../core/src/linux/simulated/scenarios.js';
import { REPO } from '../rig/repo.js';
import { type Bus, type BusOptions, type Client, connect, PLACES, startBus } from './rig/session.js';
import { BUILT } from './support-build.js';

const WORKSTATION = '/srv/workstation';
const PROPERTIES_INTERFACE = 'org.freedesktop.DBus.Properties';

/** What polkit says to a user's powers. Where an administrator's password is needed, somebody has to ask. */
const RULES = `polkit.addRule(function (action, subject) {
  var prefix = 'io.github.gpuhandoff.';
  if (action.id.indexOf(prefix) !== 0) return;
  var power = action.id.slice(prefix.length);
  var about = [action.lookup('card') || 'no card', action.lookup('vm') || 'no VM'].join(' | ');
  polkit.log('asked ' + power + ' by ' + subject.user + ' for ' + about);
  if (subject.user === 'alice') return polkit.Result.YES;
  if (subject.user === 'mallory') return polkit.Result.NO;
  return ['take-back', 'end-own'].indexOf(power) >= 0 ? polkit.Result.YES : polkit.Result.AUTH_ADMIN;
});
`;

const NO_POLKIT = `[D-BUS Service]
Name=org.freedesktop.PolicyKit1
Exec=/bin/false
User=root
`;

export interface HelperOptions {
  readonly scenario?: ScenarioName;
  /** Changes the workstation before anything runs. */
  readonly prepare?: (dir: string) => void;
  /** Seconds without a client after which the helper leaves; 600. */
  readonly idle?: number;
  /** How long steps take compared with a real machine; 0.02. */
  readonly pace?: number;
  /** False for a bus without polkitd. */
  readonly polkit?: boolean;
  /** The bus policy; the packaged one when left out. */
  readonly policy?: string;
  /** Files beside the packaged ones. */
  readonly files?: BusOptions['files'];
  /** Show the workstation's /sys as that of the sandbox. */
  readonly sys?: boolean;
  /** polkit's rules; when left out alice may all, mallory nothing, tester `take-back` and `end-own`. */
  readonly rules?: string;
}

/** A bus on which the helper can be started. */
export interface HelperBus {
  readonly bus: Bus;
  /** The simulated workstation, on the host. */
  readonly dir: string;
  /** A new connection of a user. */
  as(user: string): Promise<Caller>;
  /** The helper's pid inside the sandbox. Starts nothing; throws when it does not run. */
  pid(): Promise<number>;
  /** Changes the guests of the workstation. */
  guests(change: (guests: GuestModel[]) => void): void;
  /** What polkit was asked so far: `POWER by USER for CARD | VM`. */
  asked(): string[];
  stop(): Promise<void>;
}

/** The files of the package. */
function packaged(name: string): string {
  return readFileSync(join(REPO, 'polkit/data', name), 'utf8');
}

/** A laptop whose card nobody but NVIDIA's services holds. */
export function withoutHolders(dir: string): void {
  editModel(dir, 'processes', (processes) => {
    for (const [i, one] of [...processes.entries()].reverse())
      if (one.comm === 'blender') processes.splice(i, 1);
  });
}

export async function startHelperBus(options: HelperOptions = {}): Promise<HelperBus> {
  const dir = mkdtempSync(join(tmpdir(), 'gpu-handoff-bus-'));
  const clients: Caller[] = [];
  createWorkstation(dir, options.scenario ?? 'laptop');
  editModel(dir, 'machines', (guests) => {
    for (const guest of guests) guest.shutdownMs = 50;
  });
  options.prepare?.(dir);
  const launcher = `#!/bin/sh
exec /usr/libexec/gpu-handoff-helper.packaged --simulate ${WORKSTATION} --pace ${options.pace ?? 0.02} \\
  --idle ${options.idle ?? 600}
`;
  const bus = await startBus({
    binds: [
      { from: dir, to: WORKSTATION, writable: true },
      ...(options.sys === true ? [{ from: join(dir, 'sys'), to: '/sys' }] : []),
    ],
    ...(options.polkit === undefined ? {} : { polkit: options.polkit }),
    files: {
      '/usr/lib/gpu-handoff/package.json': '{ "type": "module" }\n',
      '/usr/lib/gpu-handoff/helper/helper.cjs': readFileSync(BUILT.helper, 'utf8'),
      '/usr/lib/gpu-handoff/helper/start.cjs': readFileSync(BUILT.start, 'utf8'),
      '/usr/libexec/gpu-handoff-helper.packaged': { content: packaged('gpu-handoff-helper'), mode: '755' },
      '/usr/libexec/gpu-handoff-helper': { content: launcher, mode: '755' },
      [`${PLACES.busPolicies}/${MANAGER.name}.conf`]: options.policy ?? packaged(`${MANAGER.name}.conf`),
      [`${PLACES.activation}/${MANAGER.name}.service`]: packaged(`${MANAGER.name}.service`),
      [`${PLACES.actions}/io.github.gpuhandoff.policy`]: packaged('io.github.gpuhandoff.policy'),
      [`${PLACES.rules}/10-test.rules`]: options.rules ?? RULES,
      ...options.files,
      // The bus would start polkitd on demand.
      ...(options.polkit === false && {
        [`${PLACES.activation}/org.freedesktop.PolicyKit1.service`]: NO_POLKIT,
      }),
    },
  });
  return {
    bus,
    dir,
    async as(user) {
      const caller = new Caller(await connect(await bus.addressFor(user)));
      clients.push(caller);
      return caller;
    },
    async pid() {
      const reply = await bus.run([
        ...['busctl', '--system', '--auto-start=no', 'call', 'org.freedesktop.DBus', '/org/freedesktop/DBus'],
        ...['org.freedesktop.DBus', 'GetConnectionUnixProcessID', 's', MANAGER.name],
      ]);
      const pid = /^u (\d+)$/m.exec(reply.stdout)?.[1];
      if (pid === undefined) throw new Error(`the helper does not run: ${reply.stderr}`);
      return Number(pid);
    },
    guests(change) {
      editModel(dir, 'machines', change);
    },
    asked() {
      return [...bus.log().matchAll(/asked (.*? by .*)$/gm)].map((match) => match[1] ?? '');
    },
    async stop() {
      for (const client of clients) client.leave();
      await bus.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** An error reply. */
export class BusError extends Error {
  /** Its name on the bus. */
  readonly error: string;
  constructor(error: string, text: string) {
    super(text);
    this.error = error;
  }
}

/** Options of a call, as an `a{sv}`. */
export type Options = Readonly<Record<string, boolean | string | number>>;

export type Plain = Readonly<Record<string, unknown>>;

/** A step of the published operation. */
export interface PublishedStep {
  readonly id: string;
  readonly title: string;
  readonly state: string;
  readonly sentence: string;
}

/** The property Operation, without its variants. */
export interface PublishedOperation {
  readonly id: string;
  readonly kind: string;
  readonly title: string;
  readonly state: string;
  readonly cancellable: boolean;
  readonly cards: readonly string[];
  readonly 'vm-name': string;
  readonly steps: readonly PublishedStep[];
  readonly error: string;
  readonly sentence: string;
  readonly user: string;
}

/** A signal PropertiesChanged of the helper. */
export interface Change {
  readonly sender: string;
  readonly values: Plain;
  readonly invalidated: readonly string[];
}

/** One connection to the bus that talks to the helper. */
export class Caller {
  readonly client: Client;
  /** Changes heard since `hear()`. */
  readonly changes: Change[] = [];
  readonly #waiting = new Set<() => void>();

  constructor(client: Client) {
    this.client = client;
    client.on('error', () => {});
    client.on('message', (message: dbus.Message) => {
      if (message.type !== dbus.MessageType.SIGNAL || message.member !== 'PropertiesChanged') return;
      if (message.path !== MANAGER.path) return;
      const [, values, invalidated] = message.body as [string, Plain, string[]];
      this.changes.push({ sender: message.sender ?? '', values: plain(values) as Plain, invalidated });
      for (const look of [...this.#waiting]) look();
    });
  }

  get name(): string {
    return this.client.name;
  }

  /** Calls a method of the contract; the last argument, options, may be left out. Throws a BusError. */
  async call(method: MethodName, ...args: (string | readonly string[] | Options)[]): Promise<unknown> {
    const spec = METHODS[method];
    const body: unknown[] = [...args];
    if (body.length < spec.in.length) body.push({});
    const signature = spec.in.map((argument) => argument.type).join('');
    const encoded = body.map((value, i) =>
      spec.in[i]?.type === 'a{sv}' ? variants(value as Options) : value,
    );
    const reply = await this.raw(MANAGER.interface, method, signature, encoded);
    return reply[0];
  }

  /** Calls any method of the helper's object. */
  async raw(iface: string, member: string, signature: string, body: unknown[]): Promise<unknown[]> {
    try {
      const reply = await this.client.call(
        new dbus.Message({
          destination: MANAGER.name,
          path: MANAGER.path,
          interface: iface,
          member,
          signature,
          body,
        }),
      );
      return (reply?.body ?? []).map(plain);
    } catch (fault) {
      if (fault instanceof dbus.DBusError) throw new BusError(fault.type, fault.text);
      throw fault;
    }
  }

  async get(property: PropertyName): Promise<unknown> {
    return (await this.raw(PROPERTIES_INTERFACE, 'Get', 'ss', [MANAGER.interface, property]))[0];
  }

  async all(): Promise<Record<PropertyName, unknown>> {
    const [all] = await this.raw(PROPERTIES_INTERFACE, 'GetAll', 's', [MANAGER.interface]);
    return all as Record<PropertyName, unknown>;
  }

  async operation(): Promise<PublishedOperation> {
    return (await this.get('Operation')) as PublishedOperation;
  }

  async card(id: string): Promise<Plain> {
    const card = ((await this.get('Cards')) as Plain[]).find((one) => one.id === id);
    if (card === undefined) throw new Error(`no card ${id} is published`);
    return card;
  }

  /** Begins to hear the helper's changes. */
  async hear(): Promise<void> {
    const rule = `type='signal',interface='${PROPERTIES_INTERFACE}',path='${MANAGER.path}'`;
    await this.client.call(
      new dbus.Message({
        destination: 'org.freedesktop.DBus',
        path: '/org/freedesktop/DBus',
        interface: 'org.freedesktop.DBus',
        member: 'AddMatch',
        signature: 's',
        body: [rule],
      }),
    );
  }

  /** The operations as they were published since `hear()`. */
  heard(): PublishedOperation[] {
    return this.changes.flatMap(({ values }) =>
      'Operation' in values ? [values.Operation as PublishedOperation] : [],
    );
  }

  /** Waits until a published operation (needs `hear()`) fits; those heard before count. */
  until(fits: (operation: PublishedOperation) => boolean, timeoutMs = 15_000): Promise<PublishedOperation> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const found = this.heard().find(fits);
        if (found === undefined) return;
        settle();
        resolve(found);
      };
      const settle = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(look);
      };
      const timer = setTimeout(() => {
        settle();
        reject(new Error(`not published in ${timeoutMs} ms; last: ${JSON.stringify(this.heard().at(-1))}`));
      }, timeoutMs);
      this.#waiting.add(look);
      look();
    });
  }

  /** Waits for the end of an operation (needs `hear()`). */
  over(id: string): Promise<PublishedOperation> {
    return this.until((operation) => operation.id === id && operation.state !== 'running');
  }

  /** Leaves the bus. */
  leave(): void {
    this.client.disconnect();
  }
}

/** Resolves with the error of a call that must fail. */
export async function refusal(call: Promise<unknown>): Promise<BusError> {
  const answer = await call.then(
    (value) => new Error(`it was answered: ${JSON.stringify(value)}`),
    (fault: unknown) => fault,
  );
  if (answer instanceof BusError) return answer;
  throw answer;
}

export function variants(options: Options): Record<string, dbus.Variant> {
  const signature = { boolean: 'b', string: 's', number: 'u' } as const;
  return Object.fromEntries(
    Object.entries(options).map(([name, value]) => [
      name,
      new dbus.Variant(signature[typeof value as keyof typeof signature], value),
    ]),
  );
}

/** A value without its variants. */
export function plain(value: unknown): unknown {
  if (value instanceof dbus.Variant) return plain(value.value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, plain(one)]));
}
