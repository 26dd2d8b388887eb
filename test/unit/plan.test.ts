import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DEFAULT_CONFIG } from '../../core/src/config.js';
import { type Card, detect } from '../../core/src/detect.js';
import type { DeviceNode, HardwareFacts, ModuleFacts, PciFunction } from '../../core/src/facts.js';
import { nvidiaStack } from '../../core/src/holders.js';
import type { Act } from '../../core/src/machine.js';
import {
  assume,
  EVERY_STEP,
  isAway,
  type Memory,
  mergeMemories,
  planGuestLeaves,
  planHandOff,
  planReturn,
  remember,
  type Step,
} from '../../core/src/plan.js';
import { say } from '../../core/src/words.js';
import {
  amd,
  card,
  intelIgpu,
  laptop,
  lit,
  machine,
  module,
  nvidia,
  pci,
  sound,
  UUID_A,
  vm,
} from './support-facts.js';

const GPU = '0000:01:00.0';
const SOUND = '0000:01:00.1';
const SECOND = '0000:05:00.0';
const SERVICES = ['nvidia-powerd.service', 'nvidia-persistenced.service'];

const ids = (steps: readonly Step[]): string[] => steps.map((step) => step.id);
const actOf = (steps: readonly Step[], id: string): Act | null => {
  const task = steps.find((step) => step.id === id)?.task;
  return task !== undefined && 'act' in task ? task.act : null;
};

// Random machines

const modules: fc.Arbitrary<ModuleFacts[]> = fc
  .record({
    uvm: fc.boolean(),
    modeset: fc.boolean(),
    drm: fc.boolean(),
    peermem: fc.boolean(),
    backlight: fc.boolean(),
    third: fc.boolean(),
  })
  .map((has) => {
    const modeset = has.modeset || has.drm;
    const users = (...pairs: [boolean, string][]) => pairs.filter(([there]) => there).map(([, name]) => name);
    const build = (name: string, holders: string[]) => module(name, holders.length, ...holders);
    const all = [
      build(
        'nvidia',
        users([modeset, 'nvidia_modeset'], [has.uvm, 'nvidia_uvm'], [has.peermem, 'nvidia_peermem']),
      ),
    ];
    if (modeset)
      all.push(build('nvidia_modeset', users([has.drm, 'nvidia_drm'], [has.backlight, 'nvidia_wmi_ec'])));
    if (modeset && has.backlight) all.push(build('nvidia_wmi_ec', []));
    if (has.uvm) all.push(build('nvidia_uvm', users([has.peermem && has.third, 'nvidia_peermem'])));
    if (has.peermem) all.push(build('nvidia_peermem', []));
    if (has.drm) all.push(build('nvidia_drm', users([has.third, 'nvidia_third'])));
    if (has.drm && has.third) all.push(build('nvidia_third', []));
    return all;
  });

const power = fc
  .constantFrom('auto', 'on', null)
  .map((control) => ({ state: 'D0', runtime: 'active', control }));

function someCard(address: string, group: number, loaded: boolean): fc.Arbitrary<PciFunction[]> {
  const slot = address.slice(0, -1);
  const main = fc
    .record({ kind: fc.constantFrom('nvidia', 'amd', 'none', 'vfio'), power })
    .map(({ kind, power: its }): PciFunction => {
      if (kind === 'amd') return amd(address, { iommuGroup: group, power: its });
      const driver = kind === 'nvidia' && loaded ? 'nvidia' : kind === 'vfio' ? 'vfio-pci' : null;
      const more = { iommuGroup: group, power: its, driver };
      return driver === 'nvidia' ? nvidia(address, more) : nvidia(address, { ...more, nodes: [] });
    });
  const other = (n: number, made: (a: string) => PciFunction) =>
    fc.option(
      fc
        .record({ driver: fc.constantFrom('host', 'host', 'vfio-pci', null), power })
        .map(({ driver, power: its }): PciFunction => {
          const fn = made(`${slot}${n}`);
          if (driver === 'host') return { ...fn, iommuGroup: group, power: its };
          return { ...fn, iommuGroup: group, power: its, driver, nodes: [] };
        }),
      { nil: null },
    );
  return fc
    .tuple(
      main,
      other(1, sound),
      other(2, (a) => pci(a, { classCode: 0x0c0330, driver: 'xhci_hcd' })),
    )
    .map((all) => all.filter((fn) => fn !== null));
}

