import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { MANAGER } from '../../core/src/contract.js';
import { editModel, type Faults, readModel, writeModel } from '../../core/src/linux/simulated/model.js';
import {
  type Caller,
  type HelperBus,
  type Plain,
  type PublishedOperation,
  refusal,
  startHelperBus,
  withoutHolders,
} from './support-helper.js';

const CARD = '0000:01:00.0';
const CARD_NAME = 'GeForce RTX 4070 Max-Q / Mobile';

function statesOf(operation: PublishedOperation): string {
  return operation.steps.map((step) => step.state).join(' ');
}

/** How an operation was published, from its first change to its end. */
function publishedOf(caller: Caller, id: string): PublishedOperation[] {
  return caller.heard().filter((operation) => operation.id === id);
}

/** Everything in a tree: texts, links and modes by path. */
function contents(dir: string, below = ''): Map<string, string> {
  const found = new Map<string, string>();
  for (const name of readdirSync(join(dir, below))) {
    const path = join(below, name);
    const stat = lstatSync(join(dir, path));
    const what = stat.isSymbolicLink()
      ? readlinkSync(join(dir, path))
      : stat.isFile()
        ? `${readFileSync(join(dir, path), 'latin1')} written ${stat.mtimeMs}`
        : '';
    found.set(path, `${stat.mode} ${what}`);
    if (stat.isDirectory()) for (const [one, text] of contents(dir, path)) found.set(one, text);
  }
  return found;
}

