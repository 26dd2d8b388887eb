import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository's root folder. */
export const REPO = fileURLToPath(new URL('../../..', import.meta.url)).replace(/\/$/, '');

/** Where trees and the rig's empty mount point live; ignored by git, safe to delete. */
export const CACHE = join(REPO, '.cache', 'bus');

/** The users of the tree. Each one's password is its name; tester is an administrator (group sudo). */
export const USERS: Readonly<Record<string, number>> = { root: 0, tester: 1000, mallory: 1001, alice: 1002 };

const SUITE = 'trixie';

const PACKAGES = [
  // The bus and those who answer on it.
  'dbus',
  'dbus-system-bus-common',
  'polkitd',
  'pkexec',
  'switcheroo-control',
  'umockdev',
  // busctl; nothing here starts an init.
  'systemd',
  // Pretend services, and a byte pipe to the bus that carries a user's own credentials.
  'python3',
  'python3-dbusmock',
  'socat',
  // The engines that run the core.
  'nodejs',
  'gjs',
  'qt6-declarative-dev-tools',
  'qml6-module-qttest',
  // Shells and terminals for the command line's own tests.
  'bash',
  'bash-completion',
  'zsh',
  'fish',
  'tmux',
  // Tools of the tests.
  'libglib2.0-bin',
  'libxml2-utils',
  'procps',
  'util-linux',
  'util-linux-extra',
];

/** Each runs on the host with the tree as `$1`. */
const HOOKS = [
  ...Object.entries(USERS)
    .filter(([, uid]) => uid !== 0)
    .map(
      ([name, uid]) =>
        `chroot "$1" useradd --create-home --uid ${uid} --shell /bin/bash ${name} && ` +
        `echo ${name}:${name} | chroot "$1" chpasswd`,
    ),
  'chroot "$1" groupadd --force --system sudo && chroot "$1" usermod --append --groups sudo tester',
  // A wrong password costs two seconds otherwise.
  'sed -i "/pam_unix.so/s/nullok/nullok nodelay/" "$1/etc/pam.d/common-auth"',
  'chroot "$1" dbus-uuidgen > "$1/etc/machine-id"',
  'echo rig > "$1/etc/hostname"',
  // Copied from the host by mmdebstrap; the rig has no network.
  'rm -f "$1/etc/resolv.conf"',
];

const FLAGS = [
  '--mode=root',
  '--variant=minbase',
  // A mirror may lag behind the dates that it promises.
  '--aptopt=Acquire::Check-Valid-Until "false"',
  '--aptopt=APT::Install-Recommends "false"',
  '--dpkgopt=path-exclude=/usr/share/doc/*',
  '--dpkgopt=path-exclude=/usr/share/man/*',
  '--dpkgopt=path-exclude=/usr/share/locale/*',
];

/** A tree that is complete and may be used as the lower layer of a sandbox; nobody writes in it. */
export interface Tree {
  /** Its root folder, absolute. */
  readonly dir: string;
  /** Seconds that building took in this call; 0 when it was there already. */
  readonly buildSeconds: number;
}

/**
 * Gives the Debian tree of the rig, building it when it is missing, half built, or made from another recipe.
 * Several processes may call at once: one builds, the others wait.
 * @throws Error with the tail of the builder's output when the tree cannot be built
 */
export async function ensureTree(): Promise<Tree> {
  if (process.getuid?.() !== 0) {
    throw new Error('the bus rig needs root: it makes namespaces and a Debian tree');
  }
  mkdirSync(join(CACHE, 'mnt'), { recursive: true });
  const recipe = JSON.stringify([SUITE, process.arch, PACKAGES, FLAGS, HOOKS]);
  const key = createHash('sha256').update(recipe).digest('hex').slice(0, 16);
  const dir = join(CACHE, `tree-${key}`);
  if (existsSync(dir)) {
    return { dir, buildSeconds: 0 };
  }
  const lock = await takeLock(join(CACHE, 'lock'));
  try {
    if (existsSync(dir)) {
      return { dir, buildSeconds: 0 };
    }
    const start = performance.now();
    // Only a finished build gets the final name, so that whatever else is here is old or half built.
    for (const name of readdirSync(CACHE).filter((entry) => entry.startsWith('tree-'))) {
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
      SUITE,
      half,
    ]);
    renameSync(half, dir);
    return { dir, buildSeconds: (performance.now() - start) / 1000 };
  } finally {
    closeSync(lock);
  }
}

/** Makes sure that mmdebstrap is there. */
export async function installBuilder(): Promise<void> {
  const works = await command('mmdebstrap', ['--version']).then(
    () => true,
    () => false,
  );
  if (!works) {
    await command('apt-get', ['update', '-q']);
    await command('apt-get', ['install', '-y', '-q', '--no-install-recommends', 'mmdebstrap']);
  }
}

/**
 * Waits for a lock and gives its descriptor, which is to be closed. The lock belongs to the open file, which flock(1)
 * shares with us: it ends with this process at the latest.
 */
export async function takeLock(path: string): Promise<number> {
  const fd = openSync(path, 'w');
  await command('flock', ['--exclusive', '3'], fd);
  return fd;
}

/** Runs a command on the host; rejects with the tail of its output when it fails. */
export function command(name: string, argv: readonly string[], fd?: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(name, argv, {
      stdio: ['ignore', 'pipe', 'pipe', ...(fd === undefined ? [] : [fd])],
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
      if (code === 0) {
        resolve();
      } else {
        reject(new Error(`${name} ended with ${code}:\n${output}`));
      }
    });
  });
}
