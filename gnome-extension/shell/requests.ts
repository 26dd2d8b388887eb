/** What becomes of requests when an operation is published. Pure. */
import type { Asked } from '../../core/src/desktop/picture.js';
import type { OperationPublished } from '../../core/src/desktop/published.js';

export interface Settled {
  /** Still to be shown: they run, were refused, or failed a moment ago. */
  readonly keep: readonly Asked[];
  /** Done just now. */
  readonly ended: readonly Asked[];
}

/**
 * `seen` has the ids of all operations that were published since the oldest request was made: only what was seen can
 * have been overtaken.
 */
export function settled(
  asked: readonly Asked[],
  operation: OperationPublished | null,
  seen: ReadonlySet<string>,
): Settled {
  const keep: Asked[] = [];
  const ended: Asked[] = [];
  for (const one of asked) {
    // Nothing is left that could be cancelled.
    if (one.what === 'cancel' && operation?.state !== 'running') continue;
    const own = operation !== null && one.operation === operation.id;
    if (own && operation.state === 'done') ended.push(one);
    else if (own && operation.state === 'cancelled') continue;
    else if (!own && one.operation !== '' && seen.has(one.operation)) continue;
    else keep.push(one);
  }
  return { keep, ended };
}
