import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ActError } from '../machine.js';
import { say, sentence } from '../words.js';
import { complaintOf } from './child.js';
import type { Tools } from './tools.js';

/** Under /run: a block that outlived the machine would keep the driver away for good. */
const BLOCK_FILE = 'run/modprobe.d/gpu-handoff.conf';
/** modprobe reads only names that end in .conf, so it never sees half a file. */
const FRESH = '.new';
const NAME = /^[A-Za-z0-9_-]{1,64}$/;

/** `install NAME /bin/false` for each: unlike `blacklist`, it also stops loading by name and by setuid helpers. */
export function blockModules(tools: Tools, modules: readonly string[]): void {
  for (const module of modules) checkName(module);
  const path = join(tools.root, BLOCK_FILE);
  const fresh = `${path}${FRESH}`;
  const lines = modules.map((module) => `install ${module} /bin/false\n`);
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  writeFileSync(fresh, `# By gpu-handoff, while a VM has the graphics card.\n${lines.join('')}`, {
    mode: 0o644,
  });
  renameSync(fresh, path);
}

export function unblockModules(tools: Tools): void {
  const path = join(tools.root, BLOCK_FILE);
  // A helper that was killed while it wrote leaves the fresh one.
  for (const file of [path, `${path}${FRESH}`]) rmSync(file, { force: true });
}

/** Programs that watch a card open it for moments, again and again: one of those is no reason to give up. */
const UNLOADS = 5;
const BETWEEN_UNLOADS_MS = 40;
const IN_USE = /in use|temporarily unavailable|resource busy/i;

/**
 * Unloads one module, without waiting for its users: kmod's rmmod asks the kernel with O_NONBLOCK, which refuses
 * and changes nothing while there is one.
 */
export async function unloadModule(tools: Tools, module: string): Promise<void> {
  checkName(module);
  const directory = loadedPath(tools, module);
  let said = '';
  for (let unload = 1; unload <= UNLOADS; unload++) {
    if (!existsSync(directory)) return;
    const result = await tools.run({ program: 'rmmod', args: ['--', module], limitMs: tools.left() });
    if (result.status === 0) return;
    said = complaintOf(result);
    if (!IN_USE.test(said)) break;
    if (unload < UNLOADS) await sleep(BETWEEN_UNLOADS_MS);
  }
  if (IN_USE.test(said)) throw new ActError('busy', say(sentence('fail.module-busy', { module })));
  if (/not currently loaded/.test(said) || !existsSync(directory)) return;
  throw new ActError('failed', say(sentence('fail.command', { command: `rmmod ${module}`, why: said })));
}

/** Loads modules in this order, with what they need; those that are loaded stay as they are. */
export async function loadModules(tools: Tools, modules: readonly string[]): Promise<void> {
  for (const module of modules) checkName(module);
  const missing = modules.filter((module) => !existsSync(loadedPath(tools, module)));
  if (missing.length === 0) return;
  const result = await tools.run({
    program: 'modprobe',
    args: ['-a', '--', ...missing],
    limitMs: tools.left(),
  });
  if (result.status === 0) return;
  const why = complaintOf(result);
  throw new ActError(
    'failed',
    say(sentence('fail.command', { command: `modprobe ${missing.join(' ')}`, why })),
  );
}

/** The kernel writes names with underscores, whatever kmod was given. */
function loadedPath(tools: Tools, module: string): string {
  return join(tools.root, 'sys/module', module.replace(/-/g, '_'));
}

function checkName(module: string): void {
  if (!NAME.test(module)) throw new ActError('failed', 'that is no name of a module');
}
