import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { DeviceUse, PassResult, ProcessUse, Unseen } from '../facts.js';
import { now, ownChildren } from './process-child.js';
import { DescriptorJudge, DescriptorLook, shares } from './process-descriptors.js';
import { readDetails } from './process-details.js';
import { Holds, type Search, type Target } from './process-holds.js';
import { type Gathered, gatherMappings, MappingJudge } from './process-mappings.js';
import { PassMemory } from './process-memory.js';
import { type ProcessStat, readStat, readUid } from './process-stat.js';

/*
 * Finds the processes that hold a card, by device numbers and never by paths: a container has its own /dev, a
 * node can have any name or none. Descriptors and mappings are looked at by children of the system's own
 * tools (find, grep, stat), on as many cores as there are; this process only reads what can never block.
 */

export interface PassRequest {
  /** Where procfs is mounted; `/proc` unless a test says otherwise. */
  readonly proc?: string;
  /** Numbers of character devices, `major:minor` in decimal. */
  readonly numbers: ReadonlySet<string>;
  /** `exp_name`s of dma-bufs (fdinfo): `nv_dmabuf`, or the DRM driver's name. */
  readonly exporters: ReadonlySet<string>;
  /**
   * Look into every process anew. Otherwise one is not looked into again as long as none of its threads has
   * run since it was (at most half a minute).
   */
  readonly fresh?: boolean;
  /** Milliseconds after which the pass ends with `complete: false`; 10 000 unless said otherwise. */
  readonly timeLimitMs?: number;
}

export interface SeenUse extends DeviceUse {
  /**
   * False for what may be the card's and could not be told from another device's: a mapping of a deleted node
   * without CAP_CHECKPOINT_RESTORE, or a mapped dma-buf whose exporter the kernel does not name.
   */
  readonly certain: boolean;
}

export interface SeenProcess extends ProcessUse {
  readonly uses: readonly SeenUse[];
}

/** A process that could not be looked into; it may hold the card. */
export interface UnseenProcess extends Unseen {
  /** The kernel refused, or the look did not come back (a dead file system, a memory map locked for good). */
  readonly reason: 'denied' | 'stuck';
}

export interface SeenPass extends PassResult {
  /** How many processes were looked at; kernel threads are not counted. */
  readonly processes: number;
  /** By ascending pid. */
  readonly found: readonly SeenProcess[];
  /** By ascending pid. */
  readonly unseen: readonly UnseenProcess[];
  /** False when the time ran out or a look failed: then nobody found does not mean that nobody holds it. */
  readonly complete: boolean;
  readonly gaps: readonly string[];
}

const TIME_LIMIT_MS = 10_000;
/** Looks at most, for what came or changed during the one before; who forks without end must not delay it. */
const ROUNDS = 3;
/** Processes for which a child of its own is started. */
const ENOUGH = 32;
const FIRST_PID = 1;

function listPids(proc: string): number[] {
  const pids: number[] = [];
  for (const name of readdirSync(proc)) {
    const first = name.charCodeAt(0);
    if (first >= 49 && first <= 57) pids.push(Number(name));
  }
  return pids;
}

function hasProgram(base: string): boolean {
  try {
    return readlinkSync(`${base}/exe`) !== '';
  } catch (error) {
    // Refused: then it is for the look to say so.
    return (error as NodeJS.ErrnoException).code !== 'ENOENT';
  }
}

/**
 * Kernel threads are kthreadd's children, and have no program. Helpers that the kernel starts in user space
 * (kernel/umh.c) are its children too, but have one.
 */
function kernelThreads(proc: string): ReadonlySet<number> {
  const threads = new Set<number>();
  try {
    if (readFileSync(`${proc}/2/comm`, 'utf8') !== 'kthreadd\n' || hasProgram(`${proc}/2`)) return threads;
    threads.add(2);
    for (const pid of readFileSync(`${proc}/2/task/2/children`, 'utf8').split(' '))
      if (pid !== '' && !hasProgram(`${proc}/${pid}`)) threads.add(Number(pid));
  } catch {
    // A container's own pids, or a kernel without CONFIG_PROC_CHILDREN: then they are like the rest.
  }
  return threads;
}

/** Clock ticks since boot, as start times are; NaN where unknown. USER_HZ is 100 wherever Node runs. */
function ticksNow(): number {
  try {
    return Math.round(Number.parseFloat(readFileSync('/proc/uptime', 'utf8')) * 100);
  } catch {
    return Number.NaN;
  }
}

