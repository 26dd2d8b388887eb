/** A home with folders of entries in a temporary directory, for tests of the sync. */
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Choice, Way } from '../../core/src/launch/entry.js';
import { type LaunchFolders, launchFolders } from '../../core/src/linux/launch/folders.js';
import {
  type SyncJob,
  type SyncReport,
  setChoice,
  syncEntries,
  undoEntries,
} from '../../core/src/linux/launch/sync.js';

export interface EntryOptions {
  readonly exec?: string;
  readonly extra?: string;
  readonly name?: string;
}

/** The text of a plain entry. */
export function entry({ exec = 'blender %f', extra = '', name = 'Blender' }: EntryOptions = {}): string {
  return `[Desktop Entry]\nType=Application\nName=${name}\nExec=${exec}\nIcon=blender\n${extra}`;
}

export class LaunchHome {
  readonly top = mkdtempSync(join(tmpdir(), 'gpu-handoff-launch-'));
  readonly env: Record<string, string>;
  readonly wrapper = join(this.top, 'usr/bin/gpu-handoff-run');
  way: Way | null = 'wrapper';

  constructor() {
    this.env = {
      HOME: join(this.top, 'home'),
      XDG_DATA_DIRS: `${join(this.top, 'usr/local/share')}:${join(this.top, 'usr/share')}`,
    };
    this.write('usr/bin/gpu-handoff-run', '#!/bin/sh\nexec "$@"\n');
    chmodSync(this.wrapper, 0o755);
  }

  path(relative: string): string {
    return join(this.top, relative);
  }

  write(relative: string, content: string, mode = 0o644): string {
    const path = this.path(relative);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    chmodSync(path, mode);
    return path;
  }

  read(relative: string): string {
    return readFileSync(this.path(relative), 'utf8');
  }

  exists(relative: string): boolean {
    return existsSync(this.path(relative));
  }

  remove(relative: string): void {
    rmSync(this.path(relative), { recursive: true });
  }

  /** An entry of the system. */
  install(name: string, text = entry()): string {
    return this.write(`usr/share/applications/${name}`, text);
  }

  /** An entry in the user's own folder. */
  own(name: string, text: string, mode = 0o644): string {
    return this.write(`${OWN}/${name}`, text, mode);
  }

  get folders(): LaunchFolders {
    return launchFolders(this.env, this.top);
  }

  job(step?: () => void): SyncJob {
    const job = { folders: this.folders, way: this.way, wrapper: this.wrapper };
    return step === undefined ? job : { ...job, step };
  }

  sync(step?: () => void): Promise<SyncReport> {
    return syncEntries(this.job(step));
  }

  choose(id: string, choice: Choice, step?: () => void): Promise<SyncReport> {
    return setChoice(this.job(step), id, choice);
  }

  undo(id: string | null, step?: () => void): Promise<SyncReport> {
    return undoEntries(this.job(step), id);
  }

  choices(choices: Record<string, string>): void {
    this.write('home/.config/gpu-handoff/apps.json', JSON.stringify({ version: 1, choices }));
  }

  /** Everything in the user's own folder of entries: bytes, mode and time of each file, or where a link leads. */
  tree(folder = OWN): Record<string, string> {
    const found: Record<string, string> = {};
    const top = this.path(folder);
    if (!existsSync(top)) return found;
    for (const name of readdirSync(top, { recursive: true, encoding: 'utf8' })) {
      const path = join(top, name);
      const stat = lstatSync(path);
      if (stat.isSymbolicLink()) found[name] = `-> ${readlinkSync(path)}`;
      else if (stat.isFile())
        found[name] = `${(stat.mode & 0o777).toString(8)} ${stat.mtimeMs} ${readFileSync(path, 'latin1')}`;
    }
    return found;
  }

  close(): void {
    rmSync(this.top, { recursive: true, force: true });
  }
}

export const OWN = 'home/.local/share/applications';
