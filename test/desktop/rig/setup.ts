import { ensureTree as ensureBusTree } from '../../bus/rig/tree.js';
import build from '../../bus/support-build.js';
import { ensureTree, VERSIONS } from './tree.js';

/** Vitest's global set-up of this project. */
export default async function setup(): Promise<void> {
  await build();
  const bus = await ensureBusTree();
  if (bus.buildSeconds > 0) console.log(`built the bus's Debian tree in ${bus.buildSeconds.toFixed(0)} s`);
  await Promise.all(
    VERSIONS.map(async (version) => {
      const tree = await ensureTree(version);
      if (tree.buildSeconds > 0)
        console.log(`built the tree of GNOME ${version} in ${tree.buildSeconds.toFixed(0)} s`);
    }),
  );
}
