import { readFileSync } from 'node:fs';

/** The fields of /proc/PID/stat that matter here (proc_pid_stat(5)). */
export interface ProcessStat {
  /** May hold any byte but NUL: spaces, parentheses, newlines. */
  readonly comm: string;
  /** `R`, `S`, `D`, `Z`, … */
  readonly state: string;
  readonly kernelThread: boolean;
  readonly threads: number;
  /** Clock ticks since boot. */
  readonly startTicks: number;
}

/** An object of its own, since Node makes one for every call that names an encoding instead. */
export const TEXT = { encoding: 'utf8', flag: 'r' } as const;

const PF_KTHREAD = 0x00200000;

/** Parses /proc/PID/stat; null for anything else. */
export function parseStat(text: string): ProcessStat | null {
  // The name may itself have parentheses, and nothing after it has any.
  const open = text.indexOf('(');
  const close = text.lastIndexOf(')');
  if (open < 0 || close < open) return null;
  let flags = 0;
  let threads = 0;
  let startTicks = Number.NaN;
  // Fields count from 1, the name is the second. Called for every process, so it makes few pieces.
  let from = close + 2;
  for (let field = 3; field <= 22 && from > 0; field++) {
    const to = text.indexOf(' ', from);
    if (field === 9) flags = Number(text.slice(from, to));
    else if (field === 20) threads = Number(text.slice(from, to));
    else if (field === 22) startTicks = Number(text.slice(from, to));
    from = to + 1;
  }
  if (!Number.isFinite(startTicks)) return null;
  return {
    comm: text.slice(open + 1, close),
    state: text.charAt(close + 2),
    kernelThread: (flags & PF_KTHREAD) !== 0,
    threads,
    startTicks,
  };
}

/** /proc/PID/stat; null when the process is gone. Takes no lock of the process's memory. */
export function readStat(base: string): ProcessStat | null {
  try {
    return parseStat(readFileSync(`${base}/stat`, TEXT));
  } catch {
    return null;
  }
}

/** The real uid; null when the process is gone. */
export function readUid(base: string): number | null {
  try {
    const match = /^Uid:\s*(\d+)/m.exec(readFileSync(`${base}/status`, TEXT));
    return match === null ? null : Number(match[1]);
  } catch {
    return null;
  }
}
