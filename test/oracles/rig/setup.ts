import { announce } from '../../rig/kept.js';
import { ensureOracles } from './tree.js';

/** Vitest's global set-up of this project. */
export default async function setup(): Promise<void> {
  await announce("the oracles' Debian tree", ensureOracles());
}
