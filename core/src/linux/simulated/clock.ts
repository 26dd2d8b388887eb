/** Time for the simulated workstation: the real one, or one that jumps from one wait to the next. */
import type { Clock } from '../../machine.js';

export const realClock: Clock = {
  now: () => Date.now(),
  sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
};

interface Sleeper {
  readonly due: number;
  readonly wake: () => void;
}

/**
 * A clock for tests: when nothing else is left to do, the sleeper that is due first wakes at once and it is
 * then that late. Two minutes of waiting for a guest pass in no time, and always in the same order.
 */
export function jumpingClock(start = Date.now()): Clock {
  let now = start;
  const sleepers: Sleeper[] = [];
  let waking = false;

  // Two turns of the event loop, so that whoever is on the way in the same process gets there first.
  const wakeNext = (): void => {
    if (waking || sleepers.length === 0) return;
    waking = true;
    setImmediate(() =>
      setImmediate(() => {
        waking = false;
        sleepers.sort((a, b) => a.due - b.due);
        const next = sleepers.shift();
        if (next === undefined) return;
        now = Math.max(now, next.due);
        next.wake();
        wakeNext();
      }),
    );
  };

  return {
    now: () => now,
    sleep: (ms) =>
      new Promise((wake) => {
        sleepers.push({ due: now + Math.max(0, ms), wake });
        wakeNext();
      }),
  };
}
