import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import dbus from 'dbus-next';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  introspectionXml,
  MANAGER,
  METHODS,
  type MethodName,
  type MethodSpec,
  PROPERTIES,
  type PropertyName,
} from '../../core/src/contract.js';
import { REPO } from '../rig/repo.js';
import { type Caller, type HelperBus, refusal, startHelperBus, withoutHolders } from './support-helper.js';

const PROPERTIES_INTERFACE = 'org.freedesktop.DBus.Properties';
const CARD = '0000:01:00.0';

let helper: HelperBus;
let alice: Caller;

beforeAll(async () => {
  helper = await startHelperBus({ prepare: withoutHolders });
  alice = await helper.as('alice');
});
afterAll(() => helper?.stop());

/** The reply to a call, as it came. */
async function reply(
  iface: string,
  member: string,
  signature: string,
  body: unknown[],
): Promise<dbus.Message> {
  const answer = await alice.client.call(
    new dbus.Message({
      destination: MANAGER.name,
      path: MANAGER.path,
      interface: iface,
      member,
      signature,
      body,
    }),
  );
  if (answer === null) throw new Error('no reply');
  return answer;
}

/** Names and types, such as `id s`, that the documentation gives outside parentheses. */
function documented(doc: string): Map<string, string> {
  const flat = doc.replace(/\([^()]*\)/g, '');
  return new Map(
    [...flat.matchAll(/\b([a-z-]+) (s|b|u|as|aa\{sv\})(?=[\s,.;]|$)/g)].map((m) => [m[1] ?? '', m[2] ?? '']),
  );
}

function typesOf(dict: Record<string, dbus.Variant>): Map<string, string> {
  return new Map(Object.entries(dict).map(([key, value]) => [key, value.signature]));
}

