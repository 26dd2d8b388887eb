import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { POWERS, type Power } from '../../core/src/contract.js';
import type { ProcessModel } from '../../core/src/linux/simulated/model.js';
import { editModel, readModel } from '../../core/src/linux/simulated/model.js';
import { say, sentence } from '../../core/src/words.js';
import { type Caller, type HelperBus, type Plain, refusal, startHelperBus } from './support-helper.js';

const CARD = '0000:01:00.0';
const CARD_NAME = 'GeForce RTX 4070 Max-Q / Mobile';
const USERS = { tester: 1000, mallory: 1001, alice: 1002 } as const;

/** One process of each user and two services hold the card. */
function holders(dir: string): void {
  editModel(dir, 'processes', (processes) => {
    const own = Object.entries(USERS).map(
      ([user, uid], i): ProcessModel => ({
        pid: 7000 + i,
        uid,
        comm: `player-${user}`,
        argv: ['/usr/bin/player', `/home/${user}/secret.mkv`],
        opens: [{ card: CARD, kind: 'render' }],
      }),
    );
    processes.splice(0, processes.length, ...own);
  });
}

function sentenceOf(power: Power): string {
  return say(sentence('error.not-authorized', { power: say(sentence(`power.${power}`)) }));
}

async function holderId(caller: Caller, process: string): Promise<string> {
  const report = (await caller.call('GetHolders', CARD)) as { holders: Plain[] };
  const found = report.holders.find((holder) => holder.process === process);
  if (found === undefined) throw new Error(`${process} does not hold the card`);
  return found.id as string;
}

describe('the powers', () => {
  let helper: HelperBus;
  let alice: Caller;
  let mallory: Caller;
  let tester: Caller;
  beforeAll(async () => {
    helper = await startHelperBus({ prepare: holders });
    [alice, mallory, tester] = await Promise.all([
      helper.as('alice'),
      helper.as('mallory'),
      helper.as('tester'),
    ]);
    await alice.hear();
  });
  afterAll(() => helper?.stop());

  /** What polkit is asked about alice while a call goes on. */
  async function askedWhile(call: () => Promise<unknown>): Promise<string[]> {
    const before = helper.asked().length;
    await call();
    // polkit's log comes in order: one more question, which mallory causes, marks the end.
    const since = (): string[] => helper.asked().slice(before);
    await refusal(mallory.call('HandOff', 'win11'));
    await expect.poll(() => since().some((line) => line.startsWith('hand-off by mallory'))).toBe(true);
    return since().filter((line) => line.includes(' by alice '));
  }

  it.each<[Power, string, (caller: Caller) => Promise<unknown>]>([
    ['hand-off', `${CARD_NAME} | win11`, (caller) => caller.call('HandOff', 'win11')],
    ['take-back', `${CARD_NAME} | –`, (caller) => caller.call('TakeBack', CARD)],
    ['force-off', `${CARD_NAME} | –`, (caller) => caller.call('TakeBack', CARD, { force: true })],
    [
      'end-own',
      `${CARD_NAME} | no VM`,
      async (caller) => caller.call('EndHolders', CARD, [await holderId(caller, 'player-mallory')]),
    ],
    [
      'end-others',
      `${CARD_NAME} | no VM`,
      async (caller) => caller.call('EndHolders', CARD, [await holderId(caller, 'player-alice')]),
    ],
    [
      'stop-services',
      `${CARD_NAME} | no VM`,
      async (caller) => caller.call('EndHolders', CARD, [await holderId(caller, 'nvidia-powerd')]),
    ],
  ])('keeps who has none from %s', async (power, about, call) => {
    const fault = await refusal(call(mallory));
    expect(fault.error).toBe('io.github.gpuhandoff.Error.NotAuthorized');
    expect(fault.message).toBe(sentenceOf(power));
    await expect.poll(() => helper.asked()).toContain(`${power} by mallory for ${about}`);
    expect(await mallory.operation()).toEqual({});
  });

  it('keeps who has none from the slot, also with holders that are none', async () => {
    const fault = await refusal(mallory.call('EndHolders', CARD, ['1:1']));
    expect(fault.message).toBe(sentenceOf('end-own'));
    expect(await mallory.operation()).toEqual({});
  });

  it('asks for every power that the named holders need', async () => {
    const fault = await refusal(tester.call('EndHolders', CARD, []));
    // tester may end their own; the next question is about others or services, and there nobody is asked.
    expect(fault.error).toBe('io.github.gpuhandoff.Error.NotAuthorized');
    expect([sentenceOf('end-others'), sentenceOf('stop-services')]).toContain(fault.message);
    const ids = [await holderId(tester, 'player-tester'), await holderId(tester, 'player-alice')];
    expect((await refusal(tester.call('EndHolders', CARD, ids))).message).toBe(sentenceOf('end-others'));
    expect(readModel(helper.dir, 'processes')).toHaveLength(3);
  });

  it('does not take a longing for interaction for an answer', async () => {
    const fault = await refusal(mallory.call('HandOff', 'win11', { interactive: true }));
    expect(fault.message).toBe(sentenceOf('hand-off'));
  });

  it.each<[Power, string]>([
    ['end-own', 'player-alice'],
    ['end-others', 'player-mallory'],
    ['stop-services', 'nvidia-powerd'],
  ])('with %s alice ends %s, and is asked about nothing else', async (power, process) => {
    const id = await holderId(alice, process);
    const asked = await askedWhile(async () => {
      const operation = (await alice.call('EndHolders', CARD, [id])) as string;
      expect(await alice.over(operation)).toMatchObject({ state: 'done', error: '', user: '1002' });
    });
    expect(asked).toEqual([`${power} by alice for ${CARD_NAME} | no VM`]);
    await expect(holderId(alice, process)).rejects.toThrow('does not hold');
  });

  it('with end-own alone tester ends their own', async () => {
    const id = await holderId(tester, 'player-tester');
    const operation = (await tester.call('EndHolders', CARD, [id])) as string;
    expect(await alice.over(operation)).toMatchObject({ state: 'done', user: 'ada' });
  });

  it.each<[Power, (caller: Caller) => Promise<unknown>, string]>([
    ['hand-off', (caller) => caller.call('HandOff', 'win11'), `${CARD_NAME} | win11`],
    ['force-off', (caller) => caller.call('TakeBack', CARD, { force: true }), `${CARD_NAME} | win11`],
    ['hand-off', (caller) => caller.call('HandOff', 'win11'), `${CARD_NAME} | win11`],
    ['take-back', (caller) => caller.call('TakeBack', CARD), `${CARD_NAME} | win11`],
  ])('with %s alice may do that', async (power, call, about) => {
    const asked = await askedWhile(async () => {
      expect(await alice.over((await call(alice)) as string)).toMatchObject({ state: 'done', error: '' });
    });
    expect(asked).toEqual([`${power} by alice for ${about}`]);
  });

  it('has a sentence for every power in the policy’s file', async () => {
    const actions = await helper.bus.run(['pkaction']);
    const ours = actions.stdout.split('\n').filter((line) => line.startsWith('io.github.gpuhandoff.'));
    expect(ours.sort()).toEqual(POWERS.map((power) => `io.github.gpuhandoff.${power}`).sort());
  });
});

