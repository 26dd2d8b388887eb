import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, onTestFailed, test } from 'vitest';
import { DGPU, DGPU_SOUND, ensureImage, Guest, hold, IGPU, type Image, Machine, until } from './rig/index.js';
import { RIG_DIR } from './rig/paths.js';

const NVIDIA_MODULES = ['nvidia_drm', 'nvidia_modeset', 'nvidia_uvm', 'nvidia'];

/** A sound card’s register that says that an answer waits to be fetched (HD Audio 1.0a, 3.3.29). */
const RIRBSTS = 0x5d;

let image: Image;
let machine: Machine;

beforeAll(async () => {
  image = await ensureImage();
  machine = await Machine.boot(image, { name: 'rig-test' });
});

afterAll(async () => {
  await machine?.stop();
});

/** Name of the driver that a PCI function is bound to, empty for none. */
async function driverOf(address: string): Promise<string> {
  const link = await machine.run(['readlink', `/sys/bus/pci/devices/${address}/driver`]);
  return link.stdout.trim().split('/').at(-1) ?? '';
}

async function refcnt(module: string): Promise<number> {
  return Number(await machine.check(['cat', `/sys/module/${module}/refcnt`]));
}

/** What a host does that wants the card to be free: services stopped, modules unloaded. */
async function unloadNvidia(): Promise<void> {
  await machine.check('systemctl stop nvidia-powerd nvidia-persistenced');
  await machine.check(['rmmod', ...NVIDIA_MODULES]);
}

async function loadNvidia(): Promise<void> {
  await machine.check(
    'modprobe -a nvidia_uvm nvidia_drm && systemctl start nvidia-persistenced nvidia-powerd',
  );
  await machine.check('udevadm settle');
}

describe('commands', () => {
  test('answer with code, output and errors, as whom and with what they are told', async () => {
    const script = 'read -r line; echo "$line $WORD $(id -un) $PWD"; echo oops >&2; exit 3';
    const options = { user: 'mallory', stdin: 'from stdin\n', env: { WORD: 'word' } };
    expect(await machine.run(script, options)).toEqual({
      code: 3,
      stdout: 'from stdin word mallory /home/mallory\n',
      stderr: 'oops\n',
    });
    await expect(machine.check('echo why >&2; false')).rejects.toThrow(/ended with 1\nwhy/);
    await expect(machine.run(['/no/such/program'])).rejects.toThrow(/no such file/i);
  });

  test('run at the same time, and can be ended', async () => {
    const slow = await machine.spawn(
      'trap "echo got it; exit 5" TERM; echo up; while :; do sleep 0.05; done',
    );
    await slow.waitFor(/up/);
    expect((await machine.run('echo meanwhile')).stdout).toBe('meanwhile\n');
    expect(await slow.kill(15)).toMatchObject({ code: 5, stdout: 'up\ngot it\n' });
    await expect(machine.run('echo begun; sleep 600', { timeoutMs: 1500 })).rejects.toThrow(
      /1500 ms.*\nbegun/s,
    );
  });

  test('files of any size and bytes go in and come back', async () => {
    const bytes = Buffer.alloc(700_001, Buffer.from(Array.from({ length: 251 }, (_, index) => index)));
    await machine.put('/root/some/where/file', bytes, 0o600);
    expect(await machine.check('stat -c %a:%s /root/some/where/file')).toBe('600:700001\n');
    expect((await machine.get('/root/some/where/file')).equals(bytes)).toBe(true);
    await machine.putTree(join(RIG_DIR, 'guest'), '/root/tree');
    expect((await machine.get('/root/tree/boot.S')).equals(readFileSync(join(RIG_DIR, 'guest/boot.S')))).toBe(
      true,
    );
  });
});

