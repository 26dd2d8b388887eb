import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { MANAGER } from '../../core/src/contract.js';
import { readModel } from '../../core/src/linux/simulated/model.js';
import {
  expectNoStack,
  faults,
  GONE_MS,
  gone,
  handOffUpTo,
  notes,
  runs,
  start,
  stopAfterEach,
} from './support-life.js';

const CARD = '0000:01:00.0';
/** With `idle: 1` a helper that nobody needs would be gone after. */
const STAYS_MS = 2_500;

stopAfterEach();

describe('the helper', () => {
  it('is started by the first call', async () => {
    const helper = await start();
    expect(await runs(helper)).toBe(false);
    const mallory = await helper.as('mallory');
    expect(await mallory.get('Version')).toMatch(/^\d+\.\d+\.\d+$/);
    expect(await runs(helper)).toBe(true);
    const status = await helper.bus.get(`/proc/${await helper.pid()}/status`);
    expect(status).toMatch(/^Uid:\t0\t0\t0\t0$/m);
  });

  it('leaves when nobody needs it, and is started again', async () => {
    const helper = await start({ idle: 1 });
    const alice = await helper.as('alice');
    await alice.get('Version');
    const first = await helper.pid();
    await gone(helper);
    await expect.poll(async () => (await helper.bus.run(['ls', `/proc/${first}`])).code).not.toBe(0);
    await alice.get('Version');
    expect(await helper.pid()).not.toBe(first);
    expectNoStack(helper);
  });

  it('stays for as long as somebody watches', async () => {
    const helper = await start({ idle: 1 });
    const [alice, other] = [await helper.as('alice'), await helper.as('mallory')];
    await Promise.all([alice.call('Watch'), other.call('Watch')]);
    const first = await helper.pid();
    alice.leave();
    await sleep(STAYS_MS);
    expect(await helper.pid()).toBe(first);
    other.leave();
    await gone(helper);
  });

  it('is not kept by a watcher that was killed', async () => {
    const helper = await start({ idle: 1 });
    const script = `
import dbus, time
bus = dbus.SystemBus()
bus.get_object('${MANAGER.name}', '${MANAGER.path}').Watch({}, dbus_interface='${MANAGER.interface}')
print('watching', flush=True)
time.sleep(1000)
`;
    const watcher = helper.bus.spawn(['python3', '-c', script], { user: 'alice' });
    await watcher.waitFor(/^watching$/m);
    expect(await runs(helper)).toBe(true);
    await watcher.kill('SIGKILL');
    await gone(helper);
  });

  it('stays while a guest has the card, takes it back when the guest ends, and leaves then', async () => {
    const helper = await start({ idle: 1 });
    const alice = await helper.as('alice');
    await alice.hear();
    await alice.over((await alice.call('HandOff', 'win11')) as string);
    const first = await helper.pid();
    alice.leave();
    await sleep(STAYS_MS);
    expect(await helper.pid()).toBe(first);
    helper.guests((guests) => {
      for (const guest of guests) if (guest.name === 'win11') guest.request = 'shutdown';
    });
    await gone(helper);
    expect(await notes(helper)).toEqual([]);
    expect(await (await helper.as('alice')).card(CARD)).toMatchObject({ state: 'host', driver: 'nvidia' });
  });

  it('stays while an operation runs, though nobody listens', async () => {
    const helper = await start({ idle: 1 });
    const alice = await helper.as('alice');
    await handOffUpTo(helper, alice, 'power');
    const first = await helper.pid();
    alice.leave();
    await sleep(STAYS_MS);
    faults(helper, {});
    await expect.poll(() => readModel(helper.dir, 'machines')[0]?.running, { timeout: GONE_MS }).toBe(true);
    expect(await helper.pid()).toBe(first);
  });

  it('tells who watches what it mends while it does', async () => {
    const helper = await start();
    const alice = await helper.as('alice');
    await handOffUpTo(helper, alice, 'unload:nvidia_modeset');
    const waits = [
      { act: 'unload-module', module: 'nvidia_modeset' } as const,
      { act: 'load-modules' } as const,
    ];
    faults(helper, { waits });
    await helper.bus.run(['kill', '-KILL', `${await helper.pid()}`]);
    await helper.bus.waitForNoName(MANAGER.name);
    await alice.call('Watch');
    expect(await alice.get('Operation')).toMatchObject({ kind: 'recover', state: 'running' });
    faults(helper, {});
    await expect.poll(async () => (await alice.operation()).state, { timeout: GONE_MS }).toBe('done');
    expect(await alice.card(CARD)).toMatchObject({ state: 'host', driver: 'nvidia' });
  });

  it('answers a call that came while it was about to leave', async () => {
    const helper = await start({ idle: 1 });
    const alice = await helper.as('alice');
    await alice.get('Version');
    const pid = `${await helper.pid()}`;
    // When it goes on, its time is over and the call lies in its socket: both at once.
    await helper.bus.run(['kill', '-STOP', pid]);
    const asked = alice.get('Version');
    await sleep(1_500);
    await helper.bus.run(['kill', '-CONT', pid]);
    expect(await asked).toMatch(/^\d/);
    await gone(helper);
    expectNoStack(helper);
  });

  it('answers every call, whenever it comes', async () => {
    const helper = await start({ idle: 0.04 });
    const callers = await Promise.all(Array.from({ length: 3 }, () => helper.as('alice')));
    // The calls come around the moment at which it leaves, wherever that is on a machine as busy as this one.
    let [pause, lives, owner] = [60, 0, ''];
    while (lives < 6) {
      const answers = callers.map(async (caller, i) => {
        await sleep(7 * i);
        return caller.get('Version');
      });
      for (const version of await Promise.all(answers)) expect(version).toMatch(/^\d/);
      const now = (await helper.bus.owner(MANAGER.name)) ?? '';
      const left = now !== owner;
      if (left) lives += 1;
      pause *= left ? 0.9 : 1.1;
      owner = now;
      await sleep(pause);
    }
    expectNoStack(helper);
  });
});
