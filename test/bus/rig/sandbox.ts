import { type ChildProcessWithoutNullStreams, spawn as spawnChild } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { REPO } from '../../rig/repo.js';
import { CACHE, ensureTree, USERS } from './tree.js';

/** How to run a command inside a sandbox. */
export interface RunOptions {
  /** A user of the tree; root when left out. */
  readonly user?: string;
  /** Written to the command's standard input, which is then closed. */
  readonly stdin?: string | Uint8Array;
  /** After this many milliseconds the command and its process group are killed and the call throws; 10 000. */
  readonly timeoutMs?: number;
  /** Added to a small environment made for the user; nothing of the test process's own is passed on. */
  readonly env?: Readonly<Record<string, string>>;
  /** Working folder inside the sandbox; `/` when left out. */
  readonly cwd?: string;
}

/** How a command ended. */
export interface RunResult {
  /** Exit status; 128 + N when signal N ended it. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command that goes on running inside a sandbox. */
export interface Running {
  /** What it has written so far. */
  readonly stdout: string;
  readonly stderr: string;
  /** Resolves when it has ended and its output is complete; never rejects. */
  readonly done: Promise<RunResult>;
  /** Its process id as the sandbox sees it. */
  pid(): Promise<number>;
  /** Writes to its standard input. */
  write(data: string): void;
  /** Closes its standard input. */
  end(): void;
  /** Sends a signal to it alone, SIGTERM when left out, and gives how it ended. */
  kill(signal?: NodeJS.Signals): Promise<RunResult>;
  /** Resolves once its output (both streams) matches; throws when it ends, or 5 000 ms pass, without that. */
  waitFor(pattern: RegExp, timeoutMs?: number): Promise<RegExpMatchArray>;
}

/** An answer given on a terminal. */
export interface TerminalStep {
  /** A regular expression (Python's) that the terminal must show, after what the step before matched. */
  readonly expect: string;
  /** What is typed then, with its `\n`. */
  readonly send: string;
  /** Wait for the echo to be off before typing: for passwords. */
  readonly hidden?: boolean;
}

/** How to run a command on a terminal. */
export interface TerminalOptions extends Omit<RunOptions, 'stdin' | 'timeoutMs'> {
  /** Answered in this order. */
  readonly steps?: readonly TerminalStep[];
  /** The terminal's size; 24 × 80. */
  readonly rows?: number;
  readonly cols?: number;
  /** The argument `@NOTIFY@` becomes a descriptor; READY on stderr says that the command closed it. */
  readonly notify?: boolean;
}

/** A file or folder of the host, shown inside a sandbox. */
export interface Bind {
  /** On the host; must exist. */
  readonly from: string;
  /** In the sandbox, absolute. */
  readonly to: string;
  /** Read-only unless true. */
  readonly writable?: boolean;
}

/** What a sandbox is made of beside the tree. */
export interface SandboxOptions {
  readonly binds?: readonly Bind[];
}

/** A Debian tree in namespaces of its own: nothing that is started in it outlives it, nothing it writes stays. */
export interface Sandbox {
  /** PID 1 of the sandbox as the host sees it; `/proc/<hostPid>/root` is the way in for sockets. */
  readonly hostPid: number;
  /** Runs a command to its end; many may run at once. Does not throw for an exit status. */
  run(argv: readonly string[], options?: RunOptions): Promise<RunResult>;
  /** Starts a command that goes on running. */
  spawn(argv: readonly string[], options?: Omit<RunOptions, 'stdin' | 'timeoutMs'>): Running;
  /** Starts a command on a terminal; its `stdout` is what the terminal showed, `write()` types. */
  terminal(argv: readonly string[], options?: TerminalOptions): Running;
  /** Starts a command as a byte stream: what is written goes to its stdin, what is read is its stdout. */
  pipe(argv: readonly string[], options?: Omit<RunOptions, 'stdin' | 'timeoutMs'>): Duplex;
  /** Writes a file, with the folders above it. `mode` is octal text such as '755'; '644' when left out. */
  put(path: string, content: string | Uint8Array, mode?: string, owner?: string): Promise<void>;
  /** A file's text. */
  get(path: string): Promise<string>;
  /** Whether something is there; a dangling link is not. */
  exists(path: string): Promise<boolean>;
  /** Ends everything inside and waits for it to be gone; may be called twice. */
  stop(): Promise<void>;
}

/** Where the repository's `dist/` is seen inside a sandbox, read-only. */
export const DIST = '/gpu-handoff/dist';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const RIG = '/gpu-handoff/rig';
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Opens a sandbox: mount, pid, network, IPC and host name namespaces over the tree, without a bus. */
export async function openSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const tree = await ensureTree();
  const binds: Bind[] = [{ from: HERE, to: RIG }, ...(options.binds ?? [])];
  const dist = join(REPO, 'dist');
  if (existsSync(dist)) {
    binds.unshift({ from: dist, to: DIST });
  }
  const mountPoint = join(CACHE, 'mnt');
  mkdirSync(mountPoint, { recursive: true });
  const init = spawnChild(
    'unshare',
    [
      ...['--mount', '--pid', '--net', '--ipc', '--uts', '--fork', '--kill-child'],
      ...['/bin/bash', join(HERE, 'init.sh'), tree.dir, mountPoint],
      ...binds.flatMap((bind) => [bind.writable === true ? 'rw' : 'ro', bind.from, bind.to]),
    ],
    // A group of its own, so that Ctrl-C in the terminal reaches the test runner alone.
    { env: { PATH, LANG: 'C.UTF-8', HOME: '/root' }, detached: true },
  );
  const root = new Process(init);
  let hostPid: number;
  try {
    const match = await root.waitFor(/^ready (\d+)$/m, 20_000);
    hostPid = Number(match[1]);
  } catch (error) {
    root.killGroup();
    throw new Error(`the sandbox did not start: ${root.stderr}`, { cause: error });
  }
  return new NamespaceSandbox(root, hostPid);
}

