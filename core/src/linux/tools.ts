import type { Run } from './child.js';

/** What an act works with. */
export interface Tools {
  /** Where the machine's files begin: `/`, or the tree of a test. */
  readonly root: string;
  readonly run: Run;
  /** Milliseconds that are left of the act's time, at least one. */
  readonly left: () => number;
}
