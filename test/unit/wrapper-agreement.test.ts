/** The wrapper decides in shell what the core decides in TypeScript: over many machines they must say the same. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Config, DEFAULT_CONFIG } from '../../core/src/config.js';
import { type Card, detect, MANAGEMENT_VENDORS } from '../../core/src/detect.js';
import { LOOKED_FOR, RECIPES } from '../../core/src/launch/drivers.js';
import { cardForLaunch, hasTwin, launchEnvironment } from '../../core/src/launch/environment.js';
import { configFrom } from '../../core/src/linux/config-file.js';
import { readHardware } from '../../core/src/linux/hardware.js';
import { createWorkstation } from '../../core/src/linux/simulated/create.js';
import { SCENARIO_NAMES } from '../../core/src/linux/simulated/scenarios.js';
import { type FunctionSketch, Tree } from './support-tree.js';
import { environmentOf, folder, run, writeWrapper } from './support-wrapper.js';

/** One variable that every session restricts, one of no meaning, and one that leads elsewhere. */
const SESSION = {
  PATH: '/usr/bin:/bin',
  KEPT: 'as it is',
  VK_LOADER_DRIVERS_DISABLE: '*nvidia*',
  CUDA_VISIBLE_DEVICES: '',
  DRI_PRIME: 'pci-0000_00_02_0',
};

/** What an app should get, by the core alone: the environment, and what the warning begins with. */
function expected(cards: readonly Card[], card: Card | null, files: readonly string[]): unknown {
  const { PATH: _, ...session } = SESSION;
  const environment = card === null ? null : launchEnvironment(card, { twin: hasTwin(card, cards), files });
  if (environment === null) return { away: true, env: session };
  const kept = Object.entries(session).filter(([name]) => !environment.unset.includes(name));
  return { away: false, env: { ...Object.fromEntries(kept), ...environment.set } };
}

/** What an app gets from the wrapper over a tree. */
function got(root: string, options: readonly string[] = []): unknown {
  const wrapper = writeWrapper(join(folder(), 'gpu-handoff-run'), root);
  const { status, stdout, stderr } = run(['/bin/dash', wrapper, ...options, 'env', '-0'], { env: SESSION });
  expect(status).toBe(0);
  return { away: stderr !== '', env: environmentOf(stdout) };
}

function cardsIn(root: string, config: Config = DEFAULT_CONFIG): Card[] {
  return detect(readHardware(root), config);
}

