import { join } from 'node:path';
import { ensureTree } from '../../desktop/rig/tree.js';
import { command } from '../../rig/command.js';
import { keptFolder } from '../../rig/kept.js';
import type { Machine } from './machine.js';
import { CACHE_DIR } from './paths.js';

const SIZE = '2G';

/** The desktop rig's tree of the machine's own Debian, as a disk. */
async function ensureDisk(): Promise<string> {
  const tree = await ensureTree(48);
  const { dir } = await keptFolder(join(CACHE_DIR, 'desktop'), [tree.dir, SIZE], async (folder) => {
    await command('mkdir', [folder]);
    await command('mke2fs', ['-q', '-t', 'ext4', '-d', tree.dir, join(folder, 'disk.raw'), SIZE]);
  });
  return join(dir, 'disk.raw');
}

/**
 * Lays the disk $1 below the machine's own files: what both have stays the machine's. Then everybody who reads what
 * packages bring looks again, as after an installation. The users of the packages are not made, so the one service that
 * insists on its own is left out: it would keep who asks for it waiting.
 */
const LAY = `set -e
mkdir -p /run/desktop /var/lib/desktop/upper /var/lib/desktop/work
mount -o ro "$1" /run/desktop
mount -t overlay -o lowerdir=/usr:/run/desktop/usr,upperdir=/var/lib/desktop/upper,workdir=/var/lib/desktop/work desktop /usr
cp -a --update=none /run/desktop/etc/. /etc/
ldconfig
rm /usr/share/dbus-1/system-services/org.freedesktop.ColorManager.service
udevadm control --reload
busctl --quiet call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus ReloadConfig
`;

/** Gives a running machine GNOME, as if its packages had been installed. */
export async function addDesktop(machine: Machine): Promise<void> {
  const node = await machine.plugDisk(await ensureDisk());
  await machine.check(['sh', '-c', LAY, 'lay', node]);
}
