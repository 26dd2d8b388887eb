/** What every command is given: the options that all have in common, and where to write. */
import type { Environment, Outlet } from './terminal.js';
import { outletFor } from './terminal.js';

export interface CommonOptions {
  /** Write one JSON document instead of text. */
  readonly json: boolean;
  /** A bus other than the system bus, for tests and demonstrations. */
  readonly bus: string | null;
  /** Read the simulated workstation in this directory instead of this machine. */
  readonly simulate: string | null;
  /** False: never ask for a password. */
  readonly askPassword: boolean;
}

export interface Context {
  readonly options: CommonOptions;
  readonly env: Environment;
  readonly out: Outlet;
  readonly err: Outlet;
}

export function makeContext(options: CommonOptions, env: Environment = process.env): Context {
  let err: Outlet | null = null;
  return {
    options,
    env,
    out: outletFor(1, env),
    // Most runs have nothing to complain about.
    get err() {
      err ??= outletFor(2, env);
      return err;
    },
  };
}

/** The status with which the command ends. */
export type ExitStatus = number;

/** Writes a document as JSON. */
export function writeJson(context: Context, document: unknown): void {
  context.out.write(`${JSON.stringify(document, null, 2)}\n`);
}
