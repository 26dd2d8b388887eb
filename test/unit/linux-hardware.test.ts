import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { HardwareFacts, PciFunction } from '../../core/src/facts.js';
import { deviceNumber, numberOfNode } from '../../core/src/linux/device-nodes.js';
import { readHardware } from '../../core/src/linux/hardware.js';
import { Tree, workstation } from './support-tree.js';

function at(facts: HardwareFacts, address: string): PciFunction {
  const found = facts.functions.find((fn) => fn.address === address);
  if (found === undefined) throw new Error(`no ${address}`);
  return found;
}

function paths(fn: PciFunction): string[] {
  return fn.nodes.map((node) => node.path);
}

describe('which functions', () => {
  test('all functions of slots with a display function, and no bridge', () => {
    const facts = readHardware(workstation().root);
    expect(facts.functions.map((fn) => fn.address)).toEqual(['0000:00:02.0', '0000:01:00.0', '0000:01:00.1']);
  });

  test('a 3D controller without outputs is a display function too', () => {
    const tree = new Tree();
    tree.function({ address: '0000:01:00.0', classCode: 0x030200 });
    expect(readHardware(tree.root).functions).toHaveLength(1);
  });

  test('what else shares the IOMMU group is there, be it in another slot', () => {
    const tree = workstation();
    tree.function({
      address: '0000:05:00.0',
      classCode: 0x010802,
      vendor: 0x144d,
      driver: 'nvme',
      group: 14,
    });
    expect(readHardware(tree.root).functions.map((fn) => fn.address)).toContain('0000:05:00.0');
  });

  test('the dummy host bridge beside a port is no stranger unless a driver has it', () => {
    const tree = workstation();
    tree.function({ address: '0000:00:01.1', classCode: 0x060000, group: 14 });
    tree.function({ address: '0000:00:01.2', classCode: 0x060000, group: 14, driver: 'skx_uncore' });
    const addresses = readHardware(tree.root).functions.map((fn) => fn.address);
    expect(addresses).not.toContain('0000:00:01.1');
    expect(addresses).toContain('0000:00:01.2');
  });

  test('a virtual function is not a function of the slot', () => {
    const tree = workstation();
    const path = tree.function({ address: '0000:00:02.1', vendor: 0x8086, group: 40 });
    tree.link(`${path}/physfn`, 'sys/devices/pci0000:00/0000:00:02.0');
    expect(readHardware(tree.root).functions.map((fn) => fn.address)).not.toContain('0000:00:02.1');
  });

  test('a machine without cards, and a root without anything', () => {
    expect(readHardware(new Tree().root).functions).toEqual([]);
    expect(readHardware('/nonexistent')).toEqual({
      bootId: '',
      iommu: false,
      functions: [],
      modules: [],
      nvidiaNumbers: [],
      nvidiaNodes: [],
    });
  });
});

