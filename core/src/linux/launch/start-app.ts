/** Starts an app: its own command, through the wrapper where it is to run on the dGPU, never through a shell. */
import { spawn } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';
import { failure, type HandoffError, invalidArgument, reasonOf } from '../../errors.js';
import { scopeName } from '../../launch/app-id.js';
import { toUtf8 } from '../../launch/bytes.js';
import { commandsOf, type ExecResult, isFileArgument, type Started } from '../../launch/exec.js';
import { printable, say, sentence } from '../../words.js';
import type { Seat } from './cards.js';

export interface StartRequest {
  readonly id: string;
  /** The app's own entry, not one of ours. */
  readonly source: string;
  readonly path: string;
  readonly action: string | null;
  readonly files: readonly string[];
  readonly locale: string;
  readonly seat: Seat;
  /** From the launcher, for startup notification; empty where there is none. */
  readonly activationToken: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly wrapper: string;
  /** Whether what the app says goes where our own words go. */
  readonly inherit: boolean;
  /** Puts a process into a scope of its own; resolves false where that cannot be had. */
  readonly adopt: (pid: number, scope: string, description: string) => Promise<boolean>;
}

export interface StartResult {
  readonly pid: number;
  readonly on: 'dgpu' | 'igpu';
  /** Empty where there is nothing to say. */
  readonly warning: string;
}

/** Terminals with what comes before a command, in the order in which they are tried. */
const TERMINALS: readonly (readonly string[])[] = [
  ['xdg-terminal-exec'],
  ['ptyxis', '--'],
  ['kgx', '-e'],
  ['gnome-terminal', '--'],
  ['konsole', '-e'],
  ['xfce4-terminal', '-x'],
  ['mate-terminal', '-x'],
  ['alacritty', '-e'],
  ['kitty'],
  ['foot'],
  ['x-terminal-emulator', '-e'],
  ['xterm', '-e'],
];

/** Variables before the program, as KDE lets entries write them. */
const ASSIGNMENT = /^([A-Za-z_][A-Za-z0-9_]*)=([\s\S]*)$/;

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** The path of a program as exec would find it; null where there is none. */
export function findProgram(name: string, path: string | undefined): string | null {
  if (name.includes('/')) return isAbsolute(name) && isProgram(name) ? name : null;
  for (const folder of (path ?? '/usr/local/bin:/usr/bin:/bin').split(delimiter)) {
    const found = join(folder, name);
    if (name !== '' && isAbsolute(folder) && isProgram(found)) return found;
  }
  return null;
}

function unusable(request: StartRequest, result: ExecResult & { ok: false }): HandoffError {
  const { action, path } = request;
  const app = printable(request.id);
  if (result.why === 'action')
    return failure('InvalidArgument', 'start.no-action', { app, action: printable(action ?? '') });
  const why = say(sentence(`start.exec-${result.why}`));
  return failure('Failed', 'start.no-exec', { path: printable(path, 300), why });
}

interface Command {
  readonly words: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

/** What is really executed for one command of the entry. */
function commandFor(request: StartRequest, start: Started, words: readonly string[]): Command {
  const environment: Record<string, string> = { ...request.environment };
  const rest = [...words];
  for (;;) {
    const assignment = ASSIGNMENT.exec(rest[0] ?? '');
    if (assignment === null) break;
    environment[assignment[1] ?? ''] = assignment[2] ?? '';
    rest.shift();
  }
  const app = printable(start.name);
  const program = rest[0] ?? '';
  const search = environment.PATH;
  if (findProgram(program, search) === null)
    throw failure('Failed', 'start.no-program', { app, program: printable(program) });
  const { seat, wrapper } = request;
  const wrapped =
    seat.on === 'igpu'
      ? rest
      : [wrapper, ...(seat.card === null ? [] : ['--card', seat.card]), '--', ...rest];
  if (!start.terminal) return { words: wrapped, environment };
  const terminal = TERMINALS.find(([name]) => findProgram(name ?? '', search) !== null);
  if (terminal === undefined) throw failure('Failed', 'start.no-terminal', { app });
  return { words: [...terminal, ...wrapped], environment };
}

/** Resolves with the process's id once it runs the program, or rejects where it cannot be executed. */
function execute(command: Command, folder: string, request: StartRequest, name: string): Promise<number> {
  const { activationToken: token } = request;
  const [program = '', ...words] = command.words;
  const environment: Record<string, string> = { ...command.environment };
  environment.GIO_LAUNCHED_DESKTOP_FILE = request.path;
  if (token !== '') Object.assign(environment, { XDG_ACTIVATION_TOKEN: token, DESKTOP_STARTUP_ID: token });
  return new Promise((resolve, reject) => {
    const fail = (fault: unknown): void =>
      reject(failure('Failed', 'start.failed', { app: printable(name), why: reasonOf(fault) }));
    const output = request.inherit ? 'inherit' : 'ignore';
    // The place that exec finds is the one in the app's environment, as in a shell.
    const path = findProgram(program, environment.PATH);
    if (path === null) {
      reject(failure('Failed', 'start.no-program', { app: printable(name), program: printable(program) }));
      return;
    }
    try {
      const child = spawn(path, words, {
        argv0: program,
        cwd: folder,
        env: environment,
        // A session of its own: it outlives us, and no terminal is its.
        detached: true,
        stdio: ['ignore', output, output],
      });
      child.once('error', fail);
      child.once('spawn', () => {
        child.unref();
        resolve(child.pid ?? 0);
      });
    } catch (fault) {
      fail(fault);
    }
  });
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

/** Where it works: where its entry says, else the user's home. */
function folderFor(start: Started, environment: Readonly<Record<string, string>>): string {
  const wanted = [start.folder, environment.HOME, '/'];
  return wanted.find((one) => one != null && isAbsolute(one) && isFolder(one)) ?? '/';
}

/** Checks what a caller gave, and starts the app. Rejects with one sentence where that cannot be. */
export async function startApp(request: StartRequest): Promise<StartResult> {
  const bad = request.files.find((file) => !isFileArgument(file));
  if (bad !== undefined) throw invalidArgument(printable(bad), say(sentence('start.not-absolute')));
  const { source, path, action, files, locale } = request;
  const result = commandsOf({ source, path, action, files, locale });
  if (!result.ok) throw unusable(request, result);
  const { start } = result;
  const commands = start.commands.map((words) => commandFor(request, start, words));
  const folder = folderFor(start, request.environment);
  let first = 0;
  for (const command of commands) {
    const pid = await execute(command, folder, request, start.name);
    if (first === 0) first = pid;
    // Where it cannot be had, the app lives on by itself, in a session of its own.
    await request.adopt(pid, scopeName(toUtf8(request.id), pid), start.name);
  }
  const { why, on } = request.seat;
  const warning =
    why === null ? '' : say(sentence('start.on-igpu', { app: printable(start.name), why: say(why) }));
  return { pid: first, on, warning };
}