describe('the card on the host', () => {
  test('is NVIDIA’s, with sound, both in one IOMMU group of their own; the iGPU boots', async () => {
    expect(await driverOf(DGPU)).toBe('nvidia');
    expect(await driverOf(DGPU_SOUND)).toBe('snd_hda_intel');
    const look = `cd /sys/bus/pci/devices; cat ${DGPU}/vendor ${DGPU}/class ${DGPU}/modalias
      ls ${DGPU}/iommu_group/devices; cat ${IGPU}/boot_vga; ls ${DGPU}/drm; systemctl is-system-running`;
    const facts = await machine.check(look);
    expect(facts).toMatch(
      /^0x10de\n0x038000\npci:v000010DEd00002684.*\n0000:01:00\.0\n0000:01:00\.1\n1\ncard\d\nrenderD\d+\n/,
    );
    expect(facts).toMatch(/\nrunning\n$/);
    expect(await machine.check("awk '/nvidia/ { print $2 }' /proc/devices | sort -u")).toBe(
      'nvidia\nnvidia-caps\nnvidia-modeset\nnvidia-uvm\nnvidiactl\n',
    );
    expect(await machine.check('ls -d /dev/nvidia* && ls /dev/snd/controlC*')).toContain(
      '/dev/nvidia-uvm-tools',
    );
    expect(await machine.check('systemctl is-active nvidia-persistenced nvidia-powerd')).toBe(
      'active\nactive\n',
    );
  });

  test('has NVIDIA’s module graph, loaded again when a stale node is opened', async () => {
    const holders = await machine.check(
      'cd /sys/module; for m in nvidia nvidia_modeset; do echo $(ls $m/holders); done',
    );
    expect(holders).toBe('nvidia_modeset nvidia_uvm\nnvidia_drm\n');
    await unloadNvidia();
    expect(await driverOf(DGPU)).toBe('');
    expect(await machine.check('ls /dev/nvidia0')).toBe('/dev/nvidia0\n');
    await machine.check('exec 3</dev/nvidia0');
    expect(await driverOf(DGPU)).toBe('nvidia');
    await loadNvidia();
  });

  test('does not come back to a module that finds it promised to vfio-pci', async () => {
    await unloadNvidia();
    await machine.check(`echo vfio-pci > /sys/bus/pci/devices/${DGPU}/driver_override`);
    expect((await machine.run('modprobe nvidia_drm')).stderr).toContain('No such device');
    expect(await driverOf(DGPU)).toBe('');
    await machine.check(`echo > /sys/bus/pci/devices/${DGPU}/driver_override`);
    await loadNvidia();
  });
});

describe('a holder', () => {
  beforeAll(async () => {
    await machine.check(
      'systemctl stop nvidia-powerd nvidia-persistenced && rmmod nvidia_drm nvidia_modeset nvidia_uvm',
    );
  });
  afterAll(loadNvidia);

  const ways = [
    ['an open file', 'fd'],
    ['a mapping without a descriptor', 'map'],
    ['a node of its own in other namespaces', 'namespace'],
    ['a descriptor in flight', 'inflight'],
    ['a dma-buf', 'dmabuf'],
  ] as const;

  test.each(ways)('with %s keeps nvidia loaded until it ends', async (_name, mode) => {
    const free = await refcnt('nvidia');
    const holder = await hold(machine, mode, ['/dev/nvidia0'], { comm: 'greedy' });
    expect(await refcnt('nvidia')).toBeGreaterThan(free);
    const refused = await machine.run('rmmod nvidia');
    expect(refused).toMatchObject({ code: 1 });
    expect(refused.stderr).toContain('in use');
    expect((await machine.check(['cat', `/proc/${holder.pid}/comm`])).trim()).toBe('greedy');
    const files = await machine.check(`ls -l /proc/${holder.pid}/fd; cat /proc/${holder.pid}/maps`);
    expect(files.includes('/dev/nvidia0')).toBe(mode === 'fd' || mode === 'map');
    expect(files.includes('/mnt/gpu')).toBe(mode === 'namespace');
    expect(files.includes('/dmabuf')).toBe(mode === 'dmabuf');
    await holder.release();
    expect(await refcnt('nvidia')).toBe(free);
  });

  test('that opens and closes is now there and now not', async () => {
    const holder = await hold(machine, 'loop', ['/dev/nvidia0', 0]);
    const seen = new Set<string>();
    await until('both are seen', async () => {
      for (const count of (
        await machine.check('for i in {1..200}; do read -r n < /sys/module/nvidia/refcnt; echo $n; done')
      ).split('\n')) {
        seen.add(count);
      }
      return seen.has('0') && seen.size > 2;
    });
    await holder.release();
    expect(await refcnt('nvidia')).toBe(0);
  });

  test('of an i2c bus counts without any of nvidia’s own nodes', async () => {
    const adapters = `ls -d /sys/bus/pci/devices/${DGPU}/i2c-*/i2c-dev/*`;
    const node = `/dev/${(await machine.check(adapters)).trim().split('/').at(-1)}`;
    const holder = await hold(machine, 'fd', [node]);
    expect((await machine.run('rmmod nvidia')).code).toBe(1);
    await holder.release();
    expect(await refcnt('nvidia')).toBe(0);
  });

  test('of the sound function leaves nvidia alone', async () => {
    const holder = await hold(machine, 'fd', ['/dev/snd/controlC0']);
    expect(await refcnt('nvidia')).toBe(0);
    await holder.release();
  });

  test('comes in crowds', async () => {
    const crowd = await hold(machine, 'crowd', [20, 100]);
    const count = await machine.check(
      `n=0; for p in $(pgrep -P ${crowd.pid}); do set -- /proc/$p/fd/*; n=$((n + $#)); done; echo $n`,
    );
    expect(Number(count)).toBeGreaterThanOrEqual(2000);
    await crowd.release();
  });
});