describe('facts of a function', () => {
  test('two cards with everything', () => {
    const tree = workstation();
    tree.file(
      'run/udev/data/+pci:0000:01:00.0',
      'I:1\nE:ID_VENDOR_FROM_DATABASE=NVIDIA Corporation\nE:ID_MODEL_FROM_DATABASE=AD102 [GeForce RTX 4090]\n',
    );
    const facts = readHardware(tree.root);
    expect(facts.bootId).toBe('11111111-2222-3333-4444-555555555555');
    expect(facts.iommu).toBe(true);
    expect(at(facts, '0000:01:00.0')).toEqual({
      address: '0000:01:00.0',
      classCode: 0x030000,
      vendorId: 0x10de,
      deviceId: 0x2684,
      vendorName: 'NVIDIA Corporation',
      deviceName: 'AD102 [GeForce RTX 4090]',
      driver: 'nvidia',
      driverOverride: null,
      bootVga: false,
      iommuGroup: 14,
      power: { state: 'D0', runtime: 'active', control: 'auto' },
      external: false,
      nodes: [
        { number: '226:1', path: '/dev/dri/card1', kind: 'card' },
        { number: '226:129', path: '/dev/dri/renderD129', kind: 'render' },
        { number: '89:3', path: '/dev/i2c-3', kind: 'i2c' },
        { number: '89:4', path: '/dev/i2c-4', kind: 'i2c' },
      ],
      connectors: [],
      seat: 'seat0',
    });
    expect(at(facts, '0000:00:02.0')).toMatchObject({
      bootVga: true,
      connectors: [
        { name: 'HDMI-A-1', connected: false, enabled: false },
        { name: 'eDP-1', connected: true, enabled: true },
      ],
    });
    expect(at(facts, '0000:01:00.1')).toMatchObject({
      classCode: 0x040300,
      driver: 'snd_hda_intel',
      seat: null,
      nodes: [
        { number: '116:32', path: '/dev/snd/controlC1', kind: 'sound' },
        { number: '116:35', path: '/dev/snd/pcmC1D3p', kind: 'sound' },
      ],
    });
  });

  test('what the kernel does not tell is null', () => {
    const tree = new Tree();
    const path = tree.function({ address: '0000:01:00.0' });
    for (const name of ['power_state', 'power', 'driver_override', 'boot_vga'])
      rmSync(tree.path(`${path}/${name}`), { recursive: true });
    expect(at(readHardware(tree.root), '0000:01:00.0')).toMatchObject({
      driver: null,
      driverOverride: null,
      bootVga: false,
      iommuGroup: null,
      power: { state: null, runtime: null, control: null },
      vendorName: null,
      deviceName: null,
      seat: null,
    });
  });

  test('a card that goes away while it is read is left out', () => {
    const tree = workstation();
    rmSync(tree.path('sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0'), { recursive: true });
    expect(readHardware(tree.root).functions.map((fn) => fn.address)).toEqual(['0000:00:02.0']);
  });

  test('a card that loses its identity while it is read is left out', () => {
    const tree = workstation();
    rmSync(tree.path('sys/devices/pci0000:00/0000:00:02.0/vendor'));
    expect(readHardware(tree.root).functions.map((fn) => fn.address)).not.toContain('0000:00:02.0');
  });

  test('a driver override', () => {
    const tree = new Tree();
    tree.function({ address: '0000:01:00.0', files: { driver_override: 'vfio-pci\n' } });
    expect(at(readHardware(tree.root), '0000:01:00.0').driverOverride).toBe('vfio-pci');
  });

  test('Thunderbolt: a bridge above is removable', () => {
    const tree = new Tree();
    tree.function({ address: '0000:04:00.0', behind: ['0000:00:07.0', '0000:03:00.0'] });
    tree.file('sys/devices/pci0000:00/0000:00:07.0/removable', 'fixed\n');
    tree.file('sys/devices/pci0000:00/0000:00:07.0/0000:03:00.0/removable', 'removable\n');
    expect(at(readHardware(tree.root), '0000:04:00.0').external).toBe(true);
  });

  test('the seat that udev gave its card', () => {
    const tree = workstation();
    tree.file('run/udev/data/c226:1', 'G:seat\nE:ID_SEAT=seat1\nE:ID_FOR_SEAT=drm-pci-0000_01_00_0\n');
    const facts = readHardware(tree.root);
    expect(at(facts, '0000:01:00.0').seat).toBe('seat1');
    expect(at(facts, '0000:00:02.0').seat).toBe('seat0');
  });

  test('groups that only vfio without an IOMMU made are no IOMMU', () => {
    const tree = new Tree();
    tree.function({ address: '0000:01:00.0', group: 0 });
    tree.file('sys/kernel/iommu_groups/0/name', 'vfio-noiommu\n');
    expect(readHardware(tree.root).iommu).toBe(false);
  });
});

describe('names', () => {
  const list = [
    '# comment',
    '10dd  Another',
    '\t2684  Not this',
    '10de  NVIDIA Corporation',
    '\t2684  AD102 [GeForce RTX 4090]',
    '\t\t10de 2684  A board',
    '10df  Emulex Corporation',
    '\t1ae5  A HBA',
    '',
  ].join('\n');

  test('by pci.ids where udev knows nothing', () => {
    const tree = new Tree();
    tree.file('usr/share/hwdata/pci.ids', list);
    tree.function({ address: '0000:01:00.0' });
    expect(at(readHardware(tree.root), '0000:01:00.0')).toMatchObject({
      vendorName: 'NVIDIA Corporation',
      deviceName: 'AD102 [GeForce RTX 4090]',
    });
  });

  test('a device of the next vendor is not taken for this one’s', () => {
    const tree = new Tree();
    tree.file('usr/share/misc/pci.ids', list);
    tree.function({ address: '0000:01:00.0', device: 0x1ae5 });
    expect(at(readHardware(tree.root), '0000:01:00.0')).toMatchObject({
      vendorName: 'NVIDIA Corporation',
      deviceName: null,
    });
  });
});

