/** The terminal, pipe or file that the command writes to. */
import { fstatSync, writeSync } from 'node:fs';
import { Paper } from './render/paper.js';

export type Environment = Readonly<Record<string, string | undefined>>;

/** One of the two streams, as the commands use it. */
export interface Outlet {
  readonly paper: Paper;
  /** It can be drawn on: a terminal that knows cursor movements. */
  readonly draws: boolean;
  /** Rows of the terminal; 24 where unknown. */
  rows(): number;
  write(text: string): void;
}

/** Whether a locale's character set is UTF-8, by the variables in the order in which they count. */
export function knowsUtf8(env: Environment): boolean {
  const locale = env.LC_ALL || env.LC_CTYPE || env.LANG || '';
  return /utf-?8/i.test(locale);
}

/** Loading node:tty costs milliseconds; what is no character device cannot be a terminal. */
export function isTerminal(fd: number): boolean {
  try {
    if (!fstatSync(fd).isCharacterDevice()) return false;
    return process.getBuiltinModule('tty').isatty(fd);
  } catch {
    return false;
  }
}

function sizeOf(fd: 1 | 2): { columns: number; rows: number } {
  const stream = fd === 1 ? process.stdout : process.stderr;
  return { columns: stream.columns || 80, rows: stream.rows || 24 };
}

/** Writes everything, and ends the command quietly when nobody reads any more. */
export function writeAll(fd: number, text: string): void {
  let rest: Uint8Array = Buffer.from(text, 'utf8');
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(fd, rest));
    } catch (fault) {
      const { code } = fault as NodeJS.ErrnoException;
      // 141 is what a shell says of a program that SIGPIPE ended.
      if (code === 'EPIPE') process.exit(141);
      // A pipe that another program made non-blocking: wait for its reader.
      if (code === 'EAGAIN') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
      else throw fault;
    }
  }
}

/** Standard output (1) or standard error (2) as it is. */
export function outletFor(fd: 1 | 2, env: Environment = process.env): Outlet {
  const terminal = isTerminal(fd);
  const able = terminal && env.TERM !== 'dumb';
  return {
    paper: new Paper({
      columns: terminal ? sizeOf(fd).columns : null,
      // https://no-color.org: any value but the empty one.
      colour: able && !env.NO_COLOR,
      unicode: knowsUtf8(env),
    }),
    draws: able,
    rows: () => sizeOf(fd).rows,
    write: (text) => writeAll(fd, text),
  };
}
