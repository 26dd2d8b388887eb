import { spawn } from 'node:child_process';
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { ChildRequest, ChildResult, Run } from '../../core/src/linux/child.js';
import { runChild } from '../../core/src/linux/child.js';
import { realHands } from '../../core/src/linux/hands.js';
import { maskNodes, nodeMode, unmaskNodes } from '../../core/src/linux/hands-nodes.js';
import { servicesActive } from '../../core/src/linux/hands-services.js';
import { parseStat } from '../../core/src/linux/process-stat.js';
import { startTicks, stateOf } from '../../core/src/linux/start-time.js';
import type { Tools } from '../../core/src/linux/tools.js';
import { type Act, ActError } from '../../core/src/machine.js';
import { Tree, workstation } from './support-tree.js';

const CARD = '0000:01:00.0';
const SOUND = '0000:01:00.1';
const UUID = '4dea22b3-1d52-d8f3-2516-782e98ab3fa0';

async function faultOf(work: Promise<unknown>): Promise<ActError> {
  const fault = await work.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (fault instanceof ActError) return fault;
  throw new Error(`no ActError: ${String(fault)}`);
}

/** Programs that a test plays: answers by the program's name and first argument, with what was asked. */
function played(answers: Readonly<Record<string, Partial<ChildResult>>> = {}): { run: Run; asked: string[] } {
  const asked: string[] = [];
  const run: Run = async (request: ChildRequest) => {
    asked.push([request.program, ...request.args].join(' '));
    const answer = Object.entries(answers).find(([start]) => asked.at(-1)?.includes(start))?.[1];
    return { status: answer?.stderr === undefined ? 0 : 1, stdout: '', stderr: '', ...answer };
  };
  return { run, asked };
}

function read(tree: Tree, address: string, name: string): string {
  return readFileSync(tree.path(`sys/bus/pci/devices/${address}/${name}`), 'utf8');
}

describe('power and override', () => {
  test('both are written by one child each', async () => {
    const tree = workstation();
    const hands = realHands(tree.root);
    await hands.perform({ do: 'set-power', addresses: [CARD, SOUND], control: 'on' }, 5000);
    await hands.perform({ do: 'set-override', addresses: [CARD, SOUND], driver: 'vfio-pci' }, 5000);
    expect([read(tree, CARD, 'power/control'), read(tree, SOUND, 'power/control')]).toEqual(['on', 'on']);
    expect([read(tree, CARD, 'driver_override'), read(tree, SOUND, 'driver_override')]).toEqual([
      'vfio-pci\n',
      'vfio-pci\n',
    ]);
  });

  test('an empty driver writes the newline that clears', async () => {
    const tree = workstation();
    await realHands(tree.root).perform({ do: 'set-override', addresses: [CARD], driver: '' }, 5000);
    expect(read(tree, CARD, 'driver_override')).toBe('\n');
  });

  test('power is left alone where it stands so already', async () => {
    const tree = workstation();
    tree.file('sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/power/control', 'on\n');
    const { run, asked } = played();
    await realHands(tree.root, run).perform(
      { do: 'set-power', addresses: [CARD, SOUND], control: 'on' },
      5000,
    );
    expect(asked).toEqual([`tee ${tree.path(`sys/bus/pci/devices/${SOUND}/power/control`)}`]);
  });

  test('a card that is gone is named after the rest was written', async () => {
    const tree = workstation();
    const fault = await faultOf(
      realHands(tree.root).perform(
        { do: 'set-override', addresses: ['0000:77:00.0', SOUND], driver: 'vfio-pci' },
        5000,
      ),
    );
    expect(fault.fault).toBe('gone');
    expect(fault.message).toContain('0000:77:00.0');
    expect(read(tree, SOUND, 'driver_override')).toBe('vfio-pci\n');
    expect(existsSync(tree.path('sys/bus/pci/devices/0000:77:00.0'))).toBe(false);
  });

  test.each(['../../../etc', '0000:01:00.8', '0000:01:00.0/../x', ''])(
    '“%s” is no address',
    async (address) => {
      const hands = realHands(workstation().root);
      const acts: Act[] = [
        { do: 'set-power', addresses: [address], control: 'on' },
        { do: 'set-override', addresses: [address], driver: 'vfio-pci' },
        { do: 'unbind', address, driver: 'vfio-pci' },
        { do: 'probe', addresses: [address] },
      ];
      for (const act of acts)
        expect((await faultOf(hands.perform(act, 5000))).message).toBe('that is no PCI address');
    },
  );

  test.each(['..', '../x', 'a b', '-x', 'a\nb'])('%j is no driver', async (driver) => {
    const act: Act = { do: 'set-override', addresses: [CARD], driver };
    expect((await faultOf(realHands(workstation().root).perform(act, 5000))).message).toContain('no name');
  });

  test('a device that the kernel calls busy', async () => {
    const tree = workstation();
    const { run } = played({ tee: { stderr: 'tee: /sys/x: Device or resource busy\n' } });
    const act: Act = { do: 'set-override', addresses: [CARD], driver: 'vfio-pci' };
    expect((await faultOf(realHands(tree.root, run).perform(act, 5000))).fault).toBe('busy');
  });
});

