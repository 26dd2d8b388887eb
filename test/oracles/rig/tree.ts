import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { installBuilder, REPO, takeLock } from '../../bus/rig/tree.js';
import { CORPUS, ORACLES } from './packages.js';

/** Where the tree and what tests write lie; ignored by git, safe to delete. */
export const CACHE = join(REPO, '.cache', 'oracles');

const SUITE = 'trixie';

/** The readers' sources, compiled or run inside the tree. */
const INSIDE = fileURLToPath(new URL('inside', import.meta.url));

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

const FRAMEWORKS = ['KIOGui', 'KIOCore', 'KIO', 'KService', 'KConfigCore', 'KConfig', 'KCoreAddons'];

const COMPILE = [
  'cd /oracle',
  'gcc -O1 -Wall -o record record.c',
  'qt=/usr/include/$(gcc -dumpmachine)/qt6',
  'g++ -std=c++20 -fPIC -Wall ' +
    FRAMEWORKS.map((name) => `-isystem /usr/include/KF6/${name} `).join('') +
    '-isystem $qt -isystem $qt/QtCore -isystem $qt/QtGui -isystem $qt/QtNetwork ' +
    '-o kde-reader kde-reader.cpp -lKF6KIOGui -lKF6KIOCore -lKF6Service -lKF6ConfigCore -lQt6Core',
].join(' && ');

/** Each runs on the host with the tree as `$1`, and the readers' sources in `$ORACLE_SOURCES`. */
const HOOKS = [
  'mkdir "$1/oracle" && cp "$ORACLE_SOURCES"/* "$1/oracle/"',
  `chroot "$1" sh -ec '${COMPILE}'`,
  // What only the compiler needed is most of the tree.
  'rm -rf "$1"/usr/include "$1"/usr/lib/gcc "$1"/usr/libexec/gcc "$1"/usr/lib/*/*.a "$1"/var/cache/apt/archives/*.deb',
  // The apt of the host with the tree's lists; packages are unpacked here, since they install nothing.
  `mkdir "$1/corpus" "$1/corpus.deb" && cd "$1/corpus.deb" && ` +
    `APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get download -q -o APT::Sandbox::User=root ${CORPUS.join(' ')}`,
  'cd "$1/corpus.deb" && for deb in *.deb; do to="../corpus/$(dpkg-deb --field "$deb" Package)"; mkdir "$to"; ' +
    'dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$to" --wildcards "./usr/share/applications/*"; done',
  'rm -rf "$1/corpus.deb"',
];

/** The tree with the readers in `/oracle` and `.desktop` files in `/corpus/PACKAGE`; nobody writes in it. */
export interface Oracles {
  readonly dir: string;
  /** Seconds that building took in this call; 0 when it was there already. */
  readonly buildSeconds: number;
}

/**
 * Gets the tree, building it when it is missing, half built, or made from another recipe.
 * @throws Error with the tail of the builder's output when it cannot be built
 */
export async function ensureOracles(): Promise<Oracles> {
  if (process.getuid?.() !== 0) throw new Error('the oracles need root: they live in a Debian tree');
  mkdirSync(join(CACHE, 'mnt'), { recursive: true });
  const sources = readdirSync(INSIDE)
    .sort()
    .map((name) => [name, readFileSync(join(INSIDE, name), 'utf8')]);
  const recipe = JSON.stringify([SUITE, process.arch, ORACLES, FLAGS, HOOKS, sources]);
  const key = createHash('sha256').update(recipe).digest('hex').slice(0, 16);
  const dir = join(CACHE, `tree-${key}`);
  if (existsSync(dir)) return { dir, buildSeconds: 0 };
  const lock = await takeLock(join(CACHE, 'lock'));
  try {
    if (existsSync(dir)) return { dir, buildSeconds: 0 };
    const start = performance.now();
    // Only a finished build gets the final name, so that whatever else is here is old or half built.
    for (const name of readdirSync(CACHE).filter((entry) => entry.startsWith('tree-')))
      rmSync(join(CACHE, name), { recursive: true, force: true, maxRetries: 5 });
    await installBuilder();
    const half = `${dir}.half`;
    await build(half);
    renameSync(half, dir);
    return { dir, buildSeconds: (performance.now() - start) / 1000 };
  } finally {
    closeSync(lock);
  }
}

async function build(half: string): Promise<void> {
  // What mmdebstrap mounts in the tree ends with this process, even when it is killed.
  const argv = [
    ...['--pdeathsig', 'KILL', 'unshare', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'],
    ...['mmdebstrap', ...FLAGS, `--include=${ORACLES.join(',')}`],
    ...HOOKS.map((hook) => `--customize-hook=${hook}`),
    ...[SUITE, half],
  ];
  const env = {
    ...process.env,
    LC_ALL: 'C.UTF-8',
    DEBIAN_FRONTEND: 'noninteractive',
    ORACLE_SOURCES: INSIDE,
  };
  await promisify(execFile)('setpriv', argv, { env, maxBuffer: 64 << 20 }).catch((error: unknown) => {
    const output = error instanceof Error && 'stderr' in error ? String(error.stderr) : String(error);
    throw new Error(`the oracles' tree could not be built:\n${output.slice(-4000)}`);
  });
}
