import { existsSync } from 'node:fs';
import type { Log } from '../machine.js';
import { printable } from '../words.js';
import { findProgram, type Run, runChild } from './child.js';

export interface JournalLog extends Log {
  /** Waits until what was said is written, for at most so long. */
  flush(limitMs?: number): Promise<void>;
}

/** What a test replaces. */
export interface JournalWays {
  readonly run?: Run;
  /** Where journald listens; without it lines go to standard error. */
  readonly socket?: string;
  readonly stderr?: (text: string) => void;
  readonly gatherMs?: number;
}

type Level = Parameters<Log['line']>[0];

interface Entry {
  readonly level: Level;
  readonly text: string;
  readonly fields: Readonly<Record<string, string>>;
}

/** syslog(3). */
const PRIORITIES: Readonly<Record<Level, number>> = { info: 6, warning: 4, error: 3 };
const SOCKET = '/run/systemd/journal/socket';
const LIMIT_MS = 5000;
/** A journal that does not answer must not fill the memory. */
const MOST_WAITING = 500;
const LONGEST = 4000;
/**
 * Lines wait until nothing was said for so long: each costs a process, and the steps of a hand-off follow each other
 * quickly. A step that takes longer, and so one that hangs, finds the lines before it written.
 */
const GATHER_MS = 1500;
/** However much is said, the first line waits no longer than this. */
const MOST_GATHER_MS = 5000;

/**
 * A log in systemd's journal, with fields to filter by (`journalctl GPU_HANDOFF_OPERATION=…`). Node has no datagram
 * sockets of the unix kind, so `logger --journald` writes each entry, one after the other in the background. Where
 * that is not possible lines go to standard error with a `<priority>`, which a journal understands as well.
 */
export function journalLog(ways: JournalWays = {}): JournalLog {
  const run = ways.run ?? runChild;
  const stderr = ways.stderr ?? ((text) => void process.stderr.write(text));
  const socket = ways.socket ?? SOCKET;
  const gatherMs = ways.gatherMs ?? GATHER_MS;
  const waiting: Entry[] = [];
  let lost = 0;
  let writing: Promise<void> | null = null;
  let hurry: () => void = () => {};
  let postpone: () => void = () => {};

  const writeWaiting = async (): Promise<void> => {
    await new Promise<void>((resolve) => {
      const last = Date.now() + MOST_GATHER_MS;
      const write = (): void => {
        clearTimeout(timer);
        postpone = () => {};
        resolve();
      };
      let timer = setTimeout(write, gatherMs);
      hurry = write;
      postpone = () => {
        clearTimeout(timer);
        timer = setTimeout(write, Math.max(0, Math.min(gatherMs, last - Date.now())));
      };
    });
    for (let entry = waiting.shift(); entry !== undefined; entry = waiting.shift()) {
      if (!(await writeEntry(run, entry))) stderr(plainLine(entry));
      if (lost > 0 && waiting.length === 0) {
        const text = `${lost} lines of the log were lost: the journal was too slow.`;
        lost = 0;
        waiting.push({ level: 'warning', text, fields: {} });
      }
    }
    writing = null;
  };

  return {
    line(level, text, fields = {}) {
      const entry = { level, text, fields };
      const toJournal = existsSync(socket) && (ways.run !== undefined || findProgram('logger') !== null);
      if (!toJournal && writing === null) stderr(plainLine(entry));
      else if (waiting.length >= MOST_WAITING) lost += 1;
      else {
        waiting.push(entry);
        postpone();
        writing ??= writeWaiting();
      }
    },
    async flush(limitMs = 2000) {
      if (writing === null) return;
      hurry();
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, limitMs);
      });
      await Promise.race([writing, late]);
      clearTimeout(timer);
      for (const entry of waiting.splice(0)) stderr(plainLine(entry));
    },
  };
}

async function writeEntry(run: Run, entry: Entry): Promise<boolean> {
  const fields = [
    `MESSAGE=${oneLine(entry.text)}`,
    `PRIORITY=${PRIORITIES[entry.level]}`,
    'SYSLOG_IDENTIFIER=gpu-handoff',
    // logger is gone before journald looks at it; with this, `journalctl -u` still finds the entry by our unit.
    `OBJECT_PID=${process.pid}`,
    ...Object.entries(entry.fields).map(([name, value]) => `${fieldName(name)}=${oneLine(value)}`),
  ];
  const input = `${fields.join('\n')}\n`;
  try {
    const result = await run({ program: 'logger', args: ['--journald'], input, limitMs: LIMIT_MS });
    return result.status === 0;
  } catch {
    return false;
  }
}

function plainLine(entry: Entry): string {
  return `<${PRIORITIES[entry.level]}>${oneLine(entry.text)}\n`;
}

function fieldName(name: string): string {
  return `GPU_HANDOFF_${name.toUpperCase().replace(/[^A-Z0-9]/g, '_')}`.slice(0, 64);
}

/** One line, whatever it holds: names of processes and VMs are chosen by others, and a newline begins a new field. */
function oneLine(text: string): string {
  return printable(text, LONGEST);
}