describe('binding', () => {
  test('unbinds from exactly that driver', async () => {
    const tree = workstation();
    tree.file('sys/bus/pci/drivers/nvidia/unbind', '');
    const hands = realHands(tree.root);
    await hands.perform({ do: 'unbind', address: CARD, driver: 'vfio-pci' }, 5000);
    expect(readFileSync(tree.path('sys/bus/pci/drivers/nvidia/unbind'), 'utf8')).toBe('');
    await hands.perform({ do: 'unbind', address: CARD, driver: 'nvidia' }, 5000);
    expect(readFileSync(tree.path('sys/bus/pci/drivers/nvidia/unbind'), 'utf8')).toBe(CARD);
  });

  test('unbinding what was unbound in the same moment is done', async () => {
    const tree = workstation();
    tree.file('sys/bus/pci/drivers/nvidia/unbind', '');
    const run: Run = async () => {
      rmSync(tree.path(`sys/devices/pci0000:00/0000:00:01.0/${CARD}/driver`));
      return { status: 1, stdout: '', stderr: 'tee: unbind: No such device\n' };
    };
    await realHands(tree.root, run).perform({ do: 'unbind', address: CARD, driver: 'nvidia' }, 5000);
  });

  test('probes those without a driver, one after the other', async () => {
    const tree = new Tree();
    tree.function({ address: CARD });
    tree.function({ address: SOUND, driver: 'snd_hda_intel' });
    tree.function({ address: '0000:01:00.2' });
    tree.file('sys/bus/pci/drivers_probe', '');
    const written: (string | undefined)[] = [];
    const run: Run = (request) => {
      written.push(request.input);
      return runChild(request);
    };
    const act: Act = { do: 'probe', addresses: [SOUND, '0000:01:00.2', CARD] };
    await realHands(tree.root, run).perform(act, 5000);
    expect(written).toEqual(['0000:01:00.2', CARD]);
  });

  test('probing a card that is gone', async () => {
    const tree = new Tree();
    tree.file('sys/bus/pci/drivers_probe', '');
    const act: Act = { do: 'probe', addresses: [CARD] };
    expect((await faultOf(realHands(tree.root).perform(act, 5000))).fault).toBe('gone');
  });
});

