/** Vitest's global set-up: builds dist/ when a source is newer than it, so that tests run what is shipped. */
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { REPO } from '../rig/repo.js';

const SOURCES = ['core/src', 'polkit/src', 'cli/src', 'build', 'package.json'];

/** What the tests of this folder use of dist/. */
export const BUILT = {
  core: join(REPO, 'dist/core/core.mjs'),
  helper: join(REPO, 'dist/helper/helper.cjs'),
  start: join(REPO, 'dist/helper/start.cjs'),
} as const;

function newest(path: string): number {
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  return Math.max(stat.mtimeMs, ...readdirSync(path).map((name) => newest(join(path, name))));
}

export default async function setup(): Promise<void> {
  const built = Object.values(BUILT).map((path) => (existsSync(path) ? statSync(path).mtimeMs : 0));
  if (Math.min(...built) > Math.max(...SOURCES.map((source) => newest(join(REPO, source))))) return;
  await promisify(execFile)(process.execPath, [join(REPO, 'build/build.mjs')]);
}
