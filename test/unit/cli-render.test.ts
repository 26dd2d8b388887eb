import { stripVTControlCharacters } from 'node:util';
import { describe, expect, test } from 'vitest';
import type {
  CardDocument,
  CardHoldersDocument,
  HolderDocument,
  HoldersSummary,
  StatusDocument,
} from '../../cli/src/documents.js';
import { showCard, summarize } from '../../cli/src/gather.js';
import { renderHolders, span } from '../../cli/src/render/holders.js';
import { renderStatus } from '../../cli/src/render/status.js';
import { renderMachines } from '../../cli/src/render/vms.js';
import { widthOf } from '../../cli/src/render/width.js';
import { shortName } from '../../cli/src/short-name.js';
import { paper } from './support-cli.js';

const NOW = Date.parse('2026-01-02T12:00:00Z');

const RADEON: CardDocument = {
  address: '0000:0b:00.0',
  name: 'Radeon 780M',
  vendor: 'AMD',
  role: 'igpu',
  reason: 'it drives a monitor (eDP-1)',
  state: 'host',
  asleep: false,
  external: false,
  driver: 'amdgpu',
  nodes: [],
  iommuGroup: '11',
  vm: null,
  why: null,
  obstacles: [{ code: 'is-igpu', sentence: 'Radeon 780M serves the monitors: choose another card.' }],
};

const GEFORCE: CardDocument = {
  ...RADEON,
  address: '0000:01:00.0',
  name: 'GeForce RTX 4070',
  vendor: 'NVIDIA',
  role: 'dgpu',
  reason: 'another card serves the monitors (Radeon 780M)',
  driver: 'nvidia',
  obstacles: [],
};

const FREE: HoldersSummary = { verdict: 'free', names: [], stopByThemselves: [], kernel: [], sentence: '' };

function status(cards: StatusDocument['cards'], more: Partial<StatusDocument> = {}): StatusDocument {
  return {
    version: 1,
    source: 'helper',
    helper: { running: true, version: '1' },
    cards,
    operation: null,
    faults: [],
    notes: [],
    ...more,
  };
}

function holder(more: Partial<HolderDocument> = {}): HolderDocument {
  return {
    id: '4123:99',
    pid: 4123,
    uid: 1000,
    user: 'anna',
    name: 'Blender (process 4123, anna)',
    process: 'blender',
    ownerKind: 'app',
    ownerName: 'org.blender.Blender',
    unit: null,
    command: ['blender', 'kitchen.blend'],
    nodes: ['/dev/dri/renderD129', '/dev/nvidia0'],
    mapped: true,
    since: '2026-01-02T10:30:00.000Z',
    gpuMemoryBytes: 3 * 1024 ** 3,
    essential: false,
    stopsByItself: false,
    ...more,
  };
}

describe('status', () => {
  const both = status([
    showCard(GEFORCE, { ...FREE, verdict: 'held', names: ['Blender', 'ollama'] }),
    showCard(RADEON, null),
  ]);

  test('at 80 columns', () => {
    expect(renderStatus(paper(80), both)).toMatchInlineSnapshot(`
      "● GeForce RTX 4070                                                        In use
        NVIDIA · 0000:01:00.0 · dGPU: another card serves the monitors (Radeon 780M)
        Used by 2 apps or services: Blender, ollama.

      ● Radeon 780M                                                Serves the monitors
        AMD · 0000:0b:00.0 · iGPU: it drives a monitor (eDP-1)
      "
    `);
  });

  test('in a pipe a line says name and state', () => {
    expect(renderStatus(paper(null), both).split('\n')[0]).toBe('● GeForce RTX 4070: In use');
  });

  test.each([60, 80, 120])('no line is wider than %i columns, whatever the names', (columns) => {
    const long = 'a-name-that-never-ends-'.repeat(12);
    const card = { ...GEFORCE, name: long, vm: { uuid: 'u', name: long } };
    const cards = [
      showCard({ ...card, state: 'vm' }, null),
      showCard(card, { ...FREE, verdict: 'held', names: [long, long] }),
    ];
    for (const line of renderStatus(paper(columns), status(cards)).split('\n'))
      expect(widthOf(line)).toBeLessThanOrEqual(columns);
  });

  test('what nobody could see is said, and is not called free', () => {
    const unknown = { ...FREE, verdict: 'unknown' as const, sentence: 'Nobody seen, but 12 were hidden.' };
    expect(renderStatus(paper(80), status([showCard(GEFORCE, unknown)]))).toContain(
      '? Nobody seen, but 12 were hidden.',
    );
  });

  test('an obstacle stands once, with what to do', () => {
    const sentence = 'GeForce RTX 4070 drives a monitor (DP-1): plug it into the other card.';
    const card = { ...GEFORCE, obstacles: [{ code: 'drives-monitor', sentence }] };
    const text = renderStatus(paper(null), status([showCard(card, FREE)]));
    expect(text.split(sentence)).toHaveLength(2);
    expect(text).toContain(`! ${sentence}`);
  });

  test('uses that no process explains are said', () => {
    const kernel = { ...FREE, verdict: 'held' as const, kernel: ['nvidia'] };
    expect(renderStatus(paper(null), status([showCard(GEFORCE, kernel)]))).toContain(
      'It is in use (nvidia), but no process was found',
    );
  });

  test('a running operation says where it is', () => {
    const step = (id: string, state: string) => ({ id, title: `Do ${id}`, state, sentence: null });
    const operation = {
      id: 'x-1',
      kind: 'hand-off',
      title: 'handing GeForce RTX 4070 to the VM “win11”',
      cards: [GEFORCE.address],
      vm: { uuid: 'u', name: 'win11' },
      state: 'running',
      cancellable: true,
      steps: [step('a', 'done'), step('b', 'running'), step('c', 'waiting')],
      error: null,
      sentence: null,
      user: 'anna',
    };
    expect(renderStatus(paper(null), status([], { operation }))).toContain(
      'Handing GeForce RTX 4070 to the VM “win11” (step 2 of 3: Do b).',
    );
  });

  test('a machine without cards is said to have none', () => {
    expect(renderStatus(paper(80), status([]))).toBe('No graphics card was found on this machine.\n');
  });

  test('colours go around words and never replace them', () => {
    const coloured = renderStatus(paper(80, { colour: true }), both);
    expect(coloured).toContain('\u001b[32m●\u001b[39m');
    const plain = stripVTControlCharacters(coloured);
    expect(plain).toBe(renderStatus(paper(80), both));
  });

  test('a hostile VM name reaches the terminal as text', () => {
    const card = { ...GEFORCE, state: 'vm', vm: { uuid: 'u', name: 'a\n\u001b]0;owned\u0007“b' } };
    const text = renderStatus(paper(80), status([showCard(card, null)]));
    expect(stripVTControlCharacters(text)).toBe(text);
    expect(text).not.toContain('\u0007');
    expect(text.split('\n')).toHaveLength(4);
  });
});

