import { lstatSync, readdirSync, readlinkSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { setImmediate as breathe } from 'node:timers/promises';
import { argumentShares, deviceNumber, readTexts, runChild, statThroughChild } from './process-child.js';
import { pidOf, type Search, type Target } from './process-holds.js';
import { Mounts } from './process-mounts.js';
import { knownNodes } from './process-nodes.js';
import { slowFiles } from './process-stuck.js';

/*
 * Which open descriptors are the card's. A few `find -L` at once stat every descriptor (one system call each,
 * as against readlink and then stat) and name only those that are character devices or have no type at all;
 * the latter are the kernel's anonymous inodes and dma-bufs (fs/libfs.c, anon_inode_getattr). Every distinct
 * inode is judged once. Where find is not there, fails or hangs, the same descriptors are looked at more
 * slowly, so that no file system is asked that may not answer.
 *
 * This process itself only reads directories and links of /proc. It follows none, since what lies behind can
 * be changed by its owner at any time, and reads no fdinfo, since drivers take locks of their own to write
 * theirs.
 */

/** What looking at descriptors could not see. */
export interface DescriptorGaps {
  readonly denied: Set<number>;
  /** Processes with a descriptor on a file system that did not answer. */
  readonly stuck: Set<number>;
}

/** fdinfo's `flags:` is octal; O_PATH (fcntl.h of every architecture but alpha, parisc and sparc). */
const O_PATH = 0o10000000;

/** One field of an fdinfo text, `name:<tab>value`. */
export function fdinfoField(text: string, name: string): string | null {
  const match = new RegExp(`^${name}:[ \\t]*(.*)$`, 'm').exec(text);
  return match?.[1] ?? null;
}

function fdinfoPath(path: string): string {
  const slash = path.lastIndexOf('/fd/');
  return `${path.slice(0, slash)}/fdinfo/${path.slice(slash + 4)}`;
}

/** The fdinfo of many descriptors. */
class Fdinfos {
  readonly #texts = new Map<string, string>();
  #all = false;

  static async read(paths: readonly string[], search: Search): Promise<Fdinfos> {
    const infos = new Fdinfos();
    infos.#all = await readTexts(paths.map(fdinfoPath), search.patience, (path, piece) => {
      infos.#texts.set(path, (infos.#texts.get(path) ?? '') + piece.toString('utf8'));
    });
    return infos;
  }

  /** `closed`: there was no such descriptor when its turn came; null: it did not answer. */
  of(path: string): string | 'closed' | null {
    return this.#texts.get(fdinfoPath(path)) ?? (this.#all ? 'closed' : null);
  }
}

/**
 * True for a descriptor that was opened with O_PATH: it names the node without opening it, so the driver does
 * not know of it.
 */
function onlyNames(fdinfo: string): boolean {
  return (Number.parseInt(fdinfoField(fdinfo, 'flags') ?? '0', 8) & O_PATH) !== 0;
}

/** What is known of one inode: not asked for, a number that is, a dma-buf of an exporter that is. */
type Verdict = 'unwanted' | { readonly number: string } | 'dmabuf';

/** Descriptors of one inode that is not judged yet. */
interface Unjudged {
  readonly kind: 'node' | 'buffer';
  readonly device: string;
  readonly inode: string;
  readonly paths: string[];
}

/** How many of an inode's descriptors are asked, when they are closed or changed before they answer. */
const ATTEMPTS = 3;
const PROCESSES_A_LANE = 150;

/** Judges descriptors of one pass and remembers what each inode is. */
export class DescriptorJudge {
  readonly #search: Search;
  readonly #exporters: Map<string, string>;
  readonly #verdicts = new Map<string, Verdict>();
  readonly #unjudged = new Map<string, Unjudged>();
  /** st_dev of the kernel's file systems without types: true for the one of dma-bufs. */
  readonly #typeless = new Map<string, boolean>();
  /** Descriptors of the card that are open neither for reading nor for writing. */
  readonly #suspects: { readonly path: string; readonly number: string }[] = [];
  #known: ReadonlyMap<string, string> | null = null;

