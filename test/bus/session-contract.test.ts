/** The contract of the per-user service, compared with the live one. */
import dbus from 'dbus-next';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { MethodSpec } from '../../core/src/contract.js';
import {
  SESSION,
  SESSION_METHODS,
  SESSION_PROPERTIES,
  sessionIntrospectionXml,
} from '../../core/src/session-contract.js';
import { refusal } from './support-helper.js';
import { APPLICATIONS, entry, type SessionBus, type SessionCaller, startSession } from './support-session.js';

const PROPERTIES_INTERFACE = 'org.freedesktop.DBus.Properties';
const APP = 'app.desktop';

let session: SessionBus;
let alice: SessionCaller;

beforeAll(async () => {
  session = await startSession({ files: { [`${APPLICATIONS}/${APP}`]: entry('waiting') } });
  alice = await session.caller();
});
afterAll(() => session?.stop());

type Dict = Record<string, dbus.Variant>;

/** Names and types, such as `id s`, that the documentation gives outside parentheses. */
function documented(doc: string): Map<string, string> {
  const flat = doc.replace(/\([^()]*\)/g, '');
  return new Map(
    [...flat.matchAll(/\b([a-z-]+) (s|b|u|as|aa\{sv\})(?=[\s,.;]|$)/g)].map((m) => [m[1] ?? '', m[2] ?? '']),
  );
}

function typesOf(dict: Dict): Map<string, string> {
  return new Map(Object.entries(dict).map(([key, value]) => [key, value.signature]));
}

/** The part of a method's documentation that begins with a word, up to the end of its sentence. */
function part(method: keyof typeof SESSION_METHODS, word: string): string {
  const doc = SESSION_METHODS[method].doc;
  const rest = doc.slice(doc.indexOf(`${word}:`));
  return rest.replace(/ Options:.*/, '');
}

function reply(method: keyof typeof SESSION_METHODS, args: readonly unknown[], options: Dict = {}) {
  const spec: MethodSpec = SESSION_METHODS[method];
  const signature = spec.in.map((argument) => argument.type).join('');
  return alice.reply(SESSION.interface, method, signature, [...args, options]);
}

describe('the live service', () => {
  it('describes itself as the contract does', async () => {
    const answer = await alice.reply('org.freedesktop.DBus.Introspectable', 'Introspect', '', []);
    expect(answer.body).toEqual([sessionIntrospectionXml()]);
  });

  it('is described so that busctl reads the same methods and properties', async () => {
    const { stdout } = await session.run([
      ...['busctl', '--user', '--no-legend', 'introspect', SESSION.name, SESSION.path, SESSION.interface],
    ]);
    const rows = stdout.split('\n').map((line) => line.trim().split(/\s+/));
    const types = (list: readonly { type: string }[]): string => list.map((a) => a.type).join('') || '-';
    const methods = rows.filter((row) => row[1] === 'method').map((row) => row.slice(0, 4));
    expect(methods.sort()).toEqual(
      Object.entries<MethodSpec>(SESSION_METHODS)
        .map(([name, spec]) => [`.${name}`, 'method', types(spec.in), types(spec.out)])
        .sort(),
    );
    const properties = rows.filter((row) => row[1] === 'property').map((row) => row.slice(0, 3));
    expect(properties.sort()).toEqual(
      Object.entries(SESSION_PROPERTIES)
        .map(([name, spec]) => [`.${name}`, 'property', spec.type])
        .sort(),
    );
  });

  it('is found from the root of its objects', async () => {
    const tree = await session.run(['busctl', '--user', 'tree', '--list', SESSION.name]);
    expect(tree.stdout).toContain(SESSION.path);
  });

  it.each(Object.entries(SESSION_PROPERTIES))('has the property %s with its type', async (name, spec) => {
    const one = await alice.reply(PROPERTIES_INTERFACE, 'Get', 'ss', [SESSION.interface, name]);
    expect((one.body[0] as dbus.Variant).signature).toBe(spec.type);
  });

  it('gives all properties at once, and no others', async () => {
    const all = await alice.reply(PROPERTIES_INTERFACE, 'GetAll', 's', [SESSION.interface]);
    expect(typesOf(all.body[0] as Dict)).toEqual(
      new Map(Object.entries(SESSION_PROPERTIES).map(([name, spec]) => [name, spec.type])),
    );
  });

  it('tells of an app what the documentation names', async () => {
    const answer = await reply('ListApps', []);
    expect(answer.signature).toBe('aa{sv}');
    const app = (answer.body[0] as Dict[]).find((one) => one.id?.value === APP);
    expect(typesOf(app ?? {})).toEqual(documented(part('ListApps', 'choice')));
  });

  it.each([
    ['SetChoice', [APP, 'always'], {}, 'Result'],
    ['Launch', [APP], {}, 'Result'],
    ['Sync', [], {}, 'Report'],
    ['Undo', [], { all: new dbus.Variant('b', true) }, 'that of Sync'],
  ] as const)(
    'tells in the answer of %s what the documentation names',
    async (method, args, options, word) => {
      const answer = await reply(method, args, options);
      expect(answer.signature).toBe('a{sv}');
      expect(typesOf(answer.body[0] as Dict)).toEqual(documented(part(method, word)));
    },
  );

  it('answers a ping', async () => {
    expect((await alice.reply('org.freedesktop.DBus.Peer', 'Ping', '', [])).body).toEqual([]);
  });
});

describe('what is not of the contract', () => {
  it.each([
    ['an unknown method', SESSION.interface, 'Format', '', [], 'org.freedesktop.DBus.Error.UnknownMethod'],
    [
      'what objects inherit',
      SESSION.interface,
      'constructor',
      '',
      [],
      'org.freedesktop.DBus.Error.UnknownMethod',
    ],
    ['another interface', 'org.example.Other', 'Sync', '', [], 'org.freedesktop.DBus.Error.UnknownMethod'],
    [
      'an unknown property',
      PROPERTIES_INTERFACE,
      'Get',
      'ss',
      [SESSION.interface, 'Colour'],
      'io.github.gpuhandoff.Error.InvalidArgument',
    ],
    [
      'writing a property',
      PROPERTIES_INTERFACE,
      'Set',
      'ssv',
      [SESSION.interface, 'Version', new dbus.Variant('s', '9')],
      'io.github.gpuhandoff.Error.InvalidArgument',
    ],
  ] as const)('is refused by name: %s', async (_what, iface, member, signature, body, error) => {
    const fault = await refusal(alice.raw(iface, member, signature, [...body]));
    expect(fault.error).toBe(error);
    expect(fault.message.split('\n')).toHaveLength(1);
  });
});
