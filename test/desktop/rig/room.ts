import { spawn as spawnChild } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { Bind, Running, RunOptions, RunResult, Sandbox } from '../../bus/rig/sandbox.js';
import { CACHE, ensureTree, USER } from './tree.js';
import type { GnomeVersion } from './versions.js';

/** A desktop's tree beside a bus: processes, network and end are the bus's sandbox's, the files are the tree's. */
export interface Room {
  run(argv: readonly string[], options?: RunOptions): Promise<RunResult>;
  spawn(argv: readonly string[], options?: Omit<RunOptions, 'stdin' | 'timeoutMs'>): Running;
  /** Starts a command as a byte stream: what is written goes to its stdin, what is read is its stdout. */
  pipe(argv: readonly string[], options?: Omit<RunOptions, 'stdin' | 'timeoutMs'>): Duplex;
  /** Writes a file, with the folders above it; whoever writes it owns them. `mode` is octal text; '644'. */
  put(path: string, content: string | Uint8Array, options?: { mode?: string; user?: string }): Promise<void>;
}

const INIT = fileURLToPath(new URL('init.sh', import.meta.url));

/** Opens a room in the sandbox of a bus; it ends with that sandbox. */
export async function openRoom(
  sandbox: Sandbox,
  version: GnomeVersion,
  binds: readonly Bind[],
): Promise<Room> {
  const tree = await ensureTree(version);
  const mountPoint = join(CACHE, 'mnt');
  mkdirSync(mountPoint, { recursive: true });
  const child = spawnChild(
    'nsenter',
    [
      ...['--target', `${sandbox.hostPid}`, '--pid', '--net', '--ipc', '--uts', '--'],
      ...['unshare', '--mount', '/bin/bash', INIT, tree.dir, mountPoint, `${USER.uid}`],
      ...binds.flatMap((bind) => [bind.writable === true ? 'rw' : 'ro', bind.from, bind.to]),
    ],
    { env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C.UTF-8' }, detached: true },
  );
  const pid = await new Promise<string>((resolve, reject) => {
    let said = '';
    const hear = (chunk: Buffer): void => {
      said += chunk.toString();
      const ready = /^ready (\d+)$/m.exec(said);
      if (ready?.[1] !== undefined) resolve(ready[1]);
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    child.once('error', reject);
    child.once('close', () => reject(new Error(`the desktop's tree did not come up: ${said}`)));
  });
  // The sandbox's nsenter goes from its own mounts to the room's.
  const inside = (argv: readonly string[], user: string): string[] => [
    ...['nsenter', '--target', pid, '--mount', '--'],
    ...(user === 'root' ? [] : ['setpriv', `--reuid=${user}`, `--regid=${user}`, '--init-groups']),
    ...argv,
  ];
  const environment = (user: string): Record<string, string> =>
    user === 'root'
      ? {}
      : {
          HOME: `/home/${user}`,
          USER: user,
          LOGNAME: user,
          XDG_RUNTIME_DIR: `/run/user/${USER.uid}`,
          DBUS_SESSION_BUS_ADDRESS: `unix:path=/run/user/${USER.uid}/bus`,
        };
  const prepared = (options?: RunOptions): { user: string; rest: RunOptions } => {
    const { user = USER.name, env, ...rest } = options ?? {};
    return { user, rest: { ...rest, env: { ...environment(user), ...env } } };
  };
  const room: Room = {
    run(argv, options) {
      const { user, rest } = prepared(options);
      return sandbox.run(inside(argv, user), rest);
    },
    spawn(argv, options) {
      const { user, rest } = prepared(options);
      return sandbox.spawn(inside(argv, user), rest);
    },
    pipe(argv, options) {
      const { user, rest } = prepared(options);
      return sandbox.pipe(inside(argv, user), rest);
    },
    async put(path, content, options = {}) {
      const script = 'mkdir -p -- "$(dirname -- "$1")" && cat >"$1" && chmod "$2" "$1"';
      const result = await room.run(['sh', '-c', script, 'put', path, options.mode ?? '644'], {
        user: options.user ?? USER.name,
        stdin: content,
      });
      if (result.code !== 0) throw new Error(`${path} was not written: ${result.stderr}`);
    },
  };
  return room;
}
