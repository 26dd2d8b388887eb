/** The wrapper gpu-handoff-run over a tree that stands for a machine, and what a command that it starts gets. */
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { wrapperScript } from '../../core/src/launch/wrapper.js';

const TEMPLATE = readFileSync(join(import.meta.dirname, '../../wrapper/gpu-handoff-run.in'), 'utf8');

/**
 * Shells that systems have as /bin/sh, of those on this machine; dash and bash are everywhere that these tests run.
 * Not yash, which drops bytes that are no characters of the language, and not posh, which knows no classes of them.
 */
export const SHELLS: readonly (readonly [name: string, argv: readonly string[]])[] = (
  [
    ['dash', ['/bin/dash']],
    ['bash', ['/bin/bash', '--posix']],
    ['busybox', ['/bin/busybox', 'sh']],
    ['mksh', ['/bin/mksh']],
    ['ksh93', ['/bin/ksh93']],
  ] as const
).filter(([name, [path]]) => name === 'dash' || name === 'bash' || existsSync(path));

/** Writes the script; `root` stands for the machine's own. */
export function writeWrapper(path: string, root: string): string {
  writeFileSync(path, wrapperScript(TEMPLATE, { version: '9.9.9', root }));
  chmodSync(path, 0o755);
  return path;
}

/** An empty folder that goes with the test. */
export function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'handoff-wrapper-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

export interface Ran {
  readonly status: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

export function run(
  argv: readonly string[],
  options: { env?: Readonly<Record<string, string>>; input?: string; cwd?: string } = {},
): Ran {
  const [program = '', ...rest] = argv;
  const env = options.env ?? { PATH: '/usr/bin:/bin' };
  const { status, signal, stdout, stderr } = spawnSync(program, rest, { ...options, env, encoding: 'utf8' });
  return { status, signal, stdout, stderr };
}

/** Variables that shells make or mend by themselves, whatever a script does. */
const SHELLS_OWN = ['PWD', 'OLDPWD', 'SHLVL', '_', 'PATH', 'A__z', 'OPTIND', 'PPID', 'LINENO', 'IFS'];

/** The environment that a command got, from env -0's output, without what shells do to it by themselves. */
export function environmentOf(output: string): Record<string, string> {
  const entries = output
    .split('\0')
    .filter((line) => line !== '')
    .map((line): [string, string] => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]);
  return Object.fromEntries(entries.filter(([name]) => !SHELLS_OWN.includes(name)));
}
