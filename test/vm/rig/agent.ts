import { connect, type Socket } from 'node:net';
import { constants } from 'node:os';
import { Duplex } from 'node:stream';

/** How a command runs in the machine. */
export interface CommandOptions {
  /** Default: root; in a session its user, who cannot be changed. */
  readonly user?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly stdin?: string | Uint8Array;
  /** Default two minutes; past it the command is killed and the call rejects. `Infinity` for none. */
  readonly timeoutMs?: number;
  /** Runs it on a terminal; standard error then comes with standard output. */
  readonly pty?: boolean;
}

/** How a command ended; `code` is negative where a signal ended it (its number). */
export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command's result that was not what the caller counted on; the message shows all that it printed. */
export class CommandError extends Error {
  readonly result: CommandResult;

  constructor(what: string, result: CommandResult) {
    super(`${what} ended with ${result.code}\n${result.stdout}${result.stderr}`);
    this.name = 'CommandError';
    this.result = result;
  }
}

interface Reply {
  readonly id?: number;
  readonly ev: 'hello' | 'started' | 'out' | 'exit' | 'done' | 'listening' | 'error';
  readonly boot?: string;
  readonly pid?: number;
  readonly fd?: number;
  readonly data?: string;
  readonly code?: number;
  readonly message?: string;
}

interface Handler {
  readonly onReply: (reply: Reply) => void;
  readonly onLost: (error: Error) => void;
}

/** The connection to the agent in the machine. */
export class AgentLink {
  readonly #socket: Socket;
  readonly #handlers = new Map<number, Handler>();
  #helloWaiters: ((boot: string) => void)[] = [];
  #rest = '';
  #lastId = 0;
  #gone: Error | undefined;

  private constructor(socket: Socket, whyGone: () => Promise<string>) {
    this.#socket = socket;
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => this.#onData(text));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      void whyGone().then((why) => this.abandon(new Error(`the machine has gone: ${why}`), true));
    });
  }

  /** Rejects where nobody listens at `path`; `whyGone` is asked when the connection has ended. */
  static async connect(path: string, whyGone: () => Promise<string>): Promise<AgentLink> {
    const socket = connect(path);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return new AgentLink(socket, whyGone);
  }

  /** Resolves with the boot id at the agent's next greeting. */
  async hello(timeoutMs: number): Promise<string> {
    return await new Promise<string>((resolve, reject) => {
      if (this.#gone !== undefined) {
        reject(this.#gone);
        return;
      }
      const timer = setTimeout(() => {
        this.#helloWaiters = this.#helloWaiters.filter((waiter) => waiter !== greet);
        reject(new Error(`the machine's agent said nothing for ${timeoutMs} ms`));
      }, timeoutMs);
      const greet = (boot: string): void => {
        clearTimeout(timer);
        resolve(boot);
      };
      this.#helloWaiters.push(greet);
    });
  }

  /** Sends a request under a new id; every reply to it goes to `handler` until `forget`. */
  open(request: Readonly<Record<string, unknown>>, handler: Handler): number {
    this.#lastId += 1;
    const id = this.#lastId;
    if (this.#gone !== undefined) {
      handler.onLost(this.#gone);
      return id;
    }
    this.#handlers.set(id, handler);
    this.send(id, request);
    return id;
  }

  send(id: number, request: Readonly<Record<string, unknown>>): void {
    if (this.#gone === undefined) {
      this.#socket.write(`${JSON.stringify({ ...request, id })}\n`);
    }
  }

  forget(id: number): void {
    this.#handlers.delete(id);
  }

  /** A request with one answer. */
  async ask(request: Readonly<Record<string, unknown>>, timeoutMs = 60_000): Promise<Reply> {
    return await new Promise<Reply>((resolve, reject) => {
      let id = 0;
      const timer = setTimeout(() => {
        this.forget(id);
        reject(new Error(`no answer within ${timeoutMs} ms to ${String(request.op)}`));
      }, timeoutMs);
      id = this.open(request, {
        onReply: (reply) => {
          clearTimeout(timer);
          this.forget(id);
          if (reply.ev === 'error') {
            reject(new Error(reply.message ?? 'the agent failed'));
          } else {
            resolve(reply);
          }
        },
        onLost: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      });
    });
  }

  /** Rejects all that is under way; `forGood` when nothing can be asked any more. */
  abandon(error: Error, forGood: boolean): void {
    if (forGood) {
      this.#gone ??= error;
    }
    const handlers = [...this.#handlers.values()];
    this.#handlers.clear();
    for (const handler of handlers) {
      handler.onLost(error);
    }
  }

  close(): void {
    this.#socket.destroy();
  }

  #onData(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      let reply: Reply;
      try {
        reply = JSON.parse(line) as Reply;
      } catch {
        continue; // what a power cut left unfinished
      }
      if (reply.ev === 'hello' && reply.boot !== undefined) {
        if (reply.id === undefined) {
          // A new agent (after a boot, or where the old one died) knows nothing of what was asked before.
          this.abandon(new Error('the agent in the machine started anew'), false);
        }
        const waiters = this.#helloWaiters.splice(0);
        for (const waiter of waiters) {
          waiter(reply.boot);
        }
      }
      if (reply.id !== undefined) {
        this.#handlers.get(reply.id)?.onReply(reply);
      }
    }
  }
}

