/** Begins an operation and stays with it to its end. The helper does the work; leaving changes nothing about it. */
import { FAILURES } from '../../core/src/errors.js';
import { canAsk, withAgent } from './agent.js';
import { boxed, type Follower, type ManagerClient } from './bus/client.js';
import { failureNamed } from './bus/decode.js';
import { HelperError } from './bus/errors.js';
import type { State } from './bus/state.js';
import { type Context, type ExitStatus, writeJson } from './context.js';
import { DOCUMENT_VERSION, type OperationDocument, type ResultDocument } from './documents.js';
import { type Progress, progressOn } from './progress.js';
import { outcomeLine } from './render/operation.js';

/** What a shell says of a program that Ctrl-C ended. */
export const INTERRUPTED = 130;

/** How long to wait for a helper that ended in the middle to be there again. */
const RETURN_MS = 20_000;

const GOES_ON =
  'It goes on without this command: “gpu-handoff watch” follows it, “gpu-handoff cancel” stops it.';

/** The options of a call that polkit may ask about. */
export function authorityOptions(
  context: Context,
  more: Readonly<Record<string, boolean>> = {},
): ReturnType<typeof boxed> {
  return boxed({ interactive: canAsk(context), ...more });
}

const LOST_SIGHT =
  'The end of this was not seen, since something else began: “gpu-handoff status” says how things are now.';
const MENDED =
  'The helper was restarted in the middle and has mended what it found: “gpu-handoff status” says how things are now.';

/** Resolves with the operation when it is over. Rejects when its end cannot be seen any more. */
function overOf(client: ManagerClient, id: string, progress: Progress): Promise<OperationDocument> {
  return new Promise((resolve, reject) => {
    let patience: NodeJS.Timeout | undefined;
    let restarted = false;
    const finish = (end: () => void): void => {
      clearTimeout(patience);
      client.unfollow(follower);
      end();
    };
    const refuse = (sentence: string): void => finish(() => reject(new HelperError('Failed', sentence)));
    const follower: Follower = {
      changed: ({ operation }: State) => {
        const running = operation?.state === 'running';
        const mending = restarted && operation?.kind === 'recover';
        if (operation !== null && (mending || (running && operation.id === id))) progress.show(operation);
        if (running && (mending || operation.id === id)) return;
        if (operation?.id === id) finish(() => resolve(operation));
        // One operation is published at a time: another one means that ours is over or forgotten.
        else refuse(restarted ? MENDED : LOST_SIGHT);
      },
      lost: (why) => {
        restarted = true;
        clearTimeout(patience);
        patience = setTimeout(() => finish(() => reject(why)), RETURN_MS);
        // Starting it again is what mends the machine.
        client.call('Watch', [{}]).catch((fault) => finish(() => reject(fault)));
      },
      found: () => clearTimeout(patience),
    };
    client.follow(follower).catch((fault) => finish(() => reject(fault)));
  });
}

/** Calls back at Ctrl-C and at a polite request to end. */
function onInterrupt(heard: () => void): () => void {
  process.on('SIGINT', heard);
  process.on('SIGTERM', heard);
  return () => {
    process.off('SIGINT', heard);
    process.off('SIGTERM', heard);
  };
}

/** Begins, shows, waits, and says how it ended. Resolves with the exit status. */
export async function operate(
  context: Context,
  client: ManagerClient,
  cardNames: (ids: readonly string[]) => string,
  begin: () => Promise<unknown>,
): Promise<ExitStatus> {
  const { out, options } = context;
  const progress = progressOn(out, options.json);
  const id = String(await withAgent(context, begin));
  const interrupted = new Promise<'interrupted'>((resolve) => {
    const stop = onInterrupt(() => {
      stop();
      resolve('interrupted');
    });
  });
  let end: OperationDocument | 'interrupted';
  try {
    end = await Promise.race([overOf(client, id, progress), interrupted]);
  } catch (fault) {
    progress.leave();
    throw fault;
  }
  if (end === 'interrupted') {
    progress.leave();
    // The terminal has written ^C where the next line begins.
    const wipe = context.err.draws ? '\r\x1b[K' : '';
    context.err.write(`${wipe}${context.err.paper.wrap(GOES_ON, 0)}\n`);
    return INTERRUPTED;
  }
  const ok = end.state === 'done';
  if (options.json) {
    const document: ResultDocument = { version: DOCUMENT_VERSION, ok, operation: end };
    writeJson(context, document);
    return ok ? 0 : statusOf(end);
  }
  progress.end(end);
  // How it failed is for standard error, where a script looks for it.
  const outlet = ok ? out : context.err;
  outlet.write(`${outcomeLine(outlet.paper, end, cardNames(end.cards))}\n`);
  return ok ? 0 : statusOf(end);
}

function statusOf(operation: OperationDocument): ExitStatus {
  return FAILURES[failureNamed(operation.error ?? 'Failed')];
}
