import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import {
  type NodeFacts,
  type Reading,
  readTexts,
  readThroughChild,
  statThroughChild,
  type TakePiece,
} from './process-child.js';
import type { DescriptorJudge } from './process-descriptors.js';
import { pidOf, type Search, type Target } from './process-holds.js';
import { readStat } from './process-stat.js';
import { lockedMemory } from './process-stuck.js';

/*
 * Which mappings are the card's: the descriptor can be closed while the mapping stays. A line of maps
 * (proc_pid_maps(5)) has the file system and the inode of what is mapped, but neither type nor device number.
 * So the distinct inodes of all processes are gathered, and each is asked once:
 *
 *   1. stat of /proc/PID/map_files/RANGE, which is the mapped inode itself whatever its name. Needs
 *      CAP_CHECKPOINT_RESTORE (Linux 5.9) or CAP_SYS_ADMIN.
 *   2. Without that: the inodes of nodes that are known from /dev and from descriptors, then what lies at the
 *      line's path as the process sees it, if it is the same inode.
 *   3. What is then left (deleted, or out of reach) is told by smaps: memory of a device (VmFlags io, pf, mm)
 *      is reported as uncertain; page cache of a file is not the card's.
 */

/** A distinct mapped inode. */
export interface Mapped {
  /** `major:minor` in decimal. */
  readonly device: string;
  readonly inode: string;
  /** Path as the line has it: escaped, perhaps with ` (deleted)`. */
  readonly name: string;
  /** Where it was first seen. */
  readonly base: string;
  readonly range: string;
  readonly pids: number[];
}

/**
 * Reads maps files and says of each which inodes it maps, by running numbers; a number's first use has the
 * whole line. The texts themselves are megabytes. `d` and `p` are made strings, so that large inodes are not
 * compared as floats.
 */
const AWK = `BEGIN {
  for (i = 1; i < ARGC; i++) {
    f = ARGV[i]; list = ""; lines = 0; d = p = ""
    while ((got = (getline < f)) > 0) {
      lines++
      if ($5 == p && $4 == d) continue
      d = $4 ""; p = $5 ""
      if (p == "0") continue
      k = d " " p
      if (!(k in number)) { number[k] = count++; print "+" f " " $0 }
      list = list " " number[k]
    }
    close(f)
    if (lines || got < 0) print (lines ? "=" : "!") f list
    if (flush) fflush()
  }
  print "."
}`;

/** Gathers the distinct inodes of many processes from the output of AWK. */
export class MappingGatherer {
  readonly mapped = new Map<string, Mapped>();
  /** The directories whose maps had at least one line. */
  readonly seen = new Set<string>();
  /** The directories whose maps could not be opened. */
  readonly closed = new Set<string>();
  readonly #proc: string;

  constructor(proc: string) {
    this.#proc = proc;
  }

