/** Which way entries take to the dGPU now: what switcheroo-control says, in this session's environment. */

import { HandoffError, reasonOf } from '../../../core/src/errors.js';
import type { Way } from '../../../core/src/launch/entry.js';
import { cardsNow } from '../../../core/src/linux/launch/cards.js';
import type { Environment } from '../../../core/src/linux/launch/folders.js';
import { askSwitcheroo } from '../../../core/src/linux/switcheroo.js';
import { judgeSwitcheroo, type SwitcherooFacts } from '../../../core/src/switcheroo.js';
import { say } from '../../../core/src/words.js';
import { addressOf } from '../bus/address.js';
import { QuickBus } from '../bus/quick-bus.js';

export interface WayNow {
  /** What new entries get. */
  readonly way: Way;
  /** False where it holds only for now, so that entries which are there need not be converted. */
  readonly settled: boolean;
  readonly reason: string;
}

/** QuickBus words its failures for the helper, which was not asked here. */
function plainly(fault: unknown): Error {
  return new Error(
    fault instanceof HandoffError ? (fault.sentence.values.why ?? fault.message) : reasonOf(fault),
  );
}

async function askNow(address: string | null): Promise<SwitcherooFacts> {
  let bus: QuickBus;
  try {
    bus = new QuickBus(addressOf(address));
  } catch (fault) {
    return { owner: 'switcheroo', ownerName: '', gpus: [], failure: plainly(fault).message };
  }
  try {
    return await askSwitcheroo(async ({ destination, path, interface: iface, member, body }) => {
      try {
        return await bus.call({ destination, path, interface: iface, member, strings: body.map(String) });
      } catch (fault) {
        throw plainly(fault);
      }
    });
  } finally {
    bus.close();
  }
}

/** `address`: another bus than the system bus, or null. Never rejects. */
export async function wayNow(env: Environment, address: string | null): Promise<WayNow> {
  const session: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) if (value !== undefined) session[name] = value;
  const facts = await askNow(address);
  // Where nobody answers, the cards do not matter.
  const asked = facts.owner === 'switcheroo' && facts.failure === '';
  const dgpus = asked ? (await cardsNow()).filter((card) => card.role === 'dgpu') : null;
  const { way, settled, reason } = judgeSwitcheroo(facts, session, dgpus);
  return { way, settled, reason: say(reason) };
}
