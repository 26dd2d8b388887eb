import { type ChildProcess, spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { AgentLink, Shell } from './agent.js';
import { describeHardware, type Hardware, type HardwareOptions, SPARE_PORT } from './hardware.js';
import type { Image } from './image.js';
import { hashOf, LOG_DIR, RIG_DIR } from './paths.js';
import { outputOf, until, withLock } from './process.js';
import { Qmp } from './qmp.js';

/** What `Machine.boot` can be told. Machines with equal hardware and kernel arguments share a saved state. */
export interface BootOptions extends HardwareOptions {
  /** Boots the kernel (half a minute) instead of continuing the state saved after an earlier boot. */
  readonly fresh?: boolean;
  /** Part of the console log's file name. */
  readonly name?: string;
  /** What is done to the machine before its state is saved, so that it is done once and not in each test file. */
  readonly prepared?: Preparation;
}

export interface Preparation {
  /** Tells preparations apart: a hash of all that goes into it. */
  readonly key: string;
  readonly prepare: (machine: Machine) => Promise<void>;
}

const BOOT_TIMEOUT_MS = 240_000;
const RESUME_TIMEOUT_MS = 60_000;
const LOGS_KEPT = 40;

interface Start {
  readonly image: Image;
  readonly hardware: Hardware;
  readonly name: string;
  /** The disk's -drive value. */
  readonly drive: string;
  /** File of a saved state to continue. */
  readonly state?: string;
}

interface Parts {
  readonly qemu: ChildProcess;
  readonly qmp: Qmp;
  readonly dir: string;
  readonly log: string;
}

function newLog(name: string): string {
  mkdirSync(LOG_DIR, { recursive: true });
  const old = readdirSync(LOG_DIR)
    .filter((file) => file.endsWith('.console.log'))
    .map((file) => join(LOG_DIR, file))
    .map((file) => ({ file, time: statSync(file).mtimeMs }))
    .sort((a, b) => b.time - a.time)
    .slice(LOGS_KEPT);
  for (const { file } of old) {
    rmSync(file, { force: true });
  }
  const stamp = new Date().toISOString().replaceAll(/[:.]/g, '-');
  return join(LOG_DIR, `${name.replaceAll(/[^\w-]/g, '_')}-${stamp}-${process.pid}.console.log`);
}

/** A real, active login session of a user on seat0; what it runs counts as local and active to polkit. */
export class Session extends Shell {
  readonly user: string;
  /** logind's id. */
  readonly id: string;
  readonly #machine: Machine;
  readonly #unit: string;

  /** Made by `Machine.login`. */
  constructor(parts: {
    link: AgentLink;
    name: string;
    user: string;
    id: string;
    machine: Machine;
    unit: string;
  }) {
    super(parts.link, parts.name);
    this.user = parts.user;
    this.id = parts.id;
    this.#machine = parts.machine;
    this.#unit = parts.unit;
  }

  /** Brings it to the foreground, which makes the session that was there inactive. */
  async activate(): Promise<void> {
    await this.#machine.check(['loginctl', 'activate', this.id]);
    await until(`session ${this.id} is active`, async () => {
      const state = await this.#machine.run(['loginctl', 'show-session', '-p', 'State', '--value', this.id]);
      return state.stdout.trim() === 'active';
    });
  }

  /** Ends it with all its processes, and waits until logind has forgotten it. */
  async logout(): Promise<void> {
    await this.#machine.run(['loginctl', 'terminate-session', this.id]);
    await this.#machine.run(['systemctl', 'stop', this.#unit]);
    await until(`session ${this.id} has ended`, async () => {
      return (await this.#machine.run(['loginctl', 'show-session', this.id])).code !== 0;
    });
  }
}

/** A real QEMU machine with real kernel, systemd, udev, polkit and libvirt, driven from the host. */
export class Machine extends Shell {
  readonly #parts: Parts;
  #bootId = '';
  #logins = 0;
  #stopped = false;

  private constructor(link: AgentLink, parts: Parts) {
    super(link, undefined);
    this.#parts = parts;
  }

  /**
   * A running machine, complete: services started, libvirt answering. The first with given hardware boots,
   * is saved and costs a minute; later ones continue the saved state within seconds. Each has a disk of its
   * own that is thrown away.
   */
  static async boot(image: Image, options: BootOptions = {}): Promise<Machine> {
    const hardware = describeHardware(options);
    const name = options.name ?? 'machine';
    if (options.fresh === true) {
      const drive = `file=${image.disk},format=raw,snapshot=on`;
      const machine = await Machine.#start({ image, hardware, name, drive });
      await options.prepared?.prepare(machine);
      return machine;
    }
    const ensure = async (): Promise<string> => {
      const booted = await Machine.#ensureBooted(image, hardware);
      return options.prepared === undefined
        ? booted
        : await Machine.#ensurePrepared(image, hardware, booted, options.prepared);
    };
    const saved = await ensure();
    try {
      return await Machine.#resume(image, hardware, name, saved);
    } catch (error) {
      // A host that went down may have kept half a file.
      console.warn(`the saved machine does not continue and is made again: ${(error as Error).message}`);
      rmSync(saved, { recursive: true, force: true });
      return await Machine.#resume(image, hardware, name, await ensure());
    }
  }

  static async #resume(image: Image, hardware: Hardware, name: string, saved: string): Promise<Machine> {
    const drive = `file=${join(saved, 'disk.qcow2')},format=qcow2,snapshot=on`;
    return await Machine.#start({ image, hardware, name, drive, state: join(saved, 'state') });
  }

  /** Boots once, saves memory, devices and disk, and returns the folder that has them. */
  static async #ensureBooted(image: Image, hardware: Hardware): Promise<string> {
    const source = readFileSync(join(RIG_DIR, 'machine.ts'), 'utf8');
    // The processor too: the saved kernel has measured how fast its clock ticks, which is the host's.
    const processor = cpus()[0]?.model ?? '';
    const texts = [processor, source, hardware.append, ...hardware.qemu];
    const dir = join(image.dir, `saved-${hashOf({ texts, folders: [] })}`);
    return await Machine.#ensureSaved(dir, '../disk.raw', 'raw', async (drive) => {
      const machine = await Machine.#start({ image, hardware, name: 'first', drive });
      return [machine, () => machine.#warm()];
    });
  }

  /** Continues what was saved after booting, prepares it, and saves that as well. */
  static async #ensurePrepared(
    image: Image,
    hardware: Hardware,
    booted: string,
    { key, prepare }: Preparation,
  ): Promise<string> {
    const prefix = `${basename(booted).replace('saved-', 'prepared-')}-`;
    const dir = join(image.dir, `${prefix}${key}`);
    const disk = `../${basename(booted)}/disk.qcow2`;
    return await Machine.#ensureSaved(dir, disk, 'qcow2', async (drive) => {
      // Each is as large as the machine's memory, and every change of the product makes another one.
      for (const other of readdirSync(image.dir).filter((name) => name.startsWith(prefix)))
        if (!other.endsWith('.lock') && !other.startsWith(basename(dir)))
          rmSync(join(image.dir, other), { recursive: true, force: true });
      const state = join(booted, 'state');
      const machine = await Machine.#start({ image, hardware, name: 'prepared', drive, state });
      return [machine, () => prepare(machine)];
    });
  }

  /** Starts a machine on a disk of its own over another one, makes it ready, and keeps its disk and state in `dir`. */
  static async #ensureSaved(
    dir: string,
    base: string,
    format: 'raw' | 'qcow2',
    start: (drive: string) => Promise<readonly [Machine, () => Promise<void>]>,
  ): Promise<string> {
    if (existsSync(dir)) {
      return dir;
    }
    await withLock(`${dir}.lock`, async () => {
      if (existsSync(dir)) {
        return;
      }
      const unfinished = `${dir}.unfinished`;
      rmSync(unfinished, { recursive: true, force: true });
      mkdirSync(unfinished, { recursive: true });
      const disk = join(unfinished, 'disk.qcow2');
      // A relative name: the cache can be moved as a whole.
      await outputOf(['qemu-img', 'create', '-q', '-f', 'qcow2', '-F', format, '-b', base, disk]);
      const [machine, ready] = await start(`file=${disk},format=qcow2`);
      try {
        await ready();
        await machine.#save(join(unfinished, 'state'));
      } finally {
        await machine.stop();
      }
      renameSync(unfinished, dir);
    });
    return dir;
  }

  static async #start(start: Start): Promise<Machine> {
    const dir = mkdtempSync(join(tmpdir(), 'rig-'));
    const log = newLog(start.name);
    const port = 'io.github.gpuhandoff.rig';
    const args = [
      ...start.hardware.qemu,
      ...['-kernel', start.image.kernel, '-initrd', start.image.initrd, '-append', start.hardware.append],
      ...[
        '-drive',
        `${start.drive},if=none,id=disk,cache=unsafe`,
        '-device',
        'virtio-blk-pci,drive=disk,addr=4',
      ],
      ...['-device', 'virtio-serial-pci,id=serial,addr=5'],
      ...['-chardev', `socket,id=agent,path=${join(dir, 'agent')},server=on,wait=off`],
      ...['-device', `virtserialport,bus=serial.0,chardev=agent,name=${port}`],
      ...['-device', 'virtio-rng-pci,addr=6', '-serial', `file:${log}`, '-monitor', 'none'],
      ...['-qmp', `unix:${join(dir, 'qmp')},server=on,wait=off`],
    ];
    if (start.state !== undefined) {
      args.push('-incoming', `exec:cat '${start.state}'`);
    }
    // With the process that runs the tests the machine goes too, however that ends.
    const argv = ['--pdeathsig', 'KILL', ...start.image.qemu.argv, ...args];
    const env = { ...process.env, ...start.image.qemu.env };
    const qemu = spawn('setpriv', argv, { env, stdio: ['ignore', 'ignore', 'pipe'] });
    let complaints = '';
    qemu.stderr.setEncoding('utf8').on('data', (text: string) => {
      complaints += text;
    });
    const ended = new Promise<void>((resolve) => {
      qemu.once('error', () => resolve());
      qemu.once('exit', () => resolve());
    });
    const lastWords = (): string => {
      const console = existsSync(log) ? readFileSync(log, 'utf8').split('\n').slice(-40).join('\n') : '';
      return `${complaints}\n${log} ends with:\n${console}`;
    };
    const whyGone = async (): Promise<string> => {
      await ended;
      return `QEMU ended with ${qemu.signalCode ?? qemu.exitCode ?? 'an error'}\n${lastWords()}`;
    };
    const whenListening = async <T>(open: () => Promise<T>): Promise<T> =>
      await until(
        'QEMU listens',
        async () => {
          if (qemu.exitCode !== null || qemu.signalCode !== null) {
            throw new Error(`QEMU did not start:\n${complaints}`);
          }
          return await open().catch(() => undefined);
        },
        20_000,
        30,
      );
    let machine: Machine | undefined;
    try {
      const link = await whenListening(async () => await AgentLink.connect(join(dir, 'agent'), whyGone));
      const qmp = await whenListening(async () => await Qmp.connect(join(dir, 'qmp')));
      machine = new Machine(link, { qemu, qmp, dir, log });
      if (start.state === undefined) {
        machine.#bootId = await link.hello(BOOT_TIMEOUT_MS);
        await machine.#settle();
      } else {
        await machine.#continue();
      }
      return machine;
    } catch (error) {
      qemu.kill('SIGKILL');
      await ended;
      rmSync(dir, { recursive: true, force: true });
      throw new Error(`no machine: ${(error as Error).message}\n${lastWords()}`);
    }
  }

  /** All services have been started (or have failed), udev is idle. */
  async #settle(): Promise<void> {
    await this.#sync();
    await this.run('systemctl is-system-running --wait', { timeoutMs: BOOT_TIMEOUT_MS });
    await this.check('udevadm settle --timeout=60');
  }

  /** What every later machine would otherwise wait for once more: libvirt asking QEMU what it can. */
  async #warm(): Promise<void> {
    await this.check('virsh domcapabilities --virttype qemu --machine q35 >/dev/null', {
      timeoutMs: 240_000,
    });
    await this.check('virsh list --all >/dev/null; node -e 0; sync');
  }

  async #sync(): Promise<void> {
    const reply = await this.link.ask({ op: 'sync', now: Date.now() / 1000 }, RESUME_TIMEOUT_MS);
    this.#bootId = reply.boot ?? '';
  }

  async #save(path: string): Promise<void> {
    const { qmp } = this.#parts;
    await qmp.execute('stop');
    await qmp.execute('migrate-set-parameters', { 'max-bandwidth': 4 * 1024 ** 3 });
    await qmp.execute('migrate', { uri: `exec:cat > '${path}'` });
    await until(
      'the state is saved',
      async () => {
        const { status } = (await qmp.execute('query-migrate')) as { status: string };
        if (status === 'failed') {
          throw new Error('QEMU cannot save this machine');
        }
        return status === 'completed';
      },
      120_000,
    );
  }

  async #continue(): Promise<void> {
    const { qmp } = this.#parts;
    await until(
      'the saved state is loaded',
      async () => {
        const { status } = (await qmp.execute('query-status')) as { status: string };
        return status !== 'inmigrate';
      },
      RESUME_TIMEOUT_MS,
      30,
    );
    await qmp.execute('cont');
    await this.#sync();
  }

  /**
   * Logs a user in on a virtual terminal of seat0, and waits until the session is active. A second login
   * takes the foreground from the first.
   */
  async login(user: string): Promise<Session> {
    this.#logins += 1;
    const name = `${user}-${this.#logins}`;
    const unit = `rig-login-${name}`;
    const terminal = `/dev/tty${this.#logins + 1}`;
    const called = this.#listen(name);
    await called.listening;
    await this.check(
      [
        'systemd-run',
        '--quiet',
        '--collect',
        `--unit=${unit}`,
        '-p',
        'PAMName=login',
        '-p',
        `User=${user}`,
      ].concat([
        '-p',
        `TTYPath=${terminal}`,
        'python3',
        '-u',
        '/usr/libexec/rig/agent.py',
        '--session',
        name,
      ]),
    );
    await called.done;
    const id = await until(`a session of ${user} on tty${this.#logins + 1}`, async () => {
      const sessions = (await this.check('loginctl --no-legend list-sessions')).split('\n');
      for (const session of sessions
        .map((line) => line.trim().split(/\s+/)[0] ?? '')
        .filter((text) => text !== '')) {
        const shown = await this.run([
          'loginctl',
          'show-session',
          session,
          '-p',
          'TTY',
          '-p',
          'Name',
          '-p',
          'Seat',
        ]);
        if (shown.stdout.includes(`TTY=tty${this.#logins + 1}\n`) && shown.stdout.includes('Seat=seat0')) {
          return session;
        }
      }
      return undefined;
    });
    const session = new Session({ link: this.link, name, user, id, machine: this, unit });
    await session.activate();
    return session;
  }

  #listen(session: string): { listening: Promise<void>; done: Promise<void> } {
    const { promise: listening, resolve: isListening, reject: failListening } = deferred();
    const { promise: done, resolve: isDone, reject: failDone } = deferred();
    done.catch(() => undefined);
    const fail = (error: Error): void => {
      failListening(error);
      failDone(error);
    };
    const id = this.link.open(
      { op: 'listen', session },
      {
        onReply: (reply) => {
          if (reply.ev === 'listening') {
            isListening();
            return;
          }
          this.link.forget(id);
          if (reply.ev === 'error') {
            fail(new Error(reply.message));
          } else {
            isDone();
          }
        },
        onLost: fail,
      },
    );
    return { listening, done };
  }

  /**
   * Puts a folder of the host at `path` (made where missing), with modes, as root's.
   */
  async putTree(folder: string, path: string): Promise<void> {
    const archive = join(this.#parts.dir, 'tree.tar');
    await outputOf(['tar', '-C', folder, '--owner=0', '--group=0', '-cf', archive, '.']);
    const remote = '/run/rig-tree.tar';
    await this.put(remote, readFileSync(archive), 0o600);
    rmSync(archive);
    await this.check([
      '/bin/sh',
      '-c',
      'mkdir -p "$1" && tar -C "$1" -xf "$2" && rm "$2"',
      'sh',
      path,
      remote,
    ]);
  }

  /** Plugs a disk into the running machine, to be read alone. Once; resolves with its node when that is there. */
  async plugDisk(path: string): Promise<string> {
    const { qmp } = this.#parts;
    const file = { driver: 'file', filename: path };
    await qmp.execute('blockdev-add', { driver: 'raw', 'node-name': 'plugged', 'read-only': true, file });
    await qmp.execute('device_add', { driver: 'virtio-blk-pci', drive: 'plugged', bus: SPARE_PORT });
    const node = '/dev/vdb';
    await until('the disk is there', async () => (await this.run(['test', '-b', node])).code === 0);
    return node;
  }

  /** Suspends it to memory as its user would; resolves when it is asleep. */
  async suspend(): Promise<void> {
    await this.check(['systemctl', 'suspend', '--no-block']);
    await until('the machine is asleep', async () => {
      const { status } = (await this.#parts.qmp.execute('query-status')) as { status: string };
      return status === 'suspended';
    });
  }

  /** Wakes it by its power button; resolves when it is up. */
  async wake(): Promise<void> {
    await this.#parts.qmp.execute('system_wakeup');
    await this.#sync();
  }

  /** Resets the machine as a power cut does: what was not on disk is lost. Resolves when it is up again. */
  async powerCut(): Promise<void> {
    const before = this.#bootId;
    this.link.abandon(new Error('the power was cut'), false);
    await this.#parts.qmp.execute('system_reset');
    await until(
      'the machine is up again',
      async () => {
        const boot = await this.link.hello(BOOT_TIMEOUT_MS);
        return boot !== before && boot;
      },
      BOOT_TIMEOUT_MS,
    );
    this.#logins = 0;
    await this.#settle();
  }

  /** A command of QEMU's own monitor, and what it answers. */
  async monitor(command: string): Promise<string> {
    return (await this.#parts.qmp.execute('human-monitor-command', { 'command-line': command })) as string;
  }

  /** What the serial console has shown until now. */
  console(): string {
    return existsSync(this.#parts.log) ? readFileSync(this.#parts.log, 'utf8') : '';
  }

  /** Where the console's log stays. */
  get consoleLog(): string {
    return this.#parts.log;
  }

  /** Turns it off at once; safe to call twice. */
  async stop(): Promise<void> {
    if (this.#stopped) {
      return;
    }
    this.#stopped = true;
    const { qemu, qmp, dir } = this.#parts;
    const ended = new Promise<void>((resolve) => {
      if (qemu.exitCode !== null || qemu.signalCode !== null) {
        resolve();
      } else {
        qemu.once('exit', () => resolve());
      }
    });
    // After a save QEMU has to flush the disk's metadata itself; a signal could come in between.
    await qmp.execute('quit').catch(() => undefined);
    await ended;
    qmp.close();
    this.link.close();
    rmSync(dir, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

function deferred(): { promise: Promise<void>; resolve: () => void; reject: (error: Error) => void } {
  let resolve: () => void = () => undefined;
  let reject: (error: Error) => void = () => undefined;
  const promise = new Promise<void>((onDone, onFail) => {
    resolve = onDone;
    reject = onFail;
  });
  return { promise, resolve, reject };
}