describe('wrapper and core choose the same card and environment', () => {
  test.each(SCENARIO_NAMES)('on the simulated %s, also by address', (scenario) => {
    const root = folder();
    createWorkstation(root, scenario);
    const cards = cardsIn(root);
    expect(got(root)).toEqual(expected(cards, cardForLaunch(cards), []));
    for (const card of cards) expect(got(root, ['--card', card.id])).toEqual(expected(cards, card, []));
  });

  interface Sketch {
    readonly functions: readonly FunctionSketch[];
    readonly config: {
      readonly igpu: number;
      readonly dgpu: readonly number[];
      readonly ignore: readonly number[];
    };
    readonly files: readonly string[];
    /** Numbers of the DRM cards that a rule of udev's keeps from the desktop. */
    readonly hidden: readonly number[];
  }

  const DRIVERS = [
    'nvidia',
    'amdgpu',
    'i915',
    'xe',
    'radeon',
    'nouveau',
    'vfio-pci',
    'pci-stub',
    'ast',
    'virtio-pci',
  ];
  const ADDRESSES = [
    '0000:00:01.0',
    '0000:00:02.0',
    '0000:01:00.0',
    '0000:01:00.1',
    '0000:0a:00.0',
    '0001:01:00.0',
  ];

  const functionAt = (address: string, minor: number): fc.Arbitrary<FunctionSketch> =>
    fc
      .record({
        address: fc.constant(address),
        // Most are displays; a 3D controller is a display without a boot_vga file, which this tree writes all the same.
        classCode: fc.constantFrom(0x030000, 0x030000, 0x030200, 0x038000, 0x040300, 0x010802),
        vendor: fc.constantFrom(0x10de, 0x1002, 0x8086, 0x1a03, 0x102b),
        device: fc.constantFrom(0x1111, 0x2222),
        driver: fc.constantFrom(...DRIVERS, undefined),
        connectors: fc.constantFrom(
          {},
          { 'DP-1': 'connected enabled' },
          { 'DP-1': 'connected disabled', 'HDMI-A-1': 'disconnected disabled' },
          { 'DP-1': 'disconnected disabled', 'Writeback-1': 'unknown disabled' },
        ),
        card: fc.constantFrom(minor, undefined),
      })
      // No driver for apps knows a management controller.
      .map((fn) =>
        MANAGEMENT_VENDORS.includes(fn.vendor) && Object.keys(RECIPES).includes(fn.driver ?? '')
          ? { ...fn, driver: 'ast' }
          : fn,
      ) as fc.Arbitrary<FunctionSketch>;

  const blanked = (fn: FunctionSketch): FunctionSketch => ({
    ...fn,
    connectors: Object.fromEntries(
      Object.entries(fn.connectors ?? {}).map(([name, state]) => [
        name,
        state.replace(' enabled', ' disabled'),
      ]),
    ),
  });

  const sketches: fc.Arbitrary<Sketch> = fc
    .record({
      addresses: fc.subarray(ADDRESSES, { minLength: 1 }),
      // The kernel lets one card at most be the boot display.
      boot: fc.nat(ADDRESSES.length + 1),
      igpu: fc.integer({ min: -3, max: 5 }),
      dgpu: fc.oneof(fc.constant([]), fc.subarray([0, 1, 2, 3, 4, 5])),
      ignore: fc.oneof(fc.constant([]), fc.subarray([0, 1, 2, 3, 4, 5])),
      files: fc.subarray(LOOKED_FOR.slice()),
      // The screen is blanked: what was lit is plugged in still.
      blank: fc.boolean(),
      hidden: fc.oneof(fc.constant([]), fc.subarray([0, 1, 2, 3, 4, 5])),
    })
    .chain(({ addresses, boot, files, blank, hidden, ...config }) =>
      fc.tuple(...addresses.map((address, i) => functionAt(address, i))).map((functions) => ({
        functions: functions.map((fn, i) => ({ ...(blank ? blanked(fn) : fn), bootVga: i === boot })),
        config,
        files,
        hidden,
      })),
    );

  const nameOf = (index: number): string => `"${ADDRESSES[index]}"`;

  function configText({ igpu, dgpu, ignore }: Sketch['config']): string {
    return [
      '# cards',
      '[cards]',
      ...(igpu < 0 ? [] : [`igpu = ${nameOf(igpu)} # this one`]),
      `dgpu = [${dgpu.map(nameOf).join(', ')}]`,
      `ignore=[\n  ${ignore.map((index) => `${nameOf(index)}, # and`).join('\n  ')}\n]`,
      '[helper]',
      'igpu = "0000:00:00.0"',
      'idle-seconds = 5',
    ].join('\n');
  }

  test('on arbitrary machines with arbitrary configurations', async () => {
    await fc.assert(
      fc.asyncProperty(sketches, fc.boolean(), fc.nat(5), async (sketch, configured, wanted) => {
        const tree = treeOf(...sketch.functions);
        for (const file of sketch.files) tree.file(file.slice(1), '');
        for (const minor of sketch.hidden) tree.file(`run/udev/data/c226:${minor}`, HIDDEN);
        const text = configured ? configText(sketch.config) : '';
        if (configured) tree.file('etc/gpu-handoff/config.toml', text);
        const { config } = await configFrom(text);

        const cards = cardsIn(tree.root, config);
        expect(got(tree.root)).toEqual(expected(cards, cardForLaunch(cards), sketch.files));
        const asked = ADDRESSES[wanted] ?? '';
        const card = cards.find(({ id }) => id.slice(0, -1) === asked.slice(0, -1)) ?? null;
        expect(got(tree.root, ['--card', asked])).toEqual(expected(cards, card, sketch.files));
        rmSync(tree.root, { recursive: true, force: true });
      }),
      { numRuns: 60 },
    );
  }, 120_000);
});

/** What udev keeps of a card that is hidden from the desktop. */
const HIDDEN = 'I:1\nE:ID_SEAT=seat-guest\nG:master-of-seat\n';

/** A tree with these functions, as the kernel shows them from both sides. */
function treeOf(...functions: readonly FunctionSketch[]): Tree {
  const tree = new Tree();
  for (const fn of functions) {
    tree.function(fn);
    if (fn.driver !== undefined)
      tree.link(`sys/bus/pci/drivers/${fn.driver}/${fn.address}`, `sys/bus/pci/devices/${fn.address}`);
    if (fn.card === undefined) continue;
    const names = Object.keys(fn.connectors ?? {}).map((connector) => `card${fn.card}-${connector}`);
    for (const name of [`card${fn.card}`, ...names])
      tree.link(`sys/class/drm/${name}`, `sys/bus/pci/devices/${fn.address}/drm/card${fn.card}`);
  }
  return tree;
}

