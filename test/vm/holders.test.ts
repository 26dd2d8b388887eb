import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest';
import { type App, app, gpuHandoff, helperLog, picture, workstation } from './product.js';
import { Guest, type HoldMode, type Machine, until } from './rig/index.js';

let machine: Machine;
let guest: Guest;
let home: string;
let render: string;

beforeAll(async () => {
  machine = await workstation('holders');
  guest = await Guest.define(machine, { name: 'win' });
  home = await picture(machine);
  render = (
    await machine.check('ls -d /sys/bus/pci/devices/0000:01:00.0/drm/renderD* | xargs -n1 basename')
  ).trim();
});

afterAll(async () => {
  await machine?.stop();
});

interface Report {
  readonly cards: readonly {
    readonly verdict: string;
    readonly holders: readonly {
      readonly pid: number;
      readonly name: string;
      readonly nodes: readonly string[];
    }[];
  }[];
}

async function reported(user = 'alice'): Promise<Report['cards'][number]> {
  const result = await gpuHandoff(machine, ['holders', '--json'], user);
  const card = (JSON.parse(result.stdout) as Report).cards[0];
  if (card === undefined) throw new Error(`no card in ${result.stdout}`);
  return card;
}

/** The hand-off must name the holder in libvirt's one sentence, and must not have touched anything. */
async function refusedWith(pattern: RegExp): Promise<void> {
  onTestFailed(async () => console.log(await helperLog(machine)));
  const before = await picture(machine);
  const result = await guest.virsh('start');
  expect(result.code).toBe(1);
  expect(result.stderr).toMatch(pattern);
  expect(await picture(machine)).toBe(before);
  const command = await gpuHandoff(machine, ['hand-off', 'win']);
  expect(command.code).toBe(6);
  expect(command.stderr).toMatch(pattern);
  expect(await picture(machine)).toBe(before);
}

async function named(holder: App, node: string): Promise<void> {
  const found = (await reported()).holders.find((one) => one.pid === holder.pid);
  expect(found?.nodes).toContain(node);
  await refusedWith(new RegExp(`held by .*\\(process ${holder.pid}, [a-z]+\\)`));
}

describe('each kind of holder is found and named', () => {
  const kinds: readonly [string, HoldMode, () => string, () => string][] = [
    ['an open descriptor', 'fd', () => '/dev/nvidia0', () => '/dev/nvidia0'],
    ['a mapping whose descriptor is closed', 'map', () => '/dev/nvidia0', () => '/dev/nvidia0'],
    ['a process in other mount and pid namespaces', 'namespace', () => '/dev/nvidia0', () => '/dev/nvidia0'],
    ['a render node', 'fd', () => `/dev/dri/${render}`, () => `/dev/dri/${render}`],
    ['the sound function', 'fd', () => '/dev/snd/controlC0', () => '/dev/snd/controlC0'],
    ['an i2c node', 'fd', () => '/dev/i2c-0', () => '/dev/i2c-0'],
  ];
  test.each(kinds)('%s', async (_title, mode, path, node) => {
    const holder = await app(machine, mode, [path()]);
    try {
      await named(holder, node());
    } finally {
      await holder.release();
    }
    expect(await picture(machine)).toBe(home);
  });

  test('an app in a user’s systemd scope, by the app’s name', async () => {
    const session = await machine.login('alice');
    const unit = 'app-gnome-org.blender.Blender-4242.scope';
    const scope = ['systemd-run', '--user', '--quiet', '--scope', '--collect', `--unit=${unit}`];
    const blender = await session.spawn([...scope, '/usr/bin/rig-hold', 'fd', '/dev/nvidia0']);
    await blender.waitFor(/^ready/m);
    try {
      await refusedWith(/held by org\.blender\.Blender \(process \d+, alice\)/);
    } finally {
      await session.run(['systemctl', '--user', 'stop', unit]);
      await blender.exited;
      await session.logout();
    }
  });

  test('a service that is not one of those a hand-off stops, by the unit’s name', async () => {
    await machine.check(
      'systemd-run --quiet --unit=renderfarm -p Type=exec /usr/bin/rig-hold fd /dev/nvidia0',
    );
    await until('the service holds the card', async () =>
      (await machine.run('ls -l /proc/$(systemctl show -p MainPID --value renderfarm)/fd')).stdout.includes(
        'nvidia0',
      ),
    );
    try {
      await refusedWith(/held by renderfarm\.service \(service\)/);
    } finally {
      await machine.check('systemctl stop renderfarm');
    }
  });

  test('a descriptor in flight, which no process has, as a holder in the kernel', async () => {
    await machine.check('systemctl stop nvidia-powerd nvidia-persistenced');
    const holder = await app(machine, 'inflight', ['/dev/nvidia0']);
    try {
      const card = await reported();
      expect(card.verdict).toBe('held');
      const result = await gpuHandoff(machine, ['hand-off', 'win']);
      expect(result.code).toBe(6);
    } finally {
      await holder.release();
      await machine.check('systemctl start nvidia-persistenced nvidia-powerd');
    }
  });
});

describe('ending them', () => {
  test('an app of the caller’s own is ended politely, and the card can leave', async () => {
    const holder = await app(machine, 'fd', ['/dev/nvidia0'], { user: 'alice', comm: 'painter' });
    const result = await gpuHandoff(machine, ['end-holders']);
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect((await holder.process.exited).code).not.toBe(0);
    expect((await reported()).holders.filter((one) => one.pid === holder.pid)).toEqual([]);
  });

  test('without root and helper the user is told that not everything was seen', async () => {
    await machine.check('systemctl mask --now gpu-handoff.service');
    const holder = await app(machine, 'fd', ['/dev/nvidia0']);
    const result = await gpuHandoff(machine, ['holders'], 'mallory');
    expect(result.stdout).toMatch(/could not be looked into/);
    expect(result.stdout).not.toMatch(/Nobody holds/);
    await holder.release();
    await machine.check('systemctl unmask gpu-handoff.service');
  });
});
