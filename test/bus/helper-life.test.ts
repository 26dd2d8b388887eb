import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { MANAGER } from '../../core/src/contract.js';
import { type Faults, readModel, writeModel } from '../../core/src/linux/simulated/model.js';
import {
  type Caller,
  type HelperBus,
  type HelperOptions,
  startHelperBus,
  withoutHolders,
} from './support-helper.js';
import { WireClient } from './support-wire.js';

const CARD = '0000:01:00.0';
/** With `idle: 1` a helper that nobody needs is gone long before. */
const GONE_MS = 10_000;
/** With `idle: 1` a helper that nobody needs would be gone after. */
const STAYS_MS = 3_000;

let open: HelperBus[] = [];
afterEach(async () => {
  await Promise.all(open.map((helper) => helper.stop()));
  open = [];
});

async function start(options: HelperOptions = {}): Promise<HelperBus> {
  const helper = await startHelperBus({ prepare: withoutHolders, ...options });
  open.push(helper);
  return helper;
}

const runs = (helper: HelperBus): Promise<boolean> =>
  helper.pid().then(
    () => true,
    () => false,
  );

/** Waits until no helper runs any more. */
async function gone(helper: HelperBus): Promise<void> {
  await expect.poll(() => runs(helper), { timeout: GONE_MS }).toBe(false);
}

const faults = (helper: HelperBus, value: Faults): void => writeModel(helper.dir, 'faults', value);

function expectNoStack(helper: HelperBus): void {
  expect(helper.bus.log()).not.toMatch(/^ +at |Error: |Unhandled/m);
}

/** Begins a hand-off whose steps take long, and waits until one of them is running. */
async function handOffUpTo(helper: HelperBus, alice: Caller, step: string): Promise<string> {
  faults(helper, { slow: 300 });
  await alice.hear();
  const id = (await alice.call('HandOff', 'win11')) as string;
  await alice.until((one) => one.id === id && one.steps.some((s) => s.id === step && s.state === 'running'));
  return id;
}

async function notes(helper: HelperBus): Promise<string[]> {
  const { stdout } = await helper.bus.run(['ls', '/srv/workstation/run/gpu-handoff']);
  return stdout.split('\n').filter((name) => name !== '');
}

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

  it('is not kept by watchers that are gone before their call is looked at', async () => {
    const helper = await start({ idle: 1 });
    const call = { destination: MANAGER.name, path: MANAGER.path, interface: MANAGER.interface };
    const watch = { ...call, member: 'Watch', signature: 'a{sv}', body: [[]] };
    const first = await WireClient.connect(helper.bus.address);
    await first.call({ ...watch });
    const clients = await Promise.all(
      Array.from({ length: 60 }, () => WireClient.connect(helper.bus.address)),
    );
    for (const client of clients) {
      client.send(watch);
      client.close();
    }
    first.close();
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
    await expect.poll(() => readModel(helper.dir, 'machines')[0]?.running, { timeout: GONE_MS }).toBe(true);
    expect(await helper.pid()).toBe(first);
  });

  it('answers every call, also those that come while it leaves', { timeout: 40_000 }, async () => {
    const helper = await start({ idle: 0.04 });
    const callers = await Promise.all(Array.from({ length: 3 }, () => helper.as('alice')));
    const pids = new Set<number>();
    await Promise.all(
      callers.map(async (caller, i) => {
        for (let n = 0; n < 25; n++) {
          expect(await caller.get('Version')).toMatch(/^\d/);
          if (i === 0)
            await helper
              .pid()
              .then((pid) => pids.add(pid))
              .catch(() => {});
          // Around the moment at which it leaves.
          await sleep(45 + ((n * 7 + i * 5) % 40));
        }
      }),
    );
    expect(pids.size).toBeGreaterThan(3);
    expectNoStack(helper);
  });
});

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

describe('a helper that is killed', () => {
  it.each(['claim', 'unload:nvidia_modeset', 'start-vm'])(
    'in the middle (%s) is mended by the next',
    async (step) => {
      const helper = await start();
      const alice = await helper.as('alice');
      const id = await handOffUpTo(helper, alice, step);
      await helper.bus.run(['kill', '-KILL', `${await helper.pid()}`]);
      await gone(helper);
      expect(await notes(helper)).toContain('journal.json');
      faults(helper, {});
      // Any call starts the next, and this one waits until all is mended.
      await alice.call('Watch');
      const mended = await alice.operation();
      expect(mended).toMatchObject({ kind: 'recover', state: 'done', user: 'root', error: '' });
      expect(mended.id).not.toBe(id);
      expect(mended.sentence).toBe(
        'The helper was restarted in the middle, and GeForce RTX 4070 Max-Q / Mobile was brought back to the host.',
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
    const waiting = alice.call('Watch').catch(() => {});
    await alice.until((one) => one.kind === 'recover' && one.steps.some((s) => s.state === 'done'));
    await helper.bus.run(['kill', '-KILL', `${await helper.pid()}`]);
    await waiting;
    await gone(helper);
    faults(helper, {});
    await alice.call('Watch');
    expect(await alice.operation()).toMatchObject({ kind: 'recover', state: 'done' });
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
    // The next one mends, which takes some seconds; who watches waits for that.
    const watching = alice.call('Watch');
    await alice.until((one) => one.kind === 'recover');
    await helper.bus.run(['kill', '-TERM', `${await helper.pid()}`]);
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
    expect(await alive(helper, pid)).toBe(true);
    await expect.poll(() => alive(helper, pid), { timeout: GONE_MS }).toBe(false);
    expect(readModel(helper.dir, 'machines')[0]).toMatchObject({ running: true });
    expect(await notes(helper)).toMatchObject([expect.stringMatching(/^held-/)]);
    expectNoStack(helper);
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