describe('the live service', () => {
  it('describes itself as the contract does', async () => {
    const answer = await reply('org.freedesktop.DBus.Introspectable', 'Introspect', '', []);
    expect(answer.body).toEqual([introspectionXml()]);
  });

  it('is described so that busctl reads the same methods and properties', async () => {
    const { stdout } = await helper.bus.run([
      ...['busctl', '--system', '--no-legend', 'introspect', MANAGER.name, MANAGER.path, MANAGER.interface],
    ]);
    const rows = stdout.split('\n').map((line) => line.trim().split(/\s+/));
    const types = (list: readonly { type: string }[]): string => list.map((a) => a.type).join('') || '-';
    const methods = rows.filter((row) => row[1] === 'method').map((row) => row.slice(0, 4));
    expect(methods.sort()).toEqual(
      Object.entries<MethodSpec>(METHODS)
        .map(([name, spec]) => [`.${name}`, 'method', types(spec.in), types(spec.out)])
        .sort(),
    );
    const properties = rows.filter((row) => row[1] === 'property').map((row) => row.slice(0, 3));
    expect(properties.sort()).toEqual(
      Object.entries(PROPERTIES)
        .map(([name, spec]) => [`.${name}`, 'property', spec.type])
        .sort(),
    );
  });

  it('is found from the root of its objects', async () => {
    const tree = await helper.bus.run(['busctl', '--system', 'tree', '--list', MANAGER.name]);
    expect(tree.stdout).toContain(MANAGER.path);
  });

  it.each(Object.entries(PROPERTIES))('has the property %s with its type', async (name, spec) => {
    const one = await reply(PROPERTIES_INTERFACE, 'Get', 'ss', [MANAGER.interface, name]);
    expect(one.signature).toBe('v');
    expect((one.body[0] as dbus.Variant).signature).toBe(spec.type);
  });

  it('gives all properties at once, and no others', async () => {
    const all = await reply(PROPERTIES_INTERFACE, 'GetAll', 's', [MANAGER.interface]);
    expect(all.signature).toBe('a{sv}');
    expect(typesOf(all.body[0] as Record<string, dbus.Variant>)).toEqual(
      new Map(Object.entries(PROPERTIES).map(([name, spec]) => [name, spec.type])),
    );
  });

  it.each([
    ['ListVirtualMachines', []],
    ['GetHolders', [CARD]],
    ['Preflight', ['win11']],
    ['Watch', []],
  ] as const)('answers %s with the types of the contract', async (method, args) => {
    const spec: MethodSpec = METHODS[method satisfies MethodName];
    const signature = spec.in.map((argument) => argument.type).join('');
    const answer = await reply(MANAGER.interface, method, signature, [...args, {}]);
    expect(answer.signature).toBe(spec.out.map((argument) => argument.type).join(''));
  });

  it('tells of a card what the documentation names', async () => {
    const { body } = await reply(PROPERTIES_INTERFACE, 'Get', 'ss', [MANAGER.interface, 'Cards']);
    const cards = (body[0] as dbus.Variant).value as Record<string, dbus.Variant>[];
    expect(cards).toHaveLength(2);
    for (const card of cards) {
      expect(typesOf(card)).toEqual(documented(PROPERTIES.Cards.doc.replace(/^[^:]*:/, '')));
    }
  });

  it.each([
    ['GetHolders', [CARD]],
    ['Preflight', ['win11']],
  ] as const)('tells in the answer of %s what the documentation names', async (method, args) => {
    const answer = await reply(MANAGER.interface, method, 'sa{sv}', [...args, {}]);
    const types = typesOf(answer.body[0] as Record<string, dbus.Variant>);
    for (const [key, type] of documented(METHODS[method].doc.replace(/^[^:]*:/, '')))
      expect(`${key} ${types.get(key)}`).toBe(`${key} ${type}`);
  });

  it('tells of a VM what the documentation names', async () => {
    const { body } = await reply(MANAGER.interface, 'ListVirtualMachines', 'a{sv}', [{}]);
    const machines = body[0] as Record<string, dbus.Variant>[];
    const keys = documented(METHODS.ListVirtualMachines.doc.replace(/^[^:]*:\/*[^:]*:/, ''));
    expect(machines.map(typesOf)).toEqual([keys, keys]);
  });

  it('tells of an operation what the documentation names', async () => {
    await alice.hear();
    const id = (await alice.call('HandOff', 'win11')) as string;
    await alice.over(id);
    const { body } = await reply(PROPERTIES_INTERFACE, 'Get', 'ss', [MANAGER.interface, 'Operation']);
    const types = typesOf((body[0] as dbus.Variant).value as Record<string, dbus.Variant>);
    const keys = documented(PROPERTIES.Operation.doc.replace(/^[^:]*:/, ''));
    for (const [key, type] of keys) expect(`${key} ${types.get(key)}`).toBe(`${key} ${type}`);
  });

  it('answers a ping', async () => {
    expect((await reply('org.freedesktop.DBus.Peer', 'Ping', '', [])).body).toEqual([]);
  });
});

describe('what is not of the contract', () => {
  it.each<[string, () => Promise<unknown>, string, string]>([
    [
      'an unknown method',
      () => alice.raw(MANAGER.interface, 'Format', '', []),
      'org.freedesktop.DBus.Error.UnknownMethod',
      'There is no method Format in io.github.gpuhandoff.Manager1.',
    ],
    [
      'an unknown interface',
      () => alice.raw('org.example.Other', 'HandOff', '', []),
      'org.freedesktop.DBus.Error.UnknownMethod',
      'There is no method HandOff in org.example.Other.',
    ],
    [
      'a method that objects inherit',
      () => alice.raw(MANAGER.interface, 'constructor', '', []),
      'org.freedesktop.DBus.Error.UnknownMethod',
      'There is no method constructor in io.github.gpuhandoff.Manager1.',
    ],
    [
      'wrong types',
      () => alice.raw(MANAGER.interface, 'HandOff', 'u', [1]),
      'io.github.gpuhandoff.Error.InvalidArgument',
      'The argument list of HandOff is not valid: its types are “sa{sv}”, and it has at most 64 KiB.',
    ],
    [
      'no arguments',
      () => alice.raw(MANAGER.interface, 'HandOff', '', []),
      'io.github.gpuhandoff.Error.InvalidArgument',
      'The argument list of HandOff is not valid: its types are “sa{sv}”, and it has at most 64 KiB.',
    ],
    [
      'an unknown property',
      () => alice.get('Colour' as PropertyName),
      'io.github.gpuhandoff.Error.InvalidArgument',
      'The argument property is not valid: there is no property Colour.',
    ],
    [
      'writing a property',
      () =>
        alice.raw(PROPERTIES_INTERFACE, 'Set', 'ssv', [
          MANAGER.interface,
          'Version',
          new dbus.Variant('s', '9'),
        ]),
      'io.github.gpuhandoff.Error.InvalidArgument',
      'The argument property is not valid: all properties are for reading only.',
    ],
    [
      'an unknown card',
      () => alice.call('TakeBack', '0000:77:00.0'),
      'io.github.gpuhandoff.Error.NoSuchCard',
      'There is no graphics card “0000:77:00.0”: “gpu-handoff status” lists them.',
    ],
    [
      'the holders of an unknown card',
      () => alice.call('GetHolders', '../../etc/passwd'),
      'io.github.gpuhandoff.Error.NoSuchCard',
      'There is no graphics card “../../etc/passwd”: “gpu-handoff status” lists them.',
    ],
    [
      'an unknown VM',
      () => alice.call('HandOff', 'a\n\u001b[31mb'),
      'io.github.gpuhandoff.Error.NoSuchVm',
      'There is no VM named “a\\n\\u001b[31mb” on this machine: “gpu-handoff vms” lists them.',
    ],
    [
      'an unknown operation',
      () => alice.call('Cancel', 'x'.repeat(300)),
      'io.github.gpuhandoff.Error.NoSuchOperation',
      `There is no running operation “${'x'.repeat(39)}…”.`,
    ],
  ])('is refused by name and in one sentence: %s', async (_what, call, name, sentence) => {
    const fault = await refusal(call());
    expect(fault.error).toBe(name);
    expect(fault.message).toBe(sentence);
  });

  it('is refused on another path', async () => {
    const call = alice.client.call(
      new dbus.Message({
        destination: MANAGER.name,
        path: '/io/github/gpuhandoff',
        interface: MANAGER.interface,
        member: 'ListVirtualMachines',
        signature: 'a{sv}',
        body: [{}],
      }),
    );
    await expect(call).rejects.toThrow('There is no method ListVirtualMachines');
  });
});

describe('the bus policy', () => {
  it('is read without complaint', () => {
    const said = helper.bus.log().split('\n');
    expect(said.filter((line) => line.includes('.conf'))).toEqual([]);
  });

  it.each(['alice', 'tester', 'mallory'])('keeps %s from owning the name', async (user) => {
    const caller = await helper.as(user);
    await expect(caller.client.requestName(MANAGER.name, dbus.NameFlag.REPLACE_EXISTING)).rejects.toThrow(
      'not allowed to own',
    );
  });

  it.each(['alice', 'mallory'])('keeps %s from calling Hook', async (user) => {
    const caller = await helper.as(user);
    const fault = await refusal(caller.call('Hook', 'prepare', 'begin', '-', '<domain/>'));
    expect(fault.error).toBe('org.freedesktop.DBus.Error.AccessDenied');
    // Also where the message names no interface, or the helper's unique name.
    const owner = (await helper.bus.owner(MANAGER.name)) ?? '';
    for (const [destination, iface] of [
      [owner, MANAGER.interface],
      [MANAGER.name, undefined],
      [owner, undefined],
    ] as const) {
      const message = new dbus.Message({
        destination,
        path: MANAGER.path,
        ...(iface === undefined ? {} : { interface: iface }),
        member: 'Hook',
        signature: 'ssss',
        body: ['prepare', 'begin', '-', '<domain/>'],
      });
      await expect(caller.client.call(message)).rejects.toMatchObject({
        type: expect.stringMatching(/AccessDenied|Error\.NotAuthorized/),
      });
    }
  });

  it('keeps an answer that nobody asked for from the helper', async () => {
    const mallory = await helper.as('mallory');
    const refused = new Promise<dbus.Message>((resolve) => {
      mallory.client.on('message', (message: dbus.Message) => {
        if (message.type === dbus.MessageType.ERROR) resolve(message);
      });
    });
    mallory.client.send(
      new dbus.Message({
        type: dbus.MessageType.METHOD_RETURN,
        destination: (await helper.bus.owner(MANAGER.name)) ?? '',
        replySerial: 5,
        signature: '(bba{ss})',
        body: [[true, false, {}]],
      } as unknown as ConstructorParameters<typeof dbus.Message>[0]),
    );
    expect((await refused).errorName).toBe('org.freedesktop.DBus.Error.AccessDenied');
  });

  it('lets root call Hook', async () => {
    const root = await helper.as('root');
    const xml = `<domain><name>other</name><uuid>4dea22b3-1d52-d8f3-2516-782e98ab3fa0</uuid></domain>`;
    expect(await root.call('Hook', 'prepare', 'begin', '-', xml)).toBeUndefined();
  });
});

describe('with a bus policy that lets everybody call everything', () => {
  it('the helper itself keeps other users from Hook', async () => {
    const open = readFileSync(join(REPO, `polkit/data/${MANAGER.name}.conf`), 'utf8').replace(
      /<deny [^>]*>/,
      '',
    );
    expect(open).not.toContain('<deny');
    const other = await startHelperBus({ policy: open });
    try {
      const caller = await other.as('alice');
      const fault = await refusal(caller.call('Hook', 'prepare', 'begin', '-', '<domain/>'));
      expect(fault.error).toBe('io.github.gpuhandoff.Error.NotAuthorized');
      expect(fault.message).toBe('Only libvirt’s hook, which runs as root, may call Hook.');
    } finally {
      await other.stop();
    }
  });
});
