import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DEFAULT_CONFIG } from '../../core/src/config.js';
import { NOTHING_KNOWN } from '../../core/src/desktop/picture.js';
import type { Card } from '../../core/src/detect.js';
import { FAILURES } from '../../core/src/errors.js';
import type { HolderReport } from '../../core/src/holders.js';
import { createWorkstation } from '../../core/src/linux/simulated/create.js';
import { simulatedMachine } from '../../core/src/linux/simulated/machine.js';
import { SCENARIO_NAMES, type ScenarioName } from '../../core/src/linux/simulated/scenarios.js';
import { EVERY_STEP, type HandOffPlan, type Memory, type Step } from '../../core/src/plan.js';
import type { Presentation } from '../../core/src/present.js';
import { WORDS, type WordKey } from '../../core/src/words.js';
import { BUILT } from '../bus/support-build.js';
import { CARD, card, holder, operation, VM } from '../unit/support-desktop.js';
import { type Answers, askEngines } from './engines.js';

const work = mkdtempSync(join(tmpdir(), 'gpu-handoff-engines-'));
afterAll(() => rmSync(work, { recursive: true }));

interface Call {
  readonly call: string;
  /** For `$result` in the arguments of later calls. */
  readonly as?: string;
  readonly args: readonly unknown[];
}

interface Answer {
  readonly call: string;
  readonly result?: unknown;
  readonly error?: string;
}

/** What is asked of the core on a machine: its cards, who holds them, what a hand-off would do. */
async function callsFor(scenario: ScenarioName): Promise<Call[]> {
  const dir = join(work, scenario);
  createWorkstation(dir, scenario);
  const { eyes } = simulatedMachine(dir, { delays: 0 });
  const facts = eyes.hardware();
  const pass = await eyes.processes({
    numbers: facts.functions.flatMap((fn) => fn.nodes.map((n) => n.number)),
    exporters: [],
  });
  const services = ['nvidia-persistenced.service', 'nvidia-powerd.service'];
  const of = (name: string): { $result: string } => ({ $result: `${scenario} ${name}` });
  const calls: Call[] = [
    { call: 'detect', as: `${scenario} cards`, args: [facts, DEFAULT_CONFIG] },
    { call: 'holderQuestion', args: [of('cards'), facts] },
    {
      call: 'reportHolders',
      as: `${scenario} report`,
      args: [
        of('cards'),
        facts,
        pass,
        services,
        { userName: { $constant: 'ada' }, startedAt: { $constant: 7 } },
      ],
    },
    { call: 'holdersLine', args: ['the card', of('report')] },
  ];
  const machines = await eyes.virtualMachines();
  for (const [i, vm] of machines.entries()) {
    const leaving = { $result: `${scenario} leaving ${i}` };
    const memory = { $result: `${scenario} memory ${i}` };
    calls.push(
      { call: 'cardsOf', as: leaving.$result, args: [vm, of('cards')] },
      { call: 'preflight', args: [vm, of('cards'), facts, { guests: { $map: [] }, stuck: { $map: [] } }] },
      { call: 'remember', as: memory.$result, args: [leaving, facts, services, { $constant: 0o660 }] },
      { call: 'planHandOff', args: [vm, leaving, facts, memory, DEFAULT_CONFIG, i % 2 === 0] },
      { call: 'planReturn', args: [memory, facts, DEFAULT_CONFIG, EVERY_STEP] },
    );
  }
  return calls;
}

/** What both desktops show of a helper that publishes this. */
function desktopCalls(): Call[] {
  const failed = operation({
    state: 'failed',
    error: 'Held',
    sentence: 'The VM “win11” is running already.',
  });
  const report = {
    verdict: 'held',
    complete: true,
    unseen: 0,
    sentence: '',
    holders: [holder()],
    kernel: [],
  };
  const calls: Call[] = [
    { call: 'holdersFrom', as: 'held', args: [report] },
    { call: 'groupHolders', args: [{ $result: 'held' }, 'eve'] },
    { call: 'publishedFrom', as: 'before', args: [{ Cards: [card()], Operation: operation() }] },
    {
      call: 'machinesFrom',
      as: 'machines',
      args: [[{ uuid: VM, name: 'win11', running: false, cards: [CARD] }]],
    },
  ];
  const states = ['host', 'vm', 'detached', 'switching', 'stuck', 'unknown'];
  const operations = [{}, operation(), failed];
  for (const [i, state] of states.entries())
    for (const [j, running] of operations.entries()) {
      const name = `published ${i} ${j}`;
      const properties = {
        Cards: [card({ state, 'vm-name': 'win11', why: 'Because.' })],
        Operation: running,
      };
      calls.push({ call: 'publishedFrom', as: name, args: [properties] });
      const known = { ...NOTHING_KNOWN, link: 'live', holders: { [CARD]: { $result: 'held' } } };
      const picture = { ...known, published: { $result: name }, machines: { $result: 'machines' } };
      calls.push({ call: 'pictureOf', as: `picture ${name}`, args: [picture] });
      calls.push({ call: 'newsOf', args: [{ $result: 'before' }, { $result: name }] });
      const app = { running: true, special: ['single-instance'], problem: '' };
      calls.push({ call: 'offersToRun', args: [{ $result: `picture ${name}` }, app, true] });
    }
  for (const link of ['asking', 'absent', 'lost'])
    calls.push({ call: 'pictureOf', args: [{ ...NOTHING_KNOWN, link, why: 'because.' }] });
  return calls;
}

