import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import dbus from 'dbus-next';
import { build, type Plugin } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSandbox } from './sandbox.js';
import { type Bus, connect, PLACES, startBus } from './session.js';
import { startSwitcheroo } from './switcheroo.js';

const ACTION = 'io.github.gpuhandoff.rig.sample';
const NAME = 'io.github.gpuhandoff.RigSample';

const FILES = {
  [`${PLACES.actions}/sample.policy`]: `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE policyconfig PUBLIC "-//freedesktop//DTD PolicyKit Policy Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/PolicyKit/1/policyconfig.dtd">
<policyconfig>
  <action id="${ACTION}">
    <description>Sample</description>
    <message>Authentication is required for the sample</message>
    <defaults>
      <allow_any>auth_admin</allow_any>
      <allow_inactive>auth_admin</allow_inactive>
      <allow_active>auth_admin</allow_active>
    </defaults>
  </action>
</policyconfig>
`,
  [`${PLACES.rules}/10-sample.rules`]: `polkit.addRule(function (action, subject) {
  if (action.id === '${ACTION}' && subject.user === 'alice') return polkit.Result.YES;
  if (action.id === '${ACTION}' && subject.user === 'mallory') return polkit.Result.NO;
});
`,
  [`${PLACES.busPolicies}/sample.conf`]: `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <policy user="root"><allow own="${NAME}"/></policy>
  <policy context="default"><allow send_destination="${NAME}"/></policy>
</busconfig>
`,
  [`${PLACES.activation}/${NAME}.service`]: `[D-BUS Service]
Name=${NAME}
Exec=/usr/libexec/rig-sample
User=root
SystemdService=rig-sample.service
`,
  '/usr/libexec/rig-sample': {
    mode: '755',
    content: `#!/usr/bin/python3
import os
import dbus, dbus.mainloop.glib, dbus.service
from gi.repository import GLib

class Sample(dbus.service.Object):
    @dbus.service.method('${NAME}', in_signature='', out_signature='us', sender_keyword='sender')
    def WhoAmI(self, sender):
        return os.getuid(), sender

dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
bus = dbus.SystemBus()
name = dbus.service.BusName('${NAME}', bus)
Sample(bus, '/')
GLib.MainLoop().run()
`,
  },
};

