/** What every part of the simulated workstation needs at hand. */
import type { Clock, Log } from '../../machine.js';
import { type HardwareSpec, readSpec } from './hardware.js';
import { type Faults, readModel } from './model.js';

/** A write that never returns. Who made it decides how long it waits and what it then says. */
export class Hang extends Error {
  constructor(what: string) {
    super(what);
    this.name = 'Hang';
  }
}

/** The program is gone in the middle, as by a crash: whoever sees this must do nothing more. */
export class SimulatedCrash extends Error {
  constructor() {
    super('simulated crash');
    this.name = 'SimulatedCrash';
  }
}

export interface World {
  readonly dir: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Waits for a step's own time, scaled by the machine's option. */
  pace(ms: number): Promise<void>;
}

export function specOf(world: World): HardwareSpec {
  return readSpec(world.dir);
}

export function faultsOf(world: World): Faults {
  return readModel(world.dir, 'faults');
}

/** Counts down a fault's `times`; true as long as it still applies. Without `times` it always applies. */
export function useUp(fault: { times?: number } | undefined): boolean {
  if (fault === undefined) return false;
  if (fault.times === undefined) return true;
  if (fault.times <= 0) return false;
  fault.times -= 1;
  return true;
}
