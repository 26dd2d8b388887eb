import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { DescriptorJudge } from '../../core/src/linux/process-descriptors.js';
import { cgroupPath, gpuMemory } from '../../core/src/linux/process-details.js';
import { Holds } from '../../core/src/linux/process-holds.js';
import { mapFile } from '../../core/src/linux/process-mappings.js';
import {
  type PassRequest,
  passOverProcesses,
  type SeenPass,
  type SeenProcess,
} from '../../core/src/linux/process-pass.js';
import { parseStat } from '../../core/src/linux/process-stat.js';

/*
 * Harmless nodes that every machine has stand for the card: /dev/full (1:7) for descriptors, /dev/zero (1:5)
 * for mappings. The processes are real, and so is /proc; only dma-bufs, which nothing here can make, come
 * from a tree.
 */

const FULL = '1:7';
const ZERO = '1:5';
const root = process.getuid?.() === 0;

let scratch = '';
const children = new Set<ChildProcess>();

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'process-pass-'));
  chmodSync(scratch, 0o755);
  await build({
    entryPoints: ['core/src/linux/process-pass.ts'],
    bundle: true,
    platform: 'node',
    format: 'esm',
    outfile: join(scratch, 'pass.mjs'),
    logLevel: 'error',
  });
});

afterEach(() => {
  for (const child of children) child.kill('SIGKILL');
  children.clear();
});

afterAll(() => {
  rmSync(scratch, { recursive: true, force: true });
});

/** Starts a program that prints a line when it is ready, and waits for that line. */
async function start(
  program: string,
  args: readonly string[],
): Promise<ChildProcess & { readonly pid: number }> {
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  children.add(child);
  await new Promise<void>((resolve, reject) => {
    child.stdout.once('data', () => resolve());
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`${program} ended with ${code}`)));
  });
  const { pid } = child;
  if (pid === undefined) throw new Error(`${program} has no pid`);
  return Object.assign(child, { pid });
}

/** A shell that does something, says so, and then waits for a line. */
function shell(script: string, ...args: string[]): Promise<ChildProcess & { readonly pid: number }> {
  return start('/bin/sh', ['-c', `${script}\necho ready\nread line`, 'sh', ...args]);
}

function python(script: string): Promise<ChildProcess & { readonly pid: number }> {
  return start('python3', [
    '-c',
    `import ctypes, os, sys, time\n${script}\nprint('ready', flush=True)\ntime.sleep(600)`,
  ]);
}

function ask(numbers: readonly string[], more: Partial<PassRequest> = {}): Promise<SeenPass> {
  return passOverProcesses({ numbers: new Set(numbers), exporters: new Set(), ...more });
}

/** The answer of a pass in a process of its own, run with fewer rights; null where there is no setpriv. */
function askAs(rights: readonly string[], number: string): SeenPass | null {
  const program = `import { passOverProcesses } from '${join(scratch, 'pass.mjs')}';
const result = await passOverProcesses({ numbers: new Set(['${number}']), exporters: new Set() });
console.log(JSON.stringify(result));`;
  const node = [process.execPath, '--input-type=module', '-e', program];
  const [first = '', ...rest] = rights.length === 0 ? node : ['setpriv', ...rights, ...node];
  const { error, stdout } = spawnSync(first, rest);
  return error === undefined ? (JSON.parse(stdout.toString()) as SeenPass) : null;
}

function of(result: SeenPass, child: { readonly pid: number }): SeenProcess | undefined {
  return result.found.find((use) => use.pid === child.pid);
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
  });
}

/** A directory on a file system that allows device nodes to be made and opened, or null. */
function nodeDirectory(): string | null {
  for (const parent of [scratch, '/var/tmp', '/dev']) {
    const directory = mkdtempSync(join(parent, 'process-pass-nodes-'));
    const made = spawnSync('mknod', [join(directory, 'try'), 'c', '1', '3']).status === 0;
    try {
      if (made) {
        openSync(join(directory, 'try'), 'r');
        return directory;
      }
    } catch {
      // Mounted nodev.
    }
    rmSync(directory, { recursive: true });
  }
  return null;
}

