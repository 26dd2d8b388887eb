import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CACHE, ensureOracles } from './tree.js';

/** How a command in the room ended. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const ROOM = fileURLToPath(new URL('room.sh', import.meta.url));

/** Where programs without a path are found first; names in here record how they were started. */
export const STUBS = '/oracle/stubs';

/**
 * Runs a command in the tree, with namespaces of its own and no network; it ends with this process.
 * @param work folder of the host that is `/work` inside, with a list of recording programs in `programs`
 * @param language for LANGUAGE and LANG, such as `de_DE`
 */
export async function inRoom(work: string, language: string, argv: string[], stdin = ''): Promise<Ended> {
  const { dir } = await ensureOracles();
  const mountPoint = join(CACHE, 'mnt');
  mkdirSync(mountPoint, { recursive: true });
  const child = spawn(
    'setpriv',
    [
      ...['--pdeathsig', 'KILL', 'unshare', '--mount', '--pid', '--net', '--ipc', '--fork', '--kill-child'],
      ...['/bin/bash', ROOM, dir, mountPoint, work, ...argv],
    ],
    {
      env: {
        PATH: `${STUBS}:/usr/sbin:/usr/bin:/sbin:/bin`,
        HOME: '/root',
        LANG: `${language}.UTF-8`,
        LC_ALL: language === 'C' ? 'C.UTF-8' : `${language}.UTF-8`,
        LANGUAGE: language,
        // GLib would start a program to look for a bus before each launch.
        DBUS_SESSION_BUS_ADDRESS: 'disabled:',
        QT_LOGGING_RULES: '*=false',
      },
    },
  );
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
  child.stdin.on('error', () => undefined);
  child.stdin.end(stdin);
  const code = await new Promise<number>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status) => resolve(status ?? -1));
  });
  return { code, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() };
}
