import { ensureOracles } from './tree.js';

/** Vitest's global set-up of this project. */
export default async function setup(): Promise<void> {
  const tree = await ensureOracles();
  if (tree.buildSeconds > 0) {
    console.log(`built the oracles' Debian tree in ${tree.buildSeconds.toFixed(0)} s`);
  }
}
