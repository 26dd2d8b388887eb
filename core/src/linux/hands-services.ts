import type { ServiceFacts } from '../facts.js';
import { ActError } from '../machine.js';
import { say, sentence } from '../words.js';
import { complaintOf, type Run } from './child.js';
import type { Tools } from './tools.js';

const UNIT = /^[A-Za-z0-9:_.\\@-]{1,255}\.(service|socket|target)$/;
/** systemctl's status for a unit that does not exist or is not loaded (LSB). */
const NOT_INSTALLED = 5;

/** Stops units in one call. One that does not exist is stopped. */
export async function stopServices(tools: Tools, units: readonly string[]): Promise<void> {
  checkUnits(units);
  if (units.length === 0) return;
  const result = await systemctl(tools, ['stop', '--', ...units]);
  if (result.status !== 0 && result.status !== NOT_INSTALLED) throw failed('systemctl stop', result);
}

/**
 * Starts units. systemd refuses one that was started five times within ten seconds, which quick swaps do to
 * nvidia-powerd; its counter is then set back, and it is started once more.
 */
export async function startServices(tools: Tools, units: readonly string[]): Promise<void> {
  checkUnits(units);
  if (units.length === 0) return;
  if ((await systemctl(tools, ['start', '--', ...units])).status === 0) return;
  await systemctl(tools, ['reset-failed', '--', ...units]);
  const result = await systemctl(tools, ['start', '--', ...units]);
  if (result.status !== 0) throw failed('systemctl start', result);
}

/** Which units are active or about to be; those that do not exist are left out. Rejects with an ActError. */
export async function servicesActive(
  run: Run,
  units: readonly string[],
  limitMs: number,
): Promise<ServiceFacts[]> {
  checkUnits(units);
  if (units.length === 0) return [];
  const args = ['--no-pager', 'show', '--property=LoadState,ActiveState', '--', ...units];
  const result = await run({ program: 'systemctl', args, limitMs });
  if (result.status !== 0) throw failed('systemctl show', result);
  // One block a unit, in the order asked for: an alias shows another Id than it was asked by.
  const blocks = result.stdout.trim().split(/\n\s*\n/);
  const facts: ServiceFacts[] = [];
  units.forEach((unit, index) => {
    const block = blocks[index] ?? '';
    if (!/^LoadState=/m.test(block) || /^LoadState=not-found$/m.test(block)) return;
    facts.push({ unit, active: /^ActiveState=(active|activating|reloading|refreshing)$/m.test(block) });
  });
  return facts;
}

function systemctl(tools: Tools, args: readonly string[]) {
  const all = ['--no-ask-password', '--quiet', ...args];
  return tools.run({ program: 'systemctl', args: all, limitMs: tools.left() });
}

function failed(command: string, result: Awaited<ReturnType<Run>>): ActError {
  return new ActError('failed', say(sentence('fail.command', { command, why: complaintOf(result) })));
}

function checkUnits(units: readonly string[]): void {
  for (const unit of units) {
    if (!UNIT.test(unit) || unit.startsWith('-')) throw new ActError('failed', 'that is no name of a unit');
  }
}
