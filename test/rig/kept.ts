import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { withLock } from './command.js';

/** A folder that is complete; nobody writes in it. */
export interface Kept {
  /** Absolute. */
  readonly dir: string;
  /** Seconds that building took in this call; 0 when it was there already. */
  readonly buildSeconds: number;
}

/**
 * Gives the folder `PATH-KEY`, KEY being a hash of `recipe`, building it when it is missing, half built, or made from
 * another recipe. Several processes may call at once: one builds, the others wait.
 * @param path of the folder, without the key
 * @param recipe everything that what is built depends on
 * @param build makes the folder it is given, which does not exist yet
 */
export async function keptFolder(
  path: string,
  recipe: unknown,
  build: (dir: string) => Promise<void>,
): Promise<Kept> {
  if (process.getuid?.() !== 0)
    throw new Error('the rigs need root: they live in trees and namespaces of their own');
  const key = createHash('sha256').update(JSON.stringify(recipe)).digest('hex').slice(0, 16);
  const dir = `${path}-${key}`;
  if (existsSync(dir)) return { dir, buildSeconds: 0 };
  mkdirSync(dirname(path), { recursive: true });
  return await withLock(`${path}.lock`, async () => {
    if (existsSync(dir)) return { dir, buildSeconds: 0 };
    const start = performance.now();
    removeOthers(path);
    // Only a finished build gets the final name, so that whatever else is here is old or half built.
    const half = `${dir}.half`;
    await build(half);
    renameSync(half, dir);
    return { dir, buildSeconds: (performance.now() - start) / 1000 };
  });
}

function removeOthers(path: string): void {
  const folder = dirname(path);
  const ours = new RegExp(`^${basename(path)}-[0-9a-f]{16}(\\.half)?$`);
  for (const name of readdirSync(folder).filter((entry) => ours.test(entry)))
    rmSync(join(folder, name), { recursive: true, force: true, maxRetries: 5 });
}

/** Vitest's global set-up: says what was built, and how long it took. */
export async function announce(what: string, kept: Promise<Kept>): Promise<void> {
  const { buildSeconds } = await kept;
  if (buildSeconds > 0) console.log(`built ${what} in ${buildSeconds.toFixed(0)} s`);
}