interface Case {
  readonly facts: HardwareFacts;
  readonly cards: readonly Card[];
  readonly memory: Memory;
  readonly services: readonly string[];
  readonly steps: readonly Step[];
  readonly startsVm: boolean;
}

const cases: fc.Arbitrary<Case> = fc
  .record({
    loaded: fc.boolean(),
    modules,
    one: someCard(GPU, 15, true),
    two: fc.option(someCard(SECOND, 20, true), { nil: [] }),
    services: fc.subarray(SERVICES),
    startsVm: fc.boolean(),
    masked: fc.boolean(),
  })
  .map(({ modules: stack, one, two, services, startsVm, masked }) => {
    const igpu = intelIgpu({ bootVga: true, connectors: lit('eDP-1') });
    const functions = [igpu, ...one, ...two];
    const nvidiaThere = functions.some((fn) => fn.driver === 'nvidia');
    const facts = machine(functions, {
      modules: [...(nvidiaThere ? stack : []), module('snd_hda_intel', 3), module('amdgpu', 0)],
    });
    const cards = detect(facts, DEFAULT_CONFIG).filter((one_) => one_.role === 'dgpu');
    const memory = remember(cards, facts, services, () => (masked ? 0 : 0o660));
    const wanted = vm(cards.flatMap((one_) => one_.functions.map((fn) => fn.address)));
    const { steps } = planHandOff(wanted, cards, facts, memory, DEFAULT_CONFIG, startsVm);
    return { facts, cards, memory, services, steps, startsVm };
  });

const always = (holds: (one: Case) => void): void => fc.assert(fc.property(cases, holds), { numRuns: 300 });

/** Each of these ids that is there comes before each of those that are there. */
function expectOrder(steps: readonly Step[], first: readonly RegExp[], then: readonly RegExp[]): void {
  const places = (patterns: readonly RegExp[]): number[] =>
    ids(steps).flatMap((id, i) => (patterns.some((pattern) => pattern.test(id)) ? [i] : []));
  const last = Math.max(-1, ...places(first));
  const next = Math.min(steps.length, ...places(then));
  expect(last).toBeLessThan(next);
}

describe('a hand-off of any cards', () => {
  test('blocks and claims and closes and stops before it looks, and looks before it unloads anything', () => {
    always(({ steps }) => {
      expectOrder(steps, [/^power$/, /^claim$/, /^block$/, /^mask$/, /^stop$/], [/^look$/]);
      expectOrder(steps, [/^look$/], [/^unload:/, /^start-vm$/]);
      if (ids(steps).some((id) => id.startsWith('unload:'))) {
        expect(ids(steps)).toEqual(expect.arrayContaining(['claim', 'block', 'look']));
      }
    });
  });

  test('looks whenever a driver of the host has any function', () => {
    always(({ steps, cards }) => {
      expect(ids(steps).includes('look')).toBe(!cards.every(isAway));
    });
  });

  test('unloads the whole stack, each module after all that use it, and before the VM starts', () => {
    always(({ steps, facts, cards }) => {
      const unloaded = ids(steps).flatMap((id) => (id.startsWith('unload:') ? [id.slice(7)] : []));
      const leaves = cards.some((one) => one.main.driver === 'nvidia');
      expect([...unloaded].sort()).toEqual(leaves ? [...nvidiaStack(facts)].sort() : []);
      for (const name of unloaded) {
        const holders = facts.modules.find((one) => one.name === name)?.holders ?? [];
        for (const holder of holders) expect(unloaded.indexOf(holder)).toBeLessThan(unloaded.indexOf(name));
      }
      expectOrder(steps, [/^unload:/], [/^start-vm$/, /^guest-has$/]);
    });
  });

  test('never unloads, blocks or stops anything for a card of another maker', () => {
    always(({ steps, cards }) => {
      if (cards.some((one) => one.main.driver === 'nvidia')) return;
      expect(ids(steps).filter((id) => /^(unload:|block$|stop$)/.test(id))).toEqual([]);
    });
  });

  test('starts the VM only where libvirt does not do so already, and ends by seeing the guest', () => {
    always(({ steps, startsVm }) => {
      expect(ids(steps).includes('start-vm')).toBe(startsVm);
      expect(ids(steps).at(-1)).toBe('guest-has');
      if (startsVm) expect(ids(steps).at(-2)).toBe('start-vm');
    });
  });

  test('stops services only where they were active', () => {
    always(({ steps, services, cards }) => {
      const stop = actOf(steps, 'stop');
      const leaves = cards.some((one) => one.main.driver === 'nvidia');
      expect(stop).toEqual(leaves && services.length > 0 ? { do: 'stop-services', units: services } : null);
    });
  });

  test('touches functions of the leaving cards alone, and none that vfio-pci has already', () => {
    always(({ steps, cards }) => {
      const free = cards.flatMap((one) => one.functions).filter((fn) => fn.driver !== 'vfio-pci');
      for (const { task } of steps)
        if ('act' in task && 'addresses' in task.act)
          for (const address of task.act.addresses) expect(free.map((fn) => fn.address)).toContain(address);
    });
  });

  test('has steps with different ids, time limits, and sentences without holes', () => {
    always(({ steps, memory, facts }) => {
      const all = [...steps, ...planReturn(memory, facts, DEFAULT_CONFIG, EVERY_STEP)];
      expect(new Set(ids(all)).size).toBe(all.length);
      for (const step of all) {
        expect(step.limitMs).toBeGreaterThan(0);
        expect(say(step.title)).not.toMatch(/[{}]/);
      }
    });
  });
});