describe('modules', () => {
  test('a block, whole and readable to modprobe, and its end', async () => {
    const tree = new Tree();
    const hands = realHands(tree.root);
    await hands.perform({ do: 'block-modules', modules: ['nvidia', 'nvidia_drm'] }, 5000);
    const path = tree.path('run/modprobe.d/gpu-handoff.conf');
    expect(readFileSync(path, 'utf8').split('\n').slice(1)).toEqual([
      'install nvidia /bin/false',
      'install nvidia_drm /bin/false',
      '',
    ]);
    tree.file('run/modprobe.d/other.conf', 'x');
    await hands.perform({ do: 'unblock-modules' }, 5000);
    await hands.perform({ do: 'unblock-modules' }, 5000);
    expect(readdirSync(tree.path('run/modprobe.d'))).toEqual(['other.conf']);
  });

  test('a block that a killed helper wrote half is lifted whole', async () => {
    const tree = new Tree();
    tree.file('run/modprobe.d/gpu-handoff.conf.new', 'install nvid');
    await realHands(tree.root, played().run).perform({ do: 'unblock-modules' }, 5000);
    expect(readdirSync(tree.path('run/modprobe.d'))).toEqual([]);
  });

  test.each(['a b', 'a\ninstall b', '../x', '', '$(x)'])('%j is no module', async (module) => {
    const { run, asked } = played();
    const hands = realHands(new Tree().root, run);
    await faultOf(hands.perform({ do: 'block-modules', modules: [module] }, 5000));
    await faultOf(hands.perform({ do: 'unload-module', module }, 5000));
    await faultOf(hands.perform({ do: 'load-modules', modules: ['nvidia', module] }, 5000));
    expect(asked).toEqual([]);
  });

  test('unloading', async () => {
    const { run, asked } = played();
    await realHands(workstation().root, run).perform({ do: 'unload-module', module: 'nvidia_drm' }, 5000);
    expect(asked).toEqual(['rmmod -- nvidia_drm']);
  });

  test('what is not loaded is unloaded', async () => {
    const { run, asked } = played();
    await realHands(new Tree().root, run).perform({ do: 'unload-module', module: 'nvidia-drm' }, 5000);
    expect(asked).toEqual([]);
  });

  test.each([
    'rmmod: ERROR: Module nvidia is in use by: nvidia_modeset\n',
    'rmmod: ERROR: Module nvidia is in use\n',
    "rmmod: ERROR: could not remove 'nvidia': Resource temporarily unavailable\n",
    'rmmod: ERROR: could not remove module nvidia: Device or resource busy\n',
  ])('busy: %s', async (stderr) => {
    const { run } = played({ rmmod: { stderr } });
    const act: Act = { do: 'unload-module', module: 'nvidia' };
    expect(await faultOf(realHands(workstation().root, run).perform(act, 5000))).toMatchObject({
      fault: 'busy',
      message: 'the module nvidia is in use',
    });
  });

  test('one who opens the card for a moment does not keep the module loaded', async () => {
    let asked = 0;
    const run: Run = async () => {
      asked += 1;
      const inUse = { status: 1, stdout: '', stderr: 'rmmod: ERROR: Module nvidia is in use\n' };
      return asked < 3 ? inUse : { status: 0, stdout: '', stderr: '' };
    };
    await realHands(workstation().root, run).perform({ do: 'unload-module', module: 'nvidia' }, 5000);
    expect(asked).toBe(3);
  });

  test('another failure says what rmmod said', async () => {
    const { run, asked } = played({
      rmmod: { stderr: "rmmod: ERROR: could not remove 'nvidia': Operation not permitted" },
    });
    const act: Act = { do: 'unload-module', module: 'nvidia' };
    expect(await faultOf(realHands(workstation().root, run).perform(act, 5000))).toMatchObject({
      fault: 'failed',
      message: "rmmod nvidia failed: could not remove 'nvidia': Operation not permitted",
    });
    expect(asked).toHaveLength(1);
  });

  test('what is not loaded is loaded by one call, in order', async () => {
    const { run, asked } = played();
    const act: Act = { do: 'load-modules', modules: ['nvidia_uvm', 'nvidia-drm', 'nvidia_peermem', 'other'] };
    await realHands(workstation().root, run).perform(act, 5000);
    expect(asked).toEqual(['modprobe -a -- nvidia_peermem other']);
  });

  test('a failure to load says why', async () => {
    const { run } = played({ modprobe: { stderr: 'modprobe: FATAL: Module a not found.\n' } });
    const act: Act = { do: 'load-modules', modules: ['a', 'b'] };
    expect((await faultOf(realHands(new Tree().root, run).perform(act, 5000))).message).toBe(
      'modprobe a b failed: Module a not found.',
    );
  });
});