  read(paths: readonly string[], flush: boolean): Reading {
    const known: Mapped[] = [];
    let rest = '';
    let latest = '';
    let whole = false;
    return {
      program: 'awk',
      args: ['-v', `flush=${flush ? 1 : 0}`, AWK, ...paths],
      feed: (piece) => {
        // Runs over every process; made so that it leaves little garbage behind.
        const text = rest + piece.toString('latin1');
        let from = 0;
        for (let to = text.indexOf('\n'); to >= 0; to = text.indexOf('\n', from)) {
          const kind = text[from];
          if (kind === '.') whole = true;
          else if (kind === '+') known.push(this.#note(text.slice(from, to)));
          else latest = this.#list(text, from + 1, to, kind === '=', known);
          from = to + 1;
        }
        rest = text.slice(from);
      },
      latest: () => latest,
      whole: () => whole,
    };
  }

  /** `PATH NUMBER NUMBER …` of one maps file. Gives the path. */
  #list(text: string, from: number, to: number, opened: boolean, known: readonly Mapped[]): string {
    let space = text.indexOf(' ', from);
    if (space < 0 || space > to) space = to;
    const path = text.slice(from, space);
    const pid = pidOf(this.#proc, path);
    (opened ? this.seen : this.closed).add(path.slice(0, path.lastIndexOf('/')));
    let number = 0;
    for (let at = space + 1; at <= to; at++) {
      const digit = text.charCodeAt(at) - 48;
      if (at < to && digit >= 0) {
        number = number * 10 + digit;
        continue;
      }
      const pids = known[number]?.pids;
      // A file whose segments do not follow each other is named again.
      if (pids !== undefined && pids[pids.length - 1] !== pid) pids.push(pid);
      number = 0;
    }
    return path;
  }

  #note(line: string): Mapped {
    const [path = '', range = '', , , dev = '', inode = '', ...name] = line.slice(1).split(' ');
    const key = `${dev} ${inode}`;
    const known = this.mapped.get(key);
    if (known !== undefined) return known;
    const [major = '', minor = ''] = dev.split(':');
    const mapped: Mapped = {
      device: `${Number.parseInt(major, 16)}:${Number.parseInt(minor, 16)}`,
      inode,
      name: name.join(' ').trimStart(),
      base: path.slice(0, path.lastIndexOf('/')),
      range: mapFile(range),
      pids: [],
    };
    this.mapped.set(key, mapped);
    return mapped;
  }
}

/** The name in map_files of a range in maps: without leading zeros (fs/proc/base.c, dname_to_vma_addr). */
export function mapFile(range: string): string {
  return range.replace(/(^|-)0+(?=[0-9a-f])/g, '$1');
}

/** Undoes the escaping of paths in maps: `\012` is a newline (the kernel escapes that one alone). */
function unescapePath(name: string): string {
  return Buffer.from(name.replace(/\\012/g, '\n'), 'latin1').toString('utf8');
}

/** What an inode is: a device number, no character device, a dma-buf, or not to be learnt for certain. */
type Verdict = { readonly number: string } | 'other' | 'buffer' | 'doubtful';

/** What reading maps gave, and what it could not see. */
export interface Gathered {
  readonly mapped: ReadonlyMap<string, Mapped>;
  readonly denied: ReadonlySet<number>;
  readonly stuck: ReadonlySet<number>;
  /** Targets whose first thread has ended; others of its threads may live. */
  readonly ended: readonly Target[];
  /** What else was not read, and why. */
  readonly gaps: readonly string[];
}

/** Judges mapped inodes of one pass and remembers what each is. */
export class MappingJudge {
  readonly #search: Search;
  readonly #descriptors: DescriptorJudge;
  readonly #verdicts = new Map<string, Verdict>();
  readonly #buffers: Mapped[] = [];
  /** False once map_files was refused. */
  #mayFollow = true;

  constructor(search: Search, descriptors: DescriptorJudge) {
    this.#search = search;
    this.#descriptors = descriptors;
  }

