import { execFile } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ensureTree as ensureBusTree } from '../../bus/rig/tree.js';
import { BUILT } from '../../bus/support-build.js';
import { announce } from '../../rig/kept.js';
import { REPO } from '../../rig/repo.js';
import { OURS } from './gnome.js';
import { ensureTree } from './tree.js';
import { VERSIONS } from './versions.js';

const SOURCES = ['core/src', 'polkit/src', 'cli/src', 'gnome-extension', 'po', 'build', 'package.json'];

function newest(path: string): number {
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  return Math.max(stat.mtimeMs, ...readdirSync(path).map((name) => newest(join(path, name))));
}

/** Builds dist/ when a source is newer than it, so that the tests run what is shipped. */
async function build(): Promise<void> {
  const built = [BUILT.helper, OURS.from].map((path) => (existsSync(path) ? statSync(path).mtimeMs : 0));
  const sources = SOURCES.map((source) => join(REPO, source)).filter((path) => existsSync(path));
  if (Math.min(...built) > Math.max(...sources.map(newest))) return;
  await promisify(execFile)(process.execPath, [join(REPO, 'build/build.mjs')]);
}

/** Vitest's global set-up of this project. */
export default async function setup(): Promise<void> {
  await build();
  await announce("the bus's Debian tree", ensureBusTree());
  await Promise.all(VERSIONS.map((version) => announce(`the tree of GNOME ${version}`, ensureTree(version))));
}
