/** The wrapper as a user meets it, in every POSIX shell of this machine. */
import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { DEFAULT_CONFIG } from '../../core/src/config.js';
import { Engine } from '../../core/src/engine/engine.js';
import { createWorkstation } from '../../core/src/linux/simulated/create.js';
import { removeProcess } from '../../core/src/linux/simulated/edit.js';
import { simulatedMachine } from '../../core/src/linux/simulated/machine.js';
import { BLENDER } from './support-engine.js';
import { type Tree, workstation } from './support-tree.js';
import { environmentOf, folder, type Ran, run, SHELLS, writeWrapper } from './support-wrapper.js';

const DGPU = '0000:01:00.0';

const STRACE = existsSync('/usr/bin/strace');

/** The usual laptop, its NVIDIA card at home. */
function atHome(): Tree {
  const tree = workstation();
  tree.link(`sys/bus/pci/drivers/nvidia/${DGPU}`, `sys/bus/pci/devices/${DGPU}`);
  tree.link('sys/bus/pci/drivers/amdgpu/0000:00:02.0', 'sys/bus/pci/devices/0000:00:02.0');
  return tree;
}

/** The same while a guest has the card. */
function away(): Tree {
  const tree = atHome();
  rmSync(tree.path('sys/bus/pci/drivers/nvidia'), { recursive: true });
  rmSync(tree.path(`sys/bus/pci/devices/${DGPU}/driver`));
  tree.link(`sys/bus/pci/drivers/vfio-pci/${DGPU}`, `sys/bus/pci/devices/${DGPU}`);
  tree.link(`sys/bus/pci/devices/${DGPU}/driver`, 'sys/bus/pci/drivers/vfio-pci');
  return tree;
}

const wrapperFor = (tree: Tree): string => writeWrapper(join(folder(), 'gpu-handoff-run'), tree.root);

/** Writes what it was given, each argument with a line that ends it. */
const SHOW = ['/usr/bin/printf', '%s|'];

