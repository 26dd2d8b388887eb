import { execFileSync } from 'node:child_process';
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { kickerActions } from '../../build/kickeractions.mjs';
import { RUN_ON_DGPU } from '../../core/src/launch/labels.js';

const ROOT = join(import.meta.dirname, '../..');
const OFFER = join(ROOT, 'kde-plasmoid/kickeractions/gpu-handoff-offer');
const LINK = '/run/gpu-handoff-offer';

describe('the action in Plasma’s launchers', () => {
  test('has its label in every language', async () => {
    const text = await kickerActions(ROOT);
    const names = [...text.matchAll(/^Name(?:\[(\w+)\])?=(.*)$/gm)].map((m) => [m[1] ?? '', m[2]]);
    // The first is the provider's own.
    expect(names.slice(1)).toEqual(Object.entries(RUN_ON_DGPU).sort(([a], [b]) => (a < b ? -1 : 1)));
    expect(text).not.toContain('@');
  });

  test('starts the launcher with the app’s file, while the link is there that the script keeps', async () => {
    const text = await kickerActions(ROOT);
    expect(text).toMatch(/^Exec=\/usr\/bin\/gpu-handoff launch --file %f$/m);
    expect(text.split('\n')).toContain(`TryExec=${LINK}`);
  });
});

/** A display function: address, vendor and class as sysfs has them. */
type Device = readonly [address: string, vendor: string, kind?: string];

describe('whether there is a card for apps', () => {
  let root: string;

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'offer-'));
    mkdirSync(join(root, 'run'));
  });
  afterEach(() => rmSync(root, { recursive: true }));

  function plug(devices: readonly Device[]): void {
    const bus = join(root, 'sys/bus/pci/devices');
    rmSync(bus, { recursive: true, force: true });
    for (const [address, vendor, kind = '0x030000'] of devices) {
      mkdirSync(join(bus, address), { recursive: true });
      writeFileSync(join(bus, address, 'vendor'), `${vendor}\n`);
      writeFileSync(join(bus, address, 'class'), `${kind}\n`);
    }
  }

  /** Where the link leads after the script ran; null where there is none. */
  function offered(): string | null {
    const said = execFileSync('/bin/sh', [OFFER, root], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    expect(said).toBe('');
    return lstatSync(join(root, LINK), { throwIfNoEntry: false }) === undefined
      ? null
      : readlinkSync(join(root, LINK));
  }

  const IGPU: Device = ['0000:00:02.0', '0x8086'];
  const HOST_BRIDGE: Device = ['0000:00:00.0', '0x8086', '0x060000'];

  test.each<[string, readonly Device[]]>([
    ['an NVIDIA card', [IGPU, ['0000:01:00.0', '0x10de'], ['0000:01:00.1', '0x10de', '0x040300']]],
    ['a 3D controller without outputs', [IGPU, ['0000:01:00.0', '0x10de', '0x030200']]],
    [
      'an AMD laptop’s card',
      [
        ['0000:c4:00.0', '0x1002'],
        ['0000:03:00.0', '0x1002', '0x038000'],
      ],
    ],
    ['a card at the end of a cable, in another domain', [IGPU, ['10000:e1:00.0', '0x1002']]],
  ])('%s beside the iGPU is one', (_, devices) => {
    plug([HOST_BRIDGE, ...devices]);
    expect(offered()).toBe('/usr/bin/gpu-handoff');
    expect(offered()).toBe('/usr/bin/gpu-handoff');
  });

  test.each<[string, readonly Device[]]>([
    ['no card', []],
    ['one card', [IGPU]],
    ['two functions of one card', [IGPU, ['0000:00:02.1', '0x8086', '0x038000']]],
    [
      'a server’s own display',
      [
        ['0000:01:00.0', '0x10de'],
        ['0000:04:00.0', '0x1a03'],
      ],
    ],
  ])('%s leaves nothing to offer', (_, devices) => {
    plug([HOST_BRIDGE, ...devices]);
    expect(offered()).toBeNull();
    symlinkSync('/usr/bin/gpu-handoff', join(root, LINK));
    expect(offered()).toBeNull();
  });

  test('follows a card that is plugged in and taken out again', () => {
    plug([IGPU]);
    expect(offered()).toBeNull();
    plug([IGPU, ['0000:3a:00.0', '0x1002']]);
    expect(offered()).not.toBeNull();
    plug([IGPU]);
    expect(offered()).toBeNull();
  });

  test('a machine without PCI has none, and a device that goes meanwhile is passed over', () => {
    expect(offered()).toBeNull();
    plug([IGPU, ['0000:01:00.0', '0x10de'], ['0000:02:00.0', '0x10de']]);
    rmSync(join(root, 'sys/bus/pci/devices/0000:01:00.0/class'));
    expect(offered()).not.toBeNull();
    rmSync(join(root, 'sys/bus/pci/devices/0000:02:00.0/vendor'));
    expect(offered()).toBeNull();
  });

  test('udev runs it from where the package puts it', () => {
    const rule = readFileSync(join(ROOT, 'kde-plasmoid/kickeractions/72-gpu-handoff-offer.rules'), 'utf8');
    const program = /RUN\+="([^"]+)"/.exec(rule)?.[1] ?? '';
    const packaging = readFileSync(join(ROOT, 'packaging/build-deb.mjs'), 'utf8');
    expect(packaging).toContain(`'${program.slice(1)}', 0o755`);
  });
});