describe('a guest', () => {
  const strange = `it's "my" <guest> & co`;

  async function expectOnGuest(): Promise<void> {
    expect(await driverOf(DGPU)).toBe('vfio-pci');
    expect(await driverOf(DGPU_SOUND)).toBe('vfio-pci');
    const open =
      'group=$(readlink /sys/bus/pci/devices/' +
      `${DGPU}/iommu_group); ls -l /proc/$(pgrep qemu-system)/fd |
      grep -c " /dev/vfio/\${group##*/}$"`;
    expect((await machine.check(open)).trim()).toBe('1');
  }

  async function expectGivenBack(): Promise<void> {
    expect(await driverOf(DGPU)).toBe('');
    expect(await driverOf(DGPU_SOUND)).toBe('snd_hda_intel');
  }

  beforeAll(unloadNvidia);
  afterAll(loadNvidia);

  test('without a system takes card and sound, ignores its power button, and gives both back', async () => {
    const guest = await Guest.define(machine, { name: strange });
    await guest.start();
    await expectOnGuest();
    await guest.shutdown();
    await expect(guest.waitForState('shut off', 4000)).rejects.toThrow(/not within/);
    await guest.destroy();
    expect(await guest.state()).toBe('shut off');
    await expectGivenBack();
  });

  test('that obeys its power button goes when asked', async () => {
    const guest = await Guest.define(machine, { name: 'obedient', behaviour: 'obedient' });
    await guest.start();
    await guest.waitUntilObedient();
    await expectOnGuest();
    await guest.shutdown();
    await guest.waitForState('shut off');
    await until(
      'libvirt has given the card back',
      async () => (await driverOf(DGPU_SOUND)) === 'snd_hda_intel',
    );
    await expectGivenBack();
  });

  test('that ends by itself does', async () => {
    const guest = await Guest.define(machine, { name: 'short', behaviour: { offAfter: 2 } });
    await guest.start();
    await guest.waitForState('shut off', 120_000);
    await until(
      'libvirt has given the card back',
      async () => (await driverOf(DGPU_SOUND)) === 'snd_hda_intel',
    );
    await expectGivenBack();
  });

  test('needs no card', async () => {
    const guest = await Guest.define(machine, { name: 'plain', behaviour: 'obedient', hostdevs: [] });
    await guest.start();
    await guest.waitUntilObedient();
    await expectGivenBack();
    await guest.destroy();
  });
});

describe('the guide’s hook', () => {
  afterEach(async () => {
    await machine.run('rm -f /etc/libvirt/hooks/qemu; systemctl restart libvirtd');
  });

  test('hands the card over and takes it back, and refuses while someone holds it', async () => {
    await machine.put('/etc/libvirt/hooks/qemu', readFileSync(join(RIG_DIR, '../guide/qemu')), 0o755);
    await machine.put('/etc/gpu-guide.conf', `GUEST=guided\nCARD=${DGPU}\n`);
    await machine.check('systemctl restart libvirtd');
    const guest = await Guest.define(machine, { name: 'guided' });
    const holder = await hold(machine, 'fd', ['/dev/nvidia0'], { user: 'mallory' });
    const refused = await guest.virsh('start');
    expect(refused.stderr).toContain(`the card is held by: ${holder.pid} rig-hold`);
    await holder.release();
    await guest.start();
    expect(await driverOf(DGPU)).toBe('vfio-pci');
    await guest.destroy();
    await until('the host has the card', async () => (await driverOf(DGPU)) === 'nvidia');
    await until('its services run', async () => {
      return (await machine.run('systemctl is-active nvidia-persistenced nvidia-powerd')).code === 0;
    });
  });
});