describe.each(SHELLS)('in %s', (name, shell) => {
  let home: string;
  const start = (wrapper: string, args: readonly string[], options?: Parameters<typeof run>[1]): Ran =>
    run([...shell, wrapper, ...args], options);

  beforeEach(() => {
    home = wrapperFor(atHome());
  });

  test('the command gets the environment of the dGPU, and every other variable as it was', () => {
    const session = {
      PATH: '/usr/bin:/bin',
      KEPT: 'a "b"\n$c `d` \\e\t',
      EMPTY: '',
      LD_PRELOAD: '',
      LD_LIBRARY_PATH: '/steam/ubuntu12_32:/steam/ubuntu12_64',
      DRI_PRIME: '0',
      __EGL_VENDOR_LIBRARY_FILENAMES: '/usr/share/glvnd/egl_vendor.d/50_mesa.json',
      VK_LOADER_DRIVERS_DISABLE: '*nvidia*',
      __GLX_VENDOR_LIBRARY_NAME: 'mesa',
    };
    const { status, stdout, stderr } = start(home, ['env', '-0'], { env: session });
    expect([status, stderr]).toEqual([0, '']);
    expect(environmentOf(stdout)).toEqual({
      KEPT: session.KEPT,
      EMPTY: '',
      LD_PRELOAD: '',
      LD_LIBRARY_PATH: session.LD_LIBRARY_PATH,
      __GLX_VENDOR_LIBRARY_NAME: 'nvidia',
      __NV_PRIME_RENDER_OFFLOAD: '1',
      __VK_LAYER_NV_optimus: 'NVIDIA_only',
      VK_LOADER_DRIVERS_SELECT: '*nvidia*',
      MESA_VK_DEVICE_SELECT: '10de:2684!',
    });
  });

  test('while a guest has the card: one warning, and the session’s own environment', () => {
    const session = { PATH: '/usr/bin:/bin', VK_LOADER_DRIVERS_DISABLE: '*nvidia*', DRI_PRIME: '0' };
    const { status, stdout, stderr } = start(wrapperFor(away()), ['env', '-0'], { env: session });
    expect(status).toBe(0);
    expect(stderr).toBe(
      `gpu-handoff-run: The dGPU (${DGPU}) is kept for a VM, so this runs on the iGPU: "gpu-handoff status" says more.\n`,
    );
    expect(environmentOf(stdout)).toEqual({ VK_LOADER_DRIVERS_DISABLE: '*nvidia*', DRI_PRIME: '0' });
  });

  test('while a guest has the card and it is required: nothing is started', () => {
    expect(start(wrapperFor(away()), ['--require', ...SHOW, 'x'])).toEqual({
      status: 125,
      signal: null,
      stdout: '',
      stderr: `gpu-handoff-run: The dGPU (${DGPU}) is kept for a VM, so nothing was started: "gpu-handoff status" says more.\n`,
    });
  });

  test('arguments come byte for byte', () => {
    const words = [
      '',
      ' ',
      '--',
      '-x',
      '--require',
      'a\nb\n',
      '$HOME',
      '*',
      '\\',
      "'",
      '"',
      'ü€😀',
      '\t',
      '%command%',
    ];
    expect(start(home, [...SHOW, ...words]).stdout).toBe(words.map((word) => `${word}|`).join(''));
    // Not UTF-8, as file names may be; Node cannot give such an argument, so a shell does.
    const bytes = spawnSync(
      '/bin/bash',
      ['-c', '"$@" $\'a\\xff\\xfe\\x01\'', 'bash', ...shell, home, ...SHOW],
      { env: { PATH: '/usr/bin:/bin' } },
    );
    expect([...bytes.stdout]).toEqual([0x61, 0xff, 0xfe, 0x01, 0x7c]);
  });

  test('arbitrary arguments and variables come byte for byte, at home and away', () => {
    const text = fc.string({ unit: 'binary' }).map((one) => one.replace(/\0|[\ud800-\udfff]/g, '_'));
    const name = fc
      .stringMatching(/^[A-Za-z_][A-Za-z0-9_]{3,12}$/)
      .filter((one) => !/^(gpuh_|BASH|LC_|ENV)/.test(one));
    const wrappers = [home, wrapperFor(away())];
    fc.assert(
      fc.property(
        fc.array(text, { maxLength: 20 }),
        fc.dictionary(name, text),
        fc.constantFrom(...wrappers),
        (words, variables, wrapper) => {
          const env = { ...variables, PATH: '/usr/bin:/bin' };
          const given = start(wrapper, ['printf', '%s\\0', ...words], { env });
          expect(given.stdout).toBe(words.length === 0 ? '\0' : words.map((word) => `${word}\0`).join(''));
          const got = environmentOf(start(wrapper, ['env', '-0'], { env }).stdout);
          expect(got).toMatchObject(
            Object.fromEntries(Object.entries(variables).filter(([one]) => one in got)),
          );
          expect(Object.keys(variables).filter((one) => !(one in got))).toEqual([]);
        },
      ),
      { numRuns: 40 },
    );
  });

  test.each([
    [['--', '-n'], 127],
    [['--', '--', 'x'], 127],
    [['--'], 125],
    [[], 125],
    [['--frobnicate', 'x'], 125],
    [['-'], 125],
    [['--card'], 125],
    [['--card', 'x', 'true'], 125],
    [['--card=', 'true'], 0],
    [['--card', '0000:01:00.9', 'true'], 125],
    [['--card', DGPU, 'true'], 0],
    [[`--card=01:00.0`, '--require', '--', 'true'], 0],
    [['--require', '--card', '0000:77:00.0', 'true'], 125],
    [['no-such-command'], 127],
    [['/no/such/command'], 127],
    [['/etc'], 126],
    [['/etc/passwd'], 126],
    [['cd'], 127],
    [[''], 127],
  ])('%j ends with %i, and a failure is one sentence', (args, status) => {
    const result = start(home, args);
    expect([result.status, result.stdout]).toEqual([status, '']);
    if (status === 0) expect(result.stderr).toBe('');
    else expect(result.stderr).toMatch(/^gpu-handoff-run: [A-Z-][^\n]+\.\n$/);
  });

  test('a name with control characters is not sent to the terminal', () => {
    const { stderr } = start(home, ['\u001b[2Jx']);
    expect(stderr).toBe(
      'gpu-handoff-run: There is no command with a name that cannot be printed: check its spelling and the PATH.\n',
    );
  });

  test('the exit status is the command’s', () => {
    expect(start(home, ['sh', '-c', 'exit 37']).status).toBe(37);
  });

  test('it becomes the command: same process, and a signal ends that', () => {
    const result = spawnSync(
      '/bin/sh',
      ['-c', 'echo $$; exec "$@"', 'sh', ...shell, home, 'sh', '-c', 'echo $$; kill -USR1 $$'],
      { encoding: 'utf8' },
    );
    const [outer, inner] = result.stdout.split('\n');
    expect(inner).toBe(outer);
    expect(result.signal).toBe('SIGUSR1');
  });

  test('signals that were ignored stay ignored', () => {
    const { stdout } = run([
      '/bin/sh',
      '-c',
      'trap "" HUP; exec "$@"',
      'sh',
      ...shell,
      home,
      'sh',
      '-c',
      'kill -HUP $$; echo alive',
    ]);
    expect(stdout).toBe('alive\n');
  });

  test('standard input is the command’s, whole', () => {
    expect(start(home, ['cat'], { input: 'first\nsecond\n' }).stdout).toBe('first\nsecond\n');
  });

  test('open files beyond the three are passed on', () => {
    const script = 'exec 7<<EOF\nhere\nEOF\nexec "$@"';
    expect(run(['/bin/bash', '-c', script, 'bash', ...shell, home, 'sh', '-c', 'cat <&7']).stdout).toBe(
      'here\n',
    );
  });

  test('a command in the working folder, one on the PATH with a blank, a script without a first line', () => {
    const place = join(folder(), 'with blank');
    mkdirSync(place);
    copyFileSync('/bin/echo', join(place, 'say it'));
    writeFileSync(join(place, 'bare'), 'echo "bare $1"\n');
    chmodSync(join(place, 'bare'), 0o755);
    const env = { PATH: `/nowhere:${place}:/usr/bin:/bin` };
    expect(start(home, ['say it', 'x'], { env }).stdout).toBe('x\n');
    expect(start(home, ['./say it', 'x'], { cwd: place }).stdout).toBe('x\n');
    expect(start(home, ['say it', 'x'], { cwd: place, env: { PATH: ':/usr/bin' } }).stdout).toBe('x\n');
    expect(start(home, ['bare', 'x'], { env }).stdout).toBe('bare x\n');
  });

  test.each([
    [
      'odd variables',
      { IFS: '0xn', CDPATH: '/tmp', ENV: '/no/such', BASH_ENV: '/no/such', PS4: '$(echo no)' },
    ],
    [
      'names of its own',
      { gpuh_best: '99', gpuh_require: 'yes', gpuh_found: 'x', gpuh_cards: 'y', gpuh_wanted: 'z' },
    ],
    ['a language with other classes', { LC_ALL: 'tr_TR.UTF-8', LANG: 'tr_TR.UTF-8' }],
    ['bash’s options', { SHELLOPTS: 'noclobber:noglob:nounset:errexit:verbose:xtrace' }],
    ['no writable folder for scratch files', { TMPDIR: '/proc/self' }],
  ])('%s in the environment change nothing', (_what, odd) => {
    const { status, stdout } = start(home, ['--card', DGPU, 'env', '-0'], {
      env: { PATH: '/usr/bin:/bin', ...odd },
    });
    expect(status).toBe(0);
    expect(environmentOf(stdout)).toMatchObject({ __NV_PRIME_RENDER_OFFLOAD: '1' });
  });

  test('functions in the environment do not stand in its way', () => {
    const env = Object.fromEntries(
      ['read', 'printf', 'test', 'command', 'echo'].map((name) => [`BASH_FUNC_${name}%%`, '() { exit 9; }']),
    );
    const { status, stderr } = start(home, ['true'], { env: { PATH: '/usr/bin:/bin', ...env } });
    expect([status, stderr]).toEqual([0, '']);
  });

  // Of a PATH without any folder, ksh93's own exec takes none.
  test.skipIf(name === 'ksh93')('an empty PATH is the working folder', () => {
    const place = folder();
    copyFileSync('/bin/echo', join(place, 'here'));
    expect(start(home, ['here', 'x'], { cwd: place, env: { PATH: '' } }).stdout).toBe('x\n');
    expect(start(home, ['/bin/echo', 'x'], { env: { PATH: '' } }).stdout).toBe('x\n');
  });

  test('a working folder that is gone, and closed standard files', () => {
    const place = folder();
    const gone = run(
      ['/bin/bash', '-c', 'rmdir "$PWD"; exec "$@"', 'bash', ...shell, home, '/bin/echo', 'x'],
      {
        cwd: place,
      },
    );
    expect([gone.status, gone.stdout]).toEqual([0, 'x\n']);
    const closed = run([
      '/bin/bash',
      '-c',
      'exec "$@" 0<&- 2>&-',
      'bash',
      ...shell,
      wrapperFor(away()),
      '/bin/echo',
      'x',
    ]);
    expect([closed.status, closed.stdout]).toEqual([0, 'x\n']);
  });

  test('--help and --version', () => {
    const { status, stdout, stderr } = start(home, ['--help']);
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toContain('Usage: gpu-handoff-run [--require] [--card ADDRESS] [--] COMMAND');
    expect(start(home, ['-V']).stdout).toBe('9.9.9\n');
  });
});