describe('machines on which a quick look proves nothing', () => {
  const lit = { connectors: { 'DP-1': 'connected enabled' } };
  const dark = { connectors: { 'DP-1': 'connected disabled' } };
  const first: FunctionSketch = { address: '0000:00:01.0', vendor: 0x1002, driver: 'amdgpu', card: 0 };
  const second: FunctionSketch = { address: '0000:01:00.0', vendor: 0x10de, driver: 'nvidia', card: 1 };
  const other: FunctionSketch = { address: '0000:02:00.0', vendor: 0x1af4, driver: 'virtio-pci', card: 2 };

  test.each([
    ['a card of no known driver has the monitor', [first, second, { ...other, ...lit, bootVga: true }]],
    [
      'it has the monitor, though another was booted with',
      [{ ...first, bootVga: true }, second, { ...other, ...lit }],
    ],
    [
      'the configuration gives it the monitors',
      [{ ...first, ...lit, bootVga: true }, second, { ...other, ...lit }],
      '[cards]\nigpu = "0000:02:00.0"',
    ],
    ['it was booted with, and no monitor is lit', [second, { ...other, bootVga: true }]],
    [
      'it was booted with, and a blanked monitor is on the first',
      [{ ...first, ...dark }, second, { ...other, bootVga: true }],
    ],
    [
      'a blanked monitor is on it, though another was booted with',
      [{ ...first, address: '0000:03:00.0', bootVga: true }, second, { ...other, ...dark }],
    ],
    ['no driver has the card on the processor’s bus', [{ address: '0000:00:02.0', vendor: 0x8086 }, second]],
  ] as [string, FunctionSketch[], string?][])('%s', async (_what, functions, text = '') => {
    const tree = treeOf(...functions);
    const { root } = tree;
    tree.file('etc/gpu-handoff/config.toml', text);
    const cards = cardsIn(root, (await configFrom(text)).config);
    expect(got(root)).toEqual(expected(cards, cardForLaunch(cards), []));
    expect(got(root)).toMatchObject({ away: false });
  });

  test('a blanked monitor on a card that is hidden from the desktop speaks for none', () => {
    const tree = treeOf(
      { ...first, ...dark, address: '0000:0a:00.0' },
      { ...second, ...dark, driver: 'amdgpu', bootVga: true },
    );
    tree.file('run/udev/data/c226:1', HIDDEN);
    const cards = cardsIn(tree.root);
    expect(cards.map(({ role }) => role)).toEqual(['dgpu', 'igpu']);
    expect(got(tree.root)).toEqual(expected(cards, cardForLaunch(cards), []));
  });

  test.each([
    ['connected enabled', 'amdgpu', 'xe'],
    ['connected enabled', 'xe', 'amdgpu'],
    ['connected disabled', 'amdgpu', 'xe'],
    ['connected disabled', 'xe', 'amdgpu'],
  ])('of two equals, each with a monitor (%s), the first has the monitors: %s and %s', (state, one, next) => {
    const connectors = { 'DP-1': state };
    const tree = treeOf(
      { ...first, address: '0000:03:00.0', driver: one, connectors },
      { ...first, address: '0000:04:00.0', driver: next, connectors, card: 2 },
      { ...second, address: '0000:05:00.0', bootVga: true },
    );
    const cards = cardsIn(tree.root);
    expect(cards.map(({ role }) => role)).toEqual(['igpu', 'dgpu', 'dgpu']);
    expect(got(tree.root)).toEqual(expected(cards, cardForLaunch(cards), []));
  });

  test('a virtual function of a card is no card', () => {
    const tree = treeOf({ ...first, ...lit, bootVga: true }, { ...first, address: '0000:00:02.1', card: 3 });
    tree.link('sys/bus/pci/devices/0000:00:02.1/physfn', 'sys/bus/pci/devices/0000:00:01.0');
    expect(cardForLaunch(cardsIn(tree.root))).toBeNull();
    expect(got(tree.root)).toMatchObject({ away: true });
  });
});

describe('the configuration as the wrapper reads it', () => {
  /** The text in the configuration's place on a machine with three cards. */
  function machineWith(text: string): string {
    const tree = treeOf(
      {
        address: '0000:00:02.0',
        vendor: 0x8086,
        driver: 'i915',
        bootVga: true,
        card: 0,
        connectors: { 'DP-1': 'connected enabled' },
      },
      { address: '0000:01:00.0', vendor: 0x10de, driver: 'nvidia' },
      { address: '0000:04:00.0', vendor: 0x1002, driver: 'amdgpu' },
    );
    const path = tree.path('etc/gpu-handoff/config.toml');
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    return tree.root;
  }

  test.each([
    ['[cards]\ndgpu = ["0000:04:00.0"]\n'],
    ['cards.dgpu = ["0000:04:00.0"]'],
    ["  [ cards ]  \r\n  dgpu=[ '0000:04:00.0' , ]\r\n"],
    ['[cards]\ndgpu = [\n  "0000:04:00.0", # the strong one ]\n]\nigpu = "0000:00:02.0"'],
    ['[cards]\nignore = ["0000:01:00.0"]'],
    ['[cards]\nigpu = "0000:01:00.0"'],
    ['[cards]\nigpu = "01:00.0"'],
    ['[cards]\nignore = ["0000:01:00.0", 7]'],
    ['[cards]\nignore = []\n[take-back]\nguest-shutdown-seconds = 9'],
    ['[hand-off]\nservices = ["a.service", "b.service"]\n\n[cards] # mine\nignore = ["0000:01:00.0"]'],
    [''],
  ])('%j', async (text) => {
    const root = machineWith(text);
    const { config } = await configFrom(text);
    const cards = cardsIn(root, config);
    expect(got(root)).toEqual(expected(cards, cardForLaunch(cards), []));
  });
});