describe('the private bus', () => {
  let bus: Bus;
  beforeAll(async () => {
    bus = await startBus({ files: FILES });
  });
  afterAll(() => bus?.stop());

  const check = async (subject: string, interactive = false): Promise<string> => {
    const result = await bus.run([
      ...['busctl', '--system', 'call', 'org.freedesktop.PolicyKit1'],
      ...['/org/freedesktop/PolicyKit1/Authority', 'org.freedesktop.PolicyKit1.Authority'],
      ...['CheckAuthorization', '(sa{sv})sa{ss}us', 'system-bus-name', '1', 'name', 's', subject],
      ...[ACTION, '0', interactive ? '1' : '0', ''],
    ]);
    expect(result.stderr).toBe('');
    return result.stdout.split(' ').slice(1, 3).join(' ');
  };

  it('lets polkit decide by user', async () => {
    const alice = await connect(await bus.addressFor('alice'));
    const mallory = await connect(await bus.addressFor('mallory'));
    // (authorized, challenge)
    expect(await check(alice.name)).toBe('true false');
    expect(await check(mallory.name)).toBe('false false');
    alice.disconnect();
    mallory.disconnect();
  });

  it('gives the same answers to a command of the user', async () => {
    const ask = ['sh', '-c', `pkcheck --action-id ${ACTION} --process $$`];
    expect((await bus.run(ask, { user: 'alice' })).code).toBe(0);
    expect((await bus.run(ask, { user: 'mallory' })).code).toBe(1);
    // 2: would need to authenticate.
    expect((await bus.run(ask, { user: 'tester' })).code).toBe(2);
  });

  it('lets an administrator authenticate on a terminal', async () => {
    const tester = await connect(await bus.addressFor('tester'));
    const subject = { busName: tester.name };
    const liar = await bus.agent({ user: 'tester', subject, password: 'wrong' });
    expect(await check(subject.busName, true)).not.toMatch(/^true/);
    await liar.kill();
    const agent = await bus.agent({ user: 'tester', subject, password: 'tester' });
    expect(await check(subject.busName, true)).toBe('true false');
    expect(agent.stdout).toContain('Authentication is required for the sample');
    await agent.kill();
    tester.disconnect();
  });

  it('starts a service on demand, as root, through the launch helper', async () => {
    expect(await bus.owner(NAME)).toBeUndefined();
    const result = await bus.run(['busctl', '--system', 'call', NAME, '/', NAME, 'WhoAmI'], {
      user: 'mallory',
    });
    expect(result.stdout).toMatch(/^us 0 ":1\.\d+"\n$/);
    expect(await bus.waitForName(NAME)).toMatch(/^:1\./);
  });

  it('keeps to the bus policy', async () => {
    const mallory = await connect(await bus.addressFor('mallory'));
    const request = mallory.requestName(NAME, dbus.NameFlag.DO_NOT_QUEUE);
    await expect(request).rejects.toThrow(/not allowed to own/);
    mallory.disconnect();
  });

  it('takes the test process as a client, as root', async () => {
    const client = await connect(bus.address);
    const reply = await client.call(
      new dbus.Message({ destination: NAME, path: '/', interface: NAME, member: 'WhoAmI' }),
    );
    expect(reply?.body).toEqual([0, client.name]);
    client.disconnect();
  });

  it('runs switcheroo-control over pretended cards', async () => {
    const intel = {
      slot: '00:02.0',
      vendor: 'Intel Corporation',
      model: 'UHD 770',
      driver: 'i915',
      bootVga: true,
    };
    const nvidia = { slot: '01:00.0', vendor: 'NVIDIA', model: 'AD104', driver: 'nvidia', bootVga: false };
    const ask = async (): Promise<string> => {
      const place = ['net.hadess.SwitcherooControl', '/net/hadess/SwitcherooControl'];
      const get = [...place, 'net.hadess.SwitcherooControl', 'HasDualGpu', 'GPUs'];
      return (await bus.run(['busctl', '--system', 'get-property', ...get], { user: 'alice' })).stdout;
    };
    const both = await startSwitcheroo(bus, [intel, nvidia]);
    expect(await ask()).toMatch(/^b true\naa\{sv\} 2 .*"NVIDIA AD104".*"__NV_PRIME_RENDER_OFFLOAD" "1"/);
    await both.kill();
    await bus.waitForNoName('net.hadess.SwitcherooControl');
    const one = await startSwitcheroo(bus, [intel]);
    expect(await ask()).toMatch(/^b false\naa\{sv\} 1 /);
    await one.kill();
  });

  it('has session buses for its users', async () => {
    await bus.startSessionBus('alice');
    const list = await bus.run(['busctl', '--user', 'list', '--no-legend'], { user: 'alice' });
    expect(list.stdout).toContain('org.freedesktop.DBus');
  });
});

