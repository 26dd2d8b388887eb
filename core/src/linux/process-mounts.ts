import { readFileSync } from 'node:fs';

/** One mount as a process sees it. */
export interface Mount {
  /** Its kernel answers stat() of an inode in memory without asking anybody else. */
  readonly local: boolean;
  /** Mounted `nodev`: no device can be opened through it. */
  readonly nodev: boolean;
}

/**
 * Types whose stat() waits for no server and no daemon (fs/*: their getattr reads the inode in memory).
 * Everything else (nfs*, cifs, 9p, fuse*, overlay over one of them, zfs with a suspended pool, …) may block
 * for ever.
 */
const LOCAL_TYPES: ReadonlySet<string> = new Set(
  `bcachefs bpf btrfs cgroup cgroup2 configfs debugfs devpts devtmpfs efivarfs erofs exfat ext2 ext3 ext4
  f2fs hugetlbfs iso9660 mqueue msdos ntfs3 proc pstore ramfs rootfs securityfs squashfs sysfs tmpfs tracefs
  udf vfat xfs`.split(/\s+/),
);

/** Mounts by their id, which is one for the whole machine. */
export class Mounts {
  readonly #mounts = new Map<number, Mount>();
  readonly #tables = new Set<string>();

  /**
   * The mount with this id (fdinfo's mnt_id), or undefined: detached, or the kernel's own.
   * @param base directory of a process that sees it, `/proc/PID`
   */
  get(id: number, base: string): Mount | undefined {
    if (!this.#mounts.has(id)) this.#readTable(base);
    return this.#mounts.get(id);
  }

  /** See proc_pid_mountinfo(5). */
  #readTable(base: string): void {
    if (this.#tables.has(base)) return;
    this.#tables.add(base);
    let text: string;
    try {
      text = readFileSync(`${base}/mountinfo`, 'utf8');
    } catch {
      return;
    }
    for (const line of text.split('\n')) {
      const fields = line.split(' ');
      const dash = fields.indexOf('-', 6);
      const [id, , , , , options] = fields;
      const type = fields[dash + 1];
      if (dash < 0 || options === undefined || type === undefined) continue;
      this.#mounts.set(Number(id), {
        local: LOCAL_TYPES.has(type),
        nodev: options.split(',').includes('nodev'),
      });
    }
  }
}
