import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';

export interface CommandOptions {
  /** Variables beside those of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** An open file that the command gets as its descriptor 3. */
  readonly fd?: number;
}

/** Runs a command on the host; rejects with the tail of its output when it fails. */
export function command(name: string, argv: readonly string[], options: CommandOptions = {}): Promise<void> {
  const { env, fd } = options;
  return new Promise((resolve, reject) => {
    const child = spawn(name, argv, {
      stdio: ['ignore', 'pipe', 'pipe', ...(fd === undefined ? [] : [fd])],
      env: { ...process.env, LC_ALL: 'C.UTF-8', DEBIAN_FRONTEND: 'noninteractive', ...env },
    });
    let output = '';
    const collect = (chunk: Buffer): void => {
      output = (output + chunk.toString()).slice(-4000);
    };
    child.stdout?.on('data', collect);
    child.stderr?.on('data', collect);
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`${name} ended with ${code}:\n${output}`));
    });
  });
}

/**
 * Does `work` while no other process on this host does work under the same lock. The lock belongs to the open file,
 * which flock(1) shares with us: it ends with this process at the latest.
 */
export async function withLock<T>(path: string, work: () => Promise<T>): Promise<T> {
  mkdirSync(dirname(path), { recursive: true });
  const fd = openSync(path, 'w');
  try {
    await command('flock', ['--exclusive', '3'], { fd });
    return await work();
  } finally {
    closeSync(fd);
  }
}
