import { join } from 'node:path';
import { ensureDebianTree } from '../../rig/debian-tree.js';
import type { Kept } from '../../rig/kept.js';
import { CACHE as CACHES } from '../../rig/repo.js';

/** Where the tree and the rig's empty mount point live. */
export const CACHE = join(CACHES, 'bus');

/** The users of the tree. Each one's password is its name; tester is an administrator (group sudo). */
export const USERS: Readonly<Record<string, number>> = { root: 0, tester: 1000, mallory: 1001, alice: 1002 };

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

/** Gives the Debian tree of the rig, building it when it is missing. */
export function ensureTree(): Promise<Kept> {
  return ensureDebianTree(join(CACHE, 'tree'), { suite: 'trixie', packages: PACKAGES, hooks: HOOKS });
}
