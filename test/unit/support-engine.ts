/** The engine over the simulated workstation, watched: what it publishes must be true on the machine. */
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type Config, DEFAULT_CONFIG } from '../../core/src/config.js';
import { Engine, type Published } from '../../core/src/engine/engine.js';
import type { Address, DeviceNode, HardwareFacts } from '../../core/src/facts.js';
import { createWorkstation } from '../../core/src/linux/simulated/create.js';
import { guestNamed, removeProcess } from '../../core/src/linux/simulated/edit.js';
import { type SimulatedMachine, simulatedMachine } from '../../core/src/linux/simulated/machine.js';
import { readModel } from '../../core/src/linux/simulated/model.js';
import type { ScenarioName } from '../../core/src/linux/simulated/scenarios.js';
import type { Act, Machine } from '../../core/src/machine.js';
import type { Operation } from '../../core/src/operation.js';
import { say } from '../../core/src/words.js';

export const GPU: Address = '0000:01:00.0';
export const SOUND: Address = '0000:01:00.1';
export const BLENDER = 4242;

const made: string[] = [];
const templates = new Map<string, string>();

/** In memory where that is possible: a workstation is some hundred small files. */
const PLACE = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

function freshDirectory(): string {
  const dir = mkdtempSync(join(PLACE, 'gpu-handoff-engine-'));
  made.push(dir);
  return dir;
}

/** Removes every directory that was made. For `afterAll`. */
export function cleanUp(): void {
  for (const dir of made.splice(0)) rmSync(dir, { recursive: true, force: true });
  templates.clear();
}

/** A workstation of its own, on which nobody but the services holds the card. */
export function workstation(scenario: ScenarioName = 'laptop'): string {
  let template = templates.get(scenario);
  if (template === undefined) {
    template = freshDirectory();
    createWorkstation(template, scenario);
    removeProcess(template, BLENDER);
    templates.set(scenario, template);
  }
  const dir = freshDirectory();
  cpSync(template, dir, { recursive: true, verbatimSymlinks: true });
  return dir;
}

/** What a test may put between the engine and the machine. */
export interface Tap {
  /** Called before each act; what it throws is the act's fault. */
  readonly act?: (act: Act) => void | Promise<void>;
  /** Called after each act that succeeded. */
  readonly afterAct?: (act: Act) => void | Promise<void>;
  /** Called before each pass over the processes; what it throws is the pass's fault. */
  readonly pass?: () => void;
  /** Called before each note is written or removed. */
  readonly note?: (name: string, value: unknown) => void;
}

function tapped(machine: SimulatedMachine, tap: Tap): Machine {
  return {
    simulated: true,
    eyes: {
      ...machine.eyes,
      processes: async (question) => {
        tap.pass?.();
        return machine.eyes.processes(question);
      },
    },
    clock: machine.clock,
    log: machine.log,
    onChange: (heard) => machine.onChange(heard),
    hands: {
      perform: async (act, limitMs) => {
        await tap.act?.(act);
        await machine.hands.perform(act, limitMs);
        await tap.afterAct?.(act);
      },
    },
    notes: {
      readAll: () => machine.notes.readAll(),
      write: (name, value) => {
        tap.note?.(name, value);
        machine.notes.write(name, value);
      },
      remove: (name) => {
        tap.note?.(name, null);
        machine.notes.remove(name);
      },
    },
  };
}

export interface House {
  readonly dir: string;
  readonly machine: SimulatedMachine;
  readonly engine: Engine;
  /** What was published and did not fit the machine. */
  readonly lies: string[];
  /** Each state of a card as it was published, without repetitions. */
  readonly states: string[];
  /** Operations that were published as done. */
  readonly ended: string[];
}

/** An engine over a directory, with libvirt's hook going to it. Not started yet. */
export function inhabit(dir: string, config: Partial<Config> = {}, tap: Tap = {}): House {
  const machine = simulatedMachine(dir, { delays: 0 });
  const engine = new Engine(tapped(machine, tap), { ...DEFAULT_CONFIG, ...config });
  machine.onHook = (operation, suboperation, extra, vm) =>
    engine.hook({ operation, suboperation, extra, vm });
  const house: House = { dir, machine, engine, lies: [], states: [], ended: [] };
  engine.listen(() => watch(house));
  return house;
}

/** An engine that is ready, on a workstation of its own. */
export async function house(
  scenario: ScenarioName = 'laptop',
  config: Partial<Config> = {},
  tap: Tap = {},
): Promise<House> {
  const one = inhabit(workstation(scenario), config, tap);
  await one.engine.start();
  return one;
}

/** Cards that a running guest's process has open, by the model and not by what the engine thinks. */
function reallyWithGuests(dir: string, facts: HardwareFacts): Map<Address, string> {
  const found = new Map<Address, string>();
  for (const guest of readModel(dir, 'machines')) {
    if (!guest.running) continue;
    for (const { address } of guest.devices)
      if (facts.functions.some((fn) => fn.address === address && fn.driver === 'vfio-pci'))
        found.set(address, guest.uuid);
  }
  return found;
}

