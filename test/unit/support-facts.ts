/** Machines as plain facts, for tests of what is decided from them. */

import { DEFAULT_CONFIG } from '../../core/src/config.js';
import { type Card, detect } from '../../core/src/detect.js';
import type {
  Address,
  Connector,
  DeviceNode,
  HardwareFacts,
  ModuleFacts,
  PassResult,
  PciFunction,
  ProcessUse,
  VirtualMachine,
} from '../../core/src/facts.js';

export const BOOT = 'b007b007-0000-4000-8000-000000000000';
export const UUID_A = '11111111-1111-4111-8111-111111111111';
export const UUID_B = '22222222-2222-4222-8222-222222222222';

/** A function at rest: a VGA controller of Intel's without a driver, alone in its group. */
export function pci(address: Address, more: Partial<PciFunction> = {}): PciFunction {
  return {
    address,
    classCode: 0x030000,
    vendorId: 0x8086,
    deviceId: 0x1234,
    vendorName: 'Intel Corporation',
    deviceName: null,
    driver: null,
    driverOverride: null,
    bootVga: false,
    iommuGroup: Number.parseInt(address.slice(5, 7), 16) * 8 + Number(address.slice(-1)),
    power: { state: 'D0', runtime: 'active', control: 'on' },
    external: false,
    nodes: [],
    connectors: [],
    seat: null,
    ...more,
  };
}

let lastMinor = 0;

/** Nodes as a DRM driver makes them, with numbers that no other call gives. */
export function drmNodes(): DeviceNode[] {
  lastMinor += 1;
  return [
    { number: `226:${lastMinor}`, path: `/dev/dri/card${lastMinor}`, kind: 'card' },
    { number: `226:${128 + lastMinor}`, path: `/dev/dri/renderD${128 + lastMinor}`, kind: 'render' },
  ];
}

export const lit = (...names: string[]): Connector[] =>
  names.map((name) => ({ name, connected: true, enabled: true }));

export function intelIgpu(more: Partial<PciFunction> = {}): PciFunction {
  return pci('0000:00:02.0', {
    deviceName: 'Raptor Lake-P [Iris Xe Graphics]',
    driver: 'i915',
    iommuGroup: 0,
    nodes: drmNodes(),
    ...more,
  });
}

export function nvidia(address: Address, more: Partial<PciFunction> = {}): PciFunction {
  return pci(address, {
    vendorId: 0x10de,
    vendorName: 'NVIDIA Corporation',
    deviceName: 'AD104 [GeForce RTX 4070]',
    driver: 'nvidia',
    iommuGroup: 15,
    nodes: [...drmNodes(), { number: '195:0', path: '/dev/nvidia0', kind: 'nvidia' }],
    ...more,
  });
}

export function amd(address: Address, more: Partial<PciFunction> = {}): PciFunction {
  return pci(address, {
    vendorId: 0x1002,
    vendorName: 'Advanced Micro Devices, Inc. [AMD/ATI]',
    deviceName: 'Navi 32 [Radeon RX 7800 XT]',
    driver: 'amdgpu',
    nodes: drmNodes(),
    ...more,
  });
}

export function sound(address: Address, more: Partial<PciFunction> = {}): PciFunction {
  return pci(address, {
    classCode: 0x040300,
    vendorId: 0x10de,
    deviceName: 'High Definition Audio Controller',
    driver: 'snd_hda_intel',
    iommuGroup: 15,
    nodes: [{ number: `116:${address.slice(5, 7)}`, path: '/dev/snd/controlC1', kind: 'sound' }],
    ...more,
  });
}

export function module(name: string, useCount: number | null, ...holders: string[]): ModuleFacts {
  return { name, useCount, holders };
}

/** NVIDIA's stack with nobody at it: each is used by the modules that need it alone. */
export function idleStack(): ModuleFacts[] {
  return [
    module('nvidia', 2, 'nvidia_modeset', 'nvidia_uvm'),
    module('nvidia_modeset', 1, 'nvidia_drm'),
    module('nvidia_drm', 0),
    module('nvidia_uvm', 0),
  ];
}

export function machine(functions: readonly PciFunction[], more: Partial<HardwareFacts> = {}): HardwareFacts {
  const loaded = functions.some((fn) => fn.driver === 'nvidia');
  return {
    bootId: BOOT,
    iommu: true,
    functions,
    modules: [
      ...(loaded ? idleStack() : []),
      module('snd_hda_intel', 0),
      module('amdgpu', 0),
      module('i915', 1, 'snd_hda_intel'),
    ],
    nvidiaNumbers: loaded ? ['195', '511'] : [],
    nvidiaNodes: loaded ? [{ number: '195:255', path: '/dev/nvidiactl', kind: 'nvidia' }] : [],
    ...more,
  };
}

/** The usual laptop: Intel drives the panel, NVIDIA with its sound is for others. */
export function laptop(more: Partial<HardwareFacts> = {}): HardwareFacts {
  return machine(
    [intelIgpu({ bootVga: true, connectors: lit('eDP-1') }), nvidia('0000:01:00.0'), sound('0000:01:00.1')],
    more,
  );
}

export function cardAt(cards: readonly Card[], id: Address): Card {
  const card = cards.find((one) => one.id === id);
  if (card === undefined) throw new Error(`no card ${id}`);
  return card;
}

/** The card at an address, by detection with the usual configuration. */
export function card(facts: HardwareFacts, id: Address): Card {
  return cardAt(detect(facts, DEFAULT_CONFIG), id);
}

export function vm(devices: readonly Address[], more: Partial<VirtualMachine> = {}): VirtualMachine {
  return {
    uuid: UUID_A,
    name: 'win11',
    devices: devices.map((address) => ({ address, managed: true })),
    running: false,
    ...more,
  };
}

export function processUse(more: Partial<ProcessUse> = {}): ProcessUse {
  return {
    pid: 4242,
    startTicks: 1000,
    uid: 1000,
    comm: 'blender',
    argv: ['blender'],
    cgroup: '',
    uses: [{ number: '195:0', via: 'fd', fds: [7] }],
    gpuMemoryBytes: null,
    ...more,
  };
}

export function passOf(found: readonly ProcessUse[], more: Partial<PassResult> = {}): PassResult {
  return { processes: 100, found, unseen: [], complete: true, ...more };
}

export const people = {
  userName: (uid: number): string | null => ({ 0: 'root', 1000: 'ada', 1001: 'grace' })[uid] ?? null,
  startedAt: (ticks: number): number => 1_700_000_000_000 + ticks * 10,
};