describe('holders', () => {
  const list = (card: Partial<CardHoldersDocument>) => ({
    version: 1,
    source: 'own-look' as const,
    cards: [
      {
        card: { address: GEFORCE.address, name: GEFORCE.name },
        verdict: 'held' as const,
        complete: true,
        unseen: 0,
        sentence: '',
        holders: [],
        kernel: [],
        ...card,
      },
    ],
  });

  test('each with what it is, since when and through what', () => {
    const text = renderHolders(paper(70), list({ holders: [holder()] }), NOW);
    expect(text).toMatchInlineSnapshot(`
      "GeForce RTX 4070                                             Held by 1
        Blender                                         process 4123 of anna
          blender kitchen.blend
          for 1 h, 3.0 GiB of its memory, renderD129, nvidia0, mapped
      "
    `);
  });

  test('a look without rights says what it could not see, and never that nobody holds it', () => {
    const sentence = 'Nobody seen, but 41 processes could not be looked into: ask as root.';
    const text = renderHolders(paper(80), list({ verdict: 'unknown', unseen: 41, sentence }), NOW);
    expect(text).toContain('Cannot tell');
    expect(text).toContain('41 processes could not be looked into');
    expect(text).not.toContain('Nobody holds');
  });

  test('another user’s command line is left out, and nothing stands in its place', () => {
    const text = renderHolders(paper(80), list({ holders: [holder({ command: null })] }), NOW);
    expect(text.split('\n')).toHaveLength(4);
  });

  test('ending the session is not offered without a word about it', () => {
    const text = renderHolders(paper(80), list({ holders: [holder({ essential: true })] }), NOW);
    expect(text).toContain('ending it logs its user out');
  });

  test('the kernel counts as a holder', () => {
    const text = renderHolders(paper(80), list({ kernel: [{ module: 'nvidia', count: 2 }] }), NOW);
    expect(text).toContain('Held by 1');
    expect(text).toContain('nvidia, 2 uses');
  });

  test.each([
    [5_000, '5 s'],
    [90_000, '1 min'],
    [3 * 3600_000, '3 h'],
    [72 * 3600_000, '3 days'],
    [-5, '0 s'],
  ])('%i ms are %s', (milliseconds, said) => {
    expect(span(milliseconds)).toBe(said);
  });

  test('services that stop by themselves are not in the way', () => {
    const service = { ownerKind: 'service', ownerName: 'nvidia-persistenced.service', stopsByItself: true };
    const [one] = list({ holders: [holder(), holder({ pid: 9 }), holder(service)] }).cards;
    expect(one === undefined ? null : summarize(one)).toMatchObject({
      names: ['Blender'],
      stopByThemselves: ['nvidia-persistenced'],
    });
  });

  test.each([
    [{}, 'Blender'],
    [{ ownerName: 'firefox' }, 'firefox'],
    [{ ownerName: 'code-1.2' }, 'code-1.2'],
    [{ ownerKind: 'service', ownerName: 'ollama.service' }, 'ollama'],
    [{ ownerKind: 'session', ownerName: 'x' }, 'blender'],
  ])('%j is called %s', (more, name) => {
    expect(shortName(holder(more))).toBe(name);
  });
});

test('VMs with a card come first', () => {
  const card = { address: GEFORCE.address, name: GEFORCE.name };
  const text = renderMachines(paper(50), {
    version: 1,
    source: 'helper',
    machines: [
      { uuid: '1', name: 'mail', running: true, cards: [] },
      { uuid: '2', name: 'win11', running: true, cards: [{ ...card, has: true }] },
      { uuid: '3', name: 'mac', running: false, cards: [{ ...card, has: false }] },
    ],
  });
  expect(text).toMatchInlineSnapshot(`
    "▶ win11                                    running
      Has GeForce RTX 4070.
    ○ mac                                          off
      Can have GeForce RTX 4070.
    ● mail                                     running
    "
  `);
});