  /** Notes the holds among the gathered inodes. */
  async judge(mapped: ReadonlyMap<string, Mapped>): Promise<void> {
    const unreachable: [string, Mapped][] = [];
    let open = [...mapped].filter(([key]) => !this.#verdicts.has(key));
    for (let attempt = 1; open.length > 0; attempt++) {
      const gone = await this.#follow(open, unreachable);
      if (attempt === 2) unreachable.push(...gone);
      open = attempt === 2 ? [] : await this.#findElsewhere(gone, unreachable);
    }
    if (unreachable.length > 0) await this.#judgeUnreachable(unreachable);
    for (const [key, one] of mapped) this.#note(one, this.#verdicts.get(key));
  }

  /** Follows map_files. Gives those that are no longer where they were seen, or do not answer. */
  async #follow(
    entries: readonly [string, Mapped][],
    unreachable: [string, Mapped][],
  ): Promise<[string, Mapped][]> {
    const asked: [string, Mapped][] = [];
    for (const entry of entries) {
      const [key, { name }] = entry;
      if (name.startsWith('/dmabuf:')) this.#verdicts.set(key, 'buffer');
      // Rings of io_uring, perf and packet sockets; a file's path begins with a slash.
      else if (!name.startsWith('/')) this.#verdicts.set(key, 'other');
      else (this.#mayFollow ? asked : unreachable).push(entry);
    }
    if (asked.length === 0) return [];
    const path = (one: Mapped): string => `${one.base}/map_files/${one.range}`;
    const { facts, denied } = await statThroughChild(
      asked.map(([, one]) => path(one)),
      this.#search.patience,
    );
    if (denied) this.#mayFollow = false;
    const gone = asked.filter(([key, one]) => {
      const fact = facts.get(path(one));
      if (fact?.inode !== Number(one.inode)) return true;
      this.#verdicts.set(key, asVerdict(fact));
      return false;
    });
    if (this.#mayFollow) return gone;
    unreachable.push(...gone);
    return [];
  }

  /** Looks for mappings that are gone in other processes that had them. */
  async #findElsewhere(
    gone: readonly [string, Mapped][],
    unreachable: [string, Mapped][],
  ): Promise<[string, Mapped][]> {
    const wanted = gone.map(([key, one]): [string, Mapped, number[]] => [key, one, this.#alive(one)]);
    const pids = new Set(wanted.flatMap(([, , alive]) => alive));
    if (pids.size === 0) return [];
    const targets = [...pids].map((pid) => ({ pid, base: `${this.#search.proc}/${pid}` }));
    const { mapped } = await gatherMappings(targets, this.#search);
    const found: [string, Mapped][] = [];
    for (const [key, one, alive] of wanted) {
      const elsewhere = mapped.get(key);
      if (elsewhere !== undefined) found.push([key, { ...elsewhere, pids: one.pids }]);
      else if (alive.length > 0) unreachable.push([key, one]);
    }
    return found;
  }

  /** A few of the processes that have it mapped and still live. */
  #alive(one: Mapped): number[] {
    const alive: number[] = [];
    for (const pid of one.pids)
      if (alive.length < 3 && readStat(`${this.#search.proc}/${pid}`) !== null) alive.push(pid);
    return alive;
  }

  /** Notes mapped dma-bufs; to be called when all descriptors are known, since those name the exporters. */
  noteBuffers(): void {
    for (const one of this.#buffers.splice(0)) {
      const exporter = this.#descriptors.exporterOf(one.inode) ?? exporterInSysfs(one.inode);
      if (exporter !== null && !this.#search.exporters.has(exporter)) continue;
      // Mapped with no descriptor left and no word on who made it: may be the card's.
      for (const pid of one.pids) this.#search.holds.add(pid, 'dmabuf', '', exporter !== null);
    }
  }

  #note(one: Mapped, verdict: Verdict | undefined): void {
    const { numbers, holds } = this.#search;
    if (verdict === 'buffer') {
      this.#buffers.push(one);
    } else if (verdict === 'doubtful') {
      for (const pid of one.pids) holds.add(pid, 'map', '', false);
    } else if (typeof verdict === 'object' && numbers.has(verdict.number)) {
      for (const pid of one.pids) holds.add(pid, 'map', verdict.number, true);
    }
  }

  async #judgeUnreachable(entries: readonly [string, Mapped][]): Promise<void> {
    const left: [string, Mapped][] = [];
    const seen = (one: Mapped): string => `${one.base}/root${unescapePath(one.name)}`;
    for (const [key, one] of entries) {
      const number = this.#descriptors.numberOf(one.device, one.inode);
      if (number !== null) this.#verdicts.set(key, { number });
      else if (readStat(one.base) !== null) left.push([key, one]);
      else
        for (const pid of this.#alive(one).slice(0, 1))
          left.push([key, { ...one, base: `${this.#search.proc}/${pid}` }]);
    }
    const named = left.filter(([, one]) => one.name.startsWith('/') && !one.name.endsWith(' (deleted)'));
    const { facts } = await statThroughChild(
      named.map(([, one]) => seen(one)),
      this.#search.patience,
    );
    const doubtful = left.filter(([key, one]) => {
      const fact = facts.get(seen(one));
      if (fact === undefined || !isMapped(fact, one)) return true;
      this.#verdicts.set(key, asVerdict(fact));
      return false;
    });
    if (doubtful.length > 0) await this.#askSmaps(doubtful);
  }

  async #askSmaps(doubtful: readonly [string, Mapped][]): Promise<void> {
    const keys = new Set(doubtful.map(([key]) => key));
    const paths = [...new Set(doubtful.map(([, one]) => `${one.base}/smaps`))];
    let path = '';
    let rest = '';
    let key = '';
    const take: TakePiece = (from, piece, last) => {
      const lines = ((from === path ? rest : '') + piece.toString('latin1')).split('\n');
      rest = lines.pop() ?? '';
      path = last ? '' : from;
      for (const line of lines) {
        const head = /^[0-9a-f]+-[0-9a-f]+ \S+ [0-9a-f]+ ([0-9a-f]+:[0-9a-f]+ \d+)/.exec(line);
        if (head?.[1] !== undefined) key = head[1];
        else if (line.startsWith('VmFlags:') && keys.has(key) && this.#verdicts.get(key) !== 'doubtful')
          this.#verdicts.set(key, / (?:io|pf|mm)\b/.test(line) ? 'doubtful' : 'other');
      }
    };
    await readTexts(paths, this.#search.patience, take);
    // Never described: gone, or not to be read. Only the latter still matters, and details drop what is gone.
    for (const one of keys) if (!this.#verdicts.has(one)) this.#verdicts.set(one, 'doubtful');
  }
}

function asVerdict(fact: NodeFacts): Verdict {
  return fact.character ? { number: fact.number } : 'other';
}

/**
 * Whether a path leads to what is mapped. btrfs and overlay have a device of their own in stat() and the file
 * system's in maps, so there the inode has to do.
 */
function isMapped(fact: NodeFacts, one: Mapped): boolean {
  if (fact.inode !== Number(one.inode)) return false;
  return fact.device === one.device || (fact.device.startsWith('0:') && !fact.character);
}

/** Who made a dma-buf, where the kernel keeps statistics of them (CONFIG_DMABUF_SYSFS_STATS). */
function exporterInSysfs(inode: string): string | null {
  try {
    return readFileSync(`/sys/kernel/dmabuf/buffers/${inode}/exporter_name`, 'utf8').trim();
  } catch {
    return null;
  }
}

/** Reads the maps of all targets. */
export async function gatherMappings(targets: readonly Target[], search: Search): Promise<Gathered> {
  const gatherer = new MappingGatherer(search.proc);
  const stuck = new Set<number>();
  const asked: Target[] = [];
  for (const target of targets) {
    if (lockedMemory.has(search.proc, target.pid)) stuck.add(target.pid);
    else asked.push(target);
  }
  const lanes = asked.length < 320 || availableParallelism() < 2 ? 1 : 2;
  const gaps: string[] = [];
  const readLane = async (lane: number): Promise<void> => {
    const paths = asked.filter((_, i) => i % lanes === lane).map((target) => `${target.base}/maps`);
    const unread = await readThroughChild(paths, search.patience, (some, flush) =>
      gatherer.read(some, flush),
    );
    for (const pid of unread.stuck.map((path) => pidOf(search.proc, path))) {
      stuck.add(pid);
      lockedMemory.add(search.proc, pid);
    }
    if (unread.why !== null) gaps.push(`maps: ${unread.why}`);
  };
  await Promise.all(Array.from({ length: lanes }, (_, lane) => readLane(lane)));

  const denied = new Set<number>();
  const ended: Target[] = [];
  for (const target of asked) {
    if (gatherer.seen.has(target.base) || stuck.has(target.pid)) continue;
    const stat = readStat(target.base);
    if (stat === null || stat.kernelThread) continue;
    // What has ended has no memory to read; what lives and keeps its maps closed forbids the look.
    if (stat.state === 'Z') ended.push(target);
    else if (gatherer.closed.has(target.base) && stat.state !== 'X') denied.add(target.pid);
  }
  return { mapped: gatherer.mapped, denied, stuck, ended, gaps };
}