describe('nodes', () => {
  const node = { number: '226:1', path: '/dev/dri/card1', kind: 'card' as const, mode: 0o660 };
  const tools = (tree: Tree): Tools => ({ root: tree.root, run: runChild, left: () => 5000 });
  const is = (number: string | null) => () => number;

  function treeWithNode(mode: number): Tree {
    const tree = new Tree();
    tree.file('dev/dri/card1', '');
    chmodSync(tree.path('dev/dri/card1'), mode);
    return tree;
  }
  const modeOf = (tree: Tree) => statSync(tree.path('dev/dri/card1')).mode & 0o777;

  test('are masked and unmasked', () => {
    const tree = treeWithNode(0o660);
    maskNodes(tools(tree), [node], is('226:1'));
    expect(modeOf(tree)).toBe(0);
    unmaskNodes(tools(tree), [node], is('226:1'));
    expect(modeOf(tree)).toBe(0o660);
  });

  test('a node that is another device by now is left alone, and said', () => {
    const tree = treeWithNode(0o660);
    expect(() => maskNodes(tools(tree), [node], is('226:0'))).toThrow(
      '/dev/dri/card1 is 226:0 now, not 226:1',
    );
    expect(() => maskNodes(tools(tree), [node])).toThrow('no device');
    expect(modeOf(tree)).toBe(0o660);
  });

  test('a link is no node', () => {
    const tree = new Tree();
    tree.file('etc/shadow', '');
    tree.link('dev/dri/card1', 'etc/shadow');
    expect(() => maskNodes(tools(tree), [node])).toThrow('no device');
  });

  test('a node that is gone is masked', () => {
    maskNodes(tools(new Tree()), [node]);
    unmaskNodes(tools(new Tree()), [node]);
  });

  test.each([
    ['udev gave it other permissions since', 0o600, '226:1', 0o660],
    ['it is another device', 0, '226:5', 0o660],
    ['its permissions were never read', 0, '226:1', null],
  ])('is not unmasked when %s', (_why, now, number, mode) => {
    const tree = treeWithNode(now);
    unmaskNodes(tools(tree), [{ ...node, mode }], is(number));
    expect(modeOf(tree)).toBe(now);
  });

  test.each(['/etc/shadow', '/dev/../etc/shadow', '/dev/./x', 'dev/x', '/dev/', '/dev/a b'])(
    '“%s” is no path of a node',
    (path) => {
      expect(() => maskNodes(tools(new Tree()), [{ ...node, path }])).toThrow('no path');
    },
  );

  test('their permissions are read from the very device', () => {
    const none = { number: '1:3', path: '/dev/null', kind: 'other' as const };
    expect(nodeMode('/', none)).toBe(0o666);
    expect(nodeMode('/', { ...none, number: '1:5' })).toBeNull();
    expect(nodeMode('/', { ...none, path: '/dev/no-such' })).toBeNull();
  });
});

describe('services', () => {
  const units = ['nvidia-powerd.service', 'nvidia-persistenced.service'];

  test('are stopped in one call', async () => {
    const { run, asked } = played();
    await realHands('/', run).perform({ do: 'stop-services', units }, 5000);
    expect(asked).toEqual([`systemctl --no-ask-password --quiet stop -- ${units.join(' ')}`]);
  });

  test('one that does not exist is stopped', async () => {
    const { run } = played({
      systemctl: { status: 5, stderr: 'Failed to stop x.service: Unit x.service not loaded.\n' },
    });
    await realHands('/', run).perform({ do: 'stop-services', units: ['x.service'] }, 5000);
  });

  test('are started by one call', async () => {
    const { run, asked } = played();
    await realHands('/', run).perform({ do: 'start-services', units }, 5000);
    expect(asked.map((line) => line.split(' ')[3])).toEqual(['start']);
  });

  test('are started once more after their counters were set back, when systemd refuses', async () => {
    const asked: string[] = [];
    const run: Run = async (request) => {
      asked.push(request.args[2] ?? '');
      return {
        status: asked.length === 1 ? 1 : 0,
        stdout: '',
        stderr: 'Start request repeated too quickly.',
      };
    };
    await realHands('/', run).perform({ do: 'start-services', units }, 5000);
    expect(asked).toEqual(['start', 'reset-failed', 'start']);
  });

  test('a failure to start says why', async () => {
    const { run } = played({ 'start --': { stderr: 'Failed to start x.service: Access denied\n' } });
    const act: Act = { do: 'start-services', units: ['x.service'] };
    expect((await faultOf(realHands('/', run).perform(act, 5000))).message).toBe(
      'systemctl start failed: Failed to start x.service: Access denied',
    );
  });

  test('no units: nothing is asked', async () => {
    const { run, asked } = played();
    await realHands('/', run).perform({ do: 'stop-services', units: [] }, 5000);
    await realHands('/', run).perform({ do: 'start-services', units: [] }, 5000);
    expect(asked).toEqual([]);
  });

  test.each(['--now', 'x', 'a b.service', '-x.service', 'x.mount'])('“%s” is no unit', async (unit) => {
    const { run, asked } = played();
    await faultOf(realHands('/', run).perform({ do: 'stop-services', units: [unit] }, 5000));
    expect(asked).toEqual([]);
  });

  test('which are active', async () => {
    const stdout = [
      'LoadState=loaded\nActiveState=active\n',
      'LoadState=not-found\nActiveState=inactive\n',
      'ActiveState=activating\nLoadState=loaded\n',
      'LoadState=loaded\nActiveState=failed\n',
    ].join('\n');
    const { run } = played({ systemctl: { stdout } });
    expect(await servicesActive(run, ['a.service', 'b.service', 'c.service', 'd.service'], 1000)).toEqual([
      { unit: 'a.service', active: true },
      { unit: 'c.service', active: true },
      { unit: 'd.service', active: false },
    ]);
  });
});