describe('descriptors', () => {
  it('finds one by its device number', async () => {
    const child = await shell('exec 9</dev/full');
    expect(of(await ask([FULL]), child)?.uses).toEqual([
      { number: FULL, via: 'fd', fds: [9], certain: true },
    ]);
  });

  it('gives all of them in ascending order', async () => {
    const child = await shell('exec 9</dev/full 4</dev/full 7</dev/full');
    expect(of(await ask([FULL]), child)?.uses[0]?.fds).toEqual([4, 7, 9]);
  });

  it('finds /dev/null when it is asked for', async () => {
    const child = await shell('exec 9</dev/null');
    expect(of(await ask(['1:3']), child)?.uses[0]?.fds).toContain(9);
  });

  it('leaves other devices alone', async () => {
    const child = await shell('exec 9</dev/zero');
    expect(of(await ask([FULL]), child)).toBeUndefined();
  });

  it('does not take a name for a hold (O_PATH)', async () => {
    const child = await python(`os.open('/dev/full', os.O_PATH)`);
    expect(of(await ask([FULL]), child)).toBeUndefined();
  });

  it('finds one that was opened for ioctl only (access mode 3)', async () => {
    const child = await python(
      `print(os.open('/dev/full', 3), file=sys.stderr) if False else os.open('/dev/full', 3)`,
    );
    expect(of(await ask([FULL]), child)?.uses).toHaveLength(1);
  });

  it.skipIf(!root)('finds a node with another name (needs root for mknod)', async (context) => {
    const directory = nodeDirectory();
    if (directory === null) return context.skip('no file system here allows device nodes');
    const node = join(directory, 'any name\n(deleted)');
    spawnSync('mknod', [node, 'c', '1', '7']);
    const child = await shell('exec 9<"$1"', node);
    rmSync(directory, { recursive: true });
    expect(of(await ask([FULL]), child)?.uses[0]?.fds).toEqual([9]);
  });

  it.skipIf(!root)('finds a deleted node (needs root for mknod)', async (context) => {
    const directory = nodeDirectory();
    if (directory === null) return context.skip('no file system here allows device nodes');
    const node = join(directory, 'card');
    spawnSync('mknod', [node, 'c', '1', '7']);
    const child = await shell('exec 9<"$1" && rm -r "$2"', node, directory);
    expect(of(await ask([FULL]), child)?.uses[0]?.fds).toEqual([9]);
  });

  it.skipIf(!root)('finds a process in another mount namespace (needs root for unshare)', async (context) => {
    if (spawnSync('unshare', ['-m', 'true']).status !== 0)
      return context.skip('no new mount namespaces here');
    const script =
      'mount -t tmpfs -o dev none /mnt && mknod /mnt/card c 1 7 && exec 9</mnt/card\necho ready\nread line';
    const child = await start('unshare', ['-m', '--propagation', 'private', '/bin/sh', '-c', script]);
    expect(of(await ask([FULL]), child)?.uses[0]?.fds).toEqual([9]);
  });

  it('finds a process whose first thread has ended while another lives', async () => {
    const child = await python(
      `import threading
os.open('/dev/full', os.O_RDONLY)
def other():
    time.sleep(0.2)
    print('ready', flush=True)
    time.sleep(600)
threading.Thread(target=other).start()
ctypes.CDLL(None).pthread_exit(None)`,
    );
    expect(of(await ask([FULL]), child)?.uses).toHaveLength(1);
  });
});

/** Maps a file with nothing but libc, since Python's own mmap keeps a descriptor. */
function mapping(path: string): string {
  return `libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
i = ctypes.c_int
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, i, i, i, ctypes.c_long]
fd = os.open(${JSON.stringify(path)}, os.O_RDWR)
assert libc.mmap(None, 4096, 3, 2, fd, 0) not in (None, ctypes.c_void_p(-1).value)
os.close(fd)`;
}

