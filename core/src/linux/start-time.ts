import { statSync } from 'node:fs';
import { join } from 'node:path';
import { readStat } from './process-stat.js';
import { lineValue, readText } from './read.js';

/** The kernel's USER_HZ, which is 100 on every architecture that has a graphics card to hand off. */
const TICKS_PER_SECOND = 100;

/**
 * The start time of a process in clock ticks since boot (field 22 of /proc/PID/stat), or null when it is gone.
 * A zombie holds nothing any more and counts as gone, unless it is only the first thread of a process whose other
 * threads live on and hold all that it had.
 */
export function startTicks(pid: number, root = '/'): number | null {
  const stat = readStat(join(root, 'proc', String(pid)));
  if (stat === null) return null;
  const ended = stat.state === 'Z' || stat.state === 'X';
  return ended && stat.threads < 2 ? null : stat.startTicks;
}

/** The state letter of a process (`R`, `S`, `D`, `Z`…), or null when it is gone. */
export function stateOf(pid: number, root = '/'): string | null {
  const stat = readText(join(root, 'proc', String(pid), 'stat'));
  return stat === null ? null : stat.charAt(stat.lastIndexOf(')') + 2) || null;
}

/** Milliseconds since 1970 of a start time in ticks, by `btime` in /proc/stat (which follows a corrected clock). */
export function startedAt(ticks: number, root = '/'): number {
  const stat = readText(join(root, 'proc/stat')) ?? '';
  const boot = Number(/^btime (\d+)$/m.exec(stat)?.[1] ?? 0);
  return boot * 1000 + (ticks * 1000) / TICKS_PER_SECOND;
}

/**
 * Says users' names by /etc/passwd, read again when it changed, and for users of other kinds (homed, LDAP) by
 * logind, which keeps those who are logged in under /run/systemd/users. Asking NSS would take a process.
 */
export function userNames(root = '/'): (uid: number) => string | null {
  const path = join(root, 'etc/passwd');
  let names = new Map<number, string>();
  let readAt = -1;
  return (uid) => {
    const changed = modifiedAt(path);
    if (changed !== readAt) {
      names = new Map();
      for (const line of (readText(path) ?? '').split('\n')) {
        const [name, , id] = line.split(':');
        const known = Number(id);
        if (name && id && !names.has(known)) names.set(known, name);
      }
      readAt = changed;
    }
    return names.get(uid) ?? lineValue(readText(join(root, 'run/systemd/users', String(uid))), 'NAME');
  };
}

function modifiedAt(path: string): number {
  try {
    return statSync(path).mtimeMs;
  } catch {
    return 0;
  }
}