describe('a sandbox', () => {
  it('runs many commands at once, each as its user', async () => {
    const sandbox = await openSandbox();
    const users = ['root', 'tester', 'mallory', 'alice'];
    const results = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        sandbox.run(['sh', '-c', 'id -un; cat; echo "$WORD" >&2; exit 3'], {
          user: users[i % 4] as string,
          stdin: `line ${i}\n`,
          env: { WORD: `word ${i}` },
          cwd: '/tmp',
        }),
      ),
    );
    results.forEach((result, i) => {
      expect(result).toEqual({ code: 3, stdout: `${users[i % 4]}\nline ${i}\n`, stderr: `word ${i}\n` });
    });
    await sandbox.stop();
  });

  it('shows folders of the host without letting them be changed', async () => {
    const here = fileURLToPath(new URL('.', import.meta.url));
    const sandbox = await openSandbox({ binds: [{ from: here, to: '/srv/here' }] });
    expect(await sandbox.exists('/srv/here/rig.test.ts')).toBe(true);
    expect((await sandbox.run(['touch', '/srv/here/new'])).stderr).toContain('Read-only file system');
    expect((await sandbox.run(['sh', '-c', 'findmnt -rno TARGET | grep -c /mnt'])).stdout).toBe('0\n');
    await sandbox.stop();
  });

  it('writes and reads files, and forgets them', async () => {
    const first = await openSandbox();
    await first.put('/etc/deep/er/file', 'text\n', '600', 'alice');
    expect(await first.get('/etc/deep/er/file')).toBe('text\n');
    const stat = await first.run(['stat', '-c', '%a %U', '/etc/deep/er/file']);
    expect(stat.stdout).toBe('600 alice\n');
    await first.stop();
    const second = await openSandbox();
    expect(await second.exists('/etc/deep')).toBe(false);
    await expect(second.get('/etc/deep/er/file')).rejects.toThrow('No such file');
    await second.stop();
  });

  it('ends a command that takes too long, with its children', async () => {
    const sandbox = await openSandbox();
    const late = sandbox.run(['sh', '-c', 'echo begun; sleep 4711; true'], { timeoutMs: 200 });
    await expect(late).rejects.toThrow(/took more than 200 ms; it said:\nbegun/);
    // A process that was killed takes a moment to be gone.
    await expect.poll(async () => (await sandbox.run(['pgrep', '-f', 'sleep 4711'])).code).toBe(1);
    await sandbox.stop();
  });

  it('runs long commands and signals them', async () => {
    const sandbox = await openSandbox();
    const running = sandbox.spawn([
      'sh',
      '-c',
      'trap "echo bye; exit 7" TERM; echo $$; while :; do sleep 0.01; done',
    ]);
    const said = await running.waitFor(/\d+/);
    expect(await running.pid()).toBe(Number(said[0]));
    expect(await running.kill()).toEqual({ code: 7, stdout: `${said[0]}\nbye\n`, stderr: '' });
    const other = sandbox.spawn(['sleep', '4711'], { user: 'alice' });
    expect((await other.kill('SIGKILL')).code).toBe(137);
    await expect(sandbox.spawn(['true']).waitFor(/never/)).rejects.toThrow('it ended without');
    await sandbox.stop();
  });

  it('runs a command on a terminal and answers it', async () => {
    const sandbox = await openSandbox();
    const ask = 'read -p "Name? " name; read -s -p "Secret? " secret; echo; echo $name-$secret; stty size';
    const terminal = sandbox.terminal(['bash', '-c', ask], {
      user: 'tester',
      cols: 100,
      steps: [
        { expect: 'Name\\? ', send: 'me\n' },
        { expect: 'Secret\\? ', send: 'xyz\n', hidden: true },
      ],
    });
    expect(await terminal.done).toMatchObject({
      code: 0,
      stdout: 'Name? me\r\nSecret? \r\nme-xyz\r\n24 100\r\n',
    });
    await sandbox.stop();
  });

  it('leaves nothing behind', async () => {
    const before = hostMounts();
    const sandbox = await openSandbox();
    // Tries to survive: a new session, every signal ignored, the parent gone.
    await sandbox.run(['bash', '-c', 'trap "" HUP TERM INT; setsid sleep 47110815 >/dev/null 2>&1 & disown']);
    // bash has ended when the child may not be sleep yet.
    await expect.poll(() => hostProcesses('47110815')).not.toEqual([]);
    await sandbox.stop();
    expect(hostProcesses('47110815')).toEqual([]);
    expect(hostMounts()).toEqual(before);
    await sandbox.stop();
  });

  it('ends when the test process is killed', async () => {
    const source = `import { openSandbox } from './sandbox.js';
      const sandbox = await openSandbox();
      sandbox.spawn(['sleep', '47110816']);
      console.log('up');
      setInterval(() => {}, 1000);`;
    const here = fileURLToPath(new URL('.', import.meta.url));
    const { outputFiles } = await build({
      stdin: { contents: source, resolveDir: here, loader: 'ts' },
      bundle: true,
      write: false,
      platform: 'node',
      format: 'esm',
      plugins: [ownAddresses],
    });
    const child = spawn(process.execPath, ['--input-type=module', '-e', outputFiles[0]?.text ?? ''], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    await expect.poll(() => hostProcesses('47110816')).not.toEqual([]);
    child.kill('SIGKILL');
    await expect.poll(() => hostProcesses('47110816'), { timeout: 5_000 }).toEqual([]);
  });
});

/** In a bundle each file still finds what lies beside its source. */
const ownAddresses: Plugin = {
  name: 'own-addresses',
  setup({ onLoad }) {
    onLoad({ filter: /\.ts$/ }, ({ path }) => {
      const address = JSON.stringify(pathToFileURL(path).href);
      return { loader: 'ts', contents: readFileSync(path, 'utf8').replaceAll('import.meta.url', address) };
    });
  },
};

function hostMounts(): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
}

function hostProcesses(word: string): string[] {
  return readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(word);
      } catch {
        return false;
      }
    });
}
