import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MANAGER } from '../../core/src/contract.js';
import { uuidOf } from '../../core/src/linux/simulated/people.js';
import { Fuzz } from './support-fuzz.js';
import {
  type Caller,
  type HelperBus,
  type Plain,
  refusal,
  startHelperBus,
  withoutHolders,
} from './support-helper.js';
import { type Answer, type Parts, Typed, WireClient } from './support-wire.js';

const CARD = '0000:01:00.0';
const MEGABYTE = 1024 * 1024;

/** The same messages each time; another seed gives others. */
const SEED = 20240611;
const MESSAGES = 10_000;
/** Of these, so many of one to ten megabytes. */
const LARGE = 40;

/** What the helper may take at its worst and after it, in MB; it begins with about 62. */
const PEAK_MB = 130;
const REST_MB = 90;

const FLOOD_MS = 60_000;

const call: Parts = { destination: MANAGER.name, path: MANAGER.path, interface: MANAGER.interface };

/** The helper's resident memory in MB: the most that it was, and now. */
async function memory(helper: HelperBus): Promise<{ most: number; now: number }> {
  const status = await helper.bus.get(`/proc/${await helper.pid()}/status`);
  const of = (what: string): number =>
    Number(new RegExp(`^${what}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) / 1024;
  return { most: of('VmHWM'), now: of('VmRSS') };
}

/** Asks what a widget asks, again and again, until `over`; gives how long each took, in milliseconds. */
async function askMeanwhile(caller: Caller, over: () => boolean): Promise<number[]> {
  const took: number[] = [];
  do {
    const begin = performance.now();
    await caller.all();
    took.push(performance.now() - begin);
    await new Promise((resolve) => setTimeout(resolve, 20));
  } while (!over());
  return took.sort((a, b) => a - b);
}

const KNOWN =
  /^(|io\.github\.gpuhandoff\.Error\.[A-Za-z]+|org\.freedesktop\.DBus\.Error\.(UnknownMethod|AccessDenied))$/;

describe('hostile messages', () => {
  let helper: HelperBus;
  let alice: Caller;
  let before: Plain;
  let pid: number;
  beforeAll(async () => {
    helper = await startHelperBus({ prepare: withoutHolders });
    alice = await helper.as('alice');
    before = await alice.all();
    pid = await helper.pid();
  });
  afterAll(() => helper?.stop());

  async function unharmed(): Promise<void> {
    expect(await helper.pid()).toBe(pid);
    expect(await alice.all()).toEqual(before);
    expect((await memory(helper)).most).toBeLessThan(PEAK_MB);
    // Nor does anybody fill the journal.
    expect(helper.bus.log()).not.toMatch(/^ +at |^(info|warning|error): /m);
  }

  it(
    `${MESSAGES} random ones leave it alive, unchanged and small, and others served`,
    async () => {
      const users = ['mallory', 'mallory', 'mallory', 'mallory', 'tester', 'tester', 'root', 'alice'];
      const clients = await Promise.all(
        users.map(async (user) => WireClient.connect(await helper.bus.addressFor(user))),
      );
      const answers: Promise<Answer>[] = [];
      let over = false;
      const asking = askMeanwhile(alice, () => over);
      const each = MESSAGES / clients.length;
      await Promise.all(
        clients.map(async (client, i) => {
          const fuzz = new Fuzz(SEED + i);
          for (let n = 0; n < each; n++) {
            await client.room(32);
            const large = n % Math.floor(MESSAGES / LARGE) === 7;
            const parts = large ? fuzz.large(10 * MEGABYTE) : fuzz.message();
            if (((parts.flags ?? 0) & 1) === 1 || parts.type === 4) client.send(parts);
            else answers.push(client.call(parts));
          }
        }),
      );
      const all = await Promise.all(answers);
      over = true;
      const took = await asking;
      const errors = new Set(all.map(({ error }) => error));
      for (const error of errors) expect(error).toMatch(KNOWN);
      for (const kind of ['InvalidArgument', 'NoSuchVm', 'NoSuchCard', 'NoSuchOperation'])
        expect(errors).toContain(`io.github.gpuhandoff.Error.${kind}`);
      expect(all.filter(({ text }) => /\n|\bat .*:\d+/.test(text))).toEqual([]);
      // Mostly at once, and always long before a caller gives up.
      expect(took[Math.floor(took.length / 2)]).toBeLessThan(1_000);
      expect(took.at(-1)).toBeLessThan(10_000);
      for (const client of clients) client.close();
      await unharmed();
    },
    FLOOD_MS,
  );

  it.each<[string, Parts]>([
    ['variants', { member: 'HandOff', signature: 'av', body: [Buffer.alloc(30 * MEGABYTE, '\x01y\0\x07')] }],
    [
      'variants among the options',
      {
        member: 'Watch',
        signature: 'a{sv}',
        body: [[['x', new Typed('av', Buffer.alloc(30 * MEGABYTE, '\x01y\0\x07'))]]],
      },
    ],
    ['numbers', { member: 'HandOff', signature: 'an', body: [Buffer.alloc(30 * MEGABYTE)] }],
    ['text', { member: 'HandOff', signature: 'sa{sv}', body: [Buffer.alloc(30 * MEGABYTE, 'a'), []] }],
  ])('thirty megabytes of %s are refused without being unpacked', async (_what, parts) => {
    const mallory = await WireClient.connect(await helper.bus.addressFor('mallory'));
    expect(await mallory.call({ ...call, ...parts })).toEqual({
      error: 'io.github.gpuhandoff.Error.InvalidArgument',
      text: expect.stringMatching(/its types are “.*”, and it has at most 64 KiB\.$/),
    });
    mallory.close();
    await unharmed();
  });

  it('a signal of thirty megabytes is not even looked at', async () => {
    const mallory = await WireClient.connect(await helper.bus.addressFor('mallory'));
    const body = [Buffer.alloc(30 * MEGABYTE, '\x01y\0\x07')];
    const destination = (await helper.bus.owner(MANAGER.name)) ?? '';
    mallory.send({ ...call, destination, type: 4, member: 'Changed', signature: 'av', body });
    // In order: when this is answered, the signal has come.
    expect(await mallory.call({ ...call, member: 'Watch', signature: 'a{sv}', body: [[]] })).toEqual({
      error: '',
      text: '',
    });
    mallory.close();
    await unharmed();
  });

  it.each<[string, Parts]>([
    ['in place of an argument', { member: 'HandOff', signature: 'h', body: [0] }],
    ['among the options', { member: 'Watch', signature: 'a{sv}', body: [[['x', new Typed('h', 7)]]] }],
    [
      'deep among the options',
      {
        member: 'HandOff',
        signature: 'sa{sv}',
        body: ['win11', [['x', new Typed('a(vh)', [[new Typed('h', 1), 2]])]]],
      },
    ],
  ])('a descriptor that does not exist is answered: %s', async (_where, parts) => {
    const mallory = await WireClient.connect(await helper.bus.addressFor('mallory'));
    const answer = await mallory.call({ ...call, ...parts });
    expect(answer.error).toBe('io.github.gpuhandoff.Error.InvalidArgument');
    mallory.close();
    await unharmed();
  });

  it('a client that never reads its answers does not keep others from theirs', async () => {
    const mallory = await WireClient.connect(await helper.bus.addressFor('mallory'));
    mallory.stopReading();
    let over = false;
    const asking = askMeanwhile(alice, () => over);
    const member = 'GetAll';
    const all = { ...call, interface: 'org.freedesktop.DBus.Properties', member, signature: 's' };
    for (let n = 0; n < 3_000; n++) {
      mallory.send({ ...all, body: [MANAGER.interface] });
      if (n % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await alice.all();
    over = true;
    expect((await asking).at(-1)).toBeLessThan(10_000);
    mallory.close();
    await unharmed();
  });

  it('two hundred watching connections of one user leave room for another’s', async () => {
    const watch = { ...call, member: 'Watch', signature: 'a{sv}', body: [[]] };
    // The bus itself lets a user have 256.
    const clients = await Promise.all(
      Array.from({ length: 200 }, () => WireClient.connect(helper.bus.address)),
    );
    // One after another: what waits for an answer has a limit of its own.
    const errors: string[] = [];
    for (const client of clients) errors.push((await client.call(watch)).error);
    expect(errors.filter((error) => error === '')).toHaveLength(64);
    expect(new Set(errors)).toEqual(new Set(['', 'io.github.gpuhandoff.Error.Busy']));
    expect(await alice.call('Watch')).toBeUndefined();
    for (const client of clients) client.close();
    // Who leaves makes room again.
    await expect
      .poll(async () => {
        const client = await WireClient.connect(helper.bus.address);
        const { error } = await client.call(watch);
        client.close();
        return error;
      })
      .toBe('');
    await unharmed();
  });

  it('calls of one connection that pile up are refused, those of others are not', async () => {
    const mallory = await WireClient.connect(await helper.bus.addressFor('mallory'));
    const holders = { ...call, member: 'GetHolders', signature: 'sa{sv}', body: [CARD, []] };
    const flood = Array.from({ length: 100 }, () => mallory.call(holders));
    const answers = await Promise.all([...flood, alice.call('GetHolders', CARD)]);
    const errors = new Set(answers.slice(0, 100).map((answer) => (answer as Answer).error));
    expect([...errors].sort()).toEqual(['', 'io.github.gpuhandoff.Error.Busy']);
    expect(answers.at(-1)).toMatchObject({ verdict: 'held' });
    mallory.close();
    await unharmed();
  });

  it('a hundred questions for properties at once are all answered', async () => {
    const answers = await Promise.all(Array.from({ length: 100 }, () => alice.get('Version')));
    expect(new Set(answers)).toEqual(new Set([before.Version]));
  });

  it('after all that its memory is small again', async () => {
    const used = async (): Promise<number> => {
      // Something to do, since garbage is collected only when more is made.
      await Promise.all(Array.from({ length: 50 }, () => alice.all()));
      return (await memory(helper)).now;
    };
    await expect.poll(used, { timeout: 10_000 }).toBeLessThan(REST_MB);
  });
});

describe('a domain with a hostile description', () => {
  let helper: HelperBus;
  let root: Caller;
  beforeAll(async () => {
    helper = await startHelperBus({ prepare: withoutHolders });
    root = await helper.as('root');
    await root.hear();
  });
  afterAll(() => helper?.stop());

  const UUID = uuidOf('win11');
  const hostdevs = ['0', '1']
    .map(
      (fn) => `<hostdev mode='subsystem' type='pci' managed='yes'><source>
        <address domain='0x0000' bus='0x01' slot='0x00' function='0x${fn}'/></source></hostdev>`,
    )
    .join('');
  const domain = (name: string, more = ''): string =>
    `<domain type='kvm'><name>${name}</name><uuid>${UUID}</uuid>${more}` +
    `<devices>${hostdevs}</devices></domain>`;
  const escaped = (text: string): string => text.replace(/&/g, '&amp;').replace(/</g, '&lt;');

  it.each([
    ['quotes', `it's "win" \`id\` $(reboot)`],
    ['a line break', 'win\n11'],
    ['a way up', '../../../etc/cron.d/x'],
    ['two hundred characters', 'w'.repeat(200)],
    ['markup', '</name><uuid>x</uuid>&{card}'],
    ['marks of direction', 'win\u202e11\u2066'],
    ['emoji', '🖥'.repeat(50)],
  ])('is handed the card all the same, whatever its name: %s', async (_what, name) => {
    const heard = root.changes.length;
    await root.call('Hook', 'prepare', 'begin', '-', domain(escaped(name)));
    const { title, 'vm-name': vm, steps } = await root.operation();
    expect(vm).toBe(name);
    // No control character and no more than eighty of a name reach what people read.
    for (const text of [title, ...steps.map((step) => step.title)]) {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: it is they who must not be there
      expect(text).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/);
      expect(text.length).toBeLessThan(200);
    }
    // libvirt gives up before the guest runs, so everything is brought back.
    await root.call('Hook', 'release', 'end', 'failed', domain(escaped(name)));
    expect(await root.operation()).toMatchObject({ state: 'failed' });
    expect(await root.card(CARD)).toMatchObject({ state: 'host' });
    expect(root.changes.length).toBeGreaterThan(heard);
    const files = await helper.bus.run(['find', '/srv/workstation/run/gpu-handoff', '-type', 'f']);
    expect(files.stdout).toBe('');
  });

  it.each<[string, string, RegExp]>([
    ['nothing', '', /^The argument domain is not valid: .+$/],
    ['no XML', 'win11', /^The argument domain is not valid: .+$/],
    [
      'half of it',
      domain('win11').slice(0, -20),
      /^The argument domain is not valid: it is not well-formed XML .+$/,
    ],
    [
      'entities of its own',
      `<!DOCTYPE domain [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>${domain('&b;')}`,
      /^The argument domain is not valid: it has a document type$/,
    ],
    [
      'a file of the machine',
      `<!DOCTYPE d SYSTEM "file:///etc/shadow">${domain('x')}`,
      /it has a document type$/,
    ],
    ['no name', domain(''), /^The argument domain is not valid: the domain has no name$/],
    [
      'no UUID',
      domain('x').replace(UUID, '../x'),
      /^The argument domain is not valid: the domain has no valid UUID$/,
    ],
    ['two domains', domain('x') + domain('y'), /^The argument domain is not valid: .+$/],
    [
      'a wrong address',
      domain('x').replace("'0x01'", "'0x0101'"),
      /^The argument domain is not valid: .+ valid bus$/,
    ],
    [
      'a wrong address',
      domain('x').replace("'0x01'", "'../1'"),
      /^The argument domain is not valid: .+ valid bus$/,
    ],
  ])('is refused in one sentence where it is none: %s', async (_what, xml, sentence) => {
    const before = await root.all();
    const fault = await refusal(root.call('Hook', 'prepare', 'begin', '-', xml));
    expect(fault.error).toBe('io.github.gpuhandoff.Error.InvalidArgument');
    expect(fault.message).toMatch(sentence);
    expect(await root.all()).toEqual(before);
  });

  it('may be long, but not endless', async () => {
    const long = (length: number): string =>
      domain('x', `<!--${'-x'.repeat(length / 2)}-->`.replace('--->', '-->'));
    const other = (xml: string): string => xml.replaceAll("'0x01'", "'0x77'");
    expect(await root.call('Hook', 'prepare', 'begin', '-', other(long(3 * MEGABYTE)))).toBeUndefined();
    const fault = await refusal(root.call('Hook', 'prepare', 'begin', '-', other(long(5 * MEGABYTE))));
    expect(fault.error).toBe('io.github.gpuhandoff.Error.InvalidArgument');
  });

  it.each(['stopped', 'prepare\n', '__proto__', '../x', ''])(
    'an operation “%s” of the hook is none',
    async (name) => {
      const before = await root.all();
      expect(await root.call('Hook', name, 'begin', '-', domain('win11'))).toBeUndefined();
      expect(await root.all()).toEqual(before);
    },
  );
});
