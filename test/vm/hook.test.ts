import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest';
import { app, gpuHandoff, guestHasCard, helperLog, picture, publishedState, workstation } from './product.js';
import { Guest, guestXml, type Machine, until } from './rig/index.js';

const HOOK = '/etc/libvirt/hooks/qemu.d/gpu-handoff';

let machine: Machine;
let guest: Guest;
let home: string;

beforeAll(async () => {
  machine = await workstation('hook');
  guest = await Guest.define(machine, { name: 'win', behaviour: 'obedient' });
  home = await picture(machine);
});

afterAll(async () => {
  await machine?.stop();
});

function tellOnFailure(): void {
  onTestFailed(async () => console.log(await helperLog(machine)));
}

async function isHome(): Promise<void> {
  await until('the card is at home', async () => (await picture(machine)) === home, 60_000, 500).catch(
    () => {},
  );
  expect(await picture(machine)).toBe(home);
}

describe('libvirt started by any program', () => {
  test('virsh start alone hands the card over, and virsh destroy brings it back', async () => {
    tellOnFailure();
    await guest.start();
    expect(await guestHasCard(machine)).toEqual({ driver: 'vfio-pci', opened: true, modules: '' });
    await until('the state is seen', async () => (await publishedState(machine)) === 'vm');
    await guest.destroy();
    await isHome();
  });

  test('a guest that stops itself gives the card back', async () => {
    tellOnFailure();
    const brief = await Guest.define(machine, { name: 'brief', behaviour: { offAfter: 2 } });
    await brief.start();
    await brief.waitForState('shut off', 120_000);
    await isHome();
  });

  test('a held card refuses the start with one sentence that names the holder', async () => {
    tellOnFailure();
    const holder = await app(machine, 'fd', ['/dev/nvidia0'], { user: 'mallory', comm: 'renderer' });
    const before = await picture(machine);
    const result = await guest.virsh('start');
    const after = await picture(machine);
    await holder.release();
    expect(result.code).toBe(1);
    expect(result.stderr).toContain(
      `GeForce RTX 4090 is held by renderer (process ${holder.pid}, mallory): close`,
    );
    expect(after).toBe(before);
  });

  test('a second VM does not take the card from the first', async () => {
    tellOnFailure();
    const other = await Guest.define(machine, { name: 'other' });
    await guest.start();
    const result = await other.virsh('start');
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/GeForce RTX 4090 is in use by the VM “win”: shut that VM down first\./);
    expect(await guestHasCard(machine)).toEqual({ driver: 'vfio-pci', opened: true, modules: '' });
    expect(await guest.state()).toBe('running');
    await guest.destroy();
    await isHome();
  });

  test('a start that fails after our part brings the card back', async () => {
    tellOnFailure();
    const broken = await Guest.define(machine, {
      name: 'broken',
      devicesXml:
        "<disk type='file' device='disk'><source file='/nowhere/at/all.img'/><target dev='sdb' bus='sata'/></disk>",
    });
    expect((await broken.virsh('start')).code).toBe(1);
    await isHome();
  });

  /** In the middle of a hand-off: a part of the driver is gone. */
  const HALF_WAY = 'until ! grep -q ^nvidia_drm /proc/modules; do sleep 0.05; done';
  const START = 'virsh --connect qemu:///system start win';

  test('a VM that is started beside our own hand-off of it runs, and nobody is told otherwise', async () => {
    tellOnFailure();
    const [ours, theirs] = await Promise.all([
      gpuHandoff(machine, ['hand-off', 'win']),
      machine.run(`${HALF_WAY}; ${START}`),
    ]);
    expect(ours).toMatchObject({ code: 0, stderr: '' });
    // One of the two finds it running.
    expect([theirs.code, theirs.stderr.replace(/.*already (active|running).*/s, '')]).toEqual([
      expect.any(Number),
      '',
    ]);
    expect(await guestHasCard(machine)).toEqual({ driver: 'vfio-pci', opened: true, modules: '' });
    await guest.destroy();
    await isHome();
  });

  test('a VM that is started again while its failed hand-off is undone waits for that, and gets the card', async () => {
    tellOnFailure();
    const late = await Guest.define(machine, {
      name: 'late',
      devicesXml:
        "<disk type='file' device='disk'><source file='/run/late.img'/><target dev='sdb' bus='sata'/></disk>",
    });
    const gone = 'until ! grep -q ^nvidia /proc/modules; do sleep 0.05; done';
    const back = 'until grep -q ^nvidia /proc/modules; do sleep 0.02; done';
    const [ours, theirs] = await Promise.all([
      gpuHandoff(machine, ['hand-off', 'late']),
      machine.run(
        `${gone}; ${back}; truncate -s 1M /run/late.img; virsh --connect qemu:///system start late`,
      ),
    ]);
    expect(ours.code).toBe(1);
    expect(theirs).toMatchObject({ code: 0, stderr: '' });
    expect(await guestHasCard(machine)).toEqual({ driver: 'vfio-pci', opened: true, modules: '' });
    await late.destroy();
    await isHome();
  });

  test('restarting libvirtd under a running guest harms nothing', async () => {
    tellOnFailure();
    await guest.start();
    await machine.check('systemctl restart libvirtd && virsh list');
    expect(await guest.state()).toBe('running');
    expect(await guestHasCard(machine)).toMatchObject({ driver: 'vfio-pci', opened: true });
    await guest.destroy();
    await isHome();
  });

  test('a guest that dies while libvirtd is stopped gives the card back when libvirtd is there again', async () => {
    tellOnFailure();
    await guest.start();
    await machine.check(
      'systemctl stop libvirtd.service libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket',
    );
    await machine.check('pkill -KILL -x qemu-system-x86');
    await machine.check(
      'systemctl start libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket libvirtd && virsh list',
    );
    await isHome();
  });

  test('a hook of the user’s own beside ours keeps working', async () => {
    await machine.put('/etc/libvirt/hooks/qemu', '#!/bin/sh\necho "$2" >> /run/own-hook\n', 0o755);
    await machine.put('/etc/libvirt/hooks/qemu.d/90-own', '#!/bin/sh\necho "d:$2" >> /run/own-hook\n', 0o755);
    await machine.check('systemctl reload libvirtd');
    await guest.start();
    await guest.destroy();
    await isHome();
    const heard = await machine.check('cat /run/own-hook');
    expect(heard).toContain('prepare\n');
    expect(heard).toContain('d:release\n');
    await machine.check(
      'rm /etc/libvirt/hooks/qemu /etc/libvirt/hooks/qemu.d/90-own; systemctl reload libvirtd',
    );
  });
});