describe('nodes', () => {
  test('i2c and DP AUX below a connector', () => {
    const tree = new Tree();
    const path = tree.function({
      address: '0000:01:00.0',
      card: 1,
      connectors: { 'DP-1': 'connected disabled' },
    });
    const connector = `${path}/drm/card1/card1-DP-1`;
    tree.device(`${connector}/i2c-9/i2c-dev/i2c-9`, '89:9', 'i2c-9');
    tree.device(`${connector}/drm_dp_aux0`, '236:0', 'drm_dp_aux0');
    expect(at(readHardware(tree.root), '0000:01:00.0').nodes).toEqual([
      { number: '226:1', path: '/dev/dri/card1', kind: 'card' },
      { number: '236:0', path: '/dev/drm_dp_aux0', kind: 'other' },
      { number: '89:9', path: '/dev/i2c-9', kind: 'i2c' },
    ]);
  });

  test('the framebuffer, vfio’s own device and its group', () => {
    const tree = new Tree();
    const path = tree.function({ address: '0000:01:00.0', group: 14 });
    tree.device(`${path}/graphics/fb1`, '29:1', 'fb1');
    tree.device(`${path}/vfio-dev/vfio0`, '511:0', 'vfio/devices/vfio0');
    tree.device('sys/devices/virtual/vfio/14', '238:0', 'vfio/14');
    expect(at(readHardware(tree.root), '0000:01:00.0').nodes.map((node) => [node.path, node.kind])).toEqual([
      ['/dev/fb1', 'fb'],
      ['/dev/vfio/devices/vfio0', 'vfio'],
      ['/dev/vfio/14', 'vfio'],
    ]);
  });

  test('not: child devices of a bridge, USB behind the card, jacks, disks', () => {
    const tree = new Tree();
    const path = tree.function({ address: '0000:01:00.0' });
    tree.device(`${path}/0000:02:00.0/drm/card7`, '226:7', 'dri/card7');
    tree.device(`${path}/usb3/3-1`, '189:257', 'bus/usb/003/002');
    tree.device(`${path}/sound/card1/input20/event12`, '13:76', 'input/event12');
    tree.device(`${path}/nvme/nvme0/nvme0n1`, '259:0', 'nvme0n1');
    tree.link(`${path}/nvme/nvme0/nvme0n1/subsystem`, 'sys/class/block');
    expect(paths(at(readHardware(tree.root), '0000:01:00.0'))).toEqual([]);
  });

  test('links are not followed', () => {
    const tree = workstation();
    const path = 'sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0';
    tree.link(`${path}/drm/loop`, path);
    symlinkSync('/', tree.path(`${path}/outside`));
    expect(paths(at(readHardware(tree.root), '0000:01:00.0'))).toHaveLength(4);
  });

  test('a tree without end is left after a while', () => {
    const tree = new Tree();
    const path = tree.function({ address: '0000:01:00.0' });
    for (let n = 0; n < 3000; n += 1) mkdirSync(tree.path(`${path}/deep/${n}`), { recursive: true });
    tree.device(`${path}/a/b/c/d/e/f/g/h/i/j/k/l`, '1:1', 'far');
    expect(paths(at(readHardware(tree.root), '0000:01:00.0'))).toEqual([]);
  });

  test('the number of a real device is its inode’s', () => {
    expect(numberOfNode('/dev/null')).toBe('1:3');
    expect(numberOfNode('/etc/passwd')).toBeNull();
    expect(numberOfNode('/dev/fd')).toBeNull();
  });

  test('minors above 255 in the kernel’s encoding', () => {
    expect(deviceNumber(0x1ff03)).toBe('511:3');
    expect(deviceNumber(0x10ff03)).toBe('255:259');
  });
});