test('its help fits 80 columns', () => {
  const { stdout } = run([wrapperFor(atHome()), '--help']);
  expect(stdout).toContain('Usage:');
  expect(stdout.split('\n').filter((line) => line.length > 80)).toEqual([]);
});

test('under its other name it speaks under that name', () => {
  const wrapper = wrapperFor(away());
  const other = join(folder(), 'nvidia-run');
  symlinkSync(wrapper, other);
  const { status, stderr } = run([other, 'true']);
  expect(status).toBe(0);
  expect(stderr).toMatch(/^nvidia-run: The dGPU/);
});

test.skipIf(!STRACE)('no process is started on the way', () => {
  const wrapper = wrapperFor(atHome());
  for (const args of [['true'], ['--card', '0000:77:00.0', 'true'], ['no-such-command']]) {
    const trace = join(folder(), 'trace');
    const traced = spawnSync('strace', [
      '-f',
      '-e',
      'trace=process',
      '-o',
      trace,
      '/bin/dash',
      wrapper,
      ...args,
    ]);
    expect(traced.error).toBeUndefined();
    expect(readFileSync(trace, 'utf8')).not.toMatch(/\b(clone3?|v?fork)\(/);
  }
});

describe('a card that cannot be had', () => {
  test('nodes that this user may not open: it runs on the iGPU', () => {
    const tree = atHome();
    chmodSync(tree.path('dev/nvidiactl'), 0o000);
    const wrapper = wrapperFor(tree);
    for (const path of [tree.root, join(wrapper, '..')]) chmodSync(path, 0o755);
    // Root may open everything.
    const as = process.getuid?.() === 0 ? ['setpriv', '--reuid', '65534', '--clear-groups'] : [];
    const { status, stderr } = run([...as, wrapper, 'true']);
    expect(status).toBe(0);
    expect(stderr).toMatch(/This user may not open the dGPU \(0000:01:00.0\) now, so this runs on the iGPU/);
  });

  test('no driver; no such card; no dGPU at all', () => {
    const tree = atHome();
    rmSync(tree.path('sys/bus/pci/drivers/nvidia'), { recursive: true });
    rmSync(tree.path(`sys/bus/pci/devices/${DGPU}/driver`));
    expect(run([wrapperFor(tree), 'true']).stderr).toMatch(/No driver that apps could use has the dGPU/);
    expect(run([wrapperFor(tree), '--card', '77:00.0', 'true']).stderr).toMatch(
      /There is no graphics card at 0000:77:00.0, so/,
    );
    const root = folder();
    createWorkstation(root, 'one-card');
    const alone = writeWrapper(join(folder(), 'gpu-handoff-run'), root);
    expect(run([alone, 'true']).stderr).toMatch(
      /This machine has no dGPU for apps, so this runs on the iGPU/,
    );
  });
});

test.skipIf(!STRACE)(
  'a sleeping card is not woken: nothing is read but what the kernel answers from memory',
  () => {
    const tree = atHome();
    const trace = join(folder(), 'trace');
    const traced = spawnSync('strace', [
      '-f',
      '-e',
      'trace=open,openat',
      '-o',
      trace,
      wrapperFor(tree),
      'true',
    ]);
    expect(traced.status).toBe(0);
    const opened = readFileSync(trace, 'utf8')
      .split('\n')
      .map((line) => /"([^"]+)"/.exec(line)?.[1] ?? '')
      .filter((path) => path.startsWith(tree.root));
    const names = new Set(
      opened.filter((path) => !path.endsWith('/')).map((path) => path.slice(path.lastIndexOf('/') + 1)),
    );
    expect(names).toContain('class');
    expect(
      [...names].filter((name) =>
        /^(config|resource\d*|rom|edid|status|power_state|current_link_speed)$/.test(name),
      ),
    ).toEqual([]);
    expect(opened.filter((path) => path.includes('/dev/'))).toEqual([]);
  },
);