/** The threads of a process whose first thread has ended while others live on: they have all it had. */
function livingThreads(target: Target): Target[] {
  const stat = readStat(target.base);
  if (stat?.state !== 'Z' || stat.threads < 2) return [];
  try {
    return readdirSync(`${target.base}/task`)
      .filter((name) => Number(name) !== target.pid)
      .map((name) => ({ pid: target.pid, base: `${target.base}/task/${name}` }));
  } catch {
    return [];
  }
}

/** The state of one pass over all its rounds. */
class Pass {
  readonly #search: Search;
  readonly #descriptors: DescriptorJudge;
  readonly #mappings: MappingJudge;
  readonly #memory: PassMemory;
  readonly #fresh: boolean;
  readonly #known: Set<number>;
  readonly #found = new Map<number, SeenProcess>();
  readonly #unseen = new Map<number, 'denied' | 'stuck'>();
  #processes = 0;
  readonly #gaps: string[] = [];

  constructor(search: Search, memory: PassMemory, fresh: boolean) {
    this.#search = search;
    this.#memory = memory;
    this.#fresh = fresh;
    this.#descriptors = new DescriptorJudge(search, memory.exporters);
    this.#mappings = new MappingJudge(search, this.#descriptors);
    this.#known = new Set([...kernelThreads(search.proc)]);
  }