describe('a sleeping card', () => {
  test('is read without opening what would wake it', () => {
    const tree = workstation();
    const path = tree.function({
      address: '0000:09:00.0',
      driver: 'nvidia',
      power: ['D3cold', 'suspended', 'auto'],
      files: { config: '', rom: '', resource0: '' },
    });
    // Whoever opens one of these waits for ever: a pipe has no writer.
    for (const name of ['config', 'rom', 'resource0', 'resource']) {
      rmSync(tree.path(`${path}/${name}`), { force: true });
      execFileSync('mkfifo', [tree.path(`${path}/${name}`)]);
    }
    mkdirSync(tree.path('proc/driver/nvidia/gpus/0000:09:00.0'), { recursive: true });
    execFileSync('mkfifo', [tree.path('proc/driver/nvidia/gpus/0000:09:00.0/information')]);
    expect(at(readHardware(tree.root), '0000:09:00.0').power).toEqual({
      state: 'D3cold',
      runtime: 'suspended',
      control: 'auto',
    });
  });
});

describe('modules', () => {
  test('the drivers’ modules, and in turn what holds them', () => {
    expect(readHardware(workstation().root).modules).toEqual([
      { name: 'amdgpu', useCount: 12, holders: [] },
      { name: 'nvidia', useCount: 3, holders: ['nvidia_modeset', 'nvidia_uvm'] },
      { name: 'nvidia_drm', useCount: 0, holders: [] },
      { name: 'nvidia_modeset', useCount: 1, holders: ['nvidia_drm'] },
      { name: 'nvidia_uvm', useCount: 0, holders: [] },
      { name: 'snd_hda_intel', useCount: 2, holders: [] },
    ]);
  });

  test('NVIDIA’s stack is there when no function has its driver', () => {
    const tree = new Tree();
    tree.function({ address: '0000:01:00.0', driver: 'vfio-pci' });
    tree.module('nvidia', 1, ['nvidia_peermem']);
    tree.module('nvidia_peermem', 0);
    expect(readHardware(tree.root).modules.map((module) => module.name)).toEqual([
      'nvidia',
      'nvidia_peermem',
      'vfio_pci',
    ]);
  });

  test('what is built in has no use count', () => {
    const tree = new Tree();
    tree.function({ address: '0000:01:00.0', driver: 'bochs' });
    expect(readHardware(tree.root).modules).toEqual([{ name: 'bochs', useCount: null, holders: [] }]);
  });
});

describe('NVIDIA’s own devices', () => {
  test('whole majors, and single minors of misc', () => {
    expect(readHardware(workstation().root).nvidiaNumbers).toEqual(['10:122', '195', '509']);
  });

  test('nodes in /dev that have such a number', () => {
    expect(readHardware(workstation().root).nvidiaNodes).toEqual([
      { number: '509:0', path: '/dev/nvidia-uvm', kind: 'nvidia' },
      { number: '195:0', path: '/dev/nvidia0', kind: 'nvidia' },
      { number: '195:255', path: '/dev/nvidiactl', kind: 'nvidia' },
    ]);
  });

  test('nodes below a directory, once their major is taken', () => {
    const tree = workstation();
    tree.file('proc/devices', 'Character devices:\n510 nvidia-caps\n');
    expect(readHardware(tree.root).nvidiaNodes.map((node) => node.path)).toContain(
      '/dev/nvidia-caps/nvidia-cap1',
    );
  });

  test('numbers can be told another way', () => {
    const facts = readHardware(workstation().root, {
      nodeNumber: (path) => (path.endsWith('/dev/nvidia0') ? '195:7' : null),
    });
    expect(facts.nvidiaNodes).toEqual([{ number: '195:7', path: '/dev/nvidia0', kind: 'nvidia' }]);
  });
});

test('it takes a few milliseconds', () => {
  const { root } = workstation();
  readHardware(root);
  const times = Array.from({ length: 20 }, () => {
    const begin = performance.now();
    readHardware(root);
    return performance.now() - begin;
  });
  expect(Math.min(...times)).toBeLessThan(20);
});
