/**
 * The steps of a hand-off and of the way back, as values. Nothing here touches the machine: a plan can be printed
 * (dry run), written to the journal, executed, and undone.
 */
import type { Config } from './config.js';
import { type Card, isKept, leavesByUnloading, slotOf, usedByHost } from './detect.js';
import type { Address, DeviceNode, HardwareFacts, PciFunction, VirtualMachine } from './facts.js';
import { nvidiaStack } from './holders.js';
import type { Act, MaskedNode } from './machine.js';
import { printable, type Sentence, sentence } from './words.js';

/** A question that a step asks of the machine; it is over when the answer is yes. */
export type Check =
  | { readonly see: 'nobody-holds'; readonly cards: readonly Address[] }
  | { readonly see: 'guest-has'; readonly cards: readonly Address[]; readonly uuid: string }
  | { readonly see: 'guest-gone'; readonly cards: readonly Address[]; readonly uuid: string }
  /** The functions of `home` have their drivers and nodes again; the cards of `any` have some driver of the host. */
  | { readonly see: 'host-has'; readonly home: readonly HomeFunction[]; readonly any: readonly Address[] };

export interface Step {
  /** Unique within a plan: `claim`, `unload:nvidia_drm`, … */
  readonly id: string;
  readonly title: Sentence;
  readonly task: { readonly act: Act } | { readonly check: Check };
  readonly limitMs: number;
  /** Steps (by id) without whose success it would do harm. */
  readonly after?: readonly string[];
}

/** Where a function belongs when the card is at home. */
export interface HomeFunction {
  readonly address: Address;
  readonly driver: string;
  /** It had DRM nodes, which must be there again. */
  readonly drm: boolean;
}

/** What the way back needs to know of how the machine was before. Plain values: it is part of the journal. */
export interface Memory {
  readonly cards: readonly { readonly id: Address; readonly name: string }[];
  /** Functions that change hands: not those that vfio-pci had before anything was done. */
  readonly functions: readonly Address[];
  readonly home: readonly HomeFunction[];
  /** Functions whose `power/control` was `auto`. */
  readonly autoPower: readonly Address[];
  /** Modules to load again, in order; empty where nothing is unloaded. */
  readonly modules: readonly string[];
  /** Units that are stopped, and so started again. */
  readonly services: readonly string[];
  readonly nodes: readonly MaskedNode[];
  /** Nothing was seen before the cards left; see `assume`. */
  readonly assumed: boolean;
}

export interface HandOffPlan {
  readonly vm: { readonly uuid: string; readonly name: string };
  readonly memory: Memory;
  readonly steps: readonly Step[];
  /** Steps of an earlier hand-off that were not undone, so that undoing this one undoes them too. */
  readonly begun: readonly string[];
}

const AUDIO = 0x04;
const NVIDIA = 0x10de;

function act(id: string, title: Sentence, what: Act, limitMs: number, after: readonly string[] = []): Step {
  return { id, title, task: { act: what }, limitMs, after };
}

function check(id: string, title: Sentence, what: Check, limitMs: number): Step {
  return { id, title, task: { check: what }, limitMs };
}

/** Modules to load so that the whole stack stands again: those that no other module of it needs. */
function loadOrder(stack: readonly string[], facts: HardwareFacts): string[] {
  const tops = stack.filter((name) => {
    const module = facts.modules.filter((m) => m.name === name)[0];
    return module !== undefined && module.holders.length === 0;
  });
  return lastDrm(tops);
}

/** nvidia_drm last: when it is there the card is complete, render node and all. */
function lastDrm(modules: readonly string[]): string[] {
  const isDrm = (name: string): boolean => name === 'nvidia_drm';
  return modules.filter((name) => !isDrm(name)).concat(modules.filter(isDrm));
}

/** Ids that stand for every step, for a card that a guest had: all of them were begun. */
export const EVERY_STEP: readonly string[] = [
  'power',
  'claim',
  'block',
  'mask',
  'stop',
  'unload',
  'start-vm',
  'guest-has',
];

function functionsOf(cards: readonly Card[]): PciFunction[] {
  return ([] as PciFunction[]).concat(...cards.map((card) => card.functions));
}

