import { connect, type Socket } from 'node:net';

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** The control connection of one QEMU. */
export class Qmp {
  readonly #socket: Socket;
  readonly #waiting: Waiting[] = [];
  #rest = '';
  #gone = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => this.#onData(text));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#gone = true;
      for (const waiting of this.#waiting.splice(0)) {
        waiting.reject(new Error('QEMU has gone'));
      }
    });
  }

  /** Rejects where nobody listens at `path`. */
  static async connect(path: string): Promise<Qmp> {
    const socket = connect(path);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    const qmp = new Qmp(socket);
    await qmp.execute('qmp_capabilities');
    return qmp;
  }

  /** Sends one command; resolves with what it returns. Commands are answered in order. Rejects where QEMU has gone. */
  async execute(command: string, args?: Readonly<Record<string, unknown>>): Promise<unknown> {
    if (this.#gone) throw new Error('QEMU has gone');
    return await new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#socket.write(`${JSON.stringify({ execute: command, arguments: args })}\n`);
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #onData(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line.trim() === '') {
        continue;
      }
      const message = JSON.parse(line) as { return?: unknown; error?: { desc: string }; event?: string };
      if (message.error !== undefined) {
        this.#waiting.shift()?.reject(new Error(message.error.desc));
      } else if ('return' in message) {
        this.#waiting.shift()?.resolve(message.return);
      }
    }
  }
}
