import { now } from './process-child.js';
import { readStat } from './process-stat.js';

/*
 * Every look that does not come back costs its time limit, and may leave a child behind that cannot be ended.
 * So it is remembered for a while which processes do that, from one pass to the next.
 */

const SPARE_MS = 30_000;

/** Processes that are spared one kind of look until some time has gone by. */
export class Spared {
  readonly #processes = new Map<number, { readonly startTicks: number; readonly until: number }>();

  add(proc: string, pid: number): void {
    const stat = readStat(`${proc}/${pid}`);
    if (stat !== null) this.#processes.set(pid, { startTicks: stat.startTicks, until: now() + SPARE_MS });
  }

  has(proc: string, pid: number): boolean {
    const one = this.#processes.get(pid);
    if (one === undefined) return false;
    if (one.until > now() && readStat(`${proc}/${pid}`)?.startTicks === one.startTicks) return true;
    this.#processes.delete(pid);
    return false;
  }
}

/** Those with a descriptor on a file system that may not answer stat(). */
export const slowFiles = new Spared();

/** Those whose memory map is locked for good: neither maps nor cmdline can be read. */
export const lockedMemory = new Spared();