/** Checks each claim at the moment when it is first made. */
function watch(one: House): void {
  const published = one.engine.published();
  for (const { card, state } of published.cards) {
    const line = `${card.id} ${state}`;
    if (one.states.filter((known) => known.startsWith(card.id)).at(-1) === line) continue;
    one.states.push(line);
    const facts = one.machine.eyes.hardware();
    const guests = reallyWithGuests(one.dir, facts);
    const driver = facts.functions.find((fn) => fn.address === card.id)?.driver ?? null;
    const away = driver === null || driver === 'vfio-pci';
    const untrue =
      (state === 'vm' && !guests.has(card.id)) ||
      (state === 'host' && away) ||
      (state === 'detached' && (!away || guests.has(card.id)));
    if (untrue) one.lies.push(`${card.id} was said to be ${state}, and its driver was ${driver}`);
  }
  const { operation } = published;
  if (operation?.state !== 'done' || one.ended.includes(operation.id)) return;
  one.ended.push(operation.id);
  one.lies.push(...contradictions(published));
}

/** An operation that is published as done while a card says otherwise. */
function contradictions({ operation, cards }: Published): string[] {
  if (operation?.state !== 'done') return [];
  return cards
    .filter((view) => operation.cards.includes(view.card.id))
    .filter((view) => {
      if (operation.kind === 'hand-off') return view.state !== 'vm' || view.vm?.uuid !== operation.vm?.uuid;
      if (operation.kind === 'take-back') return view.state !== 'host';
      return view.state === 'switching';
    })
    .map((view) => `“${say(operation.title)}” was done while ${view.card.id} was ${view.state}`);
}

export function uuidOf(one: House, name = 'win11'): string {
  return guestNamed(one.dir, name).uuid;
}

export function stateOf(one: House, card: Address = GPU): string {
  return one.engine.published().cards.find((view) => view.card.id === card)?.state ?? 'no such card';
}

export async function handOff(one: House, vm = 'win11', uid = 1000): Promise<Operation> {
  return one.engine.settled(await one.engine.handOff(vm, uid));
}

export async function takeBack(one: House, card = GPU, force = false, uid = 1000): Promise<Operation> {
  return one.engine.settled(await one.engine.takeBack(card, { force }, uid));
}

/** The operation's end in one line: `done`, or `failed Held: sentence`. */
export function endOf(operation: Operation | null): string {
  if (operation === null) return 'none';
  if (operation.failure === null) return operation.state;
  const sentence = operation.sentence === null ? '' : say(operation.sentence);
  return `${operation.state} ${operation.failure}: ${sentence}`;
}

/** Steps with their states: `claim done`. */
export function stepsOf(operation: Operation): string[] {
  return operation.steps.map((step) => `${step.id} ${step.state}`);
}

export const acts = (one: House): string[] => one.machine.acts.map((act) => act.do);

/** Lets everything go on that is on its way, until no operation runs any more. */
export async function quiet(one: House): Promise<void> {
  for (let i = 0; i < 20; i++) {
    await one.machine.clock.sleep(1000);
    const { operation } = one.engine.published();
    if (operation?.state === 'running') await one.engine.settled(operation.id);
  }
}

/** The machine as far as a hand-off may change it; minors and process numbers left out, since they change. */
export function snapshot(one: House): unknown {
  const { machine, dir } = one;
  const facts = machine.eyes.hardware();
  const node = (what: DeviceNode): string =>
    `${what.path.replace(/[0-9]+/g, '#')} ${what.kind} ${machine.eyes.nodeMode(what)?.toString(8)}`;
  return {
    functions: facts.functions.map((fn) => ({
      ...fn,
      nodes: fn.nodes.map(node).sort(),
    })),
    modules: facts.modules,
    nvidiaNumbers: facts.nvidiaNumbers.length,
    nvidiaNodes: facts.nvidiaNodes.map(node).sort(),
    services: readModel(dir, 'services').map((service) => `${service.unit} ${service.active}`),
    guests: readModel(dir, 'machines').map(
      (guest) => `${guest.name} ${guest.running} ${guest.changing ?? null}`,
    ),
    notes: existsSync(join(dir, 'run/gpu-handoff')) ? readdirSync(join(dir, 'run/gpu-handoff')) : [],
    blocks: readdirSync(join(dir, 'run/modprobe.d')),
    alarms: readModel(dir, 'alarms'),
  };
}

/** Nothing that was published was untrue, and nothing was done that a real machine might not have survived. */
export function expectHonest(one: House): void {
  expect(one.lies).toEqual([]);
  expect(readModel(one.dir, 'alarms')).toEqual([]);
}

/** The machine is as it was. */
export function expectSame(one: House, before: unknown): void {
  expect(snapshot(one)).toEqual(before);
  expectHonest(one);
}
