import { announce } from '../../rig/kept.js';
import { ensureTree } from './tree.js';

/** Vitest's global set-up of this project. */
export default async function setup(): Promise<void> {
  await announce("the bus's Debian tree", ensureTree());
}
