import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { CACHE_DIR, hashOf, LOG_DIR, RIG_DIR } from './paths.js';
import { runLogged, withLock } from './process.js';

/** A bootable disk that no machine ever changes. */
export interface Image {
  /** Hash of everything that it was built from. */
  readonly key: string;
  readonly dir: string;
  /** Raw ext4 file system. */
  readonly disk: string;
  readonly kernel: string;
  readonly initrd: string;
  readonly qemu: Qemu;
}

/** The image's own QEMU, run on the host. */
export interface Qemu {
  /** The program with what it needs before its own arguments. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

const SUITE = 'trixie';

const PACKAGES = [
  'systemd,systemd-sysv,udev,dbus,dbus-user-session,libpam-systemd,login,util-linux',
  'kmod,procps,psmisc,iproute2',
  'linux-image-amd64,linux-headers-amd64,gcc,libc6-dev,make,busybox-static',
  'libvirt-daemon-system,libvirt-clients,qemu-system-x86,polkitd,pkexec,switcheroo-control',
  'nodejs,python3,lsof,strace,pciutils,libglib2.0-bin',
].join(',');

/** Not needed in the machine, and half of the time that writing the disk would take. */
const EXCLUDED = ['/usr/share/doc/*', '/usr/share/man/*', '/usr/share/locale/*', '/usr/share/info/*'];

/** Folders of the rig whose sources the machine's own compiler builds. */
const PARTS = ['nvsim', 'holders', 'guest'];

const DISK_SIZE = '6G';

/** Programs of the host that the rig calls, and the Debian package of each. */
const HOST_TOOLS: readonly (readonly [string, string])[] = [
  ['/usr/bin/mmdebstrap', 'mmdebstrap'],
  ['/usr/bin/qemu-img', 'qemu-utils'],
  ['/usr/sbin/mke2fs', 'e2fsprogs'],
  ['/usr/bin/setpriv', 'util-linux'],
];

async function ensureHostTools(log: string): Promise<void> {
  const missing = HOST_TOOLS.filter(([path]) => !existsSync(path)).map(([, name]) => name);
  if (missing.length > 0) {
    await runLogged(['apt-get', 'update', '-q'], log);
    await runLogged(['apt-get', 'install', '-y', '-q', '--no-install-recommends', ...missing], log);
  }
}

function basePath(): string {
  const key = hashOf({ texts: [SUITE, PACKAGES, ...EXCLUDED], folders: [] });
  return join(CACHE_DIR, `base-${key}`);
}

/** Debian's tree with the packages alone, kept so that a change of the rig's own files costs seconds. */
async function ensureBase(log: string): Promise<string> {
  const base = basePath();
  if (existsSync(base)) {
    return base;
  }
  const unfinished = `${base}.unfinished`;
  rmSync(unfinished, { recursive: true, force: true });
  const options = EXCLUDED.map((path) => `--dpkgopt=path-exclude=${path}`);
  await runLogged(
    ['mmdebstrap', '--variant=minbase', '--aptopt=Acquire::Check-Valid-Until "false"', ...options].concat([
      `--include=${PACKAGES}`,
      SUITE,
      unfinished,
    ]),
    log,
  );
  renameSync(unfinished, base);
  return base;
}

/** QEMU with the libraries and firmware of a tree, so that the machine is the same on every host, and newer than most. */
function qemuOf(tree: string): Qemu {
  const libraries = join(tree, 'usr/lib/x86_64-linux-gnu');
  const firmware = ['qemu', 'seabios'].flatMap((name) => ['-L', join(tree, 'usr/share', name)]);
  const loader = [join(tree, 'usr/lib64/ld-linux-x86-64.so.2'), '--library-path', libraries];
  return {
    argv: [...loader, join(tree, 'usr/bin/qemu-system-x86_64'), ...firmware],
    env: { QEMU_MODULE_DIR: join(libraries, 'qemu') },
  };
}

async function build(base: string, dir: string, log: string): Promise<void> {
  const root = join(dir, 'root');
  mkdirSync(dir, { recursive: true });
  await runLogged(['cp', '-a', '--reflink=auto', base, root], log);
  await runLogged(['cp', '-r', '--no-preserve=ownership', `${join(RIG_DIR, 'image', 'root')}/.`, root], log);
  mkdirSync(join(root, 'opt/rig'), { recursive: true });
  for (const part of PARTS) {
    await runLogged(
      ['cp', '-r', '--no-preserve=ownership', join(RIG_DIR, part), join(root, 'opt/rig', part)],
      log,
    );
  }
  const configure = join(RIG_DIR, 'image', 'configure.sh');
  await runLogged(['cp', configure, join(root, 'opt/rig/configure.sh')], log);
  // A mount namespace of its own: /proc in the tree goes away with it, whatever happens.
  const inTree = 'mount -t proc proc "$1/proc" && exec chroot "$1" sh /opt/rig/configure.sh';
  await runLogged(['unshare', '--mount', 'sh', '-c', inTree, 'sh', root], log);
  await runLogged(['cp', join(root, 'boot/vmlinuz'), join(root, 'boot/initrd'), dir], log);
  const disk = join(dir, 'disk.raw');
  await runLogged(
    ['mke2fs', '-q', '-t', 'ext4', '-E', 'lazy_itable_init=0', '-d', root, disk, DISK_SIZE],
    log,
  );
  rmSync(root, { recursive: true, force: true });
}

/** Deletes what no present source asks for: earlier images but the newest other one, and unfinished ones. */
function prune(keep: readonly string[]): void {
  const others = readdirSync(CACHE_DIR)
    .filter((name) => /^(image|base)-/.test(name) && !keep.includes(name))
    .map((name) => ({ name, time: statSync(join(CACHE_DIR, name)).mtimeMs }))
    .sort((a, b) => b.time - a.time);
  const spare = others.find(({ name }) => name.startsWith('image-') && !name.endsWith('.unfinished'));
  for (const other of others) {
    if (other !== spare) {
      rmSync(join(CACHE_DIR, other.name), { recursive: true, force: true });
    }
  }
}

/**
 * The image for the rig's present sources, built first where there is none (two minutes; needs root,
 * Debian's archive, and on a fresh host installs mmdebstrap). Safe to call from several processes
 * at once.
 */
export async function ensureImage(): Promise<Image> {
  const key = hashOf({
    texts: [readFileSync(join(RIG_DIR, 'image.ts'), 'utf8')],
    folders: [...PARTS, 'image'].map((name) => join(RIG_DIR, name)),
  });
  const dir = join(CACHE_DIR, `image-${key}`);
  const image = {
    key,
    dir,
    disk: join(dir, 'disk.raw'),
    kernel: join(dir, 'vmlinuz'),
    initrd: join(dir, 'initrd'),
    qemu: qemuOf(basePath()),
  };
  if (existsSync(dir) && existsSync(basePath()) && HOST_TOOLS.every(([path]) => existsSync(path))) {
    return image;
  }
  await withLock(join(CACHE_DIR, 'build.lock'), async () => {
    const log = join(LOG_DIR, `image-${key}.log`);
    await ensureHostTools(log);
    if (existsSync(dir) && existsSync(basePath())) {
      return;
    }
    if (process.getuid?.() !== 0) {
      throw new Error('building the machine image needs root (mmdebstrap, chroot)');
    }
    mkdirSync(LOG_DIR, { recursive: true });
    writeFileSync(log, '');
    const base = await ensureBase(log);
    // The name without a suffix appears only when all is done: a build that was broken off is never taken
    // for one.
    const unfinished = `${dir}.unfinished`;
    rmSync(unfinished, { recursive: true, force: true });
    await build(base, unfinished, log);
    renameSync(unfinished, dir);
    prune([`image-${key}`, base.slice(CACHE_DIR.length)]);
  });
  return image;
}
