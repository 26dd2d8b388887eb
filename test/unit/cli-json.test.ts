import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, test } from 'vitest';
import { ownStatus } from '../../cli/src/gather.js';
import { watchView } from '../../cli/src/watch-view.js';
import { FAILURES } from '../../core/src/errors.js';
import { editModel } from '../../core/src/linux/simulated/model.js';
import { SCENARIO_NAMES } from '../../core/src/linux/simulated/scenarios.js';
import { command, outlet, workstation } from './support-cli.js';

const SCHEMAS = join(import.meta.dirname, '../../docs/schema');

const ajv = new Ajv2020({ allErrors: true, allowUnionTypes: true });
ajv.addFormat('date-time', (text: string) => new Date(text).toISOString() === text);
for (const file of readdirSync(SCHEMAS))
  ajv.addSchema(JSON.parse(readFileSync(join(SCHEMAS, file), 'utf8')), file);

/** What a schema has against a document; empty where it fits. */
function faults(schema: string, text: string): unknown {
  const validate = ajv.getSchema(`${schema}.json`);
  if (validate === undefined) throw new Error(`there is no schema ${schema}`);
  validate(JSON.parse(text));
  return validate.errors ?? [];
}

describe('what --json prints fits its schema', () => {
  test.each(SCENARIO_NAMES)('on %s', async (scenario) => {
    const dir = workstation(scenario);
    for (const name of ['status', 'vms', 'doctor']) {
      const ran = await command(['--simulate', dir, '--json', name]);
      expect([name, faults(name, ran.out)]).toEqual([name, []]);
      expect(ran.err).toBe('');
    }
    const holders = await command(['--simulate', dir, '--json', 'holders']);
    expect(faults(holders.status === 0 ? 'holders' : 'error', holders.out)).toEqual([]);
  });

  test('of an error, which stands on standard output like every document', async () => {
    const ran = await command(['--json', 'holders', 'nothing', '--simulate', workstation('laptop')]);
    expect(faults('error', ran.out)).toEqual([]);
    expect(JSON.parse(ran.out)).toMatchObject({ error: { name: 'NoSuchCard', status: 5 } });
    expect([ran.status, ran.err]).toEqual([5, '']);
  });

  test('of a wrong command line', async () => {
    const ran = await command(['--json', 'nonsense']);
    expect(faults('error', ran.out)).toEqual([]);
    expect(ran.status).toBe(2);
  });

  test('of watch, each line by itself, and only when something changed', async () => {
    const dir = workstation('laptop');
    const out = outlet();
    const options = { json: true, bus: null, simulate: dir, askPassword: false };
    const view = watchView({ options, env: {}, out, err: out });
    view.show(await ownStatus(dir));
    view.show(await ownStatus(dir));
    editModel(dir, 'processes', (processes) => processes.splice(0));
    view.show(await ownStatus(dir));
    const lines = out.text().trim().split('\n');
    expect(lines).toHaveLength(2);
    for (const line of lines) expect(faults('watch', line)).toEqual([]);
  });
});

describe('the schemas themselves', () => {
  test.each(readdirSync(SCHEMAS))('%s is one', (file) => {
    expect(ajv.getSchema(file)).toBeTypeOf('function');
  });

  test('every name of a failure is known to them', () => {
    const { $defs } = JSON.parse(readFileSync(join(SCHEMAS, 'common.json'), 'utf8'));
    expect($defs.failure.enum).toEqual(Object.keys(FAILURES));
  });

  test('operations, previews and results are described down to the step', () => {
    const step = { id: 'claim', title: 'Reserve it', state: 'undone', sentence: 'It was busy.' };
    const vm = { uuid: 'u', name: 'win11' };
    const operation = {
      id: 'x-1',
      kind: 'hand-off',
      title: 'handing',
      cards: ['0000:01:00.0'],
      vm,
      state: 'failed',
      cancellable: false,
      steps: [step],
      error: 'Held',
      sentence: 'It is held.',
      user: 'anna',
    };
    expect(faults('result', JSON.stringify({ version: 1, ok: false, operation }))).toEqual([]);
    const wrong = { ...operation, state: 'unheard-of' };
    expect(faults('result', JSON.stringify({ version: 1, ok: false, operation: wrong }))).not.toEqual([]);
    const refusal = { code: 'held', sentence: 'It is held.', error: 'Held', status: 6 };
    const preview = {
      version: 1,
      kind: 'hand-off',
      ok: false,
      vm,
      cards: [{ address: '0000:01:00.0', name: 'GeForce' }],
      refusals: [refusal],
      steps: [{ id: 'claim', title: 'Reserve it' }],
      notes: [],
    };
    expect(faults('preview', JSON.stringify(preview))).toEqual([]);
    expect(faults('cancel', JSON.stringify({ version: 1, cancelled: true, operation: 'x-1' }))).toEqual([]);
  });
});
