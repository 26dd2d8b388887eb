/** Where entries, choices and what is kept of the user's own are, by the XDG base directory specification. */
import { realpathSync, statSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { failure } from '../../errors.js';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface LaunchFolders {
  /** The user's own folder `applications`, where entries of ours are written. */
  readonly own: string;
  /** The folders `applications` that come after it, in the order in which they count. */
  readonly others: readonly string[];
  /** Holds what stood in the place of an entry before us, by its path below `own`. */
  readonly originals: string;
  /** Holds what was replaced or edited by somebody else, and belongs to the user to throw away. */
  readonly earlier: string;
  /** The file of choices. */
  readonly choices: string;
  /** Remembers that nothing has changed; may be lost at any time. */
  readonly index: string;
  readonly lock: string;
}

/** Folders that profiles add to XDG_DATA_DIRS of logins, and that services of the user may lack. */
const FLATPAK = 'var/lib/flatpak/exports/share';
const SNAP = 'var/lib/snapd/desktop';

const NAME = 'gpu-handoff';

/** A folder from the environment; relative ones are not valid and count as not given. */
function given(value: string | undefined): string | null {
  return value !== undefined && isAbsolute(value) ? value : null;
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

/** The same folder under another name is not looked into twice. */
function real(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

/** `root` is where the machine's files begin: `/`, or the tree of a test. */
export function launchFolders(env: Environment, root = '/'): LaunchFolders {
  const home = given(env.HOME);
  const within = (name: string, rest: string): string => {
    const folder = given(env[name]) ?? (home === null ? null : join(home, rest));
    if (folder === null) throw failure('Failed', 'apps.no-home');
    return folder;
  };
  const data = within('XDG_DATA_HOME', '.local/share');
  const listed = (env.XDG_DATA_DIRS || '/usr/local/share:/usr/share').split(':').filter(isAbsolute);
  const flatpak = [join(data, 'flatpak/exports/share'), join(root, FLATPAK)];
  const snap = [join(root, SNAP)];
  const missing = (folder: string): boolean => !listed.includes(folder) && isFolder(folder);
  const all = [...flatpak.filter(missing), ...listed, ...snap.filter(missing)];
  // Where the user's folder leads elsewhere by his own doing (dotfiles), that is where his entries are.
  const own = real(join(data, 'applications'));
  const others = new Set(all.map((folder) => real(join(folder, 'applications'))));
  others.delete(own);
  return {
    own,
    others: [...others],
    originals: join(data, NAME, 'originals'),
    earlier: join(data, NAME, 'earlier'),
    choices: join(within('XDG_CONFIG_HOME', '.config'), NAME, 'apps.json'),
    index: join(within('XDG_CACHE_HOME', '.cache'), NAME, 'apps-index.json'),
    lock: join(data, NAME, 'lock'),
  };
}
