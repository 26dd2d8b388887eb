import type { Duplex } from 'node:stream';

/** The driver inside a session: requests go to it as lines, answers come back. */
export interface Driver {
  /** Asks; rejects with what went wrong inside, when the driver is gone, or after 90 s. */
  ask(request: string, args?: Readonly<Record<string, unknown>>): Promise<unknown>;
}

/** Where a command is started as a byte stream. */
interface Pipes {
  pipe(argv: readonly string[]): Duplex | Promise<Duplex>;
}

interface Waiting {
  readonly request: string;
  resolve(value: unknown): void;
  reject(error: Error): void;
}

interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

/** Long: in an emulated machine that others keep busy, a shell draws a picture in half a minute. */
const LIMIT_MS = 90_000;

/** Starts the driver; its session bus has to be there. What it complains about is kept in /tmp/driver.log. */
export async function startDriver(room: Pipes, path: string): Promise<Driver> {
  const stream = await room.pipe(['sh', '-c', 'exec gjs -m "$1" 2>/tmp/driver.log', 'driver', path]);
  const waiting = new Map<number, Waiting>();
  let unread = '';
  let next = 1;
  stream.setEncoding('utf8');
  stream.on('data', (text: string) => {
    const lines = (unread + text).split('\n');
    unread = lines.pop() ?? '';
    for (const line of lines) {
      const answer = JSON.parse(line) as Answer;
      const asker = waiting.get(answer.id);
      waiting.delete(answer.id);
      if (answer.error === undefined) asker?.resolve(answer.value);
      else asker?.reject(new Error(`${asker.request}: ${answer.error}`));
    }
  });
  const gone = (): void => {
    for (const { request, reject } of waiting.values()) reject(new Error(`${request}: the driver has ended`));
    waiting.clear();
  };
  stream.on('error', gone).on('close', gone);
  const driver: Driver = {
    ask(request, args = {}) {
      const id = next++;
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          waiting.delete(id);
          reject(new Error(`${request}: no answer in ${LIMIT_MS} ms`));
        }, LIMIT_MS);
        waiting.set(id, {
          request,
          resolve: (value) => {
            clearTimeout(timer);
            resolve(value);
          },
          reject: (error) => {
            clearTimeout(timer);
            reject(error);
          },
        });
        stream.write(`${JSON.stringify({ id, request, ...args })}\n`);
      });
    },
  };
  // Answered once it listens.
  await driver.ask('ready');
  return driver;
}
