import { readdirSync, readFileSync, statSync } from 'node:fs';
import { setImmediate as breathe } from 'node:timers/promises';
import { now } from './process-child.js';
import type { Hold, Search, Target } from './process-holds.js';
import { readStat, TEXT } from './process-stat.js';

/*
 * Most processes sleep from one pass to the next, and one of which no thread has run cannot have opened,
 * closed or mapped anything. So a pass remembers of every process how much each of its threads had run
 * *before* it was looked at, and the next pass looks again only where that has changed.
 *
 * /proc/PID/task/TID/schedstat has the time on a processor in nanoseconds, the time of waiting, and how often
 * it was scheduled in (Documentation/scheduler/sched-stats.rst). The time of a thread that runs right now
 * lags behind, hence the state is read first: asleep then, and the same numbers as at the mark, means that it
 * has not run in between.
 *
 * Two processes that share a table of descriptors without being threads of each other (clone with CLONE_FILES
 * alone) are the exception; the number of open descriptors (st_size of /proc/PID/fd since Linux 6.2) gives
 * away most of what the one does for the other, and nothing is believed for longer than half a minute.
 */

const BELIEVED_MS = 30_000;
/** How many exporters are remembered. */
const EXPORTERS = 10_000;
const ASLEEP = /^[SDTt]$/;

/** What identifies the state in which one process slept. */
interface Mark {
  readonly startTicks: number;
  readonly threads: readonly string[];
  /** schedstat of each thread. */
  readonly runs: readonly string[];
  readonly descriptors: number;
}

interface Memory {
  readonly mark: Mark;
  readonly holds: readonly Hold[];
  readonly looked: number;
}

function schedstat(base: string, thread: string): string | null {
  try {
    const text = readFileSync(`${base}/task/${thread}/schedstat`, TEXT);
    // A kernel that does not count says so in this way.
    return text === '0 0 0\n' ? null : text;
  } catch {
    return null;
  }
}

/**
 * The mark of a process, or null when one of its threads is not asleep.
 * @param before an earlier mark; its list of threads holds as long as their number is the same
 */
function markOf(target: Target, before: Mark | undefined): Mark | null {
  const stat = readStat(target.base);
  if (stat === null || !ASLEEP.test(stat.state)) return null;
  const descriptors = statSync(`${target.base}/fd`, { throwIfNoEntry: false })?.size ?? 0;
  let threads = before?.threads;
  if (threads === undefined || threads.length !== stat.threads) {
    try {
      threads = stat.threads === 1 ? [String(target.pid)] : readdirSync(`${target.base}/task`);
    } catch {
      return null;
    }
  }
  const runs: string[] = [];
  for (const thread of threads) {
    if (thread !== String(target.pid)) {
      const state = readStat(`${target.base}/task/${thread}`)?.state;
      if (state === undefined || !ASLEEP.test(state)) return null;
    }
    const run = schedstat(target.base, thread);
    if (run === null) return null;
    runs.push(run);
  }
  return { startTicks: stat.startTicks, threads, runs, descriptors };
}

function isSame(a: Mark, b: Mark): boolean {
  return (
    a.startTicks === b.startTicks &&
    a.descriptors === b.descriptors &&
    a.threads.length === b.threads.length &&
    a.threads.every((thread, i) => thread === b.threads[i] && a.runs[i] === b.runs[i])
  );
}

/** What earlier passes with the same question saw. */
export class PassMemory {
  /** Exporters of dma-bufs by inode: who has one mapped does not know, and who has it open may be asleep. */
  readonly exporters = new Map<string, string>();
  #memories = new Map<number, Memory>();
  #marks = new Map<number, { readonly mark: Mark; readonly at: number }>();
  #passes = 0;
  #fresh = true;

  /** @param fresh believe nothing in the pass that begins now */
  begin(fresh: boolean): void {
    this.#marks = new Map();
    // A question asked once is answered soonest without marks.
    this.#fresh = fresh || this.#passes++ === 0;
  }

  /** Notes the holds of those that have slept since they were last looked at, and gives the others. */
  async recall(targets: readonly Target[], search: Search): Promise<readonly Target[]> {
    if (this.#fresh) return targets;
    const awake: Target[] = [];
    for (const [i, target] of targets.entries()) {
      const memory = this.#memories.get(target.pid);
      const mark = markOf(target, memory?.mark);
      const believed =
        mark !== null &&
        memory !== undefined &&
        isSame(mark, memory.mark) &&
        now() - memory.looked < BELIEVED_MS;
      if (believed) {
        for (const { number, via, certain, fds, fdinfo } of memory.holds) {
          if (fds.size === 0) search.holds.add(target.pid, via, number, certain);
          for (const [n, fd] of [...fds].entries())
            search.holds.add(target.pid, via, number, certain, fd, fdinfo[n]);
        }
      } else {
        awake.push(target);
        this.#memories.delete(target.pid);
        if (mark !== null) this.#marks.set(target.pid, { mark, at: now() });
      }
      if (i % 128 === 127) await breathe();
    }
    return awake;
  }

  /** Remembers what the look after `recall` found, but for processes of which it could not see all. */
  keep(known: ReadonlySet<number>, search: Search, doubtful: ReadonlySet<number>): void {
    for (const pid of this.#memories.keys()) if (!known.has(pid)) this.#memories.delete(pid);
    for (const [pid, { mark, at }] of this.#marks) {
      if (!doubtful.has(pid)) this.#memories.set(pid, { mark, holds: search.holds.of(pid), looked: at });
    }
    this.#marks = new Map();
    for (const oldest of this.exporters.keys()) {
      if (this.exporters.size <= EXPORTERS) break;
      this.exporters.delete(oldest);
    }
  }
}
