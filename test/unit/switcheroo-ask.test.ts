import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { askSwitcheroo, type BusCall, type BusMessage } from '../../core/src/linux/switcheroo.js';

const NAME = 'net.hadess.SwitcherooControl';
let root: string;

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'root-'));
  const started = (pid: number, ...argv: string[]): void => {
    mkdirSync(join(root, 'proc', String(pid)), { recursive: true });
    writeFileSync(join(root, 'proc', String(pid), 'cmdline'), `${argv.join('\0')}\0`);
  };
  started(100, '/usr/libexec/switcheroo-control');
  started(200, '/usr/bin/cardwired');
  started(300, '/usr/bin/python3', '/opt/pretender', '--now');
});

afterAll(() => rmSync(root, { recursive: true }));

/** A bus on which process `pid` owns the name and answers with `properties`. */
function busWith(pid: number, properties: unknown, asked: BusMessage[] = []): BusCall {
  const answers: Readonly<Record<string, unknown>> = {
    NameHasOwner: true,
    GetNameOwner: ':1.7',
    GetConnectionUnixProcessID: pid,
    GetAll: properties,
  };
  return async (message) => {
    asked.push(message);
    return [answers[message.member]];
  };
}

const GPU = { Name: 'Card', Environment: ['A', '1', 'B', '', 'odd'], Default: true };

describe('asking switcheroo-control', () => {
  test('gives its cards, with the flat environment by names', async () => {
    const facts = await askSwitcheroo(busWith(100, { GPUs: [GPU, { ...GPU, Discrete: true }] }), { root });
    expect(facts).toMatchObject({ owner: 'switcheroo', ownerName: 'switcheroo-control', failure: '' });
    const gpu = { name: 'Card', environment: { A: '1', B: '' }, isDefault: true };
    expect(facts.gpus).toEqual([
      { ...gpu, discrete: null },
      { ...gpu, discrete: true },
    ]);
  });

  test('asks the connection that owns the name, so that the bus starts nobody', async () => {
    const asked: BusMessage[] = [];
    await askSwitcheroo(busWith(100, { GPUs: [] }, asked), { root });
    expect(asked.filter((one) => one.destination === NAME)).toEqual([]);
    expect(asked.at(-1)).toMatchObject({
      destination: ':1.7',
      member: 'GetAll',
      signature: 's',
      body: [NAME],
    });
  });

  test.each([
    [[NAME], true],
    [['org.example.Other'], false],
  ])('says of a name that nobody owns whether the bus could start it', async (names, startable) => {
    const call: BusCall = async ({ member }) => [member === 'NameHasOwner' ? false : names];
    expect(await askSwitcheroo(call)).toEqual({
      owner: 'absent',
      ownerName: '',
      gpus: [],
      failure: '',
      startable,
    });
  });

  test.each([
    [200, 'cardwired'],
    [300, 'pretender'],
  ])('names the program of process %i, which is another', async (pid, ownerName) => {
    expect(await askSwitcheroo(busWith(pid, { GPUs: [GPU] }), { root })).toMatchObject({
      owner: 'other',
      ownerName,
    });
  });

  test('tells by what it says where the process is hidden', async () => {
    const own = { ...GPU, Environment: ['CARDWIRE_FORCE_DGPU', '1'] };
    expect(await askSwitcheroo(busWith(999, { GPUs: [own] }), { root })).toMatchObject({ owner: 'other' });
    expect(await askSwitcheroo(busWith(999, { GPUs: [GPU] }), { root })).toMatchObject({
      owner: 'switcheroo',
    });
  });

  test.each([[undefined], [null], ['text'], [{}], [{ GPUs: 7 }]])(
    'an answer of another shape (%j) is a failure with a reason',
    async (properties) => {
      const facts = await askSwitcheroo(busWith(100, properties), { root });
      expect(facts).toMatchObject({ gpus: [], failure: 'its answer has no list of cards' });
    },
  );

  test('broken cards in the list are read as far as they can be', async () => {
    const facts = await askSwitcheroo(busWith(100, { GPUs: [7, null, { Environment: 'no', Default: 1 }] }), {
      root,
    });
    expect(facts.gpus).toEqual([{ name: '', environment: {}, isDefault: false, discrete: null }]);
  });

  test('names the EGL vendor files that are not there', async () => {
    writeFileSync(join(root, '50_mesa.json'), '{}');
    const gpu = {
      ...GPU,
      Environment: ['__EGL_VENDOR_LIBRARY_FILENAMES', `/50_mesa.json:/nonexistent/10_nvidia.json`],
    };
    const facts = await askSwitcheroo(busWith(100, { GPUs: [gpu, gpu] }), { root });
    expect(facts.missingFiles).toEqual(['/nonexistent/10_nvidia.json']);
  });

  test('waits no longer than its limit', async () => {
    const never: BusCall = () => new Promise(() => {});
    expect(await askSwitcheroo(never, { limitMs: 20 })).toMatchObject({ failure: 'no answer within 0.02 s' });
  });

  test('a bus that refuses is a failure, not an exception', async () => {
    const refuse: BusCall = () => Promise.reject(new Error('the bus closed the connection'));
    expect(await askSwitcheroo(refuse)).toMatchObject({ failure: 'the bus closed the connection' });
  });
});