/** What has to be known for the way back, from facts read before anything is done. */
export function remember(
  cards: readonly Card[],
  facts: HardwareFacts,
  activeServices: readonly string[],
  modeOf: (node: DeviceNode) => number | null,
): Memory {
  const functions = functionsOf(cards).filter((fn) => !isKept(fn));
  const unloading = cards.some(leavesByUnloading);
  const stack = unloading ? nvidiaStack(facts) : [];
  const nodes: DeviceNode[] = [];
  for (const fn of functions) for (const node of fn.nodes) if (node.kind !== 'vfio') nodes.push(node);
  if (unloading) for (const node of facts.nvidiaNodes) nodes.push(node);
  const home: HomeFunction[] = [];
  for (const fn of functions) {
    if (fn.driver === null) continue;
    const drm = fn.nodes.some((node) => node.kind === 'card' || node.kind === 'render');
    home.push({ address: fn.address, driver: fn.driver, drm });
  }
  return {
    cards: cards.map((card) => ({ id: card.id, name: card.name })),
    functions: functions.map((fn) => fn.address),
    home,
    autoPower: functions.filter((fn) => fn.power.control === 'auto').map((fn) => fn.address),
    modules: loadOrder(stack, facts),
    services: unloading ? activeServices : [],
    nodes: nodes
      .map((node) => ({ number: node.number, path: node.path, kind: node.kind, mode: modeOf(node) }))
      .filter((node) => node.mode !== null && node.mode !== 0),
    assumed: false,
  };
}

/**
 * What to assume of a card that is found away from home with nothing remembered (its VM was started before the
 * helper was installed): NVIDIA's modules by vendor, otherwise whatever driver the kernel gives it.
 */
export function assume(cards: readonly Card[], facts: HardwareFacts): Memory {
  const functions = functionsOf(cards);
  const nvidia = cards.some((card) => card.main.vendorId === NVIDIA) && nvidiaStack(facts).length === 0;
  return {
    cards: cards.map((card) => ({ id: card.id, name: card.name })),
    functions: functions.map((fn) => fn.address),
    home: [],
    autoPower: [],
    modules: nvidia ? ['nvidia_uvm', 'nvidia_drm'] : [],
    services: [],
    nodes: [],
    assumed: true,
  };
}

function union<T>(lists: readonly (readonly T[])[], key: (one: T) => string): T[] {
  const found = new Map<string, T>();
  for (const list of lists) for (const one of list) if (!found.has(key(one))) found.set(key(one), one);
  return Array.from(found.values());
}

/** What is known of several cards together: of those that are away from when they left, of the others from now. */
export function mergeMemories(memories: readonly Memory[]): Memory {
  const plain = (text: string): string => text;
  return {
    cards: union(
      memories.map((m) => m.cards),
      (card) => card.id,
    ),
    functions: union(
      memories.map((m) => m.functions),
      plain,
    ),
    home: union(
      memories.map((m) => m.home),
      (home) => home.address,
    ),
    autoPower: union(
      memories.map((m) => m.autoPower),
      plain,
    ),
    modules: lastDrm(
      union(
        memories.map((m) => m.modules),
        plain,
      ),
    ),
    services: union(
      memories.map((m) => m.services),
      plain,
    ),
    nodes: union(
      memories.map((m) => m.nodes),
      (node) => `${node.path} ${node.number}`,
    ),
    assumed: memories.some((m) => m.assumed),
  };
}

/** What is known of some of its cards. Modules, services and nodes belong to no one card and stay. */
export function sliceMemory(memory: Memory, cards: readonly Address[]): Memory {
  const slots = cards.map(slotOf);
  const isOfThese = (address: Address): boolean => slots.indexOf(slotOf(address)) >= 0;
  return Object.assign({}, memory, {
    cards: memory.cards.filter((card) => isOfThese(card.id)),
    functions: memory.functions.filter(isOfThese),
    home: memory.home.filter((home) => isOfThese(home.address)),
    autoPower: memory.autoPower.filter(isOfThese),
  });
}

/** True where the way back has nothing to do: the cards were kept for guests before anything was done. */
export function isNothing(memory: Memory): boolean {
  return memory.home.length === 0 && !memory.assumed;
}

/** True when no driver of the host has any of its functions: the card left already, or never was here. */
export function isAway(card: Card): boolean {
  return !card.functions.some(usedByHost);
}

function names(memory: Memory): string {
  return memory.cards.map((card) => card.name).join(', ');
}

