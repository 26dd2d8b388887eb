import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { ActError } from '../machine.js';
import { say, sentence } from '../words.js';
import {
  type ChildRequest,
  type ChildResult,
  ENVIRONMENT,
  findProgram,
  type Run,
  runChild,
} from './child.js';
import { stateOf } from './start-time.js';

/*
 * A small shell that forks instead of us. To start a program the kernel copies the page tables of who starts it, and
 * those of a Node process are large: a hand-off starts a dozen programs, which costs more than all that they do. The
 * shell's script is fixed; programs, arguments and input come as lines and are never read as script.
 */

/**
 * Reads: count of words, each word, one line of input. Answers: status, length of what was said, and that. The word
 * `write` is the shell's own: it writes the input to each path, which needs no program.
 */
const SCRIPT = `
while IFS= read -r count; do
  set --
  while [ "$count" -gt 0 ]; do
    IFS= read -r word || exit
    set -- "$@" "$word"
    count=$((count - 1))
  done
  IFS= read -r input || exit
  if [ "$1" = write ]; then
    shift
    status=0
    for path do
      printf '%s\\n' "$input" > "$path" || status=1
    done 2> /dev/null
    printf '%s 0\\n' "$status"
    continue
  fi
  said=$("$@" 2>&1 <<INPUT
$input
INPUT
)
  printf '%s %s\\n%s' "$?" "\${#said}" "$said"
done`;

/** How long a killed program may take to go before it counts as stuck in the kernel. */
const GRACE_MS = 1000;

interface Answer {
  readonly status: number;
  readonly said: string;
}

class Forker {
  readonly #shell: ChildProcessByStdio<Writable, Readable, null>;
  #received: Buffer = Buffer.alloc(0);
  #answered: ((answer: Answer | null) => void) | null = null;
  #gone = false;

  constructor(shell: string) {
    this.#shell = spawn(shell, ['-c', SCRIPT], {
      cwd: '/',
      env: ENVIRONMENT,
      stdio: ['pipe', 'pipe', 'ignore'],
      detached: true,
    });
    const lost = (): void => {
      this.#gone = true;
      this.#answered?.(null);
    };
    this.#shell.on('error', lost).on('exit', lost);
    this.#shell.stdin.on('error', lost);
    this.#shell.stdout.on('data', (chunk: Buffer) => this.#take(chunk));
    // It waits for its next request for as long as we live, and ends with us: its input closes then.
    this.#shell.unref();
    for (const stream of [this.#shell.stdin, this.#shell.stdout])
      (stream as unknown as { unref(): void }).unref();
  }

  get gone(): boolean {
    return this.#gone;
  }

  /** Null when the shell went away before it answered. */
  ask(words: readonly string[], input: string): Promise<Answer | null> {
    return new Promise((resolve) => {
      this.#answered = (answer) => {
        this.#answered = null;
        resolve(answer);
      };
      if (this.#gone) this.#answered(null);
      else this.#shell.stdin.write(`${[words.length, ...words, input].join('\n')}\n`);
    });
  }

  #take(chunk: Buffer): void {
    this.#received = Buffer.concat([this.#received, chunk]);
    const end = this.#received.indexOf(10);
    if (end < 0) return;
    const [status, length] = this.#received.toString('latin1', 0, end).split(' ').map(Number);
    const last = end + 1 + (length ?? 0);
    if (this.#received.length < last) return;
    const said = this.#received.toString('utf8', end + 1, last);
    this.#received = this.#received.subarray(last);
    this.#answered?.({ status: status ?? 1, said });
  }

  /** Kills the shell and what it runs. Resolves with true when something of it stays, in the kernel. */
  async kill(): Promise<boolean> {
    const { pid } = this.#shell;
    this.#gone = true;
    if (pid === undefined) return false;
    const pids = [pid, ...childrenOf(pid)];
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      // All of it is gone.
    }
    const left = (): boolean => pids.some((one) => !['Z', 'X', null].includes(stateOf(one)));
    for (let waited = 0; left() && waited < GRACE_MS; waited += 20) await sleep(20);
    return left();
  }
}

/** All that descend from a process, by the kernel's own list. */
function childrenOf(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
    const children = text.split(' ').filter(Boolean).map(Number);
    return children.concat(...children.map(childrenOf));
  } catch {
    return [];
  }
}

function fitsOnLines(request: ChildRequest): boolean {
  const input = (request.input ?? '').replace(/\n$/, '');
  return ![input, ...request.args].some((text) => text.includes('\n') || text.includes('\0'));
}

/**
 * Runs programs as `runChild` does, one after the other, by one shell that forks for us. What a program says comes
 * back as its error output, both streams together; a lone newline ends its input.
 */
export function forkerRun(otherwise: Run = runChild): Run {
  let forker: Forker | null = null;
  let before: Promise<unknown> = Promise.resolve();

  const run = async (request: ChildRequest): Promise<ChildResult> => {
    const path = findProgram(request.program);
    const shell = findProgram('sh');
    if (path === null || shell === null || !fitsOnLines(request)) return otherwise(request);
    if (forker === null || forker.gone) forker = new Forker(shell);
    const current = forker;
    const over = new AbortController();
    const limit = sleep(request.limitMs, 'late' as const, { signal: over.signal }).catch(
      () => 'late' as const,
    );
    const input = (request.input ?? '').replace(/\n$/, '');
    const writes = request.program === 'tee';
    const words = [writes ? 'write' : path, ...request.args];
    const answer = await Promise.race([current.ask(words, input), limit]);
    over.abort();
    if (answer === 'late') {
      const stuck = await current.kill();
      const seconds = Math.max(1, Math.round(request.limitMs / 1000));
      if (stuck)
        throw new ActError('stuck', say(sentence('stuck.child', { what: request.program, seconds })));
      throw new ActError('time', say(sentence('fail.time-limit', { seconds })));
    }
    // Nobody knows how far it came; everything that is run so may be run again.
    if (answer === null) return otherwise(request);
    // The shell does not say why; who writes again does.
    if (writes && answer.status !== 0) return otherwise(request);
    return { status: answer.status, stdout: '', stderr: answer.said };
  };
  return (request) => {
    const mine = before.then(() => run(request));
    before = mine.catch(() => undefined);
    return mine;
  };
}

/** Programs that act and say little; others have output of their own, or take as long as a guest does. */
const SHORT = ['tee', 'rmmod', 'modprobe', 'systemctl'];

/** The forker for short acts, children of our own for the rest. */
export function shortByForker(): Run {
  const forker = forkerRun();
  return (request) => (SHORT.includes(request.program) ? forker(request) : runChild(request));
}
