import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { REPO } from '../../bus/rig/tree.js';
import { type GnomeVersion, SUITES } from './versions.js';

/** Where the trees, the shots and the logs of the sessions live; ignored by git, safe to delete. */
export const CACHE = join(REPO, '.cache', 'desktop');

const PACKAGES = [
  'gnome-shell',
  // `gnome-extensions`, and the app that shows an extension's preferences.
  'gnome-shell-extension-prefs',
  'gjs',
  'dbus',
  'dbus-system-bus-common',
  // What a screen reader is told.
  'at-spi2-core',
  'gir1.2-atspi-2.0',
  'libglib2.0-bin',
  'fonts-dejavu-core',
  'fonts-wqy-zenhei',
  'locales',
  'procps',
  'util-linux',
];

/** Languages that sessions can be started in; Hebrew is written from right to left. */
export const LOCALES = ['de_DE', 'es_ES', 'fr_FR', 'he_IL', 'pl_PL', 'pt_BR', 'zh_CN'] as const;

/** The user of the session; the workstation's processes that are somebody's are its. */
export const USER = { name: 'tester', uid: 1000 } as const;

/** Each runs on the host with the tree as `$1`. */
const HOOKS = [
  `chroot "$1" useradd --create-home --uid ${USER.uid} --shell /bin/bash ${USER.name}`,
  ...LOCALES.map((name) => `chroot "$1" localedef -i ${name} -f UTF-8 ${name}.UTF-8`),
  'chroot "$1" dbus-uuidgen > "$1/etc/machine-id"',
  // Copied from the host by mmdebstrap; the rig has no network.
  'rm -f "$1/etc/resolv.conf"',
];

/** Languages as the folders of translations name them. */
const TRANSLATIONS = ['de', 'es', 'fr', 'he', 'pl', 'pt_BR', 'zh_CN'];

const FLAGS = [
  '--mode=root',
  '--variant=minbase',
  // A mirror may lag behind the dates that it promises.
  '--aptopt=Acquire::Check-Valid-Until "false"',
  '--aptopt=APT::Install-Recommends "false"',
  // The tree is a cache: what a power cut spoils is built again.
  '--dpkgopt=force-unsafe-io',
  '--dpkgopt=path-exclude=/usr/share/doc/*',
  '--dpkgopt=path-exclude=/usr/share/man/*',
  '--dpkgopt=path-exclude=/usr/share/locale/*',
  ...TRANSLATIONS.map((name) => `--dpkgopt=path-include=/usr/share/locale/${name}/*`),
];

/** A tree that is complete and may be used as the lower layer of sessions; nobody writes in it. */
export interface Tree {
  /** Its root folder, absolute. */
  readonly dir: string;
  /** Seconds that building took in this call; 0 when it was there already. */
  readonly buildSeconds: number;
}

/**
 * Gives the Debian tree with that GNOME, building it when it is missing, half built, or made from another recipe.
 * Several processes may call at once: one builds each tree, the others wait.
 * @throws Error with the tail of the builder's output when the tree cannot be built
 */
export async function ensureTree(version: GnomeVersion): Promise<Tree> {
  if (process.getuid?.() !== 0) {
    throw new Error('the desktop rig needs root: it makes namespaces and Debian trees');
  }
  mkdirSync(CACHE, { recursive: true });
  const suite = SUITES[version];
  const recipe = JSON.stringify([suite, process.arch, PACKAGES, FLAGS, HOOKS]);
  const key = createHash('sha256').update(recipe).digest('hex').slice(0, 16);
  const dir = join(CACHE, `gnome-${version}-${key}`);
  if (existsSync(dir)) return { dir, buildSeconds: 0 };
  const lock = await takeLock(join(CACHE, `lock-${version}`));
  try {
    if (existsSync(dir)) return { dir, buildSeconds: 0 };
    const start = performance.now();
    // Only a finished build gets the final name, so that whatever else is here is old or half built.
    for (const name of readdirSync(CACHE).filter((entry) => entry.startsWith(`gnome-${version}-`))) {
      rmSync(join(CACHE, name), { recursive: true, force: true, maxRetries: 5 });
    }
    await installBuilder();
    const half = `${dir}.half`;
    // mmdebstrap mounts /proc and more in the tree and leaves that behind when it is killed; here all of it ends
    // with this process.
    await command('setpriv', [
      ...['--pdeathsig', 'KILL', 'unshare', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'],
      ...['mmdebstrap', ...FLAGS],
      `--include=${PACKAGES.join(',')}`,
      ...HOOKS.map((hook) => `--customize-hook=${hook}`),
      suite,
      half,
    ]);
    renameSync(half, dir);
    return { dir, buildSeconds: (performance.now() - start) / 1000 };
  } finally {
    lock.kill('SIGKILL');
  }
}

/** Two trees may be built at once, but one apt installs the builder. */
async function installBuilder(): Promise<void> {
  const works = (): Promise<boolean> =>
    command('mmdebstrap', ['--version']).then(
      () => true,
      () => false,
    );
  if (await works()) return;
  const lock = await takeLock(join(CACHE, 'lock-builder'));
  try {
    if (await works()) return;
    await command('apt-get', ['update', '-q']);
    await command('apt-get', ['install', '-y', '-q', '--no-install-recommends', 'mmdebstrap']);
  } finally {
    lock.kill('SIGKILL');
  }
}

/** A process that holds the lock and says so; it ends with this process, since its standard input does. */
function takeLock(path: string): Promise<ChildProcess> {
  const child = spawn('flock', ['--exclusive', '--no-fork', path, 'sh', '-c', 'echo held; exec cat'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  return new Promise((resolve, reject) => {
    child.stdout.once('data', () => resolve(child));
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`flock ended with ${code}`)));
  });
}

function command(name: string, argv: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(name, argv, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, LC_ALL: 'C.UTF-8', DEBIAN_FRONTEND: 'noninteractive' },
    });
    let output = '';
    const collect = (chunk: Buffer): void => {
      output = (output + chunk.toString()).slice(-4000);
    };
    child.stdout?.on('data', collect);
    child.stderr?.on('data', collect);
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`${name} ended with ${code}:\n${output}`));
    });
  });
}
