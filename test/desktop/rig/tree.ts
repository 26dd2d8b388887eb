import { join } from 'node:path';
import { ensureDebianTree } from '../../rig/debian-tree.js';
import type { Kept } from '../../rig/kept.js';
import { CACHE as CACHES } from '../../rig/repo.js';
import { type GnomeVersion, SUITES } from './versions.js';

/** Where the trees, the shots and the logs of the sessions live. */
export const CACHE = join(CACHES, 'desktop');

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

const FLAGS = TRANSLATIONS.map((name) => `--dpkgopt=path-include=/usr/share/locale/${name}/*`);

/** Gives the Debian tree with that GNOME, building it when it is missing; each session's files lie over it. */
export function ensureTree(version: GnomeVersion): Promise<Kept> {
  const recipe = { suite: SUITES[version], packages: PACKAGES, hooks: HOOKS, flags: FLAGS };
  return ensureDebianTree(join(CACHE, `gnome-${version}`), recipe);
}