describe('mappings', () => {
  it('finds one whose descriptor is closed', async () => {
    const child = await python(mapping('/dev/zero'));
    expect(of(await ask([ZERO]), child)?.uses).toEqual([
      { number: ZERO, via: 'map', fds: [], certain: true },
    ]);
  });

  it.skipIf(!root)('finds one of a node that is deleted (needs root for mknod)', async (context) => {
    const directory = nodeDirectory();
    if (directory === null) return context.skip('no file system here allows device nodes');
    const node = join(directory, 'card');
    spawnSync('mknod', [node, 'c', '1', '5']);
    const child = await python(`${mapping(node)}\nos.unlink(${JSON.stringify(node)})`);
    rmSync(directory, { recursive: true });
    expect(of(await ask([ZERO]), child)?.uses).toEqual([
      { number: ZERO, via: 'map', fds: [], certain: true },
    ]);
  });

  describe.skipIf(!root)('without the right to follow map_files (needs root to drop it)', () => {
    const WITHOUT = ['--bounding-set=-sys_admin,-checkpoint_restore', '--inh-caps=-all'];

    it('finds one by the inode of the known node', async (context) => {
      const child = await python(mapping('/dev/zero'));
      const result = askAs(WITHOUT, ZERO);
      if (result === null) return context.skip('no setpriv here');
      expect(of(result, child)?.uses).toEqual([{ number: ZERO, via: 'map', fds: [], certain: true }]);
    });

    it('finds one of another node by the path that the process sees', async (context) => {
      const directory = nodeDirectory();
      if (directory === null) return context.skip('no file system here allows device nodes');
      spawnSync('mknod', [join(directory, 'a node'), 'c', '1', '5']);
      const child = await python(mapping(join(directory, 'a node')));
      const result = askAs(WITHOUT, ZERO);
      rmSync(directory, { recursive: true });
      if (result === null) return context.skip('no setpriv here');
      expect(of(result, child)?.uses).toEqual([{ number: ZERO, via: 'map', fds: [], certain: true }]);
    });

    it('does not suspect programs and libraries that were deleted', async (context) => {
      const program = join(scratch, 'gone');
      copyFileSync('/bin/sleep', program);
      chmodSync(program, 0o755);
      const child = spawn(program, ['600']);
      children.add(child);
      await new Promise((resolve) => setTimeout(resolve, 100));
      rmSync(program);
      const result = askAs(WITHOUT, ZERO);
      if (result === null) return context.skip('no setpriv here');
      expect(result.found.some((use) => use.pid === child.pid)).toBe(false);
    });
  });

  it('names a range as map_files does', () => {
    expect(mapFile('00400000-00452000')).toBe('400000-452000');
    expect(mapFile('00000000-00001000')).toBe('0-1000');
    expect(mapFile('7f0000001000-7f0000002000')).toBe('7f0000001000-7f0000002000');
  });
});

describe('what is told of a process', () => {
  it('has its pid, start time, user and command line', async () => {
    const child = await shell('exec 9</dev/full', 'an argument', '');
    const use = of(await ask([FULL]), child);
    const started = Number(
      spawnSync('cut', ['-d', ' ', '-f22', `/proc/${child.pid}/stat`]).stdout.toString(),
    );
    expect(use).toMatchObject({ pid: child.pid, startTicks: started, uid: process.getuid?.(), comm: 'sh' });
    expect(use?.argv.slice(0, 2)).toEqual(['/bin/sh', '-c']);
    expect(use?.argv.slice(3)).toEqual(['sh', 'an argument', '']);
    expect(use?.gpuMemoryBytes).toBeNull();
  });

  it('cuts a huge command line off', async () => {
    const child = await shell('exec 9</dev/full', ...Array.from({ length: 12 }, () => 'x'.repeat(100_000)));
    const argv = of(await ask([FULL]), child)?.argv ?? [];
    expect(argv[0]).toBe('/bin/sh');
    expect(argv.join('').length).toBeLessThanOrEqual(32 * 1024);
  });

  it('takes a name with parentheses, spaces and newlines as it is', async () => {
    const child = await shell(`printf 'a) S (b\\nc' >/proc/$$/comm; exec 9</dev/full`);
    expect(of(await ask([FULL]), child)?.comm).toBe('a) S (b\nc');
  });

  it('reads stat after the last parenthesis', () => {
    const fields = 'Z 1 1 1 0 -1 2097152 0 0 0 0 0 0 0 0 20 0 3 0 4242 0 0';
    expect(parseStat(`7 (a) S 1 (b\n) ${fields}`)).toEqual({
      comm: 'a) S 1 (b\n',
      state: 'Z',
      kernelThread: true,
      threads: 3,
      startTicks: 4242,
    });
    expect(parseStat('')).toBeNull();
  });

  it('prefers the unified cgroup where it is used', () => {
    expect(cgroupPath('0::/user.slice/a:b.scope\n')).toBe('/user.slice/a:b.scope');
    expect(cgroupPath('1:name=systemd:/system.slice/x.service\n0::/\n')).toBe('/system.slice/x.service');
    expect(cgroupPath('')).toBe('');
  });

  it('counts the memory of a DRM client once, and the card’s own only', () => {
    const client = (id: number, lines: string): string =>
      `pos:\t0\ndrm-driver:\tamdgpu\ndrm-client-id:\t${id}\ndrm-pdev:\t0000:03:00.0\n${lines}`;
    const first = client(
      1,
      'drm-memory-vram:\t1024 KiB\ndrm-memory-gtt: \t8 KiB\ndrm-total-vram:\t2048 KiB\n',
    );
    const second = client(2, 'drm-total-vram0:\t3 MiB\ndrm-resident-vram0:\t1 MiB\n');
    expect(gpuMemory([first, first, second])).toBe(2 * 1024 * 1024);
    expect(gpuMemory([client(1, 'drm-total-system0:\t4 KiB\n')])).toBe(4096);
    expect(gpuMemory(['pos:\t0\n'])).toBeNull();
  });
});

