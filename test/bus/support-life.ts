/** Helpers that come and go: is one running, has it left, what has it written down. */
import { afterEach, expect } from 'vitest';
import { type Faults, writeModel } from '../../core/src/linux/simulated/model.js';
import {
  type Caller,
  type HelperBus,
  type HelperOptions,
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

/** What the machine is told to do in a step of a hand-off. */
const ACTS = {
  power: { act: 'set-power' },
  claim: { act: 'set-override' },
  'unload:nvidia_modeset': { act: 'unload-module', module: 'nvidia_modeset' },
  'unload:nvidia_uvm': { act: 'unload-module', module: 'nvidia_uvm' },
  'start-vm': { act: 'start-vm' },
} as const;

/** Begins a hand-off and waits until this step is running; that lasts until other faults are set. */
export async function handOffUpTo(
  helper: HelperBus,
  alice: Caller,
  step: keyof typeof ACTS,
): Promise<string> {
  faults(helper, { waits: ACTS[step] });
  await alice.hear();
  const id = (await alice.call('HandOff', 'win11')) as string;
  await alice.until((one) => one.id === id && one.steps.some((s) => s.id === step && s.state === 'running'));
  return id;
}

/** Names of the notes that stand under /run. */
export async function notes(helper: HelperBus): Promise<string[]> {
  const { stdout } = await helper.bus.run(['ls', '/srv/workstation/run/gpu-handoff']);
  return stdout.split('\n').filter((name) => name !== '');
}