describe('VMs', () => {
  test.each([
    ['start-vm', 'start'],
    ['shutdown-vm', 'shutdown'],
    ['destroy-vm', 'destroy'],
  ] as const)('%s', async (act, command) => {
    const { run, asked } = played();
    await realHands('/', run).perform({ do: act, uuid: UUID }, 5000);
    expect(asked).toEqual([`virsh -q -c qemu:///system ${command} ${UUID}`]);
  });

  test.each([
    ['start-vm', 'error: Domain is already active\n'],
    [
      'shutdown-vm',
      "error: Failed to shutdown domain 'x'\nerror: Requested operation is not valid: domain is not running\n",
    ],
    ['destroy-vm', 'error: Requested operation is not valid: domain is not running\n'],
  ] as const)('%s that was done before is done', async (act, stderr) => {
    const { run } = played({ virsh: { stderr } });
    await realHands('/', run).perform({ do: act, uuid: UUID }, 5000);
  });

  test('libvirt’s complaint becomes one line', async () => {
    const { run } = played({
      virsh: {
        stderr:
          "error: Failed to start domain 'win11'\nerror: Hook script execution failed: card is held by mpv\n",
      },
    });
    expect(await faultOf(realHands('/', run).perform({ do: 'start-vm', uuid: UUID }, 5000))).toMatchObject({
      fault: 'failed',
      message: "Failed to start domain 'win11'; Hook script execution failed: card is held by mpv",
    });
  });

  test('a VM that does not exist', async () => {
    const { run } = played({ virsh: { stderr: `error: failed to get domain '${UUID}'\n` } });
    expect((await faultOf(realHands('/', run).perform({ do: 'start-vm', uuid: UUID }, 5000))).fault).toBe(
      'gone',
    );
  });

  test.each(['win11', '--help', `${UUID} x`, ''])('“%s” is no UUID', async (uuid) => {
    const { run, asked } = played();
    await faultOf(realHands('/', run).perform({ do: 'start-vm', uuid }, 5000));
    expect(asked).toEqual([]);
  });
});