function base64(data: string | Uint8Array): string {
  return Buffer.from(data).toString('base64');
}

/** A process in the machine. */
export class GuestProcess {
  /** Settles with its end; rejects where the machine goes first. */
  readonly exited: Promise<CommandResult>;
  readonly #link: AgentLink;
  readonly #route: Readonly<Record<string, unknown>>;
  readonly #output: [Buffer[], Buffer[]] = [[], []];
  readonly #watchers = new Set<() => void>();
  #id = 0;
  #pid = 0;
  #ended = false;

  private constructor(
    link: AgentLink,
    route: Readonly<Record<string, unknown>>,
    request: Readonly<Record<string, unknown>>,
    started: (error?: Error) => void,
  ) {
    this.#link = link;
    this.#route = route;
    this.exited = new Promise<CommandResult>((resolve, reject) => {
      const end = (): void => {
        this.#ended = true;
        link.forget(this.#id);
        for (const watcher of this.#watchers) {
          watcher();
        }
      };
      this.#id = link.open(
        { ...request, ...route },
        {
          onReply: (reply) => {
            if (reply.ev === 'started') {
              this.#pid = reply.pid ?? 0;
              started();
            } else if (reply.ev === 'out') {
              this.#output[reply.fd === 2 ? 1 : 0].push(Buffer.from(reply.data ?? '', 'base64'));
              for (const watcher of this.#watchers) {
                watcher();
              }
            } else if (reply.ev === 'exit') {
              resolve({ code: reply.code ?? -1, ...this.output() });
              end();
            } else if (reply.ev === 'error') {
              const error = new Error(reply.message ?? 'the agent failed');
              started(error);
              reject(error);
              end();
            }
          },
          onLost: (error) => {
            started(error);
            reject(error);
            end();
          },
        },
      );
    });
    // Who only spawns need not watch the end.
    this.exited.catch(() => undefined);
  }

  /** Starts a command; rejects where there is no such program or user. */
  static async start(
    link: AgentLink,
    route: Readonly<Record<string, unknown>>,
    argv: readonly string[],
    options: CommandOptions,
  ): Promise<GuestProcess> {
    const { user, env, cwd, pty, stdin } = options;
    return await new Promise<GuestProcess>((resolve, reject) => {
      const child = new GuestProcess(link, route, { op: 'run', argv, user, env, cwd, pty }, (error) => {
        if (error === undefined) {
          resolve(child);
        } else {
          reject(error);
        }
      });
      if (stdin !== undefined) {
        child.write(stdin);
        child.closeInput();
      }
    });
  }

  /** As the machine's init numbers it. */
  get pid(): number {
    return this.#pid;
  }

  /** What it has printed until now. */
  output(): { readonly stdout: string; readonly stderr: string } {
    const [stdout, stderr] = this.#output;
    return { stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() };
  }