test('the script is ASCII alone, and asks nothing of the environment but the PATH', () => {
  const text = readFileSync(wrapperFor(atHome()), 'utf8');
  expect(text).toMatch(/^[\n\t\x20-\x7e]*$/);
  const variables = new Set([...text.matchAll(/\$\{?([A-Za-z_][A-Za-z0-9_]*)/g)].map((match) => match[1]));
  expect([...variables].filter((name) => !name?.startsWith('gpuh_'))).toEqual(['PATH']);
});

test('an app that is started sees it in its own process', async () => {
  const child = spawn(wrapperFor(atHome()), ['/bin/cat'], { env: { PATH: '/usr/bin:/bin', DRI_PRIME: '0' } });
  child.stdin.write('ready\n');
  await new Promise((resolve) => child.stdout.once('data', resolve));
  const environ = readFileSync(`/proc/${child.pid}/environ`, 'utf8');
  expect(environmentOf(environ)).toMatchObject({ __NV_PRIME_RENDER_OFFLOAD: '1' });
  expect(environ).not.toContain('DRI_PRIME');
  expect(readFileSync(`/proc/${child.pid}/comm`, 'utf8')).toBe('cat\n');
  child.stdin.end();
  await new Promise((resolve) => child.once('exit', resolve));
});

test('through a hand-off and back, on the simulated laptop: the VM has the card, then the app has it again', async () => {
  const root = folder();
  createWorkstation(root, 'laptop');
  removeProcess(root, BLENDER);
  const wrapper = writeWrapper(join(folder(), 'gpu-handoff-run'), root);
  const reaches = (): boolean =>
    '__NV_PRIME_RENDER_OFFLOAD' in environmentOf(run([wrapper, 'env', '-0']).stdout);
  const simulated = simulatedMachine(root, { attends: true, delays: 0 });
  onTestFinished(() => simulated.close());
  const engine = new Engine(simulated, DEFAULT_CONFIG);
  simulated.onHook = (operation, suboperation, extra, vm) =>
    engine.hook({ operation, suboperation, extra, vm });
  await engine.start();
  const done = async (begun: Promise<string>): Promise<string> => (await engine.settled(await begun)).state;

  expect(reaches()).toBe(true);
  expect(await done(engine.handOff('win11', 1000))).toBe('done');
  expect(reaches()).toBe(false);
  expect(run([wrapper, '--require', 'true']).status).toBe(125);
  expect(await done(engine.takeBack(DGPU, { force: false }, 1000))).toBe('done');
  expect(reaches()).toBe(true);
}, 60_000);