describe('the pass', () => {
  it.skipIf(!root)(
    'sees all there is while a node of unknown name is opened and closed (needs root for mknod)',
    async (context) => {
      const directory = nodeDirectory();
      if (directory === null) return context.skip('no file system here allows device nodes');
      const node = join(directory, 'card');
      spawnSync('mknod', [node, 'c', '1', '7']);
      const opens =
        'import os,sys\nprint("ready", flush=True)\nwhile True: os.close(os.open(sys.argv[1], os.O_RDONLY))';
      const opener = await start('python3', ['-c', opens, node]);
      const gaps: (readonly string[])[] = [];
      for (let i = 0; i < 50; i++) gaps.push((await ask([FULL], { fresh: true })).gaps);
      opener.kill('SIGKILL');
      await ended(opener);
      rmSync(directory, { recursive: true });
      expect(gaps.flat()).toEqual([]);
    },
  );

  it('is not disturbed by processes that come and go', async () => {
    const child = await shell('exec 9</dev/full');
    await start('/bin/sh', ['-c', 'echo ready; while :; do /bin/true; done']);
    for (let i = 0; i < 5; i++) {
      const result = await ask([FULL], { fresh: true });
      expect(of(result, child)?.uses).toHaveLength(1);
      expect(result.complete).toBe(true);
    }
  });

  it('does not report a holder that has ended', async () => {
    const child = await shell('exec 9</dev/full');
    expect(of(await ask([FULL]), child)).toBeDefined();
    child.kill('SIGKILL');
    await ended(child);
    expect(of(await ask([FULL]), child)).toBeUndefined();
  });

  it('reports again who has slept since the last pass', async () => {
    const child = await shell('exec 9</dev/full 4</dev/full');
    const uses: (SeenProcess['uses'] | undefined)[] = [];
    for (let i = 0; i < 4; i++) uses.push(of(await ask([FULL]), child)?.uses);
    expect(uses).toEqual(Array.from({ length: 4 }, () => uses[0]));
    expect(uses[0]?.[0]?.fds).toEqual([4, 9]);
  });

  // The number of descriptors stays the same in these two, so that it is not what gives the change away.
  it('notices what a process opens and closes between passes', async () => {
    const child = await shell(
      'exec 9</dev/zero; echo ready; read a; exec 9</dev/full; echo open; read b; exec 9</dev/zero; echo no',
    );
    const step = async (): Promise<void> => {
      const said = new Promise((resolve) => child.stdout?.once('data', resolve));
      child.stdin?.write('\n');
      await said;
    };
    for (let i = 0; i < 3; i++) expect(of(await ask([FULL]), child)).toBeUndefined();
    await step();
    for (let i = 0; i < 3; i++) expect(of(await ask([FULL]), child)?.uses[0]?.fds).toEqual([9]);
    await step();
    expect(of(await ask([FULL]), child)).toBeUndefined();
  });

  it('notices what another thread than the first opens between passes', async () => {
    const child = await python(
      `import threading
zero = os.open('/dev/zero', os.O_RDONLY)
def other():
    sys.stdin.readline()
    full = os.open('/dev/full', os.O_RDONLY)
    os.dup2(full, zero)
    os.close(full)
    os.write(1, b'open')
    time.sleep(600)
threading.Thread(target=other).start()`,
    );
    for (let i = 0; i < 3; i++) expect(of(await ask([FULL]), child)).toBeUndefined();
    const said = new Promise((resolve) => child.stdout?.once('data', resolve));
    child.stdin?.write('\n');
    await said;
    expect(of(await ask([FULL]), child)?.uses).toHaveLength(1);
  });

  it('does not mix up the answers to different questions', async () => {
    const child = await shell('exec 9</dev/full 8</dev/zero');
    for (let i = 0; i < 3; i++) {
      expect(of(await ask([FULL]), child)?.uses.map((use) => use.fds)).toEqual([[9]]);
      expect(of(await ask([ZERO]), child)?.uses.map((use) => use.fds)).toEqual([[8]]);
    }
  });

  it('counts and names processes that it may not look into', async (context) => {
    const holder = await shell('exec 9</dev/full');
    const result = askAs(root ? ['--reuid=65534', '--regid=65534', '--clear-groups'] : [], FULL);
    if (result === null) return context.skip('no setpriv here');
    const pid = root ? holder.pid : 1;
    expect(result.unseen.find((one) => one.pid === pid)).toMatchObject({ uid: 0, reason: 'denied' });
    expect(result.unseen.some((one) => one.comm === 'kthreadd')).toBe(false);
    if (root) expect(of(result, holder)).toBeUndefined();
    else expect(of(result, holder)).toBeDefined();
  });

  it('takes a /proc without process 1 for one that hides processes', async () => {
    const proc = mkdtempSync(join(scratch, 'empty-'));
    mkdirSync(join(proc, '7'));
    expect(await ask([FULL], { proc })).toMatchObject({
      found: [],
      complete: false,
      gaps: ['/proc does not list all processes (hidepid)'],
    });
  });
});

