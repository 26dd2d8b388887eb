import { type FSWatcher, statSync, watch } from 'node:fs';
import { join } from 'node:path';

/** Directories that change when a card comes or goes, or a guest starts or ends; and which names in them matter. */
const WATCHED: readonly (readonly [directory: string, names: RegExp])[] = [
  ['dev', /^(dri|vfio|snd|nvidia|fb\d|i2c-)/],
  ['dev/dri', /./],
  ['dev/vfio', /./],
  ['run', /^libvirt$/],
  ['run/libvirt', /^qemu$/],
  ['run/libvirt/qemu', /\.(xml|pid)$/],
];

/** Events come in bursts: one card makes a dozen nodes. */
const SETTLE_MS = 200;

interface Watch {
  readonly inode: number;
  readonly watcher: FSWatcher;
}

/**
 * Calls back a moment after a device node or a guest's state file appeared or went. No polling; a directory that
 * does not exist yet is watched once it appears. Returns the way to stop. Keeps no process alive by itself.
 */
export function onChange(heard: () => void, root = '/'): () => void {
  const watches = new Map<string, Watch>();
  let timer: NodeJS.Timeout | null = null;
  let stopped = false;

  const arm = (): void => {
    if (stopped) return;
    for (const [directory, names] of WATCHED) {
      const path = join(root, directory);
      const inode = inodeOf(path);
      const old = watches.get(path);
      if (old !== undefined && old.inode === inode) continue;
      old?.watcher.close();
      watches.delete(path);
      if (inode === null) continue;
      try {
        const watcher = watch(path, { persistent: false }, (_event, name) => {
          // Without a name, or with its own, the directory itself went.
          if (name === null || names.test(name) || inodeOf(path) !== inode) note();
        });
        watcher.on('error', () => watcher.close());
        watches.set(path, { inode, watcher });
      } catch {
        // It went in this moment, or the limit of watches is reached: the next event tries again.
      }
    }
  };
  const note = (): void => {
    timer ??= setTimeout(() => {
      timer = null;
      arm();
      heard();
    }, SETTLE_MS);
    timer.unref();
  };

  arm();
  return () => {
    stopped = true;
    if (timer !== null) clearTimeout(timer);
    for (const { watcher } of watches.values()) watcher.close();
    watches.clear();
  };
}

function inodeOf(path: string): number | null {
  try {
    return statSync(path).ino;
  } catch {
    return null;
  }
}