describe('reading', () => {
  let helper: HelperBus;
  beforeAll(async () => {
    helper = await startHelperBus({ prepare: holders });
  });
  afterAll(() => helper?.stop());

  it.each(['root', 'alice', 'tester', 'mallory'])('is open to %s, and asks polkit nothing', async (user) => {
    const caller = await helper.as(user);
    const all = await caller.all();
    expect((all.Cards as Plain[]).map((card) => [card.id, card.role, card.state])).toEqual([
      ['0000:00:02.0', 'igpu', 'host'],
      [CARD, 'dgpu', 'host'],
    ]);
    expect(await caller.call('ListVirtualMachines')).toMatchObject([
      { name: 'win11', running: false, cards: [CARD] },
      { name: 'linux-no-gpu', cards: [] },
    ]);
    expect(await caller.call('GetHolders', CARD)).toMatchObject({ verdict: 'held', complete: true });
    expect(await caller.call('Preflight', 'win11')).toMatchObject({ ok: false });
    expect(await caller.call('Watch')).toBeUndefined();
    expect(helper.asked()).toEqual([]);
  });

  /** Whose command lines a user is shown, by GetHolders and by Preflight. */
  async function shownTo(user: string): Promise<string[][]> {
    const caller = await helper.as(user);
    const reports = (await Promise.all([
      caller.call('GetHolders', CARD),
      caller.call('Preflight', 'win11'),
    ])) as { holders: Plain[] }[];
    return reports.map((report) =>
      report.holders.filter((one) => 'command' in one).map((one) => String(one.process)),
    );
  }

  it('shows command lines to root and to their owners alone', async () => {
    const everybody = [
      'player-tester',
      'player-mallory',
      'player-alice',
      'nvidia-persistenced',
      'nvidia-powerd',
    ];
    const sorted = everybody.map((name) => name.slice(0, 15)).sort();
    expect((await shownTo('root')).map((names) => names.sort())).toEqual([sorted, sorted]);
    for (const user of ['alice', 'mallory', 'tester'])
      expect(await shownTo(user)).toEqual([[`player-${user}`], [`player-${user}`]]);
  });

  it('leaves nothing of other users’ command lines in what mallory can read', async () => {
    const mallory = await helper.as('mallory');
    const all = [
      await mallory.all(),
      await mallory.call('GetHolders', CARD),
      await mallory.call('Preflight', 'win11'),
    ];
    const text = JSON.stringify(all);
    expect(text).toContain('/home/mallory/secret.mkv');
    expect(text).not.toContain('/home/alice');
    expect(text).not.toContain('/home/tester');
  });
});

describe('without polkit', () => {
  let helper: HelperBus;
  beforeAll(async () => {
    helper = await startHelperBus({ prepare: holders, polkit: false });
  });
  afterAll(() => helper?.stop());

  it.each(['root', 'alice', 'mallory'])('the answer to %s is no', async (user) => {
    const caller = await helper.as(user);
    for (const call of [
      () => caller.call('HandOff', 'win11'),
      () => caller.call('HandOff', 'win11', { interactive: true }),
      () => caller.call('TakeBack', CARD, { force: true }),
      () => caller.call('EndHolders', CARD, []),
    ]) {
      const fault = await refusal(call());
      expect(fault.error).toBe('io.github.gpuhandoff.Error.NotAuthorized');
      expect(fault.message).toMatch(
        /^The authorization service \(polkit\) did not answer, so the answer is no: .+$/,
      );
    }
    expect(await caller.operation()).toEqual({});
  });

  it('reading goes on', async () => {
    const mallory = await helper.as('mallory');
    expect(await mallory.call('GetHolders', CARD)).toMatchObject({ verdict: 'held' });
  });
});
