import { join } from 'node:path';
import { command, withLock } from './command.js';
import { type Kept, keptFolder } from './kept.js';
import { CACHE } from './repo.js';

/** What a Debian tree is made of. */
export interface TreeRecipe {
  readonly suite: string;
  readonly packages: readonly string[];
  /** Shell commands that run on the host with the tree as `$1`. */
  readonly hooks: readonly string[];
  /** More options of mmdebstrap. */
  readonly flags?: readonly string[];
  /** Variables of the hooks. */
  readonly env?: Readonly<Record<string, string>>;
}

const FLAGS = [
  '--mode=root',
  '--variant=minbase',
  // A mirror may lag behind the dates that it promises.
  '--aptopt=Acquire::Check-Valid-Until "false"',
  '--aptopt=APT::Install-Recommends "false"',
  // A tree is a cache: what a power cut spoils is built again.
  '--dpkgopt=force-unsafe-io',
  '--dpkgopt=path-exclude=/usr/share/doc/*',
  '--dpkgopt=path-exclude=/usr/share/man/*',
  '--dpkgopt=path-exclude=/usr/share/locale/*',
];

/**
 * Gives the Debian tree of that recipe, building it when there is none (a minute or two; needs root and Debian's archive).
 * @param path of the tree without the key of its recipe
 * @param inputs what else the tree depends on, such as the text of files that hooks copy
 * @throws Error with the tail of the builder's output when the tree cannot be built
 */
export function ensureDebianTree(path: string, recipe: TreeRecipe, inputs: unknown = null): Promise<Kept> {
  return keptFolder(path, [...recipeOf(recipe), inputs], (dir) => makeDebianTree(dir, recipe));
}

/** What a tree depends on. Not the variables of the hooks: these tell where on the host things lie. */
export function recipeOf({ suite, packages, hooks, flags = [] }: TreeRecipe): readonly unknown[] {
  return [suite, process.arch, packages, [...FLAGS, ...flags], hooks];
}

/** Makes a Debian tree in a folder that does not exist yet. */
export async function makeDebianTree(dir: string, recipe: TreeRecipe): Promise<void> {
  await installBuilder();
  // mmdebstrap mounts /proc and more in the tree and leaves that behind when it is killed; here all of it ends
  // with this process.
  const argv = [
    ...['--pdeathsig', 'KILL', 'unshare', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'],
    ...['mmdebstrap', ...FLAGS, ...(recipe.flags ?? [])],
    `--include=${recipe.packages.join(',')}`,
    ...recipe.hooks.map((hook) => `--customize-hook=${hook}`),
    ...[recipe.suite, dir],
  ];
  await command('setpriv', argv, recipe.env === undefined ? {} : { env: recipe.env });
}

/** Makes sure that mmdebstrap is there. Several trees may be built at once, but one apt installs their builder. */
async function installBuilder(): Promise<void> {
  const works = (): Promise<boolean> =>
    command('mmdebstrap', ['--version']).then(
      () => true,
      () => false,
    );
  if (await works()) return;
  await withLock(join(CACHE, 'builder.lock'), async () => {
    if (await works()) return;
    await command('apt-get', ['update', '-q']);
    await command('apt-get', ['install', '-y', '-q', '--no-install-recommends', 'mmdebstrap']);
  });
}
