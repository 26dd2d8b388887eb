/** Starting apps through the per-user service: which program, which words, which environment, on which GPU. */
import { mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import dbus from 'dbus-next';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { refusal } from './support-helper.js';
import {
  APPLICATIONS,
  entry,
  HOME,
  type SessionBus,
  type SessionCaller,
  type SessionOption,
  startSession,
  WAITING,
} from './support-session.js';

/** What sysfs shows while a guest has the card. */
function giveToVfio(dir: string): void {
  const driver = join(dir, 'sys/bus/pci/drivers/vfio-pci');
  mkdirSync(driver, { recursive: true });
  const link = join(dir, 'sys/bus/pci/devices', DGPU, 'driver');
  rmSync(link);
  symlinkSync(driver.replace(dir, ''), link);
}

interface Started {
  readonly pid: number;
  readonly on: string;
  readonly warning: string;
}

const DGPU = '0000:01:00.0';
const HOLD = '/usr/bin/hold';
/** Writes down how it was called, then waits as itself. */
const HOLDING = `#!/bin/sh
printf '%s\\0' "$@" > "$HOME/called"
pwd > "$HOME/where"
exec sleep 1000
`;

const ACTIONS = `Actions=new;
[Desktop Action new]
Name=New
Exec=hold --new %U
`;

let session: SessionBus;
let alice: SessionCaller;
const started: number[] = [];

beforeAll(async () => {
  session = await startSession({
    files: {
      [HOLD]: { content: HOLDING, mode: '755' },
      [`${APPLICATIONS}/plain.desktop`]: entry('waiting'),
      [`${APPLICATIONS}/files.desktop`]: entry('hold --open %F "a b" %% %c', 'Files', 'Path=/usr\n'),
      [`${APPLICATIONS}/one.desktop`]: entry('hold %u', 'One'),
      [`${APPLICATIONS}/one-word.App.desktop`]: entry('waiting', 'One'),
      [`${APPLICATIONS}/action.desktop`]: entry('waiting', 'Action', ACTIONS),
      [`${APPLICATIONS}/env.desktop`]: entry('env COLOUR=red waiting', 'Env'),
      [`${APPLICATIONS}/away.desktop`]: entry('not-installed'),
      [`${APPLICATIONS}/tui.desktop`]: entry('waiting --tui', 'Tui', 'Terminal=true\n'),
      [`${APPLICATIONS}/activated.desktop`]: entry('waiting', 'Activated', 'DBusActivatable=true\n'),
      '/usr/local/bin/xdg-terminal-exec': { content: WAITING.replace('sleep 1000', '"$@"'), mode: '755' },
    },
    env: { VK_LOADER_DRIVERS_DISABLE: '*nvidia*', __GLX_VENDOR_LIBRARY_NAME: 'mesa', OF_SESSION: 'yes' },
  });
  alice = await session.caller();
});
afterEach(async () => {
  for (const pid of started.splice(0)) await session.bus.run(['kill', String(pid)]);
});
afterAll(() => session?.stop());

async function launch(id: string, options: Record<string, SessionOption> = {}): Promise<Started> {
  const result = (await alice.call('Launch', [id], options)) as Started;
  started.push(result.pid);
  return result;
}

/** Waits until a process has become the program that was meant. */
async function argv(pid: number, program: string): Promise<string[]> {
  await expect.poll(async () => (await session.argvOf(pid)).join(' '), { timeout: 5000 }).toContain(program);
  return session.argvOf(pid);
}

describe('on the dGPU', () => {
  it('an app has what reaches the card, and not what keeps the session off it', async () => {
    const { pid, on, warning } = await launch('plain.desktop');
    expect({ on, warning }).toEqual({ on: 'dgpu', warning: '' });
    await argv(pid, 'sleep');
    const env = await session.environOf(pid);
    expect(env).toMatchObject({
      __NV_PRIME_RENDER_OFFLOAD: '1',
      __GLX_VENDOR_LIBRARY_NAME: 'nvidia',
      OF_SESSION: 'yes',
    });
    expect(env.VK_LOADER_DRIVERS_DISABLE ?? '').not.toContain('nvidia');
  });

  it('an app is a child of nobody that waits, in a session of its own, as the user', async () => {
    const { pid } = await launch('plain.desktop');
    const { stdout } = await session.bus.run(['ps', '-o', 'sid=,user=', '-p', String(pid)]);
    expect(stdout.trim().split(/\s+/)).toEqual([String(pid), 'alice']);
  });

  it('one that is activated over the bus is started by its command', async () => {
    const { pid } = await launch('activated.desktop');
    await argv(pid, 'sleep');
    expect(await session.environOf(pid)).toHaveProperty('__NV_PRIME_RENDER_OFFLOAD');
  });

  it('an app with a choice runs its own command, not the entry of ours', async () => {
    await alice.call('SetChoice', ['plain.desktop', 'always']);
    const { pid } = await launch('plain.desktop', { on: 'igpu' });
    await argv(pid, 'sleep');
    expect(await session.environOf(pid)).not.toHaveProperty('__NV_PRIME_RENDER_OFFLOAD');
    await alice.call('Undo', [], { all: true });
  });

  it('the card that is named is the one', async () => {
    const { pid, on } = await launch('plain.desktop', { card: DGPU });
    expect(on).toBe('dgpu');
    await argv(pid, 'sleep');
  });

  it('a card that is none is refused', async () => {
    const fault = await refusal(launch('plain.desktop', { card: '0000:77:00.0' }));
    expect(fault.error).toBe('io.github.gpuhandoff.Error.NoSuchCard');
  });
});

describe('on the iGPU', () => {
  it('an app has the session’s own environment', async () => {
    const { pid, on } = await launch('plain.desktop', { on: 'igpu' });
    expect(on).toBe('igpu');
    await argv(pid, 'sleep');
    expect(await session.environOf(pid)).toMatchObject({
      VK_LOADER_DRIVERS_DISABLE: '*nvidia*',
      __GLX_VENDOR_LIBRARY_NAME: 'mesa',
    });
  });

  it('nothing of the service’s own environment comes along', async () => {
    const { pid } = await launch('plain.desktop', { on: 'igpu' });
    await argv(pid, 'sleep');
    const names = Object.keys(await session.environOf(pid));
    expect(names).toContain('HOME');
    expect(names.filter((name) => /^(DBUS_STARTER|INVOCATION_ID|JOURNAL_STREAM|NODE_)/.test(name))).toEqual(
      [],
    );
  });

  it('an app runs there with a warning while a guest has the card', async () => {
    const away = await startSession({
      files: { [`${APPLICATIONS}/plain.desktop`]: entry('waiting') },
      prepare: giveToVfio,
    });
    try {
      const result = (await (await away.caller()).call('Launch', ['plain.desktop'])) as Started;
      expect(result.on).toBe('igpu');
      expect(result.warning).toMatch(
        /^The dGPU is not at hand, so “Blender” runs on the iGPU: .*vfio-pci\.$/,
      );
      await expect.poll(async () => (await away.argvOf(result.pid)).join(' ')).toContain('sleep');
      expect(await away.environOf(result.pid)).not.toHaveProperty('__NV_PRIME_RENDER_OFFLOAD');
    } finally {
      await away.stop();
    }
  });
});

describe('the words of the command', () => {
  const FILES = ['/tmp/a b.txt', "/tmp/it's $HOME `id`.txt", 'file:///tmp/%C3%A4.txt', '/tmp/;reboot'];

  it('are those of the entry, with files whatever they are called', async () => {
    const { pid } = await launch('files.desktop', { files: FILES });
    await argv(pid, 'sleep');
    expect((await session.bus.get(`${HOME}/called`)).split('\0').slice(0, -1)).toEqual([
      '--open',
      '/tmp/a b.txt',
      "/tmp/it's $HOME `id`.txt",
      '/tmp/ä.txt',
      '/tmp/;reboot',
      'a b',
      '%',
      'Files',
    ]);
    expect(await session.bus.get(`${HOME}/where`)).toBe('/usr\n');
  });

  it('are those without files where none are given', async () => {
    const { pid } = await launch('files.desktop');
    await argv(pid, 'sleep');
    expect((await session.bus.get(`${HOME}/called`)).split('\0').slice(0, -1)).toEqual([
      '--open',
      'a b',
      '%',
      'Files',
    ]);
  });

  it('are those of an action', async () => {
    const { pid } = await launch('action.desktop', { action: 'new', files: ['https://example.org/?a=b&c'] });
    await argv(pid, 'sleep');
    expect((await session.bus.get(`${HOME}/called`)).split('\0').slice(0, -1)).toEqual([
      '--new',
      'https://example.org/?a=b&c',
    ]);
  });

  it('go to a terminal where the entry wants one', async () => {
    const { pid } = await launch('tui.desktop');
    await argv(pid, 'sleep');
    expect(await session.environOf(pid)).toHaveProperty('__NV_PRIME_RENDER_OFFLOAD');
  });

  it('keep variables that the entry sets', async () => {
    const { pid } = await launch('env.desktop');
    await argv(pid, 'sleep');
    expect(await session.environOf(pid)).toMatchObject({ COLOUR: 'red' });
  });
});

describe('startup notification', () => {
  it('is handed on under both names', async () => {
    const { pid } = await launch('plain.desktop', { 'activation-token': 'token-1' });
    await argv(pid, 'sleep');
    expect(await session.environOf(pid)).toMatchObject({
      XDG_ACTIVATION_TOKEN: 'token-1',
      DESKTOP_STARTUP_ID: 'token-1',
    });
  });
});

describe('where systemd manages the session', () => {
  const MANAGER = 'org.freedesktop.systemd1.Manager';

  it('an app has the environment that the manager has now, and a scope of its own named after it', async () => {
    const scopes: unknown[][] = [];
    const manager = (await session.caller()).client;
    manager.addMethodHandler((message: dbus.Message) => {
      const answer = (signature: string, body: unknown[]): boolean => {
        const parts = { type: dbus.MessageType.METHOD_RETURN, replySerial: message.serial };
        const reply = { ...parts, destination: message.sender, signature, body };
        manager.send(new dbus.Message(reply as unknown as ConstructorParameters<typeof dbus.Message>[0]));
        return true;
      };
      if (message.interface === MANAGER && message.member === 'StartTransientUnit') {
        scopes.push(message.body);
        return answer('o', ['/org/freedesktop/systemd1/job/1']);
      }
      if (message.member === 'Get' && message.body[1] === 'Environment')
        return answer('v', [new dbus.Variant('as', ['WAYLAND_DISPLAY=wayland-7', 'PATH=/usr/bin:/bin'])]);
      return false;
    });
    await manager.requestName('org.freedesktop.systemd1', dbus.NameFlag.DO_NOT_QUEUE);
    try {
      const { pid } = await launch('one-word.App.desktop', { on: 'igpu' });
      await argv(pid, 'sleep');
      const env = await session.environOf(pid);
      expect(env).toMatchObject({ WAYLAND_DISPLAY: 'wayland-7' });
      expect(env).not.toHaveProperty('OF_SESSION');
      expect(scopes).toHaveLength(1);
      const [name, mode, properties] = scopes[0] as [string, string, [string, dbus.Variant][]];
      expect(name).toBe(`app-gpuhandoff-one\\x2dword.App-${pid}.scope`);
      expect(mode).toBe('fail');
      expect(Object.fromEntries(properties.map(([key, value]) => [key, value.value]))).toEqual({
        PIDs: [pid],
        Slice: 'app.slice',
        Description: 'One',
        CollectMode: 'inactive-or-failed',
      });
    } finally {
      await manager.releaseName('org.freedesktop.systemd1');
    }
  });
});

describe('what cannot be started', () => {
  it('a program that is not installed is named', async () => {
    const fault = await refusal(launch('away.desktop'));
    expect(fault.error).toBe('io.github.gpuhandoff.Error.Failed');
    expect(fault.message).toBe('The program not-installed of the app “Blender” is not installed.');
  });

  it('an action that there is not is named', async () => {
    const fault = await refusal(launch('action.desktop', { action: 'old' }));
    expect(fault.message).toBe('The app “action.desktop” has no action “old”.');
  });
});

describe('an app', () => {
  it('lives on when the service leaves', async () => {
    const short = await startSession({
      idle: 1,
      files: { [`${APPLICATIONS}/plain.desktop`]: entry('waiting') },
    });
    try {
      const { pid } = (await (await short.caller()).call('Launch', ['plain.desktop'])) as Started;
      await expect.poll(() => short.runs(), { timeout: 10_000 }).toBe(false);
      expect(await short.argvOf(pid)).toContain('1000');
    } finally {
      await short.stop();
    }
  });
});
