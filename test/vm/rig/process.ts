import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Runs a command on the host with its output in a log file; rejects with the log's end when it fails. */
export async function runLogged(argv: readonly string[], log: string): Promise<void> {
  const [command, ...args] = argv;
  if (command === undefined) {
    throw new Error('no command');
  }
  mkdirSync(dirname(log), { recursive: true });
  writeFileSync(log, `+ ${argv.join(' ')}\n`, { flag: 'a' });
  const output = openSync(log, 'a');
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      const child = spawn(command, args, { stdio: ['ignore', output, output] });
      child.on('error', reject);
      child.on('exit', resolve);
    });
    if (code !== 0) {
      const tail = readFileSync(log, 'utf8').split('\n').slice(-30).join('\n');
      throw new Error(`${command} ended with ${code}; the end of ${log}:\n${tail}`);
    }
  } finally {
    closeSync(output);
  }
}

/** Standard output of a command on the host. */
export async function outputOf(argv: readonly string[]): Promise<string> {
  const [command, ...args] = argv;
  if (command === undefined) {
    throw new Error('no command');
  }
  return await new Promise<string>((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) {
        resolve(output);
      } else {
        reject(new Error(`${argv.join(' ')} ended with ${code}`));
      }
    });
  });
}

/** Does `work` while no other process on this host does work under the same lock. */
export async function withLock<T>(path: string, work: () => Promise<T>): Promise<T> {
  mkdirSync(dirname(path), { recursive: true });
  // flock's child ends with its standard input, so the lock goes with this process, however that ends.
  const keeper = spawn('flock', [path, 'sh', '-c', 'echo locked; cat'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await new Promise<void>((resolve, reject) => {
    keeper.stdout.once('data', () => resolve());
    keeper.once('error', reject);
    keeper.once('exit', (code) => reject(new Error(`flock ${path} ended with ${code}`)));
  });
  try {
    return await work();
  } finally {
    keeper.stdin.end();
  }
}

/** Polls until `look` answers something but undefined or false; rejects with `what` after `timeoutMs`. */
export async function until<T>(
  what: string,
  look: () => Promise<T | undefined | false>,
  timeoutMs = 60_000,
  everyMs = 100,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const seen = await look();
    if (seen !== undefined && seen !== false) {
      return seen;
    }
    if (Date.now() > deadline) {
      throw new Error(`not within ${timeoutMs} ms: ${what}`);
    }
    await sleep(everyMs);
  }
}