/** What does not depend on the machine. */
function otherCalls(): Call[] {
  const card = {
    name: 'GeForce',
    role: 'dgpu',
    driver: 'nvidia',
    vmName: 'Würfel\n🖥\u202e',
    why: 'Because.',
  };
  const calls: Call[] = [];
  for (const state of ['host', 'vm', 'detached', 'switching', 'stuck', 'unknown', '__proto__'])
    for (const asleep of [false, true])
      for (const obstacle of ['', 'It drives a monitor.'])
        for (const holders of [0, 1, 2])
          calls.push({ call: 'present', args: [{ ...card, state, asleep, obstacle }, holders] });
  const values = [
    'card',
    'vm',
    'why',
    'what',
    'holders',
    'units',
    'module',
    'modules',
    'driver',
    'seconds',
    'names',
  ];
  const all = Object.fromEntries(values.map((name) => [name, `<${name}>`]));
  for (const key of Object.keys(WORDS))
    for (const count of [1, 2])
      calls.push({ call: 'say', args: [{ key, values: { ...all, count: String(count) } }] });
  for (const name of [
    '',
    'a\u0000b\u001b[2J',
    'x'.repeat(200),
    '🖥'.repeat(60),
    'Grüße\r\n',
    '日本語の名前',
    '\u2066abc',
  ])
    calls.push({ call: 'printable', args: [name] }, { call: 'printable', args: [name, 5] });
  for (const cgroup of [
    '/user.slice/user-1000.slice/user@1000.service/app.slice/app-gnome-org.blender.Blender-4242.scope',
    '/user.slice/user-1000.slice/user@1000.service/app.slice/app-flatpak-com.valvesoftware.Steam-77.scope',
    '/user.slice/user-1000.slice/user@1000.service/app.slice/snap.firefox.firefox-1b.scope',
    '/system.slice/docker-0123456789abcdef0123456789abcdef.scope',
    '/machine.slice/machine-qemu\\x2d1\\x2dwin11.scope/libvirt/emulator',
    '/system.slice/nvidia-persistenced.service',
    '',
  ])
    calls.push({ call: 'ownerOf', args: [cgroup, 'comm'] });
  calls.push({ call: 'introspectionXml', args: [] });
  for (const power of ['hand-off', 'take-back']) calls.push({ call: 'polkitAction', args: [power] });
  const entries = [
    { key: 'cards.igpu', value: '0000:00:02.0', line: 1 },
    { key: 'cards.dgpu', value: ['0000:01:00.0', 'x'], line: 2 },
    { key: 'helper.idle-seconds', value: 0.5, line: 3 },
    { key: 'constructor', value: 1, line: 4 },
  ];
  calls.push({ call: 'readConfig', args: [entries] });
  return calls;
}

