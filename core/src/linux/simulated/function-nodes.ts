/** What a driver makes of a function: its DRM card, sound card, i2c adapters and VFIO group. */
import { join } from 'node:path';
import { namesIn } from '../read.js';
import { remove, link as symlink, writeText } from './files.js';
import type { FunctionSpec } from './hardware.js';
import { freeMinor, hasNode, makeNode, nextIndex, removeNodes } from './nodes.js';
import { deviceDir } from './sysfs.js';

const DRM = 226;
const SOUND = 116;
const I2C = 89;
const FRAMEBUFFER = 29;
const VFIO = 241;

/** `pci-0000_01_00_0`, as udev names a function in ID_FOR_SEAT. */
function udevName(fn: FunctionSpec): string {
  return `pci-${fn.address.replace(/[:.]/g, '_')}`;
}

function drmUdevData(fn: FunctionSpec, master: boolean): string {
  const hidden = fn.seat !== undefined && fn.seat !== 'seat0';
  const lines = [`E:ID_PATH=pci-${fn.address}`, `E:ID_FOR_SEAT=drm-${udevName(fn)}`];
  if (hidden) lines.push(`E:ID_SEAT=${fn.seat}`, 'G:mutter-device-ignore', 'Q:mutter-device-ignore');
  lines.push('G:seat', 'Q:seat');
  if (master && !hidden) lines.push('G:master-of-seat', 'Q:master-of-seat');
  if (!hidden) lines.push('G:uaccess', 'Q:uaccess');
  return `${lines.join('\n')}\n`;
}

/** The DRM card with its render node, connectors and framebuffer. `module` counts their users. */
export function makeDrm(dir: string, fn: FunctionSpec, module: string): void {
  const index = nextIndex(dir, 'card', fn.address, (i) => hasNode(dir, `/dev/dri/card${i}`));
  const card = `card${index}`;
  const device = deviceDir(dir, fn);
  const sysfs = join(device, 'drm', card);
  const address = fn.address;
  for (const connector of fn.connectors ?? []) {
    const path = join(sysfs, `${card}-${connector.name}`);
    writeText(dir, join(path, 'status'), connector.connected === true ? 'connected\n' : 'disconnected\n');
    writeText(dir, join(path, 'enabled'), connector.enabled === true ? 'enabled\n' : 'disabled\n');
    writeText(dir, join(path, 'dpms'), connector.enabled === true ? 'On\n' : 'Off\n');
    symlink(join(dir, 'sys/class/drm', `${card}-${connector.name}`), path);
  }
  symlink(join(dir, 'sys/class/drm', card), sysfs);
  writeText(dir, join(dir, 'run/udev/data', `c${DRM}:${index}`), drmUdevData(fn, true));
  makeNode(dir, {
    path: `/dev/dri/${card}`,
    number: `${DRM}:${index}`,
    kind: 'card',
    module,
    address,
    sysfs,
  });

  const render = `renderD${128 + index}`;
  const number = `${DRM}:${128 + index}`;
  const below = join(device, 'drm', render);
  symlink(join(dir, 'sys/class/drm', render), below);
  writeText(dir, join(dir, 'run/udev/data', `c${number}`), drmUdevData(fn, false));
  makeNode(dir, { path: `/dev/dri/${render}`, number, kind: 'render', module, address, sysfs: below });

  if (fn.framebuffer !== true) return;
  const fb = freeMinor(dir, FRAMEBUFFER);
  const graphics = join(device, 'graphics', `fb${fb}`);
  makeNode(dir, {
    path: `/dev/fb${fb}`,
    number: `${FRAMEBUFFER}:${fb}`,
    kind: 'fb',
    module,
    address,
    sysfs: graphics,
  });
}

export function removeDrm(dir: string, fn: FunctionSpec): void {
  removeNodes(dir, (n) => n.address === fn.address && ['card', 'render', 'fb'].includes(n.kind));
  dropClassLinks(dir, fn);
  remove(dir, join(deviceDir(dir, fn), 'drm'));
  remove(dir, join(deviceDir(dir, fn), 'graphics'));
}

function dropClassLinks(dir: string, fn: FunctionSpec): void {
  for (const entry of namesIn(join(deviceDir(dir, fn), 'drm'))) {
    remove(dir, join(dir, 'sys/class/drm', entry));
    for (const c of fn.connectors ?? []) remove(dir, join(dir, 'sys/class/drm', `${entry}-${c.name}`));
  }
}

/** I2C adapters, each with its node: what powerdevil and ddcutil open for a monitor's controls. */
export function makeI2c(dir: string, fn: FunctionSpec, module: string): void {
  for (let i = 0; i < (fn.i2c ?? 0); i++) {
    const bus = freeMinor(dir, I2C);
    const adapter = join(deviceDir(dir, fn), `i2c-${bus}`);
    writeText(dir, join(adapter, 'name'), `${module} i2c adapter ${i + 1}\n`);
    makeNode(dir, {
      path: `/dev/i2c-${bus}`,
      number: `${I2C}:${bus}`,
      kind: 'i2c',
      module,
      address: fn.address,
      sysfs: join(adapter, 'i2c-dev', `i2c-${bus}`),
    });
  }
}

export function removeI2c(dir: string, fn: FunctionSpec): void {
  removeNodes(dir, (node) => node.address === fn.address && node.kind === 'i2c');
  for (const entry of namesIn(deviceDir(dir, fn)))
    if (/^i2c-\d+$/.test(entry)) remove(dir, join(deviceDir(dir, fn), entry));
}

/** The sound card of an HDMI sound function: its control node and one playback node per PCM. */
export function makeSound(dir: string, fn: FunctionSpec): void {
  const index = nextIndex(dir, 'sound', fn.address, (i) => hasNode(dir, `/dev/snd/controlC${i}`));
  const names = [`controlC${index}`, `hwC${index}D0`];
  for (let i = 0; i < (fn.pcm ?? 1); i++) names.push(`pcmC${index}D${i === 0 ? 3 : 6 + i}p`);
  for (const name of names) {
    makeNode(dir, {
      path: `/dev/snd/${name}`,
      number: `${SOUND}:${freeMinor(dir, SOUND)}`,
      kind: 'sound',
      module: 'snd_hda_intel',
      address: fn.address,
      sysfs: join(deviceDir(dir, fn), 'sound', `card${index}`, name),
    });
  }
}

export function removeSound(dir: string, fn: FunctionSpec): void {
  removeNodes(dir, (node) => node.address === fn.address && node.kind === 'sound');
  remove(dir, join(deviceDir(dir, fn), 'sound'));
}

/** The node of an IOMMU group, which exists while any function of the group is on vfio-pci. */
export function makeVfioGroup(dir: string, group: number): void {
  const path = `/dev/vfio/${group}`;
  if (hasNode(dir, path)) return;
  makeNode(dir, {
    path,
    number: `${VFIO}:${freeMinor(dir, VFIO)}`,
    kind: 'vfio',
    module: 'vfio',
    address: null,
    sysfs: join(dir, 'sys/devices/virtual/vfio', String(group)),
  });
}

export function removeVfioGroup(dir: string, group: number): void {
  removeNodes(dir, (node) => node.path === `/dev/vfio/${group}`);
  remove(dir, join(dir, 'sys/devices/virtual/vfio', String(group)));
}
