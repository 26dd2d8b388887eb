import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { onTestFinished } from 'vitest';

/** A PCI function as sysfs shows it, in few words. Everything left out stands for the usual. */
export interface FunctionSketch {
  readonly address: string;
  /** Default: a VGA controller. */
  readonly classCode?: number;
  readonly vendor?: number;
  readonly device?: number;
  /** Bridges above it, from the root: `['0000:00:01.0']`. */
  readonly behind?: readonly string[];
  readonly driver?: string;
  /** The driver's module; default: its name with underscores. Null: built in without a module. */
  readonly module?: string | null;
  readonly group?: number;
  readonly bootVga?: boolean;
  readonly card?: number;
  readonly render?: number;
  /** `{ 'HDMI-A-1': 'connected enabled' }` */
  readonly connectors?: Readonly<Record<string, string>>;
  /** Numbers of i2c buses beside the DRM card. */
  readonly i2c?: readonly number[];
  /** Number of its sound card. */
  readonly sound?: number;
  readonly power?: readonly [state: string, runtime: string, control: string];
  /** More files below its directory, by path. */
  readonly files?: Readonly<Record<string, string>>;
}

/** A directory that stands for a machine's root: /sys, /proc, /run and /dev as far as the adapters read them. */
export class Tree {
  readonly root = mkdtempSync(join(tmpdir(), 'handoff-tree-'));

  constructor() {
    this.file('proc/sys/kernel/random/boot_id', '11111111-2222-3333-4444-555555555555\n');
    this.directory('sys/bus/pci/devices');
    onTestFinished(() => rmSync(this.root, { recursive: true, force: true }));
  }

  path(path: string): string {
    return join(this.root, path);
  }

  directory(path: string): void {
    mkdirSync(this.path(path), { recursive: true });
  }

  file(path: string, text: string): void {
    mkdirSync(dirname(this.path(path)), { recursive: true });
    writeFileSync(this.path(path), text);
  }

  /** A link to another path of the tree, relative as in sysfs, so that the tree can stand anywhere. */
  link(path: string, to: string): void {
    mkdirSync(dirname(this.path(path)), { recursive: true });
    symlinkSync(relative(dirname(this.path(path)), this.path(to)), this.path(path));
  }

  /** A device: its `dev` and `uevent` in sysfs, and a file in /dev that holds its number. */
  device(directory: string, number: string, name: string): void {
    const [major, minor] = number.split(':');
    this.file(`${directory}/dev`, `${number}\n`);
    this.file(`${directory}/uevent`, `MAJOR=${major}\nMINOR=${minor}\nDEVNAME=${name}\n`);
    this.file(`dev/${name}`, number);
  }

  module(name: string, refcnt: number | null, holders: readonly string[] = []): void {
    this.directory(`sys/module/${name}/holders`);
    if (refcnt !== null) this.file(`sys/module/${name}/refcnt`, `${refcnt}\n`);
    for (const holder of holders) this.link(`sys/module/${name}/holders/${holder}`, `sys/module/${holder}`);
  }

  /** Returns the function's directory in /sys/devices. */
  function(sketch: FunctionSketch): string {
    const path = ['sys/devices/pci0000:00', ...(sketch.behind ?? []), sketch.address].join('/');
    const [state, runtime, control] = sketch.power ?? ['D0', 'active', 'auto'];
    const hex = (value: number, digits: number) => `0x${value.toString(16).padStart(digits, '0')}\n`;
    const files: Record<string, string> = {
      class: hex(sketch.classCode ?? 0x030000, 6),
      vendor: hex(sketch.vendor ?? 0x10de, 4),
      device: hex(sketch.device ?? 0x2684, 4),
      driver_override: '(null)\n',
      boot_vga: sketch.bootVga === true ? '1\n' : '0\n',
      power_state: `${state}\n`,
      'power/runtime_status': `${runtime}\n`,
      'power/control': `${control}\n`,
      ...sketch.files,
    };
    for (const [name, text] of Object.entries(files)) this.file(`${path}/${name}`, text);
    this.link(`sys/bus/pci/devices/${sketch.address}`, path);
    if (sketch.driver !== undefined) this.#bind(path, sketch.driver, sketch.module);
    if (sketch.group !== undefined) {
      const group = `sys/kernel/iommu_groups/${sketch.group}`;
      this.link(`${group}/devices/${sketch.address}`, path);
      this.link(`${path}/iommu_group`, group);
    }
    this.#drm(path, sketch);
    for (const bus of sketch.i2c ?? [])
      this.device(`${path}/i2c-${bus}/i2c-dev/i2c-${bus}`, `89:${bus}`, `i2c-${bus}`);
    if (sketch.sound !== undefined) {
      const n = sketch.sound;
      this.device(`${path}/sound/card${n}/controlC${n}`, `116:${n * 32}`, `snd/controlC${n}`);
      this.device(`${path}/sound/card${n}/pcmC${n}D3p`, `116:${n * 32 + 3}`, `snd/pcmC${n}D3p`);
    }
    return path;
  }