describe('operations', () => {
  let helper: HelperBus;
  let alice: Caller;
  let tester: Caller;
  let mallory: Caller;
  beforeAll(async () => {
    helper = await startHelperBus({ prepare: withoutHolders });
    [alice, tester, mallory] = await Promise.all([
      helper.as('alice'),
      helper.as('tester'),
      helper.as('mallory'),
    ]);
    await Promise.all([alice.hear(), mallory.hear()]);
  });
  afterAll(() => helper?.stop());

  const faults = (value: Faults): void => writeModel(helper.dir, 'faults', value);

  async function bringHome(): Promise<void> {
    faults({});
    helper.guests((guests) => {
      for (const guest of guests) guest.onShutdown = 'obeys';
    });
    if ((await alice.card(CARD)).state === 'host') return;
    const id = (await alice.call('TakeBack', CARD, { force: true })) as string;
    expect(await alice.over(id)).toMatchObject({ state: 'done' });
  }
  afterEach(async () => {
    await bringHome();
    expect(readModel(helper.dir, 'alarms')).toEqual([]);
  });

  /** Hands the card over, and keeps the guest from obeying where `obeys` is false. */
  async function handOver(obeys = true): Promise<void> {
    helper.guests((guests) => {
      for (const guest of guests) guest.onShutdown = obeys ? 'obeys' : 'ignores';
    });
    const id = (await alice.call('HandOff', 'win11')) as string;
    expect(await alice.over(id)).toMatchObject({ state: 'done' });
  }

  it('answer with their id at once, while they go on', async () => {
    faults({ waits: { act: 'set-override' } });
    const id = await alice.call('HandOff', 'win11');
    expect(id).toMatch(/^[a-z0-9]+-\d+$/);
    expect(await alice.operation()).toMatchObject({ id, state: 'running' });
    faults({});
    expect(await alice.over(id as string)).toMatchObject({ state: 'done' });
  });

  it('tell each step as it goes: waiting, running, done, one after the other', async () => {
    // Far longer than changes are gathered for, which is ten times what telling the last ones took of a core.
    faults({ slow: 500 });
    const id = (await alice.call('HandOff', 'win11')) as string;
    const end = await alice.over(id);
    expect(end).toMatchObject({ state: 'done', kind: 'hand-off', error: '', sentence: '', cards: [CARD] });
    expect(end.title).toBe(`handing ${CARD_NAME} to the VM “win11”`);
    expect(end.steps.map((step) => step.id)).toEqual([
      ...['preflight', 'power', 'claim', 'block', 'mask', 'stop', 'look'],
      ...['unload:nvidia_drm', 'unload:nvidia_modeset', 'unload:nvidia_uvm', 'unload:nvidia'],
      ...['start-vm', 'guest-has'],
    ]);
    const published = publishedOf(alice, id);
    for (const one of published) expect(statesOf(one)).toMatch(/^(done ?)*(running ?)?(waiting ?)*$/);
    const order = ['waiting', 'running', 'done'];
    // These can be over before the next change is out; what the machine is told to do takes its time here.
    const looks = ['preflight', 'look', 'guest-has'];
    for (const { id: step } of end.steps) {
      const states = published.map((one) =>
        order.indexOf(one.steps.find((s) => s.id === step)?.state ?? 'waiting'),
      );
      expect(states).toEqual([...states].sort());
      if (!looks.includes(step)) expect(states).toContain(1);
    }
    expect(published.at(-1)).toEqual(end);
  });

  it('are heard by everybody as values, from the helper, and never as something to ask for', async () => {
    const begin = mallory.changes.length;
    faults({ slow: 60 });
    await handOver();
    const owner = await helper.bus.owner(MANAGER.name);
    await expect.poll(() => mallory.heard().at(-1)?.state).toBe('done');
    const changes = mallory.changes.slice(begin);
    expect(changes.length).toBeGreaterThan(5);
    for (const change of changes) {
      expect(change.sender).toBe(owner);
      expect(change.invalidated).toEqual([]);
      expect(Object.keys(change.values).length).toBeGreaterThan(0);
    }
    // What was heard last is what is asked.
    const heard: Record<string, unknown> = {};
    for (const change of mallory.changes) Object.assign(heard, change.values);
    const { Cards, Guests, Operation } = await mallory.all();
    expect(heard).toMatchObject({ Cards, Guests, Operation });
  });

  it('bring the card to the guest, and say so once it is seen there', async () => {
    const heard = alice.changes.length;
    await handOver();
    expect(await alice.card(CARD)).toMatchObject({
      ...{ state: 'vm', driver: 'vfio-pci', 'vm-name': 'win11' },
    });
    const guests = (await alice.get('Guests')) as Plain[];
    expect(guests).toMatchObject([{ name: 'win11', cards: [CARD] }]);
    expect(await alice.call('ListVirtualMachines')).toMatchObject([{ name: 'win11', running: true }, {}]);
    const cards = alice.changes
      .slice(heard)
      .flatMap(({ values }) => ('Cards' in values ? [values.Cards] : []));
    const states = cards.map((all) => (all as Plain[]).find((card) => card.id === CARD)?.state);
    expect([...new Set(states)].filter((state) => state !== 'host')).toEqual(['switching', 'vm']);
  });

  it('bring it back home', async () => {
    await handOver();
    const id = (await tester.call('TakeBack', CARD)) as string;
    const end = await alice.over(id);
    expect(end).toMatchObject({ kind: 'take-back', state: 'done', error: '', user: 'ada' });
    expect(end.title).toBe(`taking ${CARD_NAME} back from the VM “win11”`);
    for (const one of publishedOf(alice, id))
      expect(statesOf(one)).toMatch(/^(done ?)*(running ?)?(waiting ?)*$/);
    expect(await alice.card(CARD)).toMatchObject({ state: 'host', driver: 'nvidia', 'vm-name': '' });
    expect(await alice.get('Guests')).toEqual([]);
    expect(readModel(helper.dir, 'services').map((service) => service.active)).toEqual([true, true]);
  });

  it('take the card from a guest that does not obey, where that is asked for', async () => {
    await handOver(false);
    const id = (await alice.call('TakeBack', CARD, { force: true })) as string;
    const end = await alice.over(id);
    expect(end.steps.map((step) => step.id)).toContain('destroy-vm');
    expect(await alice.card(CARD)).toMatchObject({ state: 'host' });
  });

  it('refuse to take back what is at home', async () => {
    const fault = await refusal(alice.call('TakeBack', CARD));
    expect(fault.error).toBe('io.github.gpuhandoff.Error.Refused');
    expect(fault.message).toBe(`${CARD_NAME} is at the host already; there is nothing to take back.`);
  });

  it('refuse a VM without a card before anybody is asked', async () => {
    const asked = helper.asked().length;
    const fault = await refusal(tester.call('HandOff', 'linux-no-gpu', { interactive: true }));
    expect(fault.error).toBe('io.github.gpuhandoff.Error.Refused');
    expect(fault.message).toMatch(/^The VM “linux-no-gpu” has no graphics card of this machine/);
    expect(helper.asked()).toHaveLength(asked);
  });

  it('say what stood in the way, and undo what was begun', async () => {
    faults({ busy: { module: 'nvidia_uvm' } });
    const id = (await alice.call('HandOff', 'win11')) as string;
    const end = await alice.over(id);
    expect(end).toMatchObject({ state: 'failed', error: 'Held' });
    expect(end.sentence).toBe(
      'GeForce RTX 4070 Max-Q / Mobile was in use when the module nvidia_uvm was to be unloaded, but nobody could be found who has it open: a program may open it for moments only. Try again, or see “gpu-handoff holders”.',
    );
    expect(end.steps.find((step) => step.id === 'unload:nvidia_uvm')).toMatchObject({
      state: 'failed',
      sentence: 'The step “Unload nvidia_uvm” failed: the module nvidia_uvm is in use',
    });
    expect(end.steps.find((step) => step.id === 'claim')).toMatchObject({ state: 'undone' });
    expect(await alice.card(CARD)).toMatchObject({ state: 'host', driver: 'nvidia' });
  });

  it('tell a second caller what is running', async () => {
    faults({ waits: { act: 'set-override' } });
    const id = (await alice.call('HandOff', 'win11')) as string;
    await alice.until((one) => one.id === id && one.steps.length > 1);
    for (const call of [
      () => tester.call('TakeBack', CARD),
      () => alice.call('HandOff', 'win11'),
      () => alice.call('EndHolders', CARD, []),
    ]) {
      const fault = await refusal(call());
      expect(fault.error).toBe('io.github.gpuhandoff.Error.Busy');
      expect(fault.message).toBe(
        `Another operation is running (handing ${CARD_NAME} to the VM “win11”): ` +
          'wait until it is done, or cancel it.',
      );
    }
    faults({});
    expect(await alice.over(id)).toMatchObject({ state: 'done' });
  });

  it('are one at a time, however many ask at once', async () => {
    // It is not over before the last has asked.
    faults({ waits: { act: 'set-override' } });
    const answers = await Promise.allSettled(
      Array.from({ length: 10 }, (_, i) => (i % 2 === 0 ? alice : tester).call('HandOff', 'win11')),
    );
    faults({});
    const begun = answers.flatMap((answer) =>
      answer.status === 'fulfilled' ? [answer.value as string] : [],
    );
    expect(begun).toHaveLength(1);
    await alice.over(begun[0] ?? '');
  });

  describe('are cancelled', () => {
    it('by who began them, and everything is as it was', async () => {
      faults({ waits: { act: 'block-modules' } });
      const id = (await alice.call('HandOff', 'win11')) as string;
      await alice.until(
        (one) =>
          one.id === id && one.cancellable && one.steps.some((s) => s.id === 'claim' && s.state === 'done'),
      );
      const asked = helper.asked().length;
      expect(await alice.call('Cancel', id)).toBeUndefined();
      faults({});
      const end = await alice.over(id);
      expect(end).toMatchObject({
        ...{ state: 'cancelled', error: 'Cancelled', cancellable: false },
        sentence: 'It was cancelled; everything is as it was.',
      });
      expect(
        helper
          .asked()
          .slice(asked)
          .filter((line) => line.startsWith('cancel')),
      ).toEqual([]);
      expect(await alice.card(CARD)).toMatchObject({ state: 'host' });
      expect(readModel(helper.dir, 'services').map((service) => service.active)).toEqual([true, true]);
    });

    it('by another connection of the same user', async () => {
      await handOver(false);
      const id = (await alice.call('TakeBack', CARD)) as string;
      const other = await helper.as('alice');
      await other.call('Cancel', id);
      expect(await alice.over(id)).toMatchObject({ state: 'cancelled' });
      expect(await alice.card(CARD)).toMatchObject({ state: 'vm' });
    });

    it('by others who have the power, and by no one else', async () => {
      await handOver(false);
      const id = (await tester.call('TakeBack', CARD)) as string;
      const fault = await refusal(mallory.call('Cancel', id));
      expect(fault.error).toBe('io.github.gpuhandoff.Error.NotAuthorized');
      expect(fault.message).toBe('You are not authorized to cancel an operation that somebody else started.');
      expect((await alice.operation()).state).toBe('running');
      await alice.call('Cancel', id);
      expect(await alice.over(id)).toMatchObject({ state: 'cancelled', user: 'ada' });
      expect(helper.asked()).toContain('cancel by alice for no card | no VM');
    });

    it('by their id alone', async () => {
      await handOver();
      const last = (await alice.operation()).id;
      for (const id of [last, '', 'x-1', '__proto__']) {
        const fault = await refusal(alice.call('Cancel', id));
        expect(fault.error).toBe('io.github.gpuhandoff.Error.NoSuchOperation');
        expect(fault.message).toBe(`There is no running operation “${id}”.`);
      }
    });

    it('only before the guest starts', async () => {
      faults({ waits: { act: 'start-vm' } });
      const id = (await alice.call('HandOff', 'win11')) as string;
      await alice.until(
        (one) => one.id === id && one.steps.some((s) => s.id === 'start-vm' && s.state === 'running'),
      );
      const fault = await refusal(alice.call('Cancel', id));
      expect(fault.error).toBe('io.github.gpuhandoff.Error.Refused');
      expect(fault.message).toBe(
        'The operation is past the point where it can be cancelled (Start the VM “win11”).',
      );
      faults({});
      expect(await alice.over(id)).toMatchObject({ state: 'done' });
    });
  });

  it('follow a guest that is started and ended from elsewhere', async () => {
    helper.guests((guests) => {
      for (const guest of guests) if (guest.name === 'win11') guest.request = 'start';
    });
    await alice.until((one) => one.kind === 'hand-off' && one.state === 'done' && one.user === 'root');
    await expect.poll(async () => (await alice.card(CARD)).state).toBe('vm');
    const heard = alice.heard().length;
    helper.guests((guests) => {
      for (const guest of guests) if (guest.name === 'win11') guest.request = 'shutdown';
    });
    await expect.poll(async () => (await alice.card(CARD)).state, { timeout: 8_000 }).toBe('host');
    await expect
      .poll(() => alice.heard().slice(heard).at(-1))
      .toMatchObject({ kind: 'take-back', state: 'done' });
  });

  it('are not begun by a preflight: nothing at all is touched', async () => {
    await alice.all();
    const before = contents(helper.dir);
    const operation = await alice.operation();
    for (const caller of [alice, tester, mallory]) {
      const report = (await caller.call('Preflight', 'win11')) as Plain;
      expect(report).toMatchObject({ ok: true, cards: [CARD], refusals: [], 'vm-name': 'win11' });
      expect((report.steps as Plain[]).map((step) => step.title)).toContain('Unload nvidia_modeset');
    }
    expect(await alice.call('Preflight', 'linux-no-gpu')).toMatchObject({
      ...{ ok: false, cards: [], steps: [] },
      refusals: [{ code: 'vm-without-card', error: 'Refused', exit: 7 }],
    });
    expect(contents(helper.dir)).toEqual(before);
    expect(await alice.operation()).toEqual(operation);
  });
});