describe('a login', () => {
  test('is active on seat0, and only it is local to polkit', async () => {
    await machine.put(
      '/usr/share/polkit-1/actions/rig.test.policy',
      `<?xml version="1.0"?><policyconfig><action id="rig.test"><message>m</message>
      <defaults><allow_any>no</allow_any><allow_inactive>no</allow_inactive>
      <allow_active>yes</allow_active></defaults>
      </action></policyconfig>`,
    );
    await machine.check('systemctl restart polkit');
    const may = 'pkcheck --action-id rig.test --process $$';
    expect((await machine.run(may, { user: 'alice' })).code).not.toBe(0);
    const session = await machine.login('alice');
    expect(
      await session.check('id -un; echo $XDG_SEAT; loginctl show-session -p State --value $XDG_SESSION_ID'),
    ).toBe('alice\nseat0\nactive\n');
    expect((await session.run(may)).code).toBe(0);
    expect((await machine.run(may, { user: 'mallory' })).code).not.toBe(0);
    const holder = await hold(session, 'fd', ['/dev/nvidia0']);
    expect(await machine.check(['cat', `/proc/${holder.pid}/cgroup`])).toContain(
      `session-${session.id}.scope`,
    );
    await holder.release();
    await session.logout();
  });
});

// Last of those with the common machine: what follows loses what the tests above have left.
test('a card that is unbound while it is held is stuck until the power is cut', async () => {
  await hold(machine, 'fd', ['/dev/nvidia0']);
  const unbind = machine.run(`echo ${DGPU} > /sys/bus/pci/drivers/nvidia/unbind`, { timeoutMs: 3000 });
  await expect(unbind).rejects.toThrow(/longer than 3000 ms/);
  expect(await machine.check('ps axo stat,args | grep ^D')).toContain('unbind');
  expect(machine.console()).toContain('Attempting to remove device with non-zero usage count');
});

test('a power cut loses what is not on disk, and the machine comes up again', async () => {
  await machine.check('echo kept > /root/kept; sync; echo lost > /run/lost');
  const waiting = machine.run('sleep 600');
  const lost = expect(waiting).rejects.toThrow('the power was cut');
  const before = await machine.check('cat /proc/sys/kernel/random/boot_id');
  await machine.powerCut();
  await lost;
  expect(await machine.check('cat /proc/sys/kernel/random/boot_id')).not.toBe(before);
  expect(await machine.check('cat /root/kept; ls /run/lost 2>/dev/null || true')).toBe('kept\n');
  expect(await driverOf(DGPU)).toBe('nvidia');
});

test('the sound card speaks after a power cut in the midst of an answer', async () => {
  const there = (): Promise<boolean> =>
    machine.run('test -e /dev/snd/controlC0').then(({ code }) => code === 0);
  await until('the sound card is there', there, 30_000, 500);
  const registers = Number(
    (await machine.check(`cat /sys/bus/pci/devices/${DGPU_SOUND}/resource`)).split(' ')[0],
  );
  const asking = await machine.spawn('echo now; while :; do cat /proc/asound/card0/codec#0 >/dev/null; done');
  asking.exited.catch(() => undefined);
  await asking.waitFor(/now/);
  // With commands one at a time no answer is ever left waiting, and the cut comes at the end of the time.
  const end = Date.now() + 10_000;
  while (Date.now() < end) {
    await machine.monitor('stop');
    const answered = await machine.monitor(`xp /1xb 0x${(registers + RIRBSTS).toString(16)}`);
    if (/0x01\s*$/.test(answered)) break;
    await machine.monitor('cont');
  }
  const cut = machine.powerCut();
  await machine.monitor('cont');
  await cut;
  await until('the sound card is there again', there, 30_000, 500);
});

test('other cards: two of NVIDIA’s, or one that plays AMD', async () => {
  const two = await Machine.boot(image, {
    name: 'two',
    cards: [{ kind: 'nvidia', sound: true }, { kind: 'nvidia' }],
  });
  onTestFailed(() => console.error(two.console().slice(-2000)));
  try {
    expect(await two.check('ls /sys/bus/pci/drivers/nvidia | grep ^0000; ls /dev/nvidia[01]')).toBe(
      '0000:01:00.0\n0000:02:00.0\n/dev/nvidia0\n/dev/nvidia1\n',
    );
  } finally {
    await two.stop();
  }
  const amd = await Machine.boot(image, { name: 'amd', cards: [{ kind: 'amd', sound: true }] });
  try {
    expect(
      await amd.check('ls /sys/bus/pci/drivers/amdgpu /sys/bus/pci/drivers/snd_hda_intel | grep ^0000'),
    ).toBe(`${DGPU}\n${DGPU_SOUND}\n`);
    const guest = await Guest.define(amd, { name: 'amd' });
    const driver = `basename $(readlink /sys/bus/pci/devices/${DGPU}/driver)`;
    await guest.start();
    expect(await amd.check(driver)).toBe('vfio-pci\n');
    await guest.destroy();
    expect(await amd.check(driver)).toBe('amdgpu\n');
    expect(await amd.check('systemctl is-system-running; ls -d /sys/module/nvidia || true')).toBe(
      'running\n',
    );
  } finally {
    await amd.stop();
  }
});
