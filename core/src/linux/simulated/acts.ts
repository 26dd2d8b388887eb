/** Carries out one act on the tree and the model, as the real hands do on a real machine. */
import { join } from 'node:path';
import { type Act, ActError, type MaskedNode } from '../../machine.js';
import { remove, writeText } from './files.js';
import { type FunctionSpec, functionAt } from './hardware.js';
import { overrideBySysfs, powerBySysfs, probeBySysfs, refresh, unbindBySysfs } from './kernel.js';
import { loadModule, unloadModule } from './kmod.js';
import type { SimulatedLibvirt } from './libvirt.js';
import { editModel, type Waiting } from './model.js';
import { startService, stopService } from './services.js';
import { signalProcess } from './signals.js';
import { driverOf } from './sysfs.js';
import { faultsOf, Hang, specOf, type World } from './world.js';

/** About what each act takes on a real machine, in milliseconds; guests have times of their own. */
const TAKES: Readonly<Record<Act['do'], number>> = {
  'set-power': 150,
  'set-override': 150,
  'block-modules': 150,
  'unblock-modules': 150,
  'mask-nodes': 150,
  'unmask-nodes': 150,
  'stop-services': 450,
  'start-services': 450,
  'unload-module': 300,
  'load-modules': 600,
  unbind: 400,
  probe: 400,
  'start-vm': 200,
  'shutdown-vm': 200,
  'destroy-vm': 300,
  'signal-process': 150,
};

function blockFile(dir: string): string {
  return join(dir, 'run/modprobe.d/gpu-handoff.conf');
}

function functionOf(world: World, address: string): FunctionSpec {
  const fn = functionAt(specOf(world), address);
  if (fn === undefined) throw new ActError('gone', `there is no PCI function ${address}`);
  return fn;
}

/** Sets the mode of nodes that still exist with the same number, where `applies` says so. */
function setModes(
  world: World,
  nodes: readonly MaskedNode[],
  mode: (node: MaskedNode, now: number) => number,
) {
  editModel(world.dir, 'nodes', (all) => {
    for (const node of nodes) {
      const found = all.find((n) => n.path === node.path && n.number === node.number);
      if (found !== undefined) found.mode = mode(node, found.mode);
    }
  });
}

/** All units are tried; the first that fails is told. */
function forEachUnit(units: readonly string[], what: (unit: string) => void): void {
  let first: unknown = null;
  for (const unit of units) {
    try {
      what(unit);
    } catch (fault) {
      first ??= fault;
    }
  }
  if (first !== null) throw first;
}

async function carryOut(world: World, libvirt: SimulatedLibvirt, act: Act, limitMs: number): Promise<void> {
  const { dir } = world;
  switch (act.do) {
    case 'set-power':
      for (const a of act.addresses) powerBySysfs(world, functionOf(world, a), act.control);
      return;
    case 'set-override':
      for (const a of act.addresses) overrideBySysfs(world, functionOf(world, a), act.driver);
      return;
    case 'block-modules':
      writeText(dir, blockFile(dir), act.modules.map((m) => `install ${m} /bin/false\n`).join(''));
      return;
    case 'unblock-modules':
      return remove(dir, blockFile(dir));
    case 'mask-nodes':
      return setModes(world, act.nodes, () => 0);
    case 'unmask-nodes':
      return setModes(world, act.nodes, (node, now) => (now === 0 ? (node.mode ?? 0) : now));
    case 'stop-services':
      return forEachUnit(act.units, (unit) => stopService(world, unit));
    case 'start-services':
      return forEachUnit(act.units, (unit) => startService(world, unit, true));
    case 'unload-module':
      return unloadModule(world, act.module);
    case 'load-modules':
      for (const module of act.modules) loadModule(world, module);
      return;
    case 'unbind': {
      const fn = functionOf(world, act.address);
      if (driverOf(dir, fn) === act.driver) unbindBySysfs(world, fn);
      return;
    }
    case 'probe':
      for (const a of act.addresses) probeBySysfs(world, functionOf(world, a));
      return;
    case 'start-vm':
      // Done where it runs already, as the real hands have it.
      return libvirt.start(world, act.uuid, limitMs).catch((fault) => {
        if (!(fault instanceof ActError) || !/already running/.test(fault.message)) throw fault;
      });
    case 'shutdown-vm':
      return libvirt.shutdown(world, act.uuid);
    case 'destroy-vm':
      return libvirt.destroy(world, act.uuid);
    case 'signal-process': {
      const { guest } = signalProcess(world, act.pid, act.startTicks, act.signal);
      if (guest !== null) await libvirt.end(world, guest, 'crashed');
      return;
    }
  }
}

/** How often it is looked whether the fault `waits` still stands. */
const LOOK_MS = 25;

async function waitWhileTold(world: World, act: Act, limitMs: number): Promise<void> {
  const end = world.clock.now() + limitMs;
  for (;;) {
    const waiting = [faultsOf(world).waits ?? []].flat();
    const isMeant = ({ act: kind, module }: Waiting): boolean =>
      kind === act.do && (module === undefined || ('module' in act && act.module === module));
    if (!waiting.some(isMeant)) return;
    if (world.clock.now() >= end) throw tooLong(limitMs);
    await world.clock.sleep(LOOK_MS);
  }
}

function tooLong(limitMs: number): ActError {
  return new ActError('time', `it took longer than ${limitMs / 1000} s`);
}

/**
 * Carries out one act. An act that hangs is given up after `limitMs` with an ActError `stuck`, one that is
 * only slow with `time`.
 */
export async function perform(
  world: World,
  libvirt: SimulatedLibvirt,
  act: Act,
  limitMs: number,
): Promise<void> {
  const faults = faultsOf(world);
  try {
    if (faults.hangs?.act === act.do) throw new Hang(act.do);
    await world.pace(TAKES[act.do]);
    if (faults.slow !== undefined) await world.clock.sleep(Math.min(faults.slow, limitMs));
    if (faults.slow !== undefined && faults.slow >= limitMs) throw tooLong(limitMs);
    await waitWhileTold(world, act, limitMs);
    await carryOut(world, libvirt, act, limitMs);
  } catch (fault) {
    if (!(fault instanceof Hang)) throw fault;
    await world.clock.sleep(limitMs);
    throw new ActError('stuck', `${fault.message} does not return`);
  } finally {
    refresh(world);
  }
}
