import type { Patience } from './process-child.js';

/** How a use was found. */
export type Via = 'fd' | 'map' | 'dmabuf';

/** One way in which one process holds the card, while the pass is under way. */
export interface Hold {
  readonly number: string;
  readonly via: Via;
  readonly certain: boolean;
  readonly fds: Set<number>;
  /** Paths of the fdinfo files of those descriptors. */
  readonly fdinfo: string[];
}

/** What a pass has found so far, by process. */
export class Holds {
  readonly #byPid = new Map<number, Map<string, Hold>>();

  add(pid: number, via: Via, number: string, certain: boolean, fd?: number, fdinfo?: string): void {
    const uses = this.#byPid.get(pid) ?? new Map<string, Hold>();
    this.#byPid.set(pid, uses);
    const key = `${via} ${number} ${certain}`;
    const hold = uses.get(key) ?? { number, via, certain, fds: new Set(), fdinfo: [] };
    uses.set(key, hold);
    if (fd === undefined || hold.fds.has(fd)) return;
    hold.fds.add(fd);
    if (fdinfo !== undefined) hold.fdinfo.push(fdinfo);
  }

  of(pid: number): readonly Hold[] {
    return [...(this.#byPid.get(pid)?.values() ?? [])];
  }

  drop(pid: number): void {
    this.#byPid.delete(pid);
  }

  pids(): readonly number[] {
    return [...this.#byPid.keys()];
  }
}

/** What every part of one pass needs to know. */
export interface Search {
  /** `/proc`. */
  readonly proc: string;
  readonly numbers: ReadonlySet<string>;
  readonly exporters: ReadonlySet<string>;
  readonly holds: Holds;
  readonly patience: Patience;
}

/**
 * A directory of /proc to look into: a process, or one thread of it where its first thread has ended (the
 * process's own fd and maps are then empty).
 */
export interface Target {
  readonly pid: number;
  readonly base: string;
}

/** The process that a path below /proc belongs to; NaN for any other path. */
export function pidOf(proc: string, path: string): number {
  if (!path.startsWith(proc) || path[proc.length] !== '/') return Number.NaN;
  return Number.parseInt(path.slice(proc.length + 1), 10);
}