/** Units without their ending, as people say them. */
function units(list: readonly string[]): string {
  return list.map((unit) => unit.replace(/\.service$/, '')).join(', ');
}

/**
 * The steps from the host to the VM. `startsVm` is false when libvirt is starting it already and waits in its hook.
 *
 * New openings are blocked before the second look, and NVIDIA's modules unload before libvirt touches the sound
 * function: a card whose functions have drivers of both sides can panic the kernel.
 */
export function planHandOff(
  vm: VirtualMachine,
  cards: readonly Card[],
  facts: HardwareFacts,
  memory: Memory,
  config: Config,
  startsVm: boolean,
): HandOffPlan {
  const limit = config.stepSeconds * 1000;
  const card = names(memory);
  const name = printable(vm.name);
  const ids = cards.map((c) => c.id);
  const away = cards.every(isAway);
  const claimed = vm.devices.map((d) => d.address).filter((a) => memory.functions.indexOf(a) >= 0);
  const stack = cards.some(leavesByUnloading) ? nvidiaStack(facts) : [];
  const steps: Step[] = [];

  if (!away) {
    if (memory.autoPower.length > 0) {
      const what: Act = { do: 'set-power', addresses: memory.autoPower, control: 'on' };
      steps.push(act('power', sentence('step.power', { card }), what, limit));
    }
    if (claimed.length > 0) {
      const claim: Act = { do: 'set-override', addresses: claimed, driver: 'vfio-pci' };
      steps.push(act('claim', sentence('step.claim', { card }), claim, limit));
    }
    if (stack.length > 0)
      steps.push(act('block', sentence('step.block'), { do: 'block-modules', modules: stack }, limit));
    if (memory.nodes.length > 0)
      steps.push(act('mask', sentence('step.mask'), { do: 'mask-nodes', nodes: memory.nodes }, limit));
    if (memory.services.length > 0) {
      const title = sentence('step.stop', { units: units(memory.services) });
      steps.push(act('stop', title, { do: 'stop-services', units: memory.services }, limit));
    }
    const look: Check = { see: 'nobody-holds', cards: ids };
    steps.push(check('look', sentence('step.look', { card }), look, limit));
    for (const module of stack) {
      const title = sentence('step.unload', { module });
      steps.push(act(`unload:${module}`, title, { do: 'unload-module', module }, limit));
    }
  }
  if (startsVm) {
    const title = sentence('step.start-vm', { vm: name });
    // libvirt unbinds, resets the card and may pin all of the guest's memory before it answers.
    steps.push(act('start-vm', title, { do: 'start-vm', uuid: vm.uuid }, Math.max(limit, 300000)));
  }
  const has: Check = { see: 'guest-has', cards: ids, uuid: vm.uuid };
  steps.push(
    check('guest-has', sentence('step.guest-has', { vm: name, card }), has, startsVm ? limit : 300000),
  );
  const begun = !isNothing(memory) && cards.some(isAway) ? EVERY_STEP : [];
  return { vm: { uuid: vm.uuid, name: vm.name }, memory, steps, begun };
}

function isAudio(address: Address, facts: HardwareFacts): boolean {
  const fn = facts.functions.filter((f) => f.address === address)[0];
  return fn !== undefined && fn.classCode >> 16 === AUDIO;
}

function isNvidia(memory: Memory, facts: HardwareFacts): boolean {
  const own = (address: Address): boolean => memory.functions.indexOf(address) >= 0;
  return memory.modules.length > 0 || facts.functions.some((fn) => own(fn.address) && fn.vendorId === NVIDIA);
}

/**
 * The steps that bring the cards home, from wherever a hand-off got to. `started` are the ids of its steps that were
 * begun (all of them when the guest had the card), so that nothing is undone that was not done: a service that was
 * not stopped is not started.
 */
