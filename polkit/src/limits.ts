/** How many calls may wait for an answer at once: of one connection, and of all of one user's. */
import { failure, type HandoffError } from '../../core/src/errors.js';
import type { Call } from '../../core/src/linux/bus/door.js';
import type { Clients } from './clients.js';

const MOST_CALLS = 16;
const MOST_CALLS_OF_USER = 48;

/** A call of a user who is known. */
export interface UserCall extends Call {
  readonly uid: number;
}

/** Counts by key; what has come to nothing is forgotten. */
class Counts<K> {
  private readonly counts = new Map<K, number>();

  /** Does the work as one more of this key, unless there are too many. */
  async counted<T>(key: K, most: number, work: () => Promise<T>): Promise<T> {
    const before = this.counts.get(key) ?? 0;
    if (before >= most) throw tooMany();
    this.counts.set(key, before + 1);
    try {
      return await work();
    } finally {
      const left = (this.counts.get(key) ?? 1) - 1;
      if (left === 0) this.counts.delete(key);
      else this.counts.set(key, left);
    }
  }
}

export class Limits {
  private readonly clients: Clients;
  private readonly ofCaller = new Counts<string>();
  private readonly ofUser = new Counts<number>();

  constructor(clients: Clients) {
    this.clients = clients;
  }

  /** Answers a call as one of its user's. Rejects with Busy where too many wait already. */
  admit<T>(call: Call, answer: (call: UserCall) => Promise<T>): Promise<T> {
    return this.ofCaller.counted(call.caller, MOST_CALLS, async () => {
      const uid = await this.clients.userOf(call.caller);
      return this.ofUser.counted(uid, MOST_CALLS_OF_USER, () => answer({ ...call, uid }));
    });
  }
}

function tooMany(): HandoffError {
  return failure('Busy', 'error.busy', { what: 'too many calls of yours wait for an answer' });
}
