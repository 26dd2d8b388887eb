/** The command with outlets that keep what is written, over a simulated workstation where one is needed. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { CommonOptions, Context } from '../../cli/src/context.js';
import { run } from '../../cli/src/program.js';
import { Paper, type PaperKind } from '../../cli/src/render/paper.js';
import type { Outlet } from '../../cli/src/terminal.js';
import { createWorkstation } from '../../core/src/linux/simulated/create.js';
import type { ScenarioName } from '../../core/src/linux/simulated/scenarios.js';

/** A bus that nobody listens on. */
export const NO_BUS = 'unix:path=/nonexistent/bus';

export interface Kept extends Outlet {
  /** Everything that was written. */
  readonly text: () => string;
}

export function paper(columns: number | null, more: Partial<PaperKind> = {}): Paper {
  return new Paper({ columns, colour: false, unicode: true, ...more });
}

/** An outlet that keeps what is written; a terminal where `draws` is true. */
export function outlet(on: Paper = paper(null), draws = false, rows = 24): Kept {
  let kept = '';
  return {
    paper: on,
    draws,
    rows: () => rows,
    write: (text) => {
      kept += text;
    },
    text: () => kept,
  };
}

export interface Ran {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

/** Runs the command line as the program does, with its output kept. */
export async function command(words: readonly string[], on: Paper = paper(null)): Promise<Ran> {
  const out = outlet(on);
  const err = outlet(on);
  const make = (options: CommonOptions): Context => ({ options, env: {}, out, err });
  const status = await run(words, { GPU_HANDOFF_BUS: NO_BUS }, make);
  return { status, out: out.text(), err: err.text() };
}

/** A directory with a simulated workstation, removed after the test. */
export function workstation(scenario: ScenarioName): string {
  const dir = mkdtempSync(join(tmpdir(), 'gpu-handoff-cli-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  createWorkstation(dir, scenario);
  return dir;
}
