import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { say, sentence, type Translate } from '../../core/src/words.js';
import {
  appRow,
  CHOICES,
  cardRows,
  type Dict,
  healthOf,
  inOrder,
  machineRows,
  matches,
  type Presence,
} from '../../gnome-extension/prefs/model.js';
import { tellerOf } from '../../gnome-extension/shared/translate.js';

const english: Translate = (text, plural, count) =>
  plural !== undefined && count !== undefined && count !== 1 ? plural : text;
/** A language in which every text of ours stands in guillemets. */
const foreign: Translate = (text, plural, count) => `‹${english(text, plural, count)}›`;
const told = tellerOf(english);

const app = (more: Dict): Dict => ({
  id: 'org.blender.Blender.desktop',
  name: 'Blender',
  icon: 'blender',
  choice: 'always',
  shown: true,
  special: [],
  problem: '',
  warning: '',
  state: 'in-place',
  ...more,
});
const row = (more: Dict) => appRow(app(more), english, told);

describe('an app’s row', () => {
  test('names what is special about it, in words', () => {
    expect(row({ special: ['flatpak', 'terminal'] }).marks).toBe('Flatpak · In a terminal');
  });

  test('says when its entry was edited by hand', () => {
    expect(row({ state: 'edited' }).marks).toBe('Entry edited by hand, and left alone');
  });

  test('tells why no entry can be made, before anything else', () => {
    const problem = say(sentence('entry.no-exec'));
    expect(row({ problem, warning: 'something less important' })).toMatchObject({
      note: problem,
      possible: false,
    });
  });

  test('tells what the service sent in the user’s language', () => {
    const warning = say(sentence('entry.single-instance'));
    expect(appRow(app({ warning }), foreign, tellerOf(foreign)).note).toBe(`‹${warning}›`);
  });

  test('cannot be made to look like something else by the app’s name', () => {
    expect(row({ name: 'Steam\u202e.exe\n' }).name).toBe('Steam\\u202e.exe\\n');
  });

  test('is made of whatever comes, without a fault', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...Object.keys(app({}))), fc.anything()), (dict) => {
        const made = appRow(dict, english, told);
        expect(CHOICES).toContain(made.choice);
        expect(typeof made.marks).toBe('string');
      }),
    );
  });
});

describe('the search', () => {
  test.each([
    ['elan', true],
    ['ÉLAN', true],
    ['video élan', true],
    ['', true],
    ['  ', true],
    ['editor', true],
    ['elan music', false],
  ])('“%s” among “Élan Video” is found: %s', (search, found) => {
    expect(matches(row({ name: 'Élan Video', id: 'org.example.Editor.desktop' }), search)).toBe(found);
  });
});

describe('the order of the list', () => {
  const apps = [
    row({ id: 'b', name: 'Zebra', choice: 'untouched' }),
    row({ id: 'c', name: 'Écu', choice: 'untouched' }),
    row({ id: 'a', name: 'Yak', choice: 'never' }),
    row({ id: 'd', name: 'Fox', choice: 'untouched' }),
  ];
  const names = (ranks: Map<string, number>, rows = apps) => inOrder(rows, ranks).map(({ name }) => name);

  test('has the apps with a choice first, then all by name', () => {
    expect(names(new Map())).toEqual(['Yak', 'Écu', 'Fox', 'Zebra']);
  });

  test('stays when a choice is made, so that the row stays under the pointer', () => {
    const ranks = new Map<string, number>();
    names(ranks);
    const chosen = apps.map((one) => (one.id === 'd' ? { ...one, choice: 'always' as const } : one));
    expect(names(ranks, chosen)).toEqual(['Yak', 'Écu', 'Fox', 'Zebra']);
  });
});

const IGPU: Dict = {
  id: '0000:00:02.0',
  name: 'Iris Xe',
  role: 'igpu',
  reason: say(sentence('role.monitor', { connectors: 'eDP-1' })),
  state: 'host',
  asleep: false,
  driver: 'i915',
  obstacles: [{ code: 'is-igpu', sentence: say(sentence('refuse.is-igpu', { card: 'Iris Xe' })) }],
};
const DGPU: Dict = {
  id: '0000:01:00.0',
  name: 'RTX 4070',
  role: 'dgpu',
  reason: say(sentence('role.other', { card: 'Iris Xe' })),
  state: 'host',
  asleep: false,
  driver: 'nvidia',
  obstacles: [],
};

