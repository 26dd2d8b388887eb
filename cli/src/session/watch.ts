/** Hears of apps that come and go, and of choices, while the service runs. */
import { type FSWatcher, watch } from 'node:fs';
import { dirname } from 'node:path';
import type { LaunchFolders } from '../../../core/src/linux/launch/folders.js';

/** A package that is installed changes many files; they are looked at once. */
const CALM_MS = 300;
/** But not later than this after the first of them. */
const LATEST_MS = 2000;

export class FolderWatch {
  private readonly folders: () => LaunchFolders;
  private readonly changed: () => void;
  private readonly watchers = new Map<string, FSWatcher>();
  private timer: NodeJS.Timeout | null = null;
  private since = 0;

  constructor(folders: () => LaunchFolders, changed: () => void) {
    this.folders = folders;
    this.changed = changed;
  }

  /** Watches what there is now; called again after each change, since folders come and go as well. */
  refresh(): void {
    const { own, others, choices } = this.folders();
    const wanted = new Set([own, ...others, dirname(choices)].flatMap((path) => [path, dirname(path)]));
    for (const [path, watcher] of this.watchers) {
      if (wanted.has(path)) continue;
      watcher.close();
      this.watchers.delete(path);
    }
    for (const path of wanted) if (!this.watchers.has(path)) this.add(path);
  }

  private add(path: string): void {
    try {
      const watcher = watch(path, { persistent: false }, () => this.heard());
      const drop = (): void => {
        watcher.close();
        this.watchers.delete(path);
      };
      watcher.on('error', drop);
      this.watchers.set(path, watcher);
    } catch {
      // It is not there. The folder above it tells when it comes.
    }
  }

  private heard(): void {
    const now = Date.now();
    if (this.timer === null) this.since = now;
    else clearTimeout(this.timer);
    const pause = Math.max(0, Math.min(CALM_MS, this.since + LATEST_MS - now));
    this.timer = setTimeout(() => {
      this.timer = null;
      this.refresh();
      this.changed();
    }, pause);
  }

  close(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    for (const watcher of this.watchers.values()) watcher.close();
    this.watchers.clear();
  }
}