/** What undoes each step that changes something. */
const UNDO: readonly (readonly [step: RegExp, undo: string])[] = [
  [/^power$/, 'unpower'],
  [/^claim$/, 'unclaim'],
  [/^block$/, 'unblock'],
  [/^mask$/, 'unmask'],
  [/^stop$/, 'start'],
  [/^unload:/, 'load'],
];

describe('the way back from any step', () => {
  const started = fc.tuple(cases, fc.nat()).map(([one, n]) => {
    const begun = ids(one.steps).slice(0, n % (one.steps.length + 1));
    return { ...one, begun, back: planReturn(one.memory, one.facts, DEFAULT_CONFIG, begun) };
  });
  type Started = Case & { readonly begun: string[]; readonly back: Step[] };
  const whatever = (holds: (one: Started) => void): void =>
    fc.assert(fc.property(started, holds), { numRuns: 400 });

  test('undoes every step that was begun, and none that was not', () => {
    whatever(({ begun, back }) => {
      for (const [step, undo] of UNDO)
        expect([undo, ids(back).includes(undo)]).toEqual([undo, begun.some((id) => step.test(id))]);
    });
  });

  test('undoes with what the step did: the same units, nodes, modules, functions', () => {
    whatever(({ steps, back, begun, memory, facts }) => {
      if (begun.includes('stop'))
        expect(actOf(back, 'start')).toEqual({ ...actOf(steps, 'stop'), do: 'start-services' });
      if (begun.includes('mask'))
        expect(actOf(back, 'unmask')).toEqual({ ...actOf(steps, 'mask'), do: 'unmask-nodes' });
      if (begun.includes('power'))
        expect(actOf(back, 'unpower')).toEqual({ ...actOf(steps, 'power'), control: 'auto' });
      if (begun.includes('claim')) {
        const claim = actOf(steps, 'claim');
        const unclaim = actOf(back, 'unclaim');
        if (claim?.do !== 'set-override' || unclaim?.do !== 'set-override') throw new Error('no claim');
        expect(unclaim.driver).toBe('');
        expect(unclaim.addresses).toEqual(expect.arrayContaining([...claim.addresses]));
      }
      const load = actOf(back, 'load');
      if (load?.do === 'load-modules') {
        // Loading these brings everything that they need, and that is the whole stack.
        const needs = (name: string): string[] =>
          facts.modules
            .filter((one) => one.holders.includes(name))
            .flatMap((one) => [one.name, ...needs(one.name)]);
        const loaded = load.modules.flatMap((one) => [one, ...needs(one)]);
        expect(loaded).toEqual(expect.arrayContaining(nvidiaStack(facts)));
      }
      expect(memory.assumed).toBe(false);
    });
  });

  test('takes functions from vfio-pci only where a guest could have had them', () => {
    whatever(({ begun, back, memory }) => {
      const unbound = ids(back).flatMap((id) => (id.startsWith('unbind:') ? [id.slice(7)] : []));
      const left = begun.includes('start-vm') || begun.includes('guest-has');
      expect(unbound).toEqual(left ? memory.functions : []);
    });
  });

  test('frees, lifts the claim and the block, gives sound back, and only then loads the driver', () => {
    whatever(({ back }) => {
      expectOrder(back, [/^unbind:/], [/^unclaim$/, /^unblock$/, /^probe-/, /^load$/]);
      expectOrder(back, [/^unclaim$/], [/^probe-/, /^load$/]);
      expectOrder(back, [/^unblock$/, /^probe-others$/], [/^load$/, /^probe-main$/]);
      expectOrder(back, [/^load$/], [/^probe-main$/, /^start$/]);
      expectOrder(back, [/^(?!host-has$)/], [/^host-has$/]);
    });
  });

  test('gives back and loads nothing where a function could not be freed: both drivers on one card can panic', () => {
    whatever(({ back }) => {
      const clear = ids(back).filter((id) => /^(unbind:|unclaim$)/.test(id));
      for (const step of back)
        if (/^(probe-|load$)/.test(step.id))
          expect([...(step.after ?? [])].sort()).toEqual([...clear].sort());
    });
  });

  test('ends by seeing every function at the driver that it had', () => {
    whatever(({ back, begun, memory, cards }) => {
      const check = back.find((step) => step.id === 'host-has')?.task;
      const had = cards
        .flatMap((one) => one.functions)
        .filter((fn) => fn.driver !== null && fn.driver !== 'vfio-pci');
      expect(memory.home.map((home) => [home.address, home.driver])).toEqual(
        had.map((fn) => [fn.address, fn.driver]),
      );
      const changed = begun.some((id) => /^(claim|unload:|start-vm|guest-has)/.test(id));
      expect(check !== undefined).toBe(changed && had.length > 0);
    });
  });

  test('from nothing is nothing', () => {
    whatever(({ memory, facts }) => {
      expect(planReturn(memory, facts, DEFAULT_CONFIG, [])).toEqual([]);
    });
  });
});

