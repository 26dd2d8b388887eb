import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readlinkSync } from 'node:fs';
import { readStat } from './process-stat.js';

/*
 * Children that look where a look may never come back: stat() of a file on a dead NFS server or FUSE daemon,
 * and everything that waits for another process's memory map (maps, smaps, cmdline). A thread stuck there
 * would keep this process from ever ending; a child is killed, and where even that does not help it is left
 * behind.
 */

/** How a child ended. */
export interface ChildEnd {
  /** It ended by itself within its time. */
  readonly finished: boolean;
  /** What it said on standard error, in the C locale; cut off after some megabytes. */
  readonly errors: string;
  /** Where its time ran out: what it had open while it waited, by path; empty when it was just slow. */
  readonly hungWith: readonly string[];
}

/** How long a child may take. */
export interface Patience {
  /** The end in any case, on the clock of `now()`. */
  readonly deadline: number;
  /** Milliseconds after which a child that waits, and does not work, is given up. */
  readonly hangMs: number;
}

const ERROR_LIMIT = 4 * 1024 * 1024;
const running = new Set<number>();

/** The pids of children that run now or that could not be ended. */
export function ownChildren(): ReadonlySet<number> {
  return running;
}

/** Milliseconds on a clock that never jumps; deadlines are points on it. */
export function now(): number {
  return performance.now();
}

/** What a process has open, by path; nothing when it runs or is gone. */
function waitsWith(pid: number): string[] {
  const paths: string[] = [];
  try {
    if (readStat(`/proc/${pid}`)?.state === 'R') return [];
    for (const fd of readdirSync(`/proc/${pid}/fd`)) paths.push(readlinkSync(`/proc/${pid}/fd/${fd}`));
  } catch {
    // It has just ended.
  }
  return paths;
}

/** Between two looks at a child that is late: what it waits with both times is what it hangs in. */
const SECOND_LOOK_MS = 250;

/**
 * Runs a program of the system with nothing on standard input and gives its output away piece by piece.
 * Never rejects: a program that is not there, fails to start, hangs or takes too long is `finished: false`.
 */