describe('cards and virtual machines', () => {
  test('a card says where it is and what it is for', () => {
    expect(cardRows([IGPU, DGPU], english, told)).toMatchObject([
      { name: 'Iris Xe', shown: 'At home', role: 'Stays with the host: it drives a monitor (eDP-1)' },
      {
        name: 'RTX 4070',
        shown: 'At home: Ready for Linux apps (nvidia).',
        role: 'For apps and VMs: another card serves the monitors (Iris Xe)',
      },
    ]);
  });

  test('a machine says which card it has, gets, or lacks', () => {
    const has = { ...DGPU, state: 'vm', 'vm-uuid': 'u1', 'vm-name': 'win11' };
    const machines = [
      { uuid: 'u1', name: 'win11', running: true, cards: ['0000:01:00.0'] },
      { uuid: 'u2', name: 'games', running: false, cards: ['0000:01:00.0', '0000:02:00.0'] },
      { uuid: 'u3', name: 'plain', running: true, cards: [] },
    ];
    expect(machineRows(machines, [IGPU, has], english).map(({ state, line }) => `${state}: ${line}`)).toEqual(
      [
        'Running: Has RTX 4070',
        'Off: Gets RTX 4070, 0000:02:00.0 when it is started',
        'Running: No graphics card of this machine is among its devices',
      ],
    );
  });
});

describe('health', () => {
  const here = (properties: Dict): Presence => ({ state: 'here', why: '', properties });
  const service = here({ Version: '1.0', WayReason: say(sentence('switcheroo.absent')) });
  const helper = (more: Dict = {}): Presence =>
    here({ Version: '1.0', Cards: [IGPU, DGPU], Faults: [], ...more });
  const wrong = (one: Presence, other: Presence = service): string[] => {
    const health = healthOf(one, other, english, told);
    return [...health.parts, ...health.cards, ...health.configuration, ...health.launching]
      .filter((finding) => finding.health === 'wrong')
      .map(({ title, line }) => `${title}: ${line}`);
  };

  test('finds nothing wrong where nothing is', () => {
    expect(wrong(helper())).toEqual([]);
  });

  test('says what is missing and how to get it', () => {
    const [first] = wrong({ state: 'absent', why: '', properties: {} });
    expect(first).toMatch(/^Helper: The package gpu-handoff is not installed.*install it/);
  });

  test('shows nothing of a helper that is gone as if it were fresh', () => {
    const gone = { state: 'lost', why: 'no answer.', properties: helper().properties } as const;
    expect(healthOf(gone, service, english, told).cards).toEqual([]);
    expect(wrong(gone)).toEqual(['Helper: The helper does not answer: no answer.']);
  });

  test('tells what a service failed with in the user’s language', () => {
    const why = say(sentence('error.too-many-clients'));
    const lost = { state: 'lost', why, properties: {} } as const;
    const { parts } = healthOf(lost, lost, foreign, tellerOf(foreign));
    expect(parts.map(({ line }) => line)).toEqual([
      `‹The helper does not answer: ‹${why}››`,
      `‹The per-user service does not answer: ‹${why}››`,
    ]);
  });

  test('names each obstacle of a card for VMs', () => {
    const obstacles = [
      { code: 'no-iommu', sentence: say(sentence('refuse.no-iommu')) },
      { code: 'x', sentence: 'Another.' },
    ];
    expect(wrong(helper({ Cards: [IGPU, { ...DGPU, obstacles }] }))).toEqual([
      `RTX 4070: ${say(sentence('refuse.no-iommu'))} Another.`,
    ]);
  });

  test('says that a stuck card needs a reboot', () => {
    const stuck = { ...DGPU, state: 'stuck', why: 'it hangs.' };
    expect(wrong(helper({ Cards: [IGPU, stuck] }))).toEqual(['RTX 4070: Needs a reboot: it hangs.']);
  });

  test('says that a machine without a second card has none', () => {
    expect(wrong(helper({ Cards: [IGPU] }))[0]).toMatch(/^One card only: /);
  });

  test('shows each fault of the configuration with its line', () => {
    expect(wrong(helper({ Faults: [{ line: 7, sentence: 'Unknown key.' }] }))).toEqual([
      'Configuration, line 7: Unknown key.',
    ]);
  });

  test('notices parts of different versions', () => {
    expect(wrong(helper({ Version: '1.1' }))[0]).toMatch(/different versions: Log out/);
  });
});
