/** How chosen apps get onto the dGPU: the wrapper, switcheroo-control, the action in Plasma's launchers. */
import { accessSync, constants, existsSync } from 'node:fs';
import type { Card } from '../../../core/src/detect.js';
import { HandoffError } from '../../../core/src/errors.js';
import { askSwitcheroo, type BusCall } from '../../../core/src/linux/switcheroo.js';
import { judgeSwitcheroo, type SwitcherooFacts } from '../../../core/src/switcheroo.js';
import { printable, say } from '../../../core/src/words.js';
import { addressOf } from '../bus/address.js';
import { QuickBus } from '../bus/quick-bus.js';
import type { CheckDocument } from '../documents.js';
import type { Environment } from '../terminal.js';
import { cannotTell, missing, ok } from './check.js';

const WRAPPER = '/usr/bin/gpu-handoff-run';
const PLASMA_ACTION = '/usr/share/plasma/kickeractions/gpu-handoff.desktop';
/** There where a file of udev's rule says that the machine has a card for apps; see docs/switcheroo.md. */
const PLASMA_OFFER = '/run/gpu-handoff-offer';
const RECIPE = '/usr/share/gpu-handoff/switcheroo-control/README.md';
const REINSTALL = 'Install the package of GPU Handoff again.';

function systemBus(address: string | null): BusCall {
  const bus = new QuickBus(addressOf(address));
  return async ({ destination, path, interface: iface, member, body }) => {
    try {
      return await bus.call({ destination, path, interface: iface, member, strings: body.map(String) });
    } catch (fault) {
      // Worded for the helper, which was not asked here.
      if (fault instanceof HandoffError) throw new Error(fault.sentence.values.why ?? fault.message);
      throw fault;
    }
  };
}

async function facts(address: string | null): Promise<SwitcherooFacts> {
  try {
    return await askSwitcheroo(systemBus(address));
  } catch (fault) {
    const failure =
      fault instanceof HandoffError ? (fault.sentence.values.why ?? fault.message) : String(fault);
    return { owner: 'switcheroo', ownerName: '', gpus: [], failure };
  }
}

function differs(id: string, title: string, sentence: string, advice: string): CheckDocument {
  return { id, title, result: 'differs', sentence, advice };
}

const VERSIONS = { unpatched: '2.6 or older', third: '3.0 or later' } as const;

/** What switcheroo-control there is, and what it means for apps that are started from a desktop's own menu. */
export function switcherooCheck(
  found: SwitcherooFacts,
  session: Readonly<Record<string, string>>,
  dgpus: readonly Card[],
): CheckDocument {
  const id = 'switcheroo';
  const title = 'switcheroo-control';
  const { kind, undoes, reason } = judgeSwitcheroo(found, session, dgpus);
  const way = say(reason);
  if (kind === 'absent') {
    const text = found.startable === true ? 'It is installed, but does not run.' : 'It is not there.';
    return ok(id, title, `${text} ${way}`);
  }
  if (kind === 'other-owner') {
    const owner = printable(found.ownerName) || 'Another program';
    return differs(
      id,
      title,
      `${owner} owns its name on the bus. ${way}`,
      'Two programs that decide which apps may use a card get in each other’s way: keep one of them.',
    );
  }
  if (found.failure !== '') return cannotTell(id, title, way, 'See “systemctl status switcheroo-control”.');
  if (kind === 'unknown')
    return cannotTell(
      id,
      title,
      `It runs, but sees only one card, so whether it is patched cannot be told. ${way}`,
      'Ask again while the card is at the host.',
    );
  if (kind === 'patched')
    return ok(id, title, `It runs, patched to free apps of what keeps the session off the card. ${way}`);
  if (kind === 'wrongly-patched')
    return differs(
      id,
      title,
      `It runs, patched so that apps still do not reach the card. ${way}`,
      `Build it with the patch of GPU Handoff, or use the one of your distribution: see ${RECIPE}.`,
    );
  const version = `It runs (version ${VERSIONS[kind]}).`;
  if (undoes.vulkan && undoes.egl && undoes.glx) return ok(id, title, `${version} ${way}`);
  if (found.gpus.every((gpu) => gpu.isDefault)) return cannotTell(id, title, `${version} ${way}`);
  return differs(
    id,
    title,
    `${version} ${way}`,
    `The desktop’s own entry for the other card does not work for all apps; use “Run on dGPU”, or build it with the patch: see ${RECIPE}.`,
  );
}

function wrapperCheck(): CheckDocument {
  const title = 'Wrapper';
  try {
    accessSync(WRAPPER, constants.X_OK);
  } catch {
    return missing('wrapper', title, `${WRAPPER} is not there, or not executable.`, REINSTALL);
  }
  return ok('wrapper', title, `${WRAPPER} is there.`);
}

function plasmaCheck(): CheckDocument {
  const id = 'plasma-action';
  const title = 'Plasma’s launchers';
  if (!existsSync(PLASMA_ACTION)) return missing(id, title, `${PLASMA_ACTION} is not there.`, REINSTALL);
  if (existsSync(PLASMA_OFFER)) return ok(id, title, 'They offer “Run on dGPU” for every app.');
  return ok(id, title, 'They do not offer “Run on dGPU”, since the machine has only one graphics card.');
}

export async function launchingChecks(
  bus: string | null,
  env: Environment,
  cards: readonly Card[],
): Promise<CheckDocument[]> {
  const session: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) if (value !== undefined) session[name] = value;
  const dgpus = cards.filter((card) => card.role === 'dgpu');
  const checks = [wrapperCheck(), switcherooCheck(await facts(bus), session, dgpus)];
  if ((session.XDG_CURRENT_DESKTOP ?? '').split(':').includes('KDE')) checks.push(plasmaCheck());
  return checks;
}