export function runChild(
  program: string,
  args: readonly string[],
  patience: Patience,
  onOutput: (piece: Buffer) => void,
): Promise<ChildEnd> {
  return new Promise((resolve) => {
    const errors: Buffer[] = [];
    let errorBytes = 0;
    let child: ChildProcess;
    const end = (finished: boolean, hungWith: readonly string[]): void =>
      resolve({ finished, errors: Buffer.concat(errors).toString('utf8'), hungWith });
    try {
      child = spawn(program, args, {
        cwd: '/',
        env: { PATH: process.env.PATH ?? '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
    } catch {
      end(false, []);
      return;
    }
    const { pid } = child;
    if (pid !== undefined) {
      running.add(pid);
      child.once('exit', () => running.delete(pid));
    }
    const waits = (): string[] => (pid === undefined ? [] : waitsWith(pid));
    const check = (): void => {
      const first = waits();
      timer = setTimeout(() => {
        const second = waits();
        const hungWith = first.filter((path) => second.includes(path));
        if (hungWith.length === 0 && now() < patience.deadline) {
          timer = setTimeout(check, SECOND_LOOK_MS);
          return;
        }
        child.kill('SIGKILL');
        child.stdout?.destroy();
        child.stderr?.destroy();
        child.unref();
        end(false, hungWith);
      }, SECOND_LOOK_MS);
    };
    const due = Math.min(patience.hangMs, patience.deadline - now());
    let timer = setTimeout(check, Math.max(1, due));
    child.stdout?.on('data', onOutput);
    child.stderr?.on('data', (piece: Buffer) => {
      errorBytes += piece.length;
      if (errorBytes <= ERROR_LIMIT) errors.push(piece);
    });
    child.once('error', () => {
      clearTimeout(timer);
      end(false, []);
    });
    child.once('close', (code) => {
      clearTimeout(timer);
      end(code !== null && errorBytes <= ERROR_LIMIT, []);
    });
  });
}

/** Cuts a list into shares that fit into an argument vector (paths here are shorter than 64 bytes). */
export function argumentShares(paths: readonly string[]): string[][] {
  const shares: string[][] = [];
  for (let i = 0; i < paths.length; i += 10_000) shares.push(paths.slice(i, i + 10_000));
  return shares;
}

/** What reading files through a child could not get. */
export interface Unread {
  /** Reading these did not come back in time. */
  readonly stuck: readonly string[];
  /** Why files were left that are neither read, gone, refused nor known to be stuck; null when none was. */
  readonly why: string | null;
}

/** One run of a program that reads files in the order given. */
export interface Reading {
  readonly program: string;
  readonly args: readonly string[];
  feed(piece: Buffer): void;
  /** The file that was read last as far as the output tells; empty before the first. */
  latest(): string;
  /** The output came to its end. */
  whole(): boolean;
}

/**
 * How often a reading that broke off is taken up again. A process that ends between the opening of one of its files
 * and the reading makes a read error of it (ESRCH, fs/proc/task_mmu.c), at which mawk gives up altogether.
 */
const RESUMPTIONS = 5;

/**
 * Reads files in children; a file that does not come back is skipped and the reading is started again after
 * it.
 *
 * @param start what to run; `flush` asks for every file's text before the next file is opened
 */
export async function readThroughChild(
  paths: readonly string[],
  patience: Patience,
  start: (paths: readonly string[], flush: boolean) => Reading,
): Promise<Unread> {
  const stuck: string[] = [];
  let flush = false;
  let resumptions = 0;
  for (const share of argumentShares(paths)) {
    let rest = share;
    while (rest.length > 0) {
      if (now() >= patience.deadline) return { stuck, why: 'the time was over' };
      const reading = start(rest, flush);
      const end = await runChild(reading.program, reading.args, patience, (piece) => reading.feed(piece));
      if (end.finished && reading.whole()) break;
      rest = rest.slice(rest.indexOf(reading.latest()) + 1);
      if (end.finished) {
        if (++resumptions <= RESUMPTIONS) continue;
        return { stuck, why: `${reading.program} breaks off: ${end.errors.trim().slice(0, 200)}` };
      }
      if (end.hungWith.length === 0) return { stuck, why: `${reading.program} is not there, or too slow` };
      // It hangs in reading a file that it has open, or in opening the one after the latest.
      let at = rest.findIndex((path) => end.hungWith.includes(path));
      if (at < 0 && flush) {
        if (reading.latest() === '') return { stuck, why: `${reading.program} hung before its first file` };
        at = 0;
      }
      flush = true;
      const culprit = rest[at];
      if (culprit === undefined) continue;
      stuck.push(culprit);
      rest.splice(at, 1);
    }
  }
  return { stuck, why: null };
}

/** Takes the pieces of one file's text as they come; `last` closes the file (or one NUL-ended part of it). */
export type TakePiece = (path: string, piece: Buffer, last: boolean) => void;

/**
 * Reads small files of /proc in a child: `grep -z ''` gives the name of a file, NUL, its text up to the next
 * NUL, NUL, and so on. A NUL can stand neither in a path nor in a text of /proc but cmdline, whose arguments
 * it ends. Files after one that does not come back are not read.
 * @returns whether all were read, but for those that are gone or refused
 */
export async function readTexts(
  paths: readonly string[],
  patience: Patience,
  take: TakePiece,
): Promise<boolean> {
  let all = true;
  for (const share of argumentShares(paths)) {
    let name = '';
    let inText = false;
    const args = ['-aHszZ', '--line-buffered', '--', '', ...share];
    const { finished } = await runChild('grep', args, patience, (piece) => {
      for (let from = 0; from < piece.length; ) {
        const nul = piece.indexOf(0, from);
        const to = nul < 0 ? piece.length : nul;
        if (inText) take(name, piece.subarray(from, to), nul >= 0);
        else name += piece.toString('latin1', from, to);
        if (nul >= 0) {
          if (inText) name = '';
          inText = !inText;
        }
        from = to + 1;
      }
    });
    if (!finished) all = false;
  }
  return all;
}

/** What stat() says of one file, links followed. */
export interface NodeFacts {
  readonly character: boolean;
  /** `major:minor` of the device that the node stands for; `0:0` for other files. */
  readonly number: string;
  /** `major:minor` of the file system. */
  readonly device: string;
  readonly inode: number;
}

/** `major:minor` from st_dev or st_rdev (glibc's encoding, which Node passes on). */
export function deviceNumber(dev: number): string {
  const high = Math.floor(dev / 2 ** 32);
  const low = dev % 2 ** 32;
  const major = (high & ~0xfff) + ((low >>> 8) & 0xfff);
  const minor = (low & 0xff) + ((low >>> 12) & 0xfff00);
  return `${major}:${minor}`;
}

const S_IFMT = 0o170000;
const S_IFCHR = 0o020000;

function isCharacter(mode: number): boolean {
  return (mode & S_IFMT) === S_IFCHR;
}

/** What stat said of many paths. Those in neither did not answer, or were refused. */
export interface StatAnswers {
  readonly facts: ReadonlyMap<string, NodeFacts>;
  /** There was nothing when its turn came. */
  readonly gone: ReadonlySet<string>;
  /** One was refused. */
  readonly denied: boolean;
}

/** stat's complaint of a path that has no newline in it. */
const NOTHING_THERE = /^stat: [^']*'(.*)': (?:No such file or directory|No such process)$/gm;

/** stat() of many paths in a child: they may lie on a file system that does not answer. */
export async function statThroughChild(paths: readonly string[], patience: Patience): Promise<StatAnswers> {
  const facts = new Map<string, NodeFacts>();
  const gone = new Set<string>();
  let denied = false;
  for (const share of argumentShares(paths)) {
    let text = '';
    const args = ['-L', '--printf', '%f %t %T %d %i %n\\0', '--', ...share];
    const { errors } = await runChild('stat', args, patience, (piece) => {
      text += piece.toString('latin1');
    });
    for (const line of Buffer.from(text, 'latin1').toString('utf8').split('\0')) {
      const [mode, major, minor, dev, inode, ...name] = line.split(' ');
      if (mode === undefined || major === undefined || minor === undefined || name.length === 0) continue;
      facts.set(name.join(' '), {
        character: isCharacter(Number.parseInt(mode, 16)),
        number: `${Number.parseInt(major, 16)}:${Number.parseInt(minor, 16)}`,
        device: deviceNumber(Number(dev)),
        inode: Number(inode),
      });
    }
    for (const [, path] of errors.matchAll(NOTHING_THERE)) if (path !== undefined) gone.add(path);
    if (/: (?:Permission denied|Operation not permitted)$/m.test(errors)) denied = true;
  }
  return { facts, gone, denied };
}
