import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureDebianTree } from '../../rig/debian-tree.js';
import type { Kept } from '../../rig/kept.js';
import { CACHE as CACHES } from '../../rig/repo.js';
import { CORPUS, ORACLES } from './packages.js';

/** Where the tree and what tests write lie. */
export const CACHE = join(CACHES, 'oracles');

/** The readers' sources, compiled or run inside the tree. */
const INSIDE = fileURLToPath(new URL('inside', import.meta.url));

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

/** Gives the tree with the readers in `/oracle` and `.desktop` files in `/corpus/PACKAGE`, building it when it is missing. */
export function ensureOracles(): Promise<Kept> {
  const sources = readdirSync(INSIDE)
    .sort()
    .map((name) => [name, readFileSync(join(INSIDE, name), 'utf8')]);
  const recipe = { suite: 'trixie', packages: ORACLES, hooks: HOOKS, env: { ORACLE_SOURCES: INSIDE } };
  return ensureDebianTree(join(CACHE, 'tree'), recipe, sources);
}
