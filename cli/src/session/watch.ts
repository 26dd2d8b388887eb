/** Hears of apps that come and go, and of choices, while the service runs. */
import { type FSWatcher, readdirSync, statSync, watch } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { LaunchFolders } from '../../../core/src/linux/launch/folders.js';

/** A package that is installed changes many files; they are looked at once. */
const CALM_MS = 300;
/** But not later than this after the first of them. */
const LATEST_MS = 2000;

interface Watched {
  readonly watcher: FSWatcher;
  /** Of the folder itself: another one may take its place under the same name. */
  readonly identity: string;
}

/** Null where there is no folder of this name. */
function identityOf(path: string): string | null {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat?.isDirectory() ? `${stat.dev}:${stat.ino}` : null;
}

/** The folders right below one; null where it is not there. */
function foldersIn(path: string): string[] | null {
  try {
    const entries = readdirSync(path, { withFileTypes: true });
    return entries.filter((one) => one.isDirectory()).map((one) => join(path, one.name));
  } catch {
    return null;
  }
}

export class FolderWatch {
  private readonly folders: () => LaunchFolders;
  private readonly changed: () => void;
  private readonly watched = new Map<string, Watched>();
  private names = new Map<string, Set<string> | null>();
  private timer: NodeJS.Timeout | null = null;
  private since = 0;

  constructor(folders: () => LaunchFolders, changed: () => void) {
    this.folders = folders;
    this.changed = changed;
  }

  /** Watches what there is now; called again after each change, since folders come and go as well. */
  refresh(): void {
    const { own, others, choices } = this.folders();
    /** By folder: the names in it that matter, or null for all. */
    const wanted = new Map<string, Set<string> | null>();
    for (const path of [own, ...others, dirname(choices)]) {
      const below = foldersIn(path);
      if (below !== null) for (const one of [path, ...below]) wanted.set(one, null);
      else {
        // The folder above tells when it comes; much else happens there.
        const names = wanted.get(dirname(path));
        if (names !== null) wanted.set(dirname(path), new Set(names).add(basename(path)));
      }
    }
    this.names = wanted;
    for (const [path, { identity }] of this.watched)
      if (!wanted.has(path) || identityOf(path) !== identity) this.drop(path);
    for (const path of wanted.keys()) {
      const identity = identityOf(path);
      if (identity !== null && !this.watched.has(path)) this.add(path, identity);
    }
  }

  private drop(path: string): void {
    this.watched.get(path)?.watcher.close();
    this.watched.delete(path);
  }

  private add(path: string, identity: string): void {
    try {
      const watcher = watch(path, { persistent: false }, (_what, name) => {
        const names = this.names.get(path);
        if (name === null || names == null || names.has(name)) this.heard();
      });
      watcher.on('error', () => this.drop(path));
      this.watched.set(path, { watcher, identity });
    } catch {
      // There are only so many watches; the next sync sees what has changed.
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
    for (const path of [...this.watched.keys()]) this.drop(path);
  }
}