describe('names that somebody else chose', () => {
  const names = ['two words', `it's "quoted" & <b>`, '$(id);`id`', 'ü€ 漢字', 'n'.repeat(200)];
  test.each(names.map((name) => [name]))('%s', async (name) => {
    tellOnFailure();
    const named = await Guest.define(machine, { name });
    await named.start();
    expect(await guestHasCard(machine)).toMatchObject({ driver: 'vfio-pci', opened: true });
    await named.destroy();
    await isHome();
    await named.virsh('undefine');
  });
});

describe('names that libvirt itself would not take', () => {
  const uuid = '99999999-2222-4333-8444-555555555555';
  const names = ['../../etc/passwd', 'two\nlines', '$(touch /run/pwned)', '', '-t', "'; touch /run/pwned; '"];
  test.each(names.map((name) => [name]))('%j', async (name) => {
    tellOnFailure();
    await machine.put('/run/hostile.xml', guestXml({ name, uuid }));
    const call = (operation: string): readonly string[] => [
      '/bin/sh',
      '-c',
      `exec ${HOOK} "$1" ${operation} - < /run/hostile.xml`,
      'sh',
      name,
    ];
    const prepared = await machine.run(call('prepare begin'));
    expect(prepared.stdout).toBe('');
    if (prepared.code !== 0) expect(prepared.stderr).toMatch(/^[^\n]+\n$/);
    expect((await machine.run(call('release end'))).code).toBe(0);
    expect((await machine.run('test -e /run/pwned')).code).toBe(1);
    await isHome();
  });
});

describe('without the helper', () => {
  test('a start is refused while the host uses the card, and allowed for other VMs', async () => {
    const plain = await Guest.define(machine, { name: 'plain', hostdevs: [] });
    await machine.check('systemctl mask --now gpu-handoff.service');
    const result = await guest.virsh('start');
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/GPU Handoff's helper did not answer, so the card was left with the host/);
    await plain.start();
    await plain.destroy();
    await machine.check('systemctl unmask gpu-handoff.service');
    expect(await picture(machine)).toBe(home);
  });
});

describe('what the hook leaves alone', () => {
  test('operations that do not concern it say nothing and succeed', async () => {
    for (const operation of [
      'migrate begin',
      'restore begin',
      'start begin',
      'started begin',
      'stopped end',
      'attach begin',
    ]) {
      const result = await machine.run(`${HOOK} win ${operation} - < /dev/null`);
      expect(result, operation).toEqual({ code: 0, stdout: '', stderr: '' });
    }
  });
});