describe('signals', () => {
  function victim() {
    const child = spawn('sleep', ['60']);
    const pid = child.pid ?? 0;
    const ended = new Promise<NodeJS.Signals | null>((resolve) => {
      child.on('exit', (_status, signal) => resolve(signal));
    });
    return { pid, ticks: startTicks(pid) ?? 0, ended };
  }

  test.each(['TERM', 'KILL'] as const)('%s reaches the process', async (signal) => {
    const { pid, ticks, ended } = victim();
    await realHands().perform({ do: 'signal-process', pid, startTicks: ticks, signal }, 10_000);
    expect(await ended).toBe(`SIG${signal}`);
  });

  /** A process whose first thread has ended while another lives on: the first is a zombie, the process is none. */
  async function leaderless() {
    const script = `import ctypes, threading, time
def other():
    while open('/proc/self/stat').read().rsplit(')', 1)[1].split()[0] != 'Z':
        time.sleep(0.01)
    print('ready', flush=True)
    time.sleep(60)
threading.Thread(target=other).start()
ctypes.CDLL(None).pthread_exit(None)`;
    const child = spawn('python3', ['-c', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    onTestFinished(() => void child.kill('SIGKILL'));
    const ended = new Promise<NodeJS.Signals | null>((resolve) => {
      child.on('exit', (_status, signal) => resolve(signal));
    });
    await new Promise((resolve) => child.stdout.once('data', resolve));
    const pid = child.pid ?? 0;
    return { pid, ticks: parseStat(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.startTicks ?? 0, ended };
  }

  test.each(['TERM', 'KILL'] as const)(
    '%s reaches a process whose first thread has ended',
    async (signal) => {
      const { pid, ticks, ended } = await leaderless();
      await realHands().perform({ do: 'signal-process', pid, startTicks: ticks, signal }, 10_000);
      expect(await ended).toBe(`SIG${signal}`);
    },
  );

  test('a process whose first thread has ended is there until its last thread ends', async () => {
    const { pid, ticks, ended } = await leaderless();
    expect(startTicks(pid)).toBe(ticks);
    process.kill(pid, 'SIGKILL');
    await ended;
    expect(startTicks(pid)).toBeNull();
  });

  test('not a zombie, which has ended already', async () => {
    // A parent that never asks how its child ended.
    const script =
      'import os, time\npid = os.fork()\nif pid == 0: os._exit(0)\nprint(pid, flush=True)\ntime.sleep(60)';
    const parent = spawn('python3', ['-c', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    onTestFinished(() => void parent.kill('SIGKILL'));
    const pid = Number(await new Promise((resolve) => parent.stdout.once('data', resolve)));
    await vi.waitFor(() => expect(stateOf(pid)).toBe('Z'), 5000);
    const ticks = parseStat(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.startTicks ?? -1;
    expect(startTicks(pid)).toBeNull();
    const act: Act = { do: 'signal-process', pid, startTicks: ticks, signal: 'KILL' };
    expect((await faultOf(realHands().perform(act, 10_000))).fault).toBe('gone');
  });

  test('not a later process with its number', async () => {
    const { pid, ticks } = victim();
    const act: Act = { do: 'signal-process', pid, startTicks: ticks - 1, signal: 'KILL' };
    expect((await faultOf(realHands().perform(act, 10_000))).fault).toBe('gone');
    expect(startTicks(pid)).toBe(ticks);
    process.kill(pid, 'SIGKILL');
  });

  test('one that has ended', async () => {
    const { pid, ticks, ended } = victim();
    process.kill(pid, 'SIGKILL');
    await ended;
    const act: Act = { do: 'signal-process', pid, startTicks: ticks, signal: 'TERM' };
    expect((await faultOf(realHands().perform(act, 10_000))).fault).toBe('gone');
  });

  test.each([0, 1, -1, 1.5, Number.NaN])('never to %s', async (pid) => {
    const { run, asked } = played();
    await faultOf(
      realHands('/', run).perform({ do: 'signal-process', pid, startTicks: 1, signal: 'KILL' }, 5000),
    );
    expect(asked).toEqual([]);
  });
});

test('the time of an act is shared by its children', async () => {
  const limits: number[] = [];
  const run: Run = async (request) => {
    limits.push(request.limitMs);
    await new Promise((resolve) => setTimeout(resolve, 30));
    return { status: 1, stdout: '', stderr: '' };
  };
  await realHands(new Tree().root, run)
    .perform({ do: 'start-services', units: ['a.service'] }, 1000)
    .catch(() => {});
  expect(limits[0]).toBe(1000);
  expect(limits[1]).toBeLessThan(980);
});

test('whatever fails is an ActError', async () => {
  const tree = new Tree();
  tree.file('run/modprobe.d', 'a file in the way');
  const act: Act = { do: 'block-modules', modules: ['nvidia'] };
  expect((await faultOf(realHands(tree.root).perform(act, 5000))).fault).toBe('failed');
});