  /** Calls `watcher` after every piece of output and at the end; the result stops that. */
  watch(watcher: () => void): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  /** Standard output, from its beginning, as a stream whose other half is standard input; closes with the process. */
  stream(): Duplex {
    let heard = 0;
    const duplex = new Duplex({
      read: () => undefined,
      write: (chunk: Buffer, _encoding, done) => {
        this.write(chunk);
        done();
      },
      final: (done) => {
        this.closeInput();
        done();
      },
    });
    const hear = (): void => {
      for (const chunk of this.#output[0].slice(heard)) duplex.push(chunk);
      heard = this.#output[0].length;
      if (this.#ended) duplex.push(null);
    };
    duplex.once('end', () => duplex.destroy());
    this.watch(hear);
    hear();
    return duplex;
  }

  /** Resolves when standard output matches; rejects when the process ends first or the time is over. */
  async waitFor(pattern: RegExp, timeoutMs = 60_000): Promise<RegExpMatchArray> {
    return await new Promise<RegExpMatchArray>((resolve, reject) => {
      const finish = (settle: () => void): void => {
        clearTimeout(timer);
        stop();
        settle();
      };
      const fail = (why: string): void => {
        const { stdout, stderr } = this.output();
        finish(() => reject(new Error(`${why} before ${String(pattern)}\n${stdout}${stderr}`)));
      };
      const look = (): void => {
        const match = this.output().stdout.match(pattern);
        if (match !== null) {
          finish(() => resolve(match));
        } else if (this.#ended) {
          fail('the process ended');
        }
      };
      const timer = setTimeout(() => fail(`${timeoutMs} ms were over`), timeoutMs);
      const stop = this.watch(look);
      look();
    });
  }

  write(data: string | Uint8Array): void {
    const bytes = Buffer.from(data);
    for (let offset = 0; offset < bytes.length; offset += 65_536) {
      const part = base64(bytes.subarray(offset, offset + 65_536));
      this.#link.send(this.#id, { op: 'input', data: part, ...this.#route });
    }
  }

  closeInput(): void {
    this.#link.send(this.#id, { op: 'input', data: null, ...this.#route });
  }

  /** A signal for its process group. */
  signal(signal: number): void {
    this.#link.send(this.#id, { op: 'signal', signal, ...this.#route });
  }

  /** Signals its process group (default SIGKILL) and resolves when it has ended. */
  async kill(signal: number = constants.signals.SIGKILL): Promise<CommandResult> {
    this.signal(signal);
    return await this.exited;
  }

  /** Stops caring: a process in uninterruptible sleep never ends. */
  abandon(): void {
    this.#link.forget(this.#id);
  }
}

/** Runs commands in one place of the machine: anywhere as any user, or in a login session as its user. */
export class Shell {
  protected readonly link: AgentLink;
  readonly #route: Readonly<Record<string, unknown>>;

  protected constructor(link: AgentLink, session: string | undefined) {
    this.link = link;
    this.#route = session === undefined ? {} : { session };
  }

  /** Starts and returns at once. A text is a bash script, a list an argument vector. */
  async spawn(command: string | readonly string[], options: CommandOptions = {}): Promise<GuestProcess> {
    const argv = typeof command === 'string' ? ['/bin/bash', '-c', command] : command;
    return await GuestProcess.start(this.link, this.#route, argv, options);
  }

  /** Runs to the end. Rejects where it could not start or took longer than `timeoutMs`, with its output. */
  async run(command: string | readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    const child = await this.spawn(
      command,
      options.stdin === undefined ? { ...options, stdin: '' } : options,
    );
    const limit = options.timeoutMs ?? 120_000;
    if (limit === Number.POSITIVE_INFINITY) {
      return await child.exited;
    }
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => {
        child.signal(constants.signals.SIGKILL);
        child.abandon();
        const { stdout, stderr } = child.output();
        reject(new Error(`longer than ${limit} ms: ${String(command)}\n${stdout}${stderr}`));
      }, limit);
    });
    try {
      return await Promise.race([child.exited, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Standard output; rejects with a CommandError where the command fails. */
  async check(command: string | readonly string[], options: CommandOptions = {}): Promise<string> {
    const result = await this.run(command, options);
    if (result.code !== 0) {
      throw new CommandError(typeof command === 'string' ? command : command.join(' '), result);
    }
    return result.stdout;
  }

  /** Writes a file, with the folders above it; as root, or as the session's user. */
  async put(path: string, content: string | Uint8Array, mode = 0o644): Promise<void> {
    const bytes = Buffer.from(content);
    let offset = 0;
    do {
      const part = base64(bytes.subarray(offset, offset + 262_144));
      await this.link.ask({ op: 'put', path, data: part, mode, append: offset > 0, ...this.#route });
      offset += 262_144;
    } while (offset < bytes.length);
  }

  /** A file's bytes; rejects where there is none. */
  async get(path: string): Promise<Buffer> {
    const reply = await this.link.ask({ op: 'get', path, ...this.#route });
    return Buffer.from(reply.data ?? '', 'base64');
  }
}