describe('the usual laptop', () => {
  const facts = laptop();
  const one = card(facts, GPU);
  const modeOf = (node: DeviceNode): number => (node.kind === 'nvidia' ? 0o666 : 0o660);
  const memory = remember([one], facts, SERVICES, modeOf);
  const wanted = vm([GPU, SOUND]);

  test('goes step by step', () => {
    const { steps } = planHandOff(wanted, [one], facts, memory, DEFAULT_CONFIG, true);
    expect(steps.map((step) => say(step.title))).toEqual([
      'Reserve GeForce RTX 4070 for the VM',
      'Keep the driver from loading again',
      'Close the device nodes to new users',
      'Stop nvidia-powerd, nvidia-persistenced',
      'Look again who holds GeForce RTX 4070',
      'Unload nvidia_drm',
      'Unload nvidia_modeset',
      'Unload nvidia_uvm',
      'Unload nvidia',
      'Start the VM “win11”',
      'See that the VM “win11” has GeForce RTX 4070',
    ]);
  });

  test('and back', () => {
    expect(ids(planReturn(memory, facts, DEFAULT_CONFIG, EVERY_STEP))).toEqual([
      'unbind:0000:01:00.0',
      'unbind:0000:01:00.1',
      'unclaim',
      'unblock',
      'probe-others',
      'load',
      'probe-main',
      'unmask',
      'start',
      'host-has',
    ]);
    expect(memory.modules).toEqual(['nvidia_uvm', 'nvidia_drm']);
  });

  test('gives the sound back before other functions', () => {
    const four = [3, 2, 1].map((n) =>
      n === 1 ? sound(SOUND) : pci(`0000:01:00.${n}`, { classCode: 0x0c0330, driver: 'xhci_hcd' }),
    );
    const crowded = machine([...facts.functions.slice(0, 2), ...four]);
    const all = remember([card(crowded, GPU)], crowded, [], modeOf);
    expect(actOf(planReturn(all, crowded, DEFAULT_CONFIG, EVERY_STEP), 'probe-others')).toEqual({
      do: 'probe',
      addresses: [SOUND, '0000:01:00.3', '0000:01:00.2'],
    });
  });

  test('nodes that are closed already, or gone, are not remembered as open', () => {
    const closed = remember([one], facts, [], (node) => (node.kind === 'sound' ? null : 0));
    expect(closed.nodes).toEqual([]);
  });

  test('a guest leaves by being asked, or by force', () => {
    const polite = planGuestLeaves({ uuid: UUID_A, name: 'win11' }, memory, DEFAULT_CONFIG, false);
    expect(ids(polite)).toEqual(['shutdown-vm', 'guest-gone']);
    expect(polite[1]?.limitMs).toBe(DEFAULT_CONFIG.guestShutdownSeconds * 1000);
    const forced = planGuestLeaves({ uuid: UUID_A, name: 'win11' }, memory, DEFAULT_CONFIG, true);
    expect(ids(forced)).toEqual(['destroy-vm', 'guest-gone']);
  });
});