export function planReturn(
  memory: Memory,
  facts: HardwareFacts,
  config: Config,
  started: readonly string[],
): Step[] {
  const limit = config.stepSeconds * 1000;
  const card = names(memory);
  const begun = (id: string): boolean => started.some((one) => one === id || one.indexOf(`${id}:`) === 0);
  // A card in an external case may have been pulled out: what is gone needs nothing.
  const isThere = (address: Address): boolean => facts.functions.some((fn) => fn.address === address);
  const functions = memory.functions.filter(isThere);
  const home = memory.home.filter((one) => isThere(one.address));
  const autoPower = memory.autoPower.filter(isThere);
  const mains = memory.cards.map((c) => c.id).filter((id) => functions.indexOf(id) >= 0);
  const unloaded = memory.modules.length > 0 && begun('unload') && functions.length > 0;
  const left = (begun('start-vm') || begun('guest-has')) && functions.length > 0;
  const steps: Step[] = [];
  // Where these fail, NVIDIA's driver could meet vfio-pci on another function of its card.
  const clear: string[] = [];

  if (left) {
    for (const address of functions) {
      const id = `unbind:${address}`;
      const title = sentence('step.unbind', { card: address, driver: 'vfio-pci' });
      steps.push(act(id, title, { do: 'unbind', address, driver: 'vfio-pci' }, limit));
      clear.push(id);
    }
  }
  if (begun('claim') && functions.length > 0) {
    const what: Act = { do: 'set-override', addresses: functions, driver: '' };
    steps.push(act('unclaim', sentence('step.unclaim', { card }), what, limit));
    clear.push('unclaim');
  }
  // The block is NVIDIA's, and another card's return must not lift it while a guest has the one it is for.
  if (begun('block') && isNvidia(memory, facts))
    steps.push(act('unblock', sentence('step.unblock'), { do: 'unblock-modules' }, limit));
  if (left) {
    // Sound before graphics: NVIDIA's driver on function 0 beside vfio-pci on the sound function can panic.
    const others = functions.filter((a) => mains.indexOf(a) < 0);
    const sound = others.filter((a) => isAudio(a, facts)).concat(others.filter((a) => !isAudio(a, facts)));
    if (sound.length > 0) {
      const title = sentence('step.probe', { functions: sound.join(', ') });
      steps.push(act('probe-others', title, { do: 'probe', addresses: sound }, limit, clear));
    }
  }
  if (unloaded) {
    const title = sentence('step.load', { modules: memory.modules.join(', ') });
    steps.push(act('load', title, { do: 'load-modules', modules: memory.modules }, limit, clear));
  }
  if ((left || unloaded) && mains.length > 0) {
    const title = sentence('step.probe', { functions: card });
    steps.push(act('probe-main', title, { do: 'probe', addresses: mains }, limit, clear));
  }
  if (begun('mask') && memory.nodes.length > 0)
    steps.push(act('unmask', sentence('step.unmask'), { do: 'unmask-nodes', nodes: memory.nodes }, limit));
  if (begun('stop') && memory.services.length > 0) {
    const title = sentence('step.start', { units: units(memory.services) });
    steps.push(act('start', title, { do: 'start-services', units: memory.services }, limit));
  }
  if (begun('power') && autoPower.length > 0) {
    const what: Act = { do: 'set-power', addresses: autoPower, control: 'auto' };
    steps.push(act('unpower', sentence('step.unpower', { card }), what, limit));
  }
  const any = memory.assumed ? mains.filter((id) => !home.some((one) => one.address === id)) : [];
  if ((left || unloaded || begun('claim')) && (home.length > 0 || any.length > 0)) {
    const what: Check = { see: 'host-has', home, any };
    steps.push(check('host-has', sentence('step.host-has', { card }), what, limit));
  }
  return steps;
}

/** The steps before the way back: the guest leaves. */
export function planGuestLeaves(
  vm: { readonly uuid: string; readonly name: string },
  memory: Memory,
  config: Config,
  force: boolean,
): Step[] {
  const name = printable(vm.name);
  const ids = memory.cards.map((c) => c.id);
  const title = sentence(force ? 'step.destroy-vm' : 'step.shutdown-vm', { vm: name });
  const what: Act = force ? { do: 'destroy-vm', uuid: vm.uuid } : { do: 'shutdown-vm', uuid: vm.uuid };
  const gone: Check = { see: 'guest-gone', cards: ids, uuid: vm.uuid };
  const wait = (force ? config.stepSeconds : config.guestShutdownSeconds) * 1000;
  return [
    act(force ? 'destroy-vm' : 'shutdown-vm', title, what, config.stepSeconds * 1000),
    check('guest-gone', sentence('step.guest-gone', { vm: name, card: names(memory) }), gone, wait),
  ];
}
