/**
 * The question for a password on a terminal. A desktop has an agent of its own for polkit's questions; on a bare
 * terminal `pkttyagent` is one.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { Context } from './context.js';
import { isTerminal } from './terminal.js';

const PROGRAMS = [
  '/usr/bin/pkttyagent',
  '/usr/local/bin/pkttyagent',
  '/run/current-system/sw/bin/pkttyagent',
];
/** It registers within milliseconds; one that never says so must not keep the command. */
const READY_MS = 5000;
const NOTIFY_FD = 3;

function onTerminal(): boolean {
  return isTerminal(0) && isTerminal(1);
}

function onDesktop({ env }: Context): boolean {
  return Boolean(env.WAYLAND_DISPLAY || env.DISPLAY);
}

/** Whether somebody can be asked at all: at this terminal, or by the agent of a desktop. */
export function canAsk(context: Context): boolean {
  return context.options.askPassword && (onTerminal() || onDesktop(context));
}

/** Resolves when the agent has closed its notification pipe, which it does once it is registered. */
function ready(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, READY_MS);
    const over = (): void => {
      clearTimeout(timer);
      resolve();
    };
    const pipe = child.stdio[NOTIFY_FD];
    if (pipe && 'resume' in pipe) {
      pipe.on('close', over);
      pipe.resume();
    }
    child.on('exit', over);
    child.on('error', over);
  });
}

/** Runs a piece of work with somebody there to ask for a password, and takes the agent away afterwards. */
export async function withAgent<T>(context: Context, work: () => Promise<T>): Promise<T> {
  const program = PROGRAMS.find((path) => existsSync(path));
  if (program === undefined || !context.options.askPassword || !onTerminal() || process.getuid?.() === 0)
    return work();
  const args = ['--notify-fd', String(NOTIFY_FD), '--process', String(process.pid)];
  // It leaves the question to the desktop's agent. Not everywhere: outside any login session polkit 126 looks for no
  // other agent and does not come back to one that said this, so nobody would be asked.
  if (onDesktop(context)) args.push('--fallback');
  // It speaks to the system bus by itself; another bus has no polkit that would ask.
  const child = spawn(program, args, { stdio: ['inherit', 'inherit', 'inherit', 'pipe'] });
  const gone = new Promise<void>((resolve) => {
    child.on('exit', () => resolve());
    child.on('error', () => resolve());
  });
  await ready(child);
  try {
    return await work();
  } finally {
    child.kill('SIGTERM');
    await gone;
  }
}