  async run(): Promise<SeenPass> {
    const all = this.#newcomers();
    const everybody = new Set(all.map((target) => target.pid));
    // Every pid namespace has a process 1. Where it is not listed, /proc hides processes (hidepid).
    if (!everybody.has(FIRST_PID)) this.#gaps.push('/proc does not list all processes (hidepid)');
    const began = ticksNow();
    this.#memory.begin(this.#fresh);
    const recall = (share: readonly Target[]) => this.#memory.recall(share, this.#search);

    let targets = await this.#look(shares(all), recall);
    // Who was forked during the look may have inherited the card from one that ended before its turn came.
    targets.push(...this.#newcomers());
    let describing = this.#describe(everybody, began);
    const unsettled = new Set<number>();
    for (let round = 2; round <= ROUNDS; round++) {
      if (targets.length === 0) {
        targets = this.#whole(await describing);
        describing = Promise.resolve(new Set());
      }
      if (targets.length === 0 || now() >= this.#search.patience.deadline) break;
      for (const target of targets) unsettled.add(target.pid);
      const [next, again] = await Promise.all([this.#look([targets]), describing]);
      describing = this.#describe(new Set(targets.map((target) => target.pid)), Number.POSITIVE_INFINITY);
      targets = [...next, ...this.#whole(again)];
    }
    const left = [...targets.map((target) => target.pid), ...(await describing)];
    // Still changing at the last look, or no time left to look again.
    if (left.length > 0) this.#gaps.push(`still changing at the last look: ${this.#names(left)}`);
    this.#memory.keep(everybody, this.#search, new Set([...unsettled, ...left, ...this.#unseen.keys()]));
    return this.#result();
  }

  /** Processes as the log names them. */
  #names(pids: Iterable<number>): string {
    const name = (pid: number): string =>
      `${pid} (${readStat(`${this.#search.proc}/${pid}`)?.comm ?? 'gone'})`;
    return [...pids].map(name).join(', ');
  }

  #whole(pids: Iterable<number>): Target[] {
    return [...pids].map((pid) => ({ pid, base: `${this.#search.proc}/${pid}` }));
  }

  #newcomers(): Target[] {
    const targets: Target[] = [];
    const own = ownChildren();
    for (const pid of listPids(this.#search.proc)) {
      if (this.#known.has(pid) || own.has(pid)) continue;
      this.#known.add(pid);
      targets.push({ pid, base: `${this.#search.proc}/${pid}` });
    }
    this.#processes += targets.length;
    return targets;
  }

  /**
   * Looks once at these, of which `recall` may first take out some; a share is begun with as soon as that is
   * done. Gives the threads that hold the files of those whose first thread has ended.
   */
  async #look(
    shared: readonly (readonly Target[])[],
    recall?: (share: readonly Target[]) => Promise<readonly Target[]>,
  ): Promise<Target[]> {
    const search = this.#search;
    const look = new DescriptorLook(search, this.#descriptors);
    const targets: Target[] = [];
    let waiting: Target[] = [];
    for (const [i, share] of shared.entries()) {
      const some = recall === undefined ? share : await recall(share);
      targets.push(...some);
      waiting.push(...some);
      // A child is worth starting for so many only.
      if (waiting.length < ENOUGH && i + 1 < shared.length) continue;
      look.start(waiting);
      waiting = [];
    }
    const lookAtMappings = async (): Promise<Gathered> => {
      const gathered = await gatherMappings(targets, search);
      await this.#mappings.judge(gathered.mapped);
      return gathered;
    };
    const [seen, gathered] = await Promise.all([look.finish(), lookAtMappings()]);
    this.#mappings.noteBuffers();
    for (const pid of [...seen.denied, ...gathered.denied]) this.#unseen.set(pid, 'denied');
    for (const pid of [...seen.stuck, ...gathered.stuck]) this.#unseen.set(pid, 'stuck');
    if (seen.stuck.size > 0) this.#gaps.push(`descriptors that did not answer: ${this.#names(seen.stuck)}`);
    if (gathered.stuck.size > 0)
      this.#gaps.push(`memory maps that did not answer: ${this.#names(gathered.stuck)}`);
    this.#gaps.push(...gathered.gaps);
    return gathered.ended.flatMap((target) => livingThreads(target));
  }

  /**
   * Completes what was found of these processes. Gives the pids that may have passed to another process
   * during the look: those whose process is not surely older than it (`began`, clock ticks), or changed while
   * it was described.
   */
  async #describe(looked: ReadonlySet<number>, began: number): Promise<Set<number>> {
    const { proc, holds } = this.#search;
    const again = new Set<number>();
    const before = new Map<number, ProcessStat>();
    for (const pid of holds.pids()) {
      if (!looked.has(pid)) continue;
      const stat = readStat(`${proc}/${pid}`);
      if (stat !== null && !(stat.startTicks >= began - 1)) {
        before.set(pid, stat);
        continue;
      }
      holds.drop(pid);
      if (stat !== null) again.add(pid);
    }
    if (before.size === 0) return again;
    const details = await readDetails(this.#search, [...before.keys()], (pid) => holds.of(pid));
    for (const [pid, { startTicks }] of before) {
      const uid = readUid(`${proc}/${pid}`);
      const after = readStat(`${proc}/${pid}`);
      const told = details.get(pid);
      if (after === null || uid === null || told === undefined || after.startTicks !== startTicks) {
        holds.drop(pid);
        if (after !== null) again.add(pid);
        continue;
      }
      const uses = holds.of(pid).map(({ number, via, certain, fds }) => ({
        number,
        via,
        fds: [...fds].sort((a, b) => a - b),
        certain,
      }));
      this.#found.set(pid, { pid, startTicks, uid, comm: after.comm, ...told, uses });
    }
    return again;
  }

  #result(): SeenPass {
    const { proc } = this.#search;
    const unseen: UnseenProcess[] = [];
    for (const [pid, reason] of this.#unseen) {
      const stat = readStat(`${proc}/${pid}`);
      const uid = readUid(`${proc}/${pid}`);
      if (stat === null || uid === null) continue;
      if (stat.kernelThread) this.#processes--;
      else unseen.push({ pid, uid, comm: stat.comm, reason });
    }
    if (now() >= this.#search.patience.deadline) this.#gaps.push('the time was over');
    const byPid = (a: { readonly pid: number }, b: { readonly pid: number }): number => a.pid - b.pid;
    return {
      processes: this.#processes,
      found: [...this.#found.values()].sort(byPid),
      unseen: unseen.sort(byPid),
      complete: this.#gaps.length === 0,
      gaps: this.#gaps,
    };
  }
}

/** What passes remember, by their question; a few, since a machine has a few cards. */
const memories = new Map<string, PassMemory>();
const QUESTIONS = 4;

function memoryFor(request: PassRequest): PassMemory {
  const question = [
    request.proc ?? '',
    ...[...request.numbers].sort(),
    '',
    ...[...request.exporters].sort(),
  ].join(' ');
  const memory = memories.get(question) ?? new PassMemory();
  memories.delete(question);
  memories.set(question, memory);
  for (const oldest of memories.keys()) if (memories.size > QUESTIONS) memories.delete(oldest);
  return memory;
}

/**
 * Looks once at all processes. Never rejects for what processes do meanwhile, and never waits longer than the
 * time limit; rejects only where procfs itself cannot be listed.
 */
export async function passOverProcesses(request: PassRequest): Promise<SeenPass> {
  const timeLimitMs = request.timeLimitMs ?? TIME_LIMIT_MS;
  const search: Search = {
    proc: request.proc ?? '/proc',
    numbers: request.numbers,
    exporters: request.exporters,
    holds: new Holds(),
    patience: { deadline: now() + timeLimitMs, hangMs: timeLimitMs / 10 },
  };
  return new Pass(search, memoryFor(request), request.fresh === true).run();
}