  #bind(path: string, driver: string, module: string | null = driver.replace(/-/g, '_')): void {
    const directory = `sys/bus/pci/drivers/${driver}`;
    this.directory(directory);
    this.link(`${path}/driver`, directory);
    if (module === null) return;
    this.directory(`sys/module/${module}/holders`);
    try {
      this.link(`${directory}/module`, `sys/module/${module}`);
    } catch {
      // Another function has the same driver.
    }
  }

  #drm(path: string, sketch: FunctionSketch): void {
    const { card, render } = sketch;
    if (card !== undefined) {
      this.device(`${path}/drm/card${card}`, `226:${card}`, `dri/card${card}`);
      for (const [name, state] of Object.entries(sketch.connectors ?? {})) {
        const [status, enabled] = state.split(' ');
        this.file(`${path}/drm/card${card}/card${card}-${name}/status`, `${status}\n`);
        this.file(`${path}/drm/card${card}/card${card}-${name}/enabled`, `${enabled}\n`);
      }
    }
    if (render !== undefined)
      this.device(`${path}/drm/renderD${render}`, `226:${render}`, `dri/renderD${render}`);
  }
}

/** The usual laptop: an AMD iGPU that drives the monitors, an NVIDIA dGPU with sound, the driver's whole stack. */
export function workstation(): Tree {
  const tree = new Tree();
  tree.function({
    address: '0000:00:02.0',
    vendor: 0x1002,
    device: 0x164e,
    driver: 'amdgpu',
    group: 3,
    bootVga: true,
    card: 0,
    render: 128,
    connectors: { 'eDP-1': 'connected enabled', 'HDMI-A-1': 'disconnected disabled' },
  });
  tree.function({
    address: '0000:01:00.0',
    behind: ['0000:00:01.0'],
    driver: 'nvidia',
    group: 14,
    card: 1,
    render: 129,
    i2c: [3, 4],
  });
  tree.function({
    address: '0000:01:00.1',
    classCode: 0x040300,
    device: 0x22ba,
    behind: ['0000:00:01.0'],
    driver: 'snd_hda_intel',
    group: 14,
    sound: 1,
  });
  tree.function({
    address: '0000:00:01.0',
    classCode: 0x060400,
    driver: 'pcieport',
    module: null,
    group: 14,
  });
  tree.module('amdgpu', 12);
  tree.module('snd_hda_intel', 2);
  tree.module('nvidia', 3, ['nvidia_modeset', 'nvidia_uvm']);
  tree.module('nvidia_modeset', 1, ['nvidia_drm']);
  tree.module('nvidia_drm', 0);
  tree.module('nvidia_uvm', 0);
  tree.file(
    'proc/devices',
    'Character devices:\n  1 mem\n195 nvidia\n195 nvidiactl\n509 nvidia-uvm\n\nBlock devices:\n  7 nvidia-no\n',
  );
  tree.file('proc/misc', '122 nvidia-nvlink\n 10 rfkill\n');
  tree.file('dev/nvidia0', '195:0');
  tree.file('dev/nvidiactl', '195:255');
  tree.file('dev/nvidia-uvm', '509:0');
  tree.file('dev/nvidia-caps/nvidia-cap1', '510:1');
  return tree;
}
