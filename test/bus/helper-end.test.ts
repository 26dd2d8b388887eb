import { describe, expect, it } from 'vitest';
import { MANAGER } from '../../core/src/contract.js';
import { readModel } from '../../core/src/linux/simulated/model.js';
import type { Caller, HelperBus, PublishedOperation } from './support-helper.js';
import {
  expectNoStack,
  faults,
  GONE_MS,
  gone,
  handOffUpTo,
  notes,
  start,
  stopAfterEach,
} from './support-life.js';
import { WireClient } from './support-wire.js';

const CARD = '0000:01:00.0';

stopAfterEach();

describe('a second helper', () => {
  it('leaves the first one’s work alone', async () => {
    const helper = await start();
    const alice = await helper.as('alice');
    const id = await handOffUpTo(helper, alice, 'claim');
    const second = await helper.bus.run(['/usr/libexec/gpu-handoff-helper']);
    expect(second).toMatchObject({
      code: 2,
      stderr: `gpu-handoff-helper: another program owns ${MANAGER.name}\n`,
    });
    expect(await notes(helper)).toContain('journal.json');
    faults(helper, {});
    expect(await alice.over(id)).toMatchObject({ state: 'done', error: '' });
  });
});

/** Starts the helper and waits until it has mended what its predecessor left. */
async function overMending(caller: Caller): Promise<PublishedOperation> {
  await caller.call('Watch');
  await expect.poll(async () => (await caller.operation()).state, { timeout: GONE_MS }).not.toBe('running');
  return caller.operation();
}

describe('a helper that is killed', () => {
  it.each(['claim', 'unload:nvidia_modeset', 'start-vm'] as const)(
    'in the middle (%s) is mended by the next',
    async (step) => {
      const helper = await start();
      const alice = await helper.as('alice');
      const id = await handOffUpTo(helper, alice, step);
      await helper.bus.run(['kill', '-KILL', `${await helper.pid()}`]);
      await gone(helper);
      expect(await notes(helper)).toContain('journal.json');
      faults(helper, {});
      // Any call starts the next.
      const mended = await overMending(alice);
      expect(mended).toMatchObject({ kind: 'recover', state: 'done', user: 'root', error: '' });
      expect(mended.id).not.toBe(id);
      expect(mended.sentence).toBe(
        'The helper was restarted in the middle, and ' +
          'GeForce RTX 4070 Max-Q / Mobile was brought back to the host.',
      );
      expect(await alice.card(CARD)).toMatchObject({ state: 'host', driver: 'nvidia', why: '' });
      expect(readModel(helper.dir, 'services').map((service) => service.active)).toEqual([true, true]);
      expect(readModel(helper.dir, 'alarms')).toEqual([]);
      expect(await notes(helper)).toEqual([]);
      await alice.over((await alice.call('HandOff', 'win11')) as string);
      expect(await alice.card(CARD)).toMatchObject({ state: 'vm' });
    },
  );

  it('while it mends is mended by the one after', async () => {
    const helper = await start();
    const alice = await helper.as('alice');
    await handOffUpTo(helper, alice, 'unload:nvidia_uvm');
    await helper.bus.run(['kill', '-KILL', `${await helper.pid()}`]);
    await gone(helper);
    faults(helper, { waits: { act: 'load-modules' } });
    const waiting = alice.call('Watch').catch(() => {});
    await alice.until((one) => one.kind === 'recover' && one.steps.some((s) => s.state === 'done'));
    await helper.bus.run(['kill', '-KILL', `${await helper.pid()}`]);
    await waiting;
    await gone(helper);
    faults(helper, {});
    expect(await overMending(alice)).toMatchObject({ kind: 'recover', state: 'done' });
    expect(await alice.card(CARD)).toMatchObject({ state: 'host' });
    expect(await notes(helper)).toEqual([]);
  });

  it('with a guest that has the card finds it again', async () => {
    const helper = await start();
    const alice = await helper.as('alice');
    await alice.hear();
    await alice.over((await alice.call('HandOff', 'win11')) as string);
    await helper.bus.run(['kill', '-KILL', `${await helper.pid()}`]);
    await gone(helper);
    expect(await alice.card(CARD)).toMatchObject({ state: 'vm', 'vm-name': 'win11' });
    expect(await alice.operation()).toEqual({});
    await alice.over((await alice.call('TakeBack', CARD)) as string);
    expect(await alice.card(CARD)).toMatchObject({ state: 'host' });
  });
});