describe('a card that is away already', () => {
  const away = (driver: string | null) =>
    machine([
      intelIgpu({ connectors: lit('eDP-1') }),
      nvidia(GPU, { driver, nodes: [] }),
      sound(SOUND, { driver, nodes: [] }),
    ]);

  test('with nothing remembered only changes to the VM, and undoing leaves it where it was', () => {
    for (const driver of ['vfio-pci', null]) {
      const facts = away(driver);
      const memory = remember([card(facts, GPU)], facts, [], () => 0o660);
      const plan = planHandOff(vm([GPU, SOUND]), [card(facts, GPU)], facts, memory, DEFAULT_CONFIG, true);
      expect(ids(plan.steps)).toEqual(['start-vm', 'guest-has']);
      expect(plan.begun).toEqual([]);
    }
    const facts = away('vfio-pci');
    const memory = remember([card(facts, GPU)], facts, [], () => 0o660);
    expect(planReturn(memory, facts, DEFAULT_CONFIG, ['start-vm'])).toEqual([]);
  });

  test('with a memory of home goes all the way back when the VM does not start', () => {
    const before = laptop();
    const memory = remember([card(before, GPU)], before, SERVICES, () => 0o660);
    const facts = away(null);
    const plan = planHandOff(vm([GPU, SOUND]), [card(facts, GPU)], facts, memory, DEFAULT_CONFIG, true);
    expect(ids(plan.steps)).toEqual(['start-vm', 'guest-has']);
    expect(plan.begun).toEqual(EVERY_STEP);
  });

  test('is given back by assumption to any driver of the host', () => {
    const facts = away('vfio-pci');
    const memory = assume([card(facts, GPU)], facts);
    const back = planReturn(memory, facts, DEFAULT_CONFIG, EVERY_STEP);
    expect(ids(back)).toEqual(
      expect.arrayContaining(['unclaim', 'unblock', 'load', 'probe-main', 'host-has']),
    );
    expect(ids(back)).not.toContain('start');
    expect(ids(back)).not.toContain('unpower');
    const check = back.at(-1)?.task;
    expect(check).toEqual({ check: { see: 'host-has', home: [], any: [GPU] } });
  });

  test('a card that was pulled out meanwhile: only what is not the card’s is undone', () => {
    const before = laptop();
    const memory = remember([card(before, GPU)], before, SERVICES, () => 0o660);
    const gone = machine(before.functions.slice(0, 1));
    expect(ids(planReturn(memory, gone, DEFAULT_CONFIG, EVERY_STEP))).toEqual(['unblock', 'unmask', 'start']);
  });

  test('an AMD card’s return leaves the block of NVIDIA’s driver alone', () => {
    const facts = machine([intelIgpu(), amd(GPU), nvidia(SECOND, { driver: 'vfio-pci' })]);
    const memory = remember([card(facts, GPU)], facts, [], () => 0o660);
    expect(ids(planReturn(memory, facts, DEFAULT_CONFIG, EVERY_STEP))).not.toContain('unblock');
  });

  test('an AMD card is given back without loading anything', () => {
    const facts = machine([intelIgpu(), amd(GPU, { driver: 'vfio-pci', nodes: [] })]);
    expect(assume([card(facts, GPU)], facts).modules).toEqual([]);
  });

  test('two cards, one of them away: what is known of each from its own time', () => {
    const both = machine([intelIgpu({ connectors: lit('DP-1') }), nvidia(GPU), amd(SECOND)]);
    const first = remember([card(both, GPU)], both, SERVICES, () => 0o660);
    const second = remember([card(both, SECOND)], both, [], () => 0o660);
    const merged = mergeMemories([first, second]);
    expect(merged.home.map((home) => home.address)).toEqual([GPU, SECOND]);
    expect(merged.modules).toEqual(first.modules);
    expect(merged.services).toEqual(SERVICES);
    expect(mergeMemories([first, first])).toEqual(first);
  });
});