describe('the core in the engines of the desktops', () => {
  let calls: Call[];
  let answers: Answers;
  let node: Answer[];
  beforeAll(async () => {
    calls = (await Promise.all(SCENARIO_NAMES.map(callsFor))).flat().concat(otherCalls(), desktopCalls());
    writeFileSync(join(work, 'calls.json'), JSON.stringify(calls));
    answers = await askEngines(BUILT.core, join(work, 'calls.json'));
    node = JSON.parse(answers.node) as Answer[];
  });

  /** What Node's engine answered to the first call of this kind whose arguments fit. */
  function answered<T>(call: string, fits: (args: readonly unknown[]) => boolean = () => true): T {
    const at = calls.findIndex((one) => one.call === call && fits(one.args));
    return node[at]?.result as T;
  }

  /** What Node's engine returned for a name given with `as`. */
  const named = <T>(name: string): T => node[calls.findIndex((one) => one.as === name)]?.result as T;

  it('gives the same bytes in gjs and in QML as in Node', () => {
    expect(answers.gjs).toBe(answers.node);
    expect(answers.qml).toBe(answers.node);
  });

  it('answers every call', () => {
    expect(node).toHaveLength(calls.length);
    expect(node.filter((answer) => answer.error !== undefined)).toEqual([]);
    expect(node.map((answer) => answer.call)).toEqual(calls.map((call) => call.call));
  });

  it('finds the cards and their roles', () => {
    const roles = (scenario: ScenarioName): string[] =>
      named<Card[]>(`${scenario} cards`).map((card) => `${card.role} ${card.vendor} ${card.name}`);
    expect(roles('laptop')).toEqual([
      'igpu Intel Iris Xe Graphics',
      'dgpu NVIDIA GeForce RTX 4070 Max-Q / Mobile',
    ]);
    expect(roles('two-dgpus').map((role) => role.split(' ')[0])).toEqual(['igpu', 'dgpu', 'dgpu']);
    expect(roles('one-card')).toHaveLength(1);
    const alone = named<Card[]>('one-card cards')[0];
    expect(alone?.obstacles.map((obstacle) => obstacle.code)).toContain('one-card');
  });

  it('plans a hand-off and the way back', () => {
    const at = calls.findIndex((one) => one.as === 'laptop leaving 0');
    const memory = named<Memory>('laptop memory 0');
    expect(memory).toMatchObject({
      cards: [{ id: '0000:01:00.0' }],
      modules: ['nvidia_uvm', 'nvidia_drm'],
      services: ['nvidia-persistenced.service', 'nvidia-powerd.service'],
    });
    const plan = node[at + 3]?.result as HandOffPlan;
    expect(plan.steps.map((step) => step.id)).toEqual([
      ...['power', 'claim', 'block', 'mask', 'stop', 'look'],
      ...['unload:nvidia_drm', 'unload:nvidia_modeset', 'unload:nvidia_uvm', 'unload:nvidia'],
      ...['start-vm', 'guest-has'],
    ]);
    const back = node[at + 4]?.result as Step[];
    expect(back.at(0)?.id).not.toBe(back.at(-1)?.id);
    expect(back.map((step) => step.id)).toContain('host-has');
  });

  it('names the holders', () => {
    const report = named<HolderReport>('laptop report');
    expect(report.verdict).toBe('held');
    expect(report.holders.map((holder) => holder.owner.name)).toContain('org.blender.Blender');
  });

  it('says every sentence there is, and leaves no place of the known ones empty', () => {
    for (const key of Object.keys(WORDS) as WordKey[]) {
      const text = answered<string>('say', ([what]) => (what as { key: string }).key === key);
      expect(text.length).toBeGreaterThan(1);
      expect(text).not.toMatch(/\{(card|vm|why|count)\}|undefined/);
    }
  });

  it('presents every state', () => {
    const shown = (state: string, asleep: boolean, holders: number): Presentation =>
      answered('present', ([card, count]) => {
        const one = card as { state: string; asleep: boolean; obstacle: string };
        return one.state === state && one.asleep === asleep && one.obstacle === '' && count === holders;
      });
    expect(shown('host', false, 0)).toMatchObject({ glance: 'host', label: 'At home', tone: 'calm' });
    expect(shown('host', false, 2)).toMatchObject({ glance: 'held', line: 'Used by 2 apps or services.' });
    expect(shown('host', true, 0)).toMatchObject({ glance: 'asleep' });
    expect(shown('vm', false, 0)).toMatchObject({ glance: 'vm', label: 'In Würfel\\n🖥\\u202e' });
    expect(shown('stuck', false, 0)).toMatchObject({ glance: 'stuck', tone: 'bad', actions: ['doctor'] });
  });

  it('knows the contract and the exit statuses', () => {
    expect(answered<string>('introspectionXml')).toContain('<method name="HandOff">');
    expect(answered<string>('polkitAction')).toBe('io.github.gpuhandoff.hand-off');
    expect(Object.values(FAILURES)).toHaveLength(new Set(Object.values(FAILURES)).size);
    expect(answered('readConfig')).toMatchObject({
      config: { igpu: '0000:00:02.0', dgpus: [], idleSeconds: 60 },
      faults: [{ line: 2 }, { line: 3 }, { line: 4 }],
    });
  });
});

describe('the harness', () => {
  // Each is wrong in Qt's engine without a word; the core has to do without them.
  it.each([
    ['groups with a name', "/(?<year>\\d{4})/.exec('in 1999').groups !== undefined"],
    ['looking behind', "/(?<=in )\\d/.test('in 1999')"],
    ['a stable sort', 'rows().sort((a, b) => a.key - b.key).every((row, i) => row.place === i % 200)'],
    ['a pattern for the rest of the arguments', '((a, ...[b]) => b === 2)(1, 2)'],
    ['the order of a language', "['b', 'B', 'a'].sort((a, b) => a.localeCompare(b))"],
  ])('sees an engine answer otherwise: %s', async (name, expression) => {
    const stem = join(work, name.replaceAll(' ', '-'));
    const rows = 'Array.from({ length: 600 }, (_, i) => ({ key: i % 3, place: Math.floor(i / 3) }))';
    writeFileSync(`${stem}.mjs`, `const rows = () => ${rows};\nexport const look = () => ${expression};\n`);
    writeFileSync(`${stem}.json`, '[{ "call": "look", "args": [] }]');
    const answers = await askEngines(`${stem}.mjs`, `${stem}.json`);
    expect(answers.gjs).toBe(answers.node);
    expect(answers.qml).not.toBe(answers.node);
  });

  it('says when a module does not load', async () => {
    const stem = join(work, 'new');
    writeFileSync(`${stem}.mjs`, 'class A { x = 1; }\nexport const look = () => new A().x;\n');
    writeFileSync(`${stem}.json`, '[{ "call": "look", "args": [] }]');
    await expect(askEngines(`${stem}.mjs`, `${stem}.json`)).rejects.toThrow('qmltestrunner ended with');
  });
});
