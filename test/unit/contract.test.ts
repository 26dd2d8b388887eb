import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { XMLParser } from 'fast-xml-parser';
import { describe, expect, test } from 'vitest';
import {
  introspectionXml,
  MANAGER,
  METHODS,
  type MethodSpec,
  POWERS,
  PROPERTIES,
  polkitAction,
} from '../../core/src/contract.js';
import { ERROR_PREFIX, FAILURES, type FailureName, failure } from '../../core/src/errors.js';

const ROOT = join(import.meta.dirname, '../..');
const INPUTS = ['s', 'b', 'u', 'as', 'a{sv}'];
const METHOD_LIST = Object.entries<MethodSpec>(METHODS);

interface Argument {
  readonly '@name': string;
  readonly '@type': string;
  readonly '@direction': string;
}
interface Member {
  readonly '@name': string;
  readonly '@type'?: string;
  readonly '@access'?: string;
  readonly annotation: { readonly '@name': string; readonly '@value': string };
  readonly arg?: readonly Argument[];
}
interface Parsed {
  readonly node: {
    readonly interface: { readonly '@name': string; readonly method: Member[]; readonly property: Member[] };
  };
}

const parser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: '@',
  isArray: (name) => ['method', 'property', 'arg'].includes(name),
});

describe('the introspection XML', () => {
  const parsed = parser.parse(introspectionXml(), true) as Parsed;
  const { interface: found } = parsed.node;

  test('is well-formed and describes the manager', () => {
    expect(found['@name']).toBe(MANAGER.interface);
  });

  test('holds exactly the methods of the table, with their arguments in order', () => {
    const methods = found.method.map((method) => [
      method['@name'],
      (method.arg ?? []).map((arg) => [arg['@direction'], arg['@name'], arg['@type']]),
    ]);
    const wanted = METHOD_LIST.map(([name, spec]) => [
      name,
      [
        ...spec.in.map((arg) => ['in', arg.name, arg.type]),
        ...spec.out.map((arg) => ['out', arg.name, arg.type]),
      ],
    ]);
    expect(methods).toEqual(wanted);
  });

  test('holds exactly the properties of the table, to be read only', () => {
    const properties = found.property.map((property) => [
      property['@name'],
      property['@type'],
      property['@access'],
    ]);
    expect(properties).toEqual(Object.entries(PROPERTIES).map(([name, spec]) => [name, spec.type, 'read']));
  });

  test('says what each of them is for', () => {
    for (const member of [...found.method, ...found.property]) {
      expect(member.annotation['@name']).toBe('org.gtk.GDBus.DocString');
      expect(member.annotation['@value'].length).toBeGreaterThan(10);
    }
  });
});

describe('what can be sent', () => {
  test.each(METHOD_LIST)('%s takes only what every client can send', (_name, spec) => {
    for (const argument of spec.in) expect(INPUTS).toContain(argument.type);
  });

  test.each(METHOD_LIST.filter(([name]) => name !== 'Hook'))('%s can be given options', (_name, spec) => {
    expect(spec.in.at(-1)).toEqual({ name: 'options', type: 'a{sv}' });
  });

  test('arguments of one method have different names', () => {
    for (const [, spec] of METHOD_LIST) {
      const names = [...spec.in, ...spec.out].map((argument) => argument.name);
      expect(new Set(names).size).toBe(names.length);
    }
  });
});

describe('powers', () => {
  const policy = readFileSync(join(ROOT, 'polkit/data/io.github.gpuhandoff.policy'), 'utf8');
  const declared = [...policy.matchAll(/<action id="([^"]+)">/g)].map((match) => match[1]);

  test('are exactly the actions that polkit is told of', () => {
    expect([...declared].sort()).toEqual(POWERS.map(polkitAction).sort());
  });

  test('are given to nobody who is not at the machine', () => {
    expect(policy).not.toMatch(/<allow_any>(?!no<)/);
    expect(policy).not.toMatch(/<allow_inactive>(?!no<)/);
  });
});

describe('errors', () => {
  test('have names that differ, in D-Bus’s form', () => {
    const names = (Object.keys(FAILURES) as FailureName[]).map(
      (name) => failure(name, 'refuse.no-iommu').dbusName,
    );
    expect(new Set(names).size).toBe(names.length);
    for (const name of names) expect(name).toMatch(/^io\.github\.gpuhandoff\.Error\.[A-Z][A-Za-z]+$/);
    expect(ERROR_PREFIX.startsWith(MANAGER.name.replace(/Manager1$/, ''))).toBe(true);
  });

  test('have exit statuses that differ, and that a shell can tell from its own', () => {
    const statuses = Object.values(FAILURES);
    expect(new Set(statuses).size).toBe(statuses.length);
    for (const status of statuses) expect(status > 0 && status < 126).toBe(true);
    expect(FAILURES.Failed).toBe(1);
    expect(FAILURES.InvalidArgument).toBe(2);
  });
});
