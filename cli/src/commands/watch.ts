/** `gpu-handoff watch`: shows what changes until it is interrupted. */
import { HandoffError } from '../../../core/src/errors.js';
import { ManagerClient } from '../bus/client.js';
import { decodeHolders } from '../bus/decode.js';
import type { State } from '../bus/state.js';
import type { Context, ExitStatus } from '../context.js';
import type { HoldersSummary, StatusDocument } from '../documents.js';
import { mayBeHeld, ownStatus, statusOfHelper, summarize } from '../gather.js';
import { INTERRUPTED } from '../operate.js';
import { type WatchView, watchView } from '../watch-view.js';

/** Who holds a card is not published, since every look costs; so it is asked now and then. */
const HOLDERS_EVERY_MS = 5000;
/** Without the helper there is nobody who tells; so the command looks by itself. */
const LOOK_EVERY_MS = 2000;

const ALONE = 'The helper cannot be had, so this is an own look every two seconds.';

/** Shows what the helper publishes. Rejects when the helper is gone for good. */
class Follow {
  private readonly client: ManagerClient;
  private readonly view: WatchView;
  private state: State | null = null;
  /** Null until they were asked once: what is shown first is not to change a moment later. */
  private holders: ReadonlyMap<string, HoldersSummary> | null = null;
  private asking = false;

  constructor(client: ManagerClient, view: WatchView) {
    this.client = client;
    this.view = view;
  }

  async run(interrupted: Promise<void>): Promise<void> {
    const { client } = this;
    await client.call('Watch', [{}]);
    const lost = new Promise<never>((_, reject) => {
      const follower = {
        changed: (state: State) => {
          this.state = state;
          if (this.holders !== null) this.show();
          this.ask();
        },
        // Watching again starts it again.
        lost: () => void client.call('Watch', [{}]).catch(reject),
        found: () => void client.call('Watch', [{}]).catch(() => {}),
      };
      client.follow(follower).catch(reject);
    });
    const timer = setInterval(() => this.ask(), HOLDERS_EVERY_MS);
    try {
      await Promise.race([interrupted, lost]);
    } finally {
      clearInterval(timer);
    }
  }

  private show(): void {
    const { state, holders } = this;
    if (state !== null) this.view.show(statusOfHelper({ state, holders: holders ?? new Map() }));
  }

  /** Asks who holds the cards that are at home; what is not answered is asked again later. */
  private ask(): void {
    const { state, client } = this;
    if (state === null || this.asking) return;
    this.asking = true;
    const asked = state.cards.filter(mayBeHeld).map(async ({ address }) => {
      const answer = await client.call('GetHolders', [address, {}], { start: false });
      return [address, summarize(decodeHolders(answer))] as const;
    });
    Promise.all(asked)
      .then((answers) => {
        this.holders = new Map(answers);
      })
      .catch(() => {
        this.holders ??= new Map();
      })
      .finally(() => {
        this.asking = false;
        this.show();
      });
  }
}

/** Looks again and again. */
async function lookAgain(
  simulate: string | null,
  view: WatchView,
  notes: readonly string[],
  interrupted: Promise<void>,
): Promise<void> {
  let over = false;
  interrupted.then(() => {
    over = true;
  });
  while (!over) {
    const document: StatusDocument = await ownStatus(simulate, notes);
    view.show(document);
    await Promise.race([interrupted, new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS))]);
  }
}

export async function watch(context: Context): Promise<ExitStatus> {
  const view = watchView(context);
  const interrupted = new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => resolve());
  });
  try {
    if (context.options.simulate !== null) await lookAgain(context.options.simulate, view, [], interrupted);
    else await watchMachine(context, view, interrupted);
  } finally {
    view.leave();
  }
  return INTERRUPTED;
}

async function watchMachine(context: Context, view: WatchView, interrupted: Promise<void>): Promise<void> {
  try {
    const client = await ManagerClient.connect(context.options.bus);
    try {
      await new Follow(client, view).run(interrupted);
    } finally {
      client.close();
    }
  } catch (fault) {
    if (!(fault instanceof HandoffError) || fault.failure !== 'HelperAbsent') throw fault;
    await lookAgain(null, view, [ALONE], interrupted);
  }
}