  /** @param exporters of dma-bufs by inode, from earlier passes; the kernel gives no inode number twice */
  constructor(search: Search, exporters: Map<string, string>) {
    this.#search = search;
    this.#exporters = exporters;
  }

  /** Who made a dma-buf; null where no descriptor of it has been seen. */
  exporterOf(inode: string): string | null {
    return this.#exporters.get(inode) ?? null;
  }

  /** The number of a character device that lies in /dev or was seen open; null for any other file. */
  numberOf(device: string, inode: string): string | null {
    const [major, minor] = device.split(':').map(Number);
    if (major === undefined || minor === undefined) return null;
    // makedev of glibc, for numbers below 2^32.
    const dev = ((minor & 0xfff00) << 12) | (major << 8) | (minor & 0xff);
    const key = `${dev >>> 0} ${inode}`;
    const verdict = this.#verdicts.get(key);
    return this.#nodes().get(key) ?? (typeof verdict === 'object' ? verdict.number : null);
  }

  #nodes(): ReadonlyMap<string, string> {
    this.#known ??= knownNodes();
    return this.#known;
  }

  /** One line of find: type (`c`, or `U` for none), st_dev, inode, path. */
  line(line: string): void {
    const afterDevice = line.indexOf(' ', 2);
    const afterInode = line.indexOf(' ', afterDevice + 1);
    const key = line.slice(2, afterInode);
    const known = this.#verdicts.get(key);
    if (known === 'unwanted') return;
    const path = line.slice(afterInode + 1);
    if (known !== undefined) {
      this.#found(path, known);
      return;
    }
    const unjudged = this.#unjudged.get(key);
    if (unjudged !== undefined) {
      unjudged.paths.push(path);
      return;
    }
    const device = line.slice(2, afterDevice);
    const inode = line.slice(afterDevice + 1, afterInode);
    if (line.startsWith('c')) {
      const number = this.#nodes().get(key);
      if (number !== undefined) this.#settle(key, number, [path]);
      else this.#unjudged.set(key, { kind: 'node', device, inode, paths: [path] });
      return;
    }
    const isBuffer = this.#isBuffer(device, path);
    if (isBuffer === true) this.#unjudged.set(key, { kind: 'buffer', device, inode, paths: [path] });
    else if (isBuffer === false) this.#verdicts.set(key, 'unwanted');
  }

  /** Null where the descriptor is gone. */
  #isBuffer(device: string, path: string): boolean | null {
    const known = this.#typeless.get(device);
    if (known !== undefined) return known;
    const link = linkOf(path);
    if (link === null) return null;
    const is = link.startsWith('/dmabuf:');
    this.#typeless.set(device, is);
    return is;
  }

  #settle(key: string, number: string, paths: readonly string[]): void {
    const verdict = this.#search.numbers.has(number) ? { number } : 'unwanted';
    this.#verdicts.set(key, verdict);
    if (verdict !== 'unwanted') for (const path of paths) this.#found(path, verdict);
  }

  #settleBuffer(key: string, inode: string, exporter: string, paths: readonly string[]): void {
    this.#exporters.set(inode, exporter);
    const verdict = this.#search.exporters.has(exporter) ? 'dmabuf' : 'unwanted';
    this.#verdicts.set(key, verdict);
    if (verdict === 'dmabuf') for (const path of paths) this.#found(path, verdict);
  }

  /** Notes a descriptor whose device number is known, and which is known to be really open. */
  open(path: string, number: string): void {
    if (this.#search.numbers.has(number)) this.#hold(path, number);
  }

  /** Notes a dma-buf whose fdinfo has been read; false when it is none. */
  buffer(path: string, fdinfo: string): boolean {
    const exporter = fdinfoField(fdinfo, 'exp_name');
    const inode = fdinfoField(fdinfo, 'ino');
    if (exporter === null || inode === null) return false;
    this.#settleBuffer(`dmabuf ${inode}`, inode, exporter, [path]);
    return true;
  }

  #hold(path: string, number: string | null): void {
    const pid = pidOf(this.#search.proc, path);
    const fd = Number(path.slice(path.lastIndexOf('/') + 1));
    if (!Number.isInteger(pid) || !Number.isInteger(fd)) return;
    if (number === null) this.#search.holds.add(pid, 'dmabuf', '', true, fd);
    else this.#search.holds.add(pid, 'fd', number, true, fd, fdinfoPath(path));
  }

  #found(path: string, verdict: Exclude<Verdict, 'unwanted'>): void {
    if (verdict === 'dmabuf') {
      this.#hold(path, null);
      return;
    }
    // The link's own mode tells how it was opened: O_PATH and access mode 3 (ioctl only) lack r and w.
    const link = lstatSync(path, { throwIfNoEntry: false });
    if (link !== undefined && (link.mode & 0o600) === 0) this.#suspects.push({ path, ...verdict });
    else this.#hold(path, verdict.number);
  }

  /** Judges what had to wait. Gives the processes of which it could not be learnt. */
  async finish(): Promise<ReadonlySet<number>> {
    const unknown = new Set<number>();
    for (let attempt = 1; this.#unjudged.size > 0; attempt++) {
      const waiting = [...this.#unjudged];
      this.#unjudged.clear();
      for (const [key, one, left] of await this.#judgeWaiting(waiting)) {
        const open = left.filter((path) => exists(path));
        if (open.length === 0) continue;
        if (attempt < ATTEMPTS) this.#unjudged.set(key, { ...one, paths: open });
        else for (const path of open) unknown.add(pidOf(this.#search.proc, path));
      }
    }
    await this.#judgeSuspects();
    return unknown;
  }

  /**
   * Asks one descriptor of each inode. Gives those of which it told nothing, with the descriptors that may still
   * be of it: one that was closed meanwhile is no hold, even where its number is in use again.
   */
  async #judgeWaiting(waiting: readonly [string, Unjudged][]): Promise<[string, Unjudged, string[]][]> {
    const first = (kind: Unjudged['kind']): string[] =>
      waiting.flatMap(([, one]) => (one.kind === kind ? one.paths.slice(0, 1) : []));
    const [{ facts, gone }, infos] = await Promise.all([
      statThroughChild(first('node'), this.#search.patience),
      Fdinfos.read(first('buffer'), this.#search),
    ]);
    return waiting.flatMap(([key, one]): [string, Unjudged, string[]][] => {
      const { kind, device, inode, paths } = one;
      const [path = '', ...others] = paths;
      let silent: boolean;
      if (kind === 'buffer') {
        const info = infos.of(path);
        const exporter = fdinfoField(info ?? '', 'exp_name');
        if (exporter !== null) {
          this.#settleBuffer(key, inode, exporter, paths);
          return [];
        }
        silent = info === null;
      } else {
        const fact = facts.get(path);
        const isSame = fact?.device === deviceNumber(Number(device)) && fact.inode === Number(inode);
        if (isSame && fact.character) {
          this.#settle(key, fact.number, paths);
          return [];
        }
        silent = fact === undefined && !gone.has(path);
      }
      return [[key, one, silent ? [...others, path] : others]];
    });
  }

  async #judgeSuspects(): Promise<void> {
    const suspects = this.#suspects.splice(0);
    if (suspects.length === 0) return;
    const infos = await Fdinfos.read(
      suspects.map(({ path }) => path),
      this.#search,
    );
    for (const { path, number } of suspects) if (!onlyNames(infos.of(path) ?? '')) this.#hold(path, number);
  }
}

/** Whether the descriptor is still there; never follows it. */
function exists(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch {
    return false;
  }
}

/** Ends find's list, so that its end is known: no process's path, and a character device everywhere. */
const SENTINEL = '/dev/zero';
const PREDICATE = ['-maxdepth', '1', '!', '-type', 'f,s,p,d,b,l'];
const PRINT = ['-printf', '%y %D %i %p\\n'];
/** Complaints of find about a descriptor or a table; the rest (loops, a table that is gone) means nothing. */
const COMPLAINT = /^find: '(\/.*?\/fd(?:\/\d+)?)': (.*)$/gm;
const GONE = /^(?:No such file or directory|No such process)$/;
const REFUSED = /^(?:Permission denied|Operation not permitted)$/;

/** The link of a descriptor of libuv's event loop, which is there for as long as this process. */
const ANONYMOUS = 'anon_inode:[eventpoll]';

function linkOf(path: string, refused?: () => void): string | null {
  try {
    return readlinkSync(path);
  } catch (error) {
    if (refused !== undefined && isRefusal(error)) refused();
    return null;
  }
}

let loop: string | null = null;

/**
 * A path to the inode that nearly all anonymous descriptors share (eventfd, epoll, timerfd, inotify, …;
 * fs/anon_inodes.c), or null. Having one at hand keeps thousands of lines out of find's answer.
 */
function anonymousInode(): string | null {
  if (loop !== null && linkOf(loop) === ANONYMOUS) return loop;
  loop = null;
  for (const fd of readdirSync('/proc/self/fd')) {
    const path = `/proc/${process.pid}/fd/${fd}`;
    if (linkOf(path) === ANONYMOUS) {
      loop = path;
      break;
    }
  }
  return loop;
}

/** What is not worth naming: files that every process has several of. */
function commonFiles(numbers: ReadonlySet<string>): string[] {
  const anonymous = anonymousInode();
  const paths = anonymous === null ? [] : [anonymous];
  if (!numbers.has('1:3')) paths.push('/dev/null');
  return paths.flatMap((path) => ['!', '-samefile', path]);
}

/** Looks at all descriptors of some targets with one child. True when find came to the end of them. */
async function findIn(
  targets: readonly Target[],
  search: Search,
  judge: DescriptorJudge,
  gaps: DescriptorGaps,
  troubled: Set<number>,
): Promise<boolean> {
  const skip = commonFiles(search.numbers);
  for (const share of argumentShares(targets.map((target) => `${target.base}/fd`))) {
    let rest = '';
    let whole = false;
    const { finished, errors } = await runChild(
      'find',
      ['-L', ...share, SENTINEL, ...PREDICATE, ...skip, ...PRINT],
      search.patience,
      (piece) => {
        const text = rest + piece.toString('latin1');
        let from = 0;
        for (let to = text.indexOf('\n'); to >= 0; to = text.indexOf('\n', from)) {
          const line = text.slice(from, to);
          if (line.endsWith(` ${SENTINEL}`)) whole = true;
          else judge.line(line);
          from = to + 1;
        }
        rest = text.slice(from);
      },
    );
    for (const [, path, why] of errors.matchAll(COMPLAINT)) {
      if (path === undefined || why === undefined || GONE.test(why)) continue;
      const pid = pidOf(search.proc, path);
      if (REFUSED.test(why)) gaps.denied.add(pid);
      else troubled.add(pid);
    }
    // A descriptor that was given away meanwhile would have hidden another file than meant.
    if (!finished || !whole || (loop !== null && linkOf(loop) !== ANONYMOUS)) return false;
  }
  return true;
}

/** A descriptor of a file that has a path. */
interface Named {
  readonly target: Target;
  readonly path: string;
  readonly link: string;
}

/** Descriptors of a target that may be a device or a dma-buf, by what their links say. */
function namedFiles(target: Target, gaps: DescriptorGaps): Named[] {
  const named: Named[] = [];
  try {
    for (const name of readdirSync(`${target.base}/fd`)) {
      const path = `${target.base}/fd/${name}`;
      const link = linkOf(path, () => gaps.denied.add(target.pid));
      // Sockets, pipes, namespaces, anonymous inodes: d_dname of theirs never begins with a slash.
      if (link === null || !link.startsWith('/')) continue;
      if (!link.startsWith('/memfd:') || !link.endsWith(' (deleted)')) named.push({ target, path, link });
    }
  } catch (error) {
    if (isRefusal(error)) gaps.denied.add(target.pid);
  }
  return named;
}

/**
 * Looks at descriptors in a way that one of them cannot spoil for the others: fdinfo tells the mount, only
 * what lies on a local one is stat'ed with the rest, and what may not answer is asked last.
 */
async function lookCarefully(
  targets: Iterable<Target>,
  search: Search,
  judge: DescriptorJudge,
  gaps: DescriptorGaps,
): Promise<void> {
  const mounts = new Mounts();
  const named: Named[] = [];
  for (const target of targets) {
    named.push(...namedFiles(target, gaps));
    await breathe();
  }
  const infos = await Fdinfos.read(
    named.map(({ path }) => path),
    search,
  );
  const local: Named[] = [];
  const foreign: Named[] = [];
  for (const one of named) {
    const fdinfo = infos.of(one.path);
    if (fdinfo === 'closed') continue;
    if (fdinfo === null) {
      if (exists(one.path)) gaps.stuck.add(one.target.pid);
      continue;
    }
    if (one.link.startsWith('/dmabuf:') && judge.buffer(one.path, fdinfo)) continue;
    const mount = mounts.get(Number(fdinfoField(fdinfo, 'mnt_id')), one.target.base);
    // It may have been this that find did not come back from.
    if (mount?.local !== true) slowFiles.add(search.proc, one.target.pid);
    if (onlyNames(fdinfo)) continue;
    if (mount?.local === true) local.push(one);
    else if (mount?.nodev !== true) foreign.push(one);
  }
  for (const some of [local, foreign]) {
    if (some.length === 0) continue;
    const { facts, gone } = await statThroughChild(
      some.map(({ path }) => path),
      search.patience,
    );
    for (const { path, target } of some) {
      const fact = facts.get(path);
      if (fact?.character === true) judge.open(path, fact.number);
      else if (fact === undefined && !gone.has(path) && exists(path)) gaps.stuck.add(target.pid);
    }
  }
}

function isRefusal(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === 'EACCES' || code === 'EPERM';
}

/** Deals targets out to as many children as can work at once. */
export function shares(targets: readonly Target[]): readonly (readonly Target[])[] {
  // A further child is worth its start only where it takes many processes off the others.
  const lanes = Math.min(4, availableParallelism() + 1, Math.ceil(targets.length / PROCESSES_A_LANE));
  return Array.from({ length: lanes }, (_, lane) => targets.filter((_, i) => i % lanes === lane));
}

/** One look at the descriptors of many targets. What is found goes to `search.holds`. */
export class DescriptorLook {
  readonly #search: Search;
  readonly #judge: DescriptorJudge;
  readonly #gaps: DescriptorGaps = { denied: new Set(), stuck: new Set() };
  readonly #troubled = new Set<number>();
  readonly #careful: Target[] = [];
  readonly #quick: Target[] = [];
  readonly #running: Promise<void>[] = [];

  constructor(search: Search, judge: DescriptorJudge) {
    this.#search = search;
    this.#judge = judge;
  }

  /** Begins with some of the targets. */
  start(targets: readonly Target[]): void {
    const quick: Target[] = [];
    for (const target of targets) {
      (slowFiles.has(this.#search.proc, target.pid) ? this.#careful : quick).push(target);
    }
    if (quick.length === 0) return;
    this.#quick.push(...quick);
    const run = async (): Promise<void> => {
      const ended = await findIn(quick, this.#search, this.#judge, this.#gaps, this.#troubled);
      if (!ended) this.#careful.push(...quick);
    };
    this.#running.push(run());
  }

  /** Ends when all that was begun has been looked at. */
  async finish(): Promise<DescriptorGaps> {
    await Promise.all(this.#running);
    const gaps = this.#gaps;
    const careful = new Set(this.#careful);
    for (const target of this.#quick) if (this.#troubled.has(target.pid)) careful.add(target);
    for (const pid of await this.#judge.finish()) gaps.stuck.add(pid);
    if (careful.size > 0) await lookCarefully(careful, this.#search, this.#judge, gaps);
    return gaps;
  }
}