class NamespaceSandbox implements Sandbox {
  readonly hostPid: number;
  readonly #root: Process;
  readonly #running = new Set<Promise<unknown>>();
  #stopped: Promise<void> | undefined;

  constructor(root: Process, hostPid: number) {
    this.#root = root;
    this.hostPid = hostPid;
  }

  async run(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    const running = this.#start(argv, options);
    running.child.stdin.end(options.stdin);
    const limit = options.timeoutMs ?? 10_000;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        running.killGroup();
        const said = `${running.stdout}${running.stderr}`;
        reject(new Error(`${argv.join(' ')} took more than ${limit} ms; it said:\n${said}`));
      }, limit);
    });
    try {
      return await Promise.race([running.done, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  spawn(argv: readonly string[], options: Omit<RunOptions, 'stdin' | 'timeoutMs'> = {}): Running {
    return this.#start(argv, options);
  }

  terminal(argv: readonly string[], options: TerminalOptions = {}): Running {
    const { steps, rows, cols, notify, ...rest } = options;
    const spec = JSON.stringify({ argv, steps, rows, cols, notify });
    return this.#start(['/usr/bin/python3', `${RIG}/terminal.py`, spec], rest);
  }

  pipe(argv: readonly string[], options: Omit<RunOptions, 'stdin' | 'timeoutMs'> = {}): Duplex {
    const child = this.#launch(argv, options);
    const stream = Duplex.from({ readable: child.stdout, writable: child.stdin });
    stream.on('close', () => endGroup(child));
    child.on('error', (error) => stream.destroy(error));
    child.stderr.resume();
    this.#track(new Promise((resolve) => child.on('close', resolve).on('error', resolve)));
    return stream;
  }

  async put(path: string, content: string | Uint8Array, mode = '644', owner = 'root'): Promise<void> {
    // Through a process inside: by way of /proc/PID/root an absolute link would lead back to the host.
    // Under another name first, since daemons watch these folders and read a file once it appears.
    const script =
      'mkdir -p -- "$(dirname -- "$1")" && cat >"$1.new~" && chown "$3:" "$1.new~" && chmod "$2" "$1.new~" && ' +
      'mv -T -- "$1.new~" "$1"';
    await this.#must(['sh', '-c', script, 'put', path, mode, owner], { stdin: content });
  }

  async get(path: string): Promise<string> {
    return (await this.#must(['cat', '--', path])).stdout;
  }

  async exists(path: string): Promise<boolean> {
    return (await this.run(['test', '-e', path])).code === 0;
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#end();
    return this.#stopped;
  }

  async #end(): Promise<void> {
    this.#root.child.stdin.end();
    const timer = setTimeout(() => this.#root.killGroup(), 5_000);
    await this.#root.done;
    clearTimeout(timer);
    await Promise.all(this.#running);
  }

  async #must(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    const result = await this.run(argv, options);
    if (result.code !== 0) {
      throw new Error(`${argv.join(' ')} ended with ${result.code}: ${result.stderr}`);
    }
    return result;
  }

  #start(argv: readonly string[], options: RunOptions): Process {
    const running = new Process(this.#launch(argv, options));
    this.#track(running.done);
    return running;
  }

  #track(done: Promise<unknown>): void {
    this.#running.add(done);
    void done.then(() => this.#running.delete(done));
  }

  #launch(argv: readonly string[], options: RunOptions): ChildProcessWithoutNullStreams {
    if (this.#stopped !== undefined) {
      throw new Error('the sandbox has been stopped');
    }
    const user = options.user ?? 'root';
    const uid = USERS[user];
    const home = user === 'root' ? '/root' : `/home/${user}`;
    const session =
      uid === undefined || uid === 0
        ? {}
        : {
            XDG_RUNTIME_DIR: `/run/user/${uid}`,
            DBUS_SESSION_BUS_ADDRESS: `unix:path=/run/user/${uid}/bus`,
          };
    const as =
      user === 'root' ? [] : ['/usr/bin/setpriv', `--reuid=${user}`, `--regid=${user}`, '--init-groups'];
    const at = options.cwd === undefined ? [] : ['/usr/bin/env', '-C', options.cwd];
    return spawnChild(
      'nsenter',
      [
        ...['--target', `${this.hostPid}`, '--mount', '--pid', '--net', '--ipc', '--uts', '--'],
        ...as,
        ...at,
        ...argv,
      ],
      {
        env: { PATH, LANG: 'C.UTF-8', HOME: home, USER: user, LOGNAME: user, ...session, ...options.env },
        // A group of its own: a time limit ends the command together with what it started.
        detached: true,
      },
    );
  }
}

function endGroup(child: ChildProcessWithoutNullStreams): void {
  if (child.exitCode === null && child.signalCode === null && child.pid !== undefined) {
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch {
      // It ended by itself meanwhile.
    }
  }
}

class Process implements Running {
  readonly child: ChildProcessWithoutNullStreams;
  readonly done: Promise<RunResult>;
  stdout = '';
  stderr = '';
  #ended = false;
  readonly #watchers = new Set<() => void>();

  constructor(child: ChildProcessWithoutNullStreams) {
    this.child = child;
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
      this.#tell();
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
      this.#tell();
    });
    // EPIPE: a command may end without reading what it was given.
    child.stdin.on('error', () => {});
    this.done = new Promise((resolve) => {
      const finish = (code: number): void => {
        this.#ended = true;
        this.#tell();
        resolve({ code, stdout: this.stdout, stderr: this.stderr });
      };
      child.on('error', (error) => {
        this.stderr += error.message;
        finish(127);
      });
      child.on('close', (code, signal) => {
        finish(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
      });
    });
  }

  async pid(): Promise<number> {
    const status = readFileSync(`/proc/${await this.#inner()}/status`, 'utf8');
    return Number(/^NSpid:.*\t(\d+)$/m.exec(status)?.[1]);
  }

  write(data: string): void {
    this.child.stdin.write(data);
  }

  end(): void {
    this.child.stdin.end();
  }

  async kill(signal: NodeJS.Signals = 'SIGTERM'): Promise<RunResult> {
    if (!this.#ended) {
      try {
        process.kill(await this.#inner(), signal);
      } catch {
        // It ended by itself meanwhile.
      }
    }
    return this.done;
  }

  killGroup(): void {
    endGroup(this.child);
  }

  waitFor(pattern: RegExp, timeoutMs = 5_000): Promise<RegExpMatchArray> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const match = pattern.exec(this.stdout) ?? pattern.exec(this.stderr);
        if (match !== null) {
          settle();
          resolve(match);
        } else if (this.#ended) {
          settle();
          reject(new Error(`it ended without ${pattern}; it said:\n${this.stdout}${this.stderr}`));
        }
      };
      const timer = setTimeout(() => {
        settle();
        reject(new Error(`no ${pattern} in ${timeoutMs} ms; it said:\n${this.stdout}${this.stderr}`));
      }, timeoutMs);
      const settle = (): void => {
        clearTimeout(timer);
        this.#watchers.delete(look);
      };
      this.#watchers.add(look);
      look();
    });
  }

  #tell(): void {
    for (const look of [...this.#watchers]) {
      look();
    }
  }

  /** nsenter stays outside and forks; the command is its only child. Host's pid. */
  async #inner(): Promise<number> {
    const own = this.child.pid;
    while (own !== undefined && !this.#ended) {
      const children = readFileSync(`/proc/${own}/task/${own}/children`, 'utf8').trim();
      // Between fork and exec the child is still nsenter, or setpriv with root's rights.
      if (
        children !== '' &&
        !/^(nsenter|setpriv|env)\n/.test(readFileSync(`/proc/${children}/comm`, 'utf8'))
      ) {
        return Number(children);
      }
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    throw new Error(`the command has ended: ${this.stderr}`);
  }
}