/** Puts a program of this name before the system's for as long as `during` takes. */
async function instead(name: string, script: string, during: () => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(scratch, 'bin-'));
  writeFileSync(join(directory, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  const path = process.env.PATH;
  process.env.PATH = `${directory}:${path}`;
  try {
    await during();
  } finally {
    process.env.PATH = path;
  }
}

describe('a look that does not come back', () => {
  for (const [what, script] of [
    ['hangs', 'exec sleep 600'],
    ['fails', 'exit 1'],
    ['is another program', 'echo something else'],
  ] as const) {
    it(`still finds descriptors when find ${what}`, async () => {
      const child = await shell('exec 9</dev/full');
      await instead('find', script, async () => {
        const result = await ask([FULL], { fresh: true, timeLimitMs: 4000 });
        expect(of(result, child)?.uses[0]?.fds).toEqual([9]);
        expect(result.complete).toBe(true);
      });
    });
  }

  it('says so and keeps to its time when maps cannot be read', async () => {
    const child = await shell('exec 9</dev/full');
    await instead('awk', 'exec sleep 600', async () => {
      const begun = performance.now();
      const result = await ask([FULL], { fresh: true, timeLimitMs: 2000 });
      expect(performance.now() - begun).toBeLessThan(3000);
      expect(result.complete).toBe(false);
      expect(result.found.every((use) => use.uses.length > 0)).toBe(true);
      expect(child.pid).toBeGreaterThan(0);
    });
  });

  it('sees all when reading maps breaks off, as it does where a process has just ended', async () => {
    const child = await python(mapping('/dev/zero'));
    const real = spawnSync('/bin/sh', ['-c', 'command -v awk']).stdout.toString().trim();
    const once = join(mkdtempSync(join(scratch, 'once-')), 'done');
    const script = `[ -e '${once}' ] && exec ${real} "$@"
: >'${once}'; echo 'awk: read error (No such process)' >&2; exit 2`;
    await instead('awk', script, async () => {
      const result = await ask([ZERO], { fresh: true });
      expect(result.gaps).toEqual([]);
      expect(of(result, child)?.uses).toHaveLength(1);
    });
  });

  it('says so when reading maps breaks off at every try', async () => {
    await instead('awk', 'echo "awk: read error" >&2; exit 2', async () => {
      const result = await ask([ZERO], { fresh: true });
      expect(result.complete).toBe(false);
      expect(new Set(result.gaps)).toEqual(new Set(['maps: awk breaks off: awk: read error']));
    });
  });

  it('names the process whose maps do not come back, and sees the others', async () => {
    const locked = await shell(':');
    const child = await python(mapping('/dev/zero'));
    const real = spawnSync('/bin/sh', ['-c', 'command -v awk']).stdout.toString().trim();
    const maps = `/proc/${locked.pid}/maps`;
    const script = `case " $* " in *" ${maps} "*) exec 5<${maps}; exec sleep 600 ;; esac
exec ${real} "$@"`;
    await instead('awk', script, async () => {
      const result = await ask([ZERO], { fresh: true, timeLimitMs: 4000 });
      expect(result.unseen).toContainEqual({
        pid: locked.pid,
        uid: process.getuid?.(),
        comm: 'sh',
        reason: 'stuck',
      });
      expect(of(result, child)?.uses).toHaveLength(1);
      expect(result.complete).toBe(false);
    });
  });

  it('tells of the others when a command line cannot be read', async () => {
    const child = await shell('exec 9</dev/full');
    await instead('grep', 'exec sleep 600', async () => {
      const result = await ask([FULL], { fresh: true, timeLimitMs: 4000 });
      expect(of(result, child)).toMatchObject({ comm: 'sh', argv: [], uses: [{ fds: [9] }] });
    });
  });

  it.skipIf(!root)(
    'is not held up by a file system whose daemon is dead (needs root to mount)',
    async (context) => {
      const dead = `os.unshare(0x20000) if hasattr(os, 'unshare') else ctypes.CDLL(None).unshare(0x20000)
libc = ctypes.CDLL(None, use_errno=True)
assert libc.mount(b'none', b'/', None, 0x44000, None) == 0
fuse = os.open('/dev/fuse', os.O_RDWR)
options = b'fd=%d,rootmode=40000,user_id=0,group_id=0' % fuse
assert libc.mount(b'dead', b'/mnt', b'fuse', 4, options) == 0
os.open('/mnt', os.O_PATH)`;
      const stuck = await python(dead).catch(() => null);
      if (stuck === null) return context.skip('FUSE cannot be mounted here');
      const child = await shell('exec 9</dev/full');
      const times: number[] = [];
      for (let i = 0; i < 2; i++) {
        const begun = performance.now();
        const result = await ask([FULL], { fresh: true, timeLimitMs: 20_000 });
        times.push(performance.now() - begun);
        expect(of(result, child)?.uses[0]?.fds).toEqual([9]);
        expect(result.complete).toBe(true);
      }
      // It is remembered which process that was.
      expect(times[1]).toBeLessThan(2000);
    },
  );
});

describe('dma-bufs', () => {
  /** A process in a tree like /proc. */
  function addProcess(proc: string, pid: number, maps: string): string {
    const base = join(proc, String(pid));
    for (const name of ['fd', 'fdinfo']) mkdirSync(join(base, name), { recursive: true });
    writeFileSync(join(base, 'stat'), `${pid} (app) S${' 0'.repeat(18)} 100 0 0\n`);
    writeFileSync(join(base, 'status'), 'Name:\tapp\nUid:\t1000\t1000\t1000\t1000\n');
    writeFileSync(join(base, 'maps'), maps);
    writeFileSync(join(base, 'cgroup'), '0::/user.slice\n');
    writeFileSync(join(base, 'cmdline'), 'app\0');
    writeFileSync(join(base, 'mountinfo'), '');
    return base;
  }

  function addBuffer(base: string, fd: number, inode: number, exporter: string): void {
    symlinkSync('/dmabuf:', join(base, 'fd', String(fd)));
    writeFileSync(
      join(base, 'fdinfo', String(fd)),
      `pos:\t0\nflags:\t02000002\nmnt_id:\t15\nino:\t${inode}\nsize:\t4096\nexp_name:\t${exporter}\n`,
    );
  }

  const line = (inode: number): string =>
    `7f0000000000-7f0000001000 rw-s 00000000 00:0d ${inode}                  /dmabuf:\n`;

  /** In a tree of files find cannot see what has no type, so these are looked at without it. */
  async function look(proc: string): Promise<SeenPass> {
    let result: SeenPass | undefined;
    await instead('find', 'exit 1', async () => {
      result = await passOverProcesses({ proc, numbers: new Set(), exporters: new Set(['nv_dmabuf']) });
    });
    if (result === undefined) throw new Error('no result');
    return result;
  }

  it('finds them by their exporter', async () => {
    const proc = mkdtempSync(join(scratch, 'proc-'));
    const base = addProcess(proc, 1, '');
    addBuffer(base, 5, 71, 'nv_dmabuf');
    addBuffer(base, 6, 72, 'i915');
    const result = await look(proc);
    expect(result.found.map((use) => use.uses)).toEqual([
      [{ number: '', via: 'dmabuf', fds: [5], certain: true }],
    ]);
  });

  it('knows them among find’s lines by their links, and asks each buffer once', async () => {
    const proc = mkdtempSync(join(scratch, 'proc-'));
    const [one, other] = [addProcess(proc, 1, ''), addProcess(proc, 2, '')];
    addBuffer(one, 5, 71, 'nv_dmabuf');
    addBuffer(other, 8, 71, 'nv_dmabuf');
    addBuffer(other, 9, 72, 'i915');
    symlinkSync('anon_inode:[eventfd]', join(other, 'fd', '4'));
    const holds = new Holds();
    const patience = { deadline: performance.now() + 5000, hangMs: 1000 };
    const judge = new DescriptorJudge(
      { proc, numbers: new Set([FULL]), exporters: new Set(['nv_dmabuf']), holds, patience },
      new Map(),
    );
    judge.line(`U 15 1062 ${other}/fd/4`);
    judge.line(`U 12 71 ${one}/fd/5`);
    judge.line(`U 12 71 ${other}/fd/8`);
    judge.line(`U 12 72 ${other}/fd/9`);
    expect(await judge.finish()).toEqual(new Set());
    expect([1, 2].map((pid) => holds.of(pid).map((hold) => [hold.via, [...hold.fds]]))).toEqual([
      [['dmabuf', [5]]],
      [['dmabuf', [8]]],
    ]);
  });

  it('takes a number that was closed and is in use again for no gap', async () => {
    const proc = mkdtempSync(join(scratch, 'proc-'));
    const base = addProcess(proc, 1, '');
    // Closed when its fdinfo was to be read, open again afterwards.
    symlinkSync('/dev/card', join(base, 'fd', '5'));
    expect(await look(proc)).toMatchObject({ found: [], complete: true, gaps: [] });
  });

  it('takes a node that was closed and whose number is in use again for no gap', async () => {
    const proc = mkdtempSync(join(scratch, 'proc-'));
    const base = addProcess(proc, 1, '');
    symlinkSync(join(scratch, 'not there'), join(base, 'fd', '5'));
    const patience = { deadline: performance.now() + 5000, hangMs: 1000 };
    const judge = new DescriptorJudge(
      { proc, numbers: new Set([FULL]), exporters: new Set(), holds: new Holds(), patience },
      new Map(),
    );
    judge.line(`c 6 4242 ${base}/fd/5`);
    expect(await judge.finish()).toEqual(new Set());
  });

  it('finds one that is only mapped, by the exporter that another process’s descriptor names', async () => {
    const proc = mkdtempSync(join(scratch, 'proc-'));
    addBuffer(addProcess(proc, 1, ''), 6, 72, 'nv_dmabuf');
    addProcess(proc, 2, line(72));
    addBuffer(addProcess(proc, 3, line(73)), 6, 73, 'i915');
    const result = await look(proc);
    expect(result.found.map((use) => [use.pid, use.uses[0]?.fds, use.uses[0]?.certain])).toEqual([
      [1, [6], true],
      [2, [], true],
    ]);
  });

  it('reports as uncertain one that is mapped and whose exporter nobody names', async () => {
    const proc = mkdtempSync(join(scratch, 'proc-'));
    addProcess(proc, 1, line(4242424242));
    const result = await look(proc);
    expect(result.found[0]?.uses).toEqual([{ number: '', via: 'dmabuf', fds: [], certain: false }]);
  });
});