describe('a helper that is asked to stop', () => {
  it('finishes its operation first', async () => {
    const helper = await start();
    const alice = await helper.as('alice');
    const id = await handOffUpTo(helper, alice, 'claim');
    const pid = await helper.pid();
    await helper.bus.run(['kill', '-TERM', `${pid}`]);
    faults(helper, {});
    expect(await alice.over(id)).toMatchObject({ state: 'done', error: '' });
    await gone(helper);
    expect(readModel(helper.dir, 'machines')[0]).toMatchObject({ running: true });
    expect(await notes(helper)).toMatchObject([expect.stringMatching(/^held-/)]);
    expectNoStack(helper);
  });

  it('leaves at once when nothing runs', async () => {
    const helper = await start();
    const alice = await helper.as('alice');
    await alice.call('Watch');
    await helper.bus.run(['kill', '-TERM', `${await helper.pid()}`]);
    await gone(helper);
    expectNoStack(helper);
  });

  it('answers who waits for an answer', async () => {
    const helper = await start();
    const alice = await helper.as('alice');
    await handOffUpTo(helper, alice, 'claim');
    await helper.bus.run(['kill', '-KILL', `${await helper.pid()}`]);
    await gone(helper);
    // The next one mends; who watches waits for that.
    const watching = alice.call('Watch');
    await alice.until((one) => one.kind === 'recover');
    await helper.bus.run(['kill', '-TERM', `${await helper.pid()}`]);
    faults(helper, {});
    expect(await watching).toBeUndefined();
    await gone(helper);
    expect(await notes(helper)).toEqual([]);
  });
});

describe('when the bus goes away', () => {
  async function endOfBus(helper: HelperBus): Promise<void> {
    await helper.bus.run(['pkill', '-KILL', '-x', 'dbus-daemon']);
  }

  const alive = async (helper: HelperBus, pid: number): Promise<boolean> => {
    const stat = await helper.bus.run(['cat', `/proc/${pid}/stat`]);
    return stat.code === 0 && !/\) Z /.test(stat.stdout);
  };

  it('the helper ends, with one line and no stack', async () => {
    const helper = await start();
    const alice = await helper.as('alice');
    await alice.call('Watch');
    const pid = await helper.pid();
    await endOfBus(helper);
    await expect.poll(() => alive(helper, pid), { timeout: GONE_MS }).toBe(false);
    expectNoStack(helper);
    expect(helper.bus.log().match(/The bus is gone: .+/g)).toHaveLength(1);
  });

  it('a card half on its way is brought to its end first', async () => {
    const helper = await start();
    const alice = await helper.as('alice');
    await handOffUpTo(helper, alice, 'unload:nvidia_modeset');
    const pid = await helper.pid();
    await endOfBus(helper);
    await expect.poll(() => helper.bus.log()).toMatch(/The bus is gone/);
    expect(await alive(helper, pid)).toBe(true);
    faults(helper, {});
    await expect.poll(() => alive(helper, pid), { timeout: GONE_MS }).toBe(false);
    expect(readModel(helper.dir, 'machines')[0]).toMatchObject({ running: true });
    expect(await notes(helper)).toMatchObject([expect.stringMatching(/^held-/)]);
    expectNoStack(helper);
  });
});

describe('a helper that the bus refuses', () => {
  it('says so in one line', async () => {
    const helper = await start();
    const clients: WireClient[] = [];
    // As many connections as a user may have, and that user is root, as the helper will be.
    for (let n = 0; n < 300; n++) {
      const client = await WireClient.connect(helper.bus.address).catch(() => null);
      if (client === null) break;
      clients.push(client);
    }
    expect(clients.length).toBeLessThan(300);
    const refused = await helper.bus.run(['/usr/libexec/gpu-handoff-helper']);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toMatch(/^gpu-handoff-helper: .*connections.*\n$/);
    for (const client of clients) client.close();
  });
});

describe('a helper without a bus', () => {
  it('says so in one line', async () => {
    const helper = await start();
    const command = ['/usr/libexec/gpu-handoff-helper.packaged', '--simulate', '/srv/workstation'];
    const lost = await helper.bus.run([...command, '--bus', 'unix:path=/nowhere']);
    expect(lost.code).toBe(2);
    expect(lost.stderr).toMatch(/^gpu-handoff-helper: connect ENOENT .+\n$/);
    const wrong = await helper.bus.run([...command, '--authority', 'me']);
    expect(wrong).toMatchObject({
      code: 2,
      stderr: 'gpu-handoff-helper: --authority is polkit, allow or deny\n',
    });
    const real = await helper.bus.run(['/usr/libexec/gpu-handoff-helper.packaged', '--authority', 'allow']);
    expect(real.code).toBe(2);
  });
});