describe('ending holders', () => {
  const LIMIT_MS = 40_000;

  async function withBlender(onTerm: 'ends' | 'ignores'): Promise<[HelperBus, Caller, string]> {
    const helper = await startHelperBus({
      prepare: (dir) =>
        editModel(dir, 'processes', (processes) => {
          for (const one of processes) if (one.comm === 'blender') one.onTerm = onTerm;
        }),
    });
    const alice = await helper.as('alice');
    await alice.hear();
    const { holders } = (await alice.call('GetHolders', CARD)) as { holders: Plain[] };
    return [helper, alice, holders.find((holder) => holder.process === 'blender')?.id as string];
  }

  it('that obey: each is a step, and the card is free', async () => {
    const [helper, alice, blender] = await withBlender('ends');
    const id = (await alice.call('EndHolders', CARD, [blender])) as string;
    const end = await alice.over(id);
    expect(end).toMatchObject({ kind: 'end-holders', state: 'done', cards: [CARD] });
    expect(end.steps).toMatchObject([
      { id: blender, title: 'End org.blender.Blender (process 4242, ada)', state: 'done', sentence: '' },
    ]);
    const again = await alice.over((await alice.call('EndHolders', CARD, [blender])) as string);
    expect(again).toMatchObject({ state: 'failed', error: 'NoSuchHolder' });
    expect(again.sentence).toBe(`What “${blender}” names does not hold the card any more.`);
    await helper.stop();
  });

  it('all of them, services among them', async () => {
    const [helper, alice] = await withBlender('ends');
    const id = (await alice.call('EndHolders', CARD, [])) as string;
    expect(await alice.over(id)).toMatchObject({ state: 'done' });
    expect(await alice.call('Preflight', 'win11')).toMatchObject({ ok: true });
    await helper.stop();
  });

  it('that do not obey: they are left alone, or ended by force where that is asked for', {
    timeout: LIMIT_MS,
  }, async () => {
    // Each waits the ten seconds that a process is given.
    await Promise.all(
      [false, true].map(async (force) => {
        const [helper, alice, blender] = await withBlender('ignores');
        const id = (await alice.call('EndHolders', CARD, [blender], { force })) as string;
        const end = await alice.until((one) => one.id === id && one.state !== 'running', 25_000);
        const left = readModel(helper.dir, 'processes').some((one) => one.comm === 'blender');
        if (force) {
          expect(end).toMatchObject({ state: 'done', error: '' });
          expect(left).toBe(false);
        } else {
          expect(end).toMatchObject({ state: 'failed', error: 'Failed' });
          expect(end.sentence).toBe(
            'org.blender.Blender (process 4242, ada) did not close within 10 s: ' +
              'save your work there, or force it.',
          );
          expect(end.steps[0]).toMatchObject({ state: 'failed', sentence: end.sentence });
          expect(left).toBe(true);
        }
        await helper.stop();
      }),
    );
  });
});
