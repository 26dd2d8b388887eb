/** Helpers that come and go: is one running, has it left, what has it written down. */
import { afterEach, expect } from 'vitest';
import { type Faults, writeModel } from '../../core/src/linux/simulated/model.js';
import {
  type Caller,
  type HelperBus,
  type HelperOptions,
  type PublishedOperation,
  startHelperBus,
  withoutHolders,
} from './support-helper.js';

/** With `idle: 1` a helper that nobody needs is gone long before. */
export const GONE_MS = 10_000;

let open: HelperBus[] = [];

/** A helper's bus that is stopped after the test. */
export async function start(options: HelperOptions = {}): Promise<HelperBus> {
  const helper = await startHelperBus({ prepare: withoutHolders, ...options });
  open.push(helper);
  return helper;
}

/** Stops what `start` started, after each test of the file that calls this. */
export function stopAfterEach(): void {
  afterEach(async () => {
    await Promise.all(open.map((helper) => helper.stop()));
    open = [];
  });
}

export const runs = (helper: HelperBus): Promise<boolean> =>
  helper.pid().then(
    () => true,
    () => false,
  );

/** Waits until no helper runs any more. */
export async function gone(helper: HelperBus): Promise<void> {
  await expect.poll(() => runs(helper), { timeout: GONE_MS }).toBe(false);
}

export const faults = (helper: HelperBus, value: Faults): void => writeModel(helper.dir, 'faults', value);

export function expectNoStack(helper: HelperBus): void {
  expect(helper.bus.log()).not.toMatch(/^ +at |Error: |Unhandled/m);
}

/** Begins a hand-off whose steps take long, and waits until one of them is running. */
export async function handOffUpTo(helper: HelperBus, alice: Caller, step: string): Promise<string> {
  // The wanted step lasts long, so that what a test does then is done within it on a busy machine, too.
  faults(helper, { slow: 200 });
  await alice.hear();
  const id = (await alice.call('HandOff', 'win11')) as string;
  /** How many steps before the wanted one it is; nothing before its steps are known. */
  const ahead = (one: PublishedOperation): number => {
    if (one.id !== id) return Number.NaN;
    const wanted = one.steps.findIndex((s) => s.id === step);
    const running = one.steps.findIndex((s) => s.state === 'running');
    return wanted < 0 || running < 0 ? Number.NaN : wanted - running;
  };
  await alice.until((one) => ahead(one) <= 1);
  faults(helper, { slow: 2500 });
  await alice.until((one) => ahead(one) === 0);
  faults(helper, { slow: 200 });
  return id;
}

/** Names of the notes that stand under /run. */
export async function notes(helper: HelperBus): Promise<string[]> {
  const { stdout } = await helper.bus.run(['ls', '/srv/workstation/run/gpu-handoff']);
  return stdout.split('\n').filter((name) => name !== '');
}
