/** Parts that scenarios are made of, with the ids and names that such parts really have. */
import type { Address } from '../../facts.js';
import type { ConnectorSpec, FunctionSpec } from './hardware.js';

/** Where a part sits and what differs from one machine to another. */
export interface Place {
  readonly group: number | null;
  readonly behind?: readonly Address[];
  readonly bootVga?: boolean;
  readonly external?: boolean;
  readonly power?: 'on' | 'auto';
  /** Connectors by name: a monitor is plugged in, or lit as well. */
  readonly monitors?: Readonly<Record<string, 'connected' | 'lit'>>;
  readonly seat?: string;
  readonly framebuffer?: boolean;
}

interface Part {
  readonly classCode: number;
  readonly vendorId: number;
  readonly deviceId: number;
  readonly vendorName: string;
  readonly deviceName: string;
  readonly driver: string;
  readonly connectors?: readonly string[];
  readonly i2c?: number;
  readonly pcm?: number;
}

const VGA = 0x030000;
const DISPLAY_3D = 0x030200;
const HDA = 0x040300;
const INTEL = { vendorId: 0x8086, vendorName: 'Intel Corporation' };
const NVIDIA = { vendorId: 0x10de, vendorName: 'NVIDIA Corporation' };
const AMD = { vendorId: 0x1002, vendorName: 'Advanced Micro Devices, Inc. [AMD/ATI]' };

const LAPTOP_OUTPUTS = ['eDP-1', 'DP-1', 'HDMI-A-1'];
const CARD_OUTPUTS = ['DP-1', 'DP-2', 'DP-3', 'HDMI-A-1'];

function nvidia(deviceId: number, deviceName: string, outputs: readonly string[] = CARD_OUTPUTS): Part {
  const classCode = outputs.length > 0 ? VGA : DISPLAY_3D;
  return { ...NVIDIA, classCode, deviceId, deviceName, driver: 'nvidia', connectors: outputs, i2c: 2 };
}

function amd(deviceId: number, deviceName: string, outputs: readonly string[] = CARD_OUTPUTS): Part {
  return { ...AMD, classCode: VGA, deviceId, deviceName, driver: 'amdgpu', connectors: outputs, i2c: 2 };
}

function hda(maker: typeof INTEL, deviceId: number, deviceName: string): Part {
  return { ...maker, classCode: HDA, deviceId, deviceName, driver: 'snd_hda_intel', pcm: 3 };
}

export const PARTS = {
  irisXe: {
    ...INTEL,
    classCode: VGA,
    deviceId: 0xa7a0,
    deviceName: 'Raptor Lake-P [Iris Xe Graphics]',
    driver: 'i915',
    connectors: LAPTOP_OUTPUTS,
    i2c: 2,
  },
  uhd770: {
    ...INTEL,
    classCode: VGA,
    deviceId: 0x4680,
    deviceName: 'AlderLake-S GT1 [UHD Graphics 770]',
    driver: 'i915',
    connectors: ['DP-1', 'HDMI-A-1', 'HDMI-A-2'],
    i2c: 2,
  },
  raphael: amd(0x164e, 'Raphael [Radeon Graphics]', ['DP-1', 'HDMI-A-1']),
  rtx4070Laptop: nvidia(0x2820, 'AD106M [GeForce RTX 4070 Max-Q / Mobile]', ['DP-1', 'HDMI-A-1']),
  rtx4080: nvidia(0x2704, 'AD103 [GeForce RTX 4080]'),
  rtx3060: nvidia(0x2504, 'GA106 [GeForce RTX 3060 Lite Hash Rate]'),
  gtx1650: nvidia(0x1f82, 'TU117 [GeForce GTX 1650]', ['DP-1', 'HDMI-A-1']),
  rtx2080ti: nvidia(0x1e07, 'TU102 [GeForce RTX 2080 Ti Rev. A]'),
  rx7800xt: amd(0x747e, 'Navi 32 [Radeon RX 7700 XT / 7800 XT]'),
  rx6600: amd(0x73ff, 'Navi 23 [Radeon RX 6600/6600 XT/6600M]'),
  ad106Sound: hda(NVIDIA, 0x22bd, 'AD106M High Definition Audio Controller'),
  ad103Sound: hda(NVIDIA, 0x22bb, 'AD103 High Definition Audio Controller'),
  ga106Sound: hda(NVIDIA, 0x228e, 'GA106 High Definition Audio Controller'),
  tu117Sound: hda(NVIDIA, 0x10fa, 'TU117 High Definition Audio Controller'),
  tu102Sound: hda(NVIDIA, 0x10f7, 'TU102 High Definition Audio Controller'),
  navi31Sound: hda(AMD, 0xab30, 'Navi 31 HDMI/DP Audio'),
  navi21Sound: hda(AMD, 0xab28, 'Navi 21/23 HDMI/DP Audio Controller'),
  rembrandtSound: hda(AMD, 0x1640, 'Rembrandt Radeon High Definition Audio Controller'),
  tu102Usb: {
    ...NVIDIA,
    classCode: 0x0c0330,
    deviceId: 0x1ad6,
    deviceName: 'TU102 USB 3.1 Host Controller',
    driver: 'xhci_hcd',
  },
  tu102Ucsi: {
    ...NVIDIA,
    classCode: 0x0c8000,
    deviceId: 0x1ad7,
    deviceName: 'TU102 USB Type-C UCSI Controller',
    driver: 'nvidia-gpu',
  },
  rootPort: {
    ...INTEL,
    classCode: 0x060400,
    deviceId: 0x460d,
    deviceName: '12th Gen Core Processor PCI Express x16 Controller #1',
    driver: 'pcieport',
  },
  amdRootPort: {
    vendorId: 0x1022,
    vendorName: 'Advanced Micro Devices, Inc. [AMD]',
    classCode: 0x060400,
    deviceId: 0x14db,
    deviceName: 'Raphael/Granite Ridge GPP Bridge',
    driver: 'pcieport',
  },
  thunderboltBridge: {
    ...INTEL,
    classCode: 0x060400,
    deviceId: 0x15ef,
    deviceName: 'JHL7540 Thunderbolt 3 Bridge [Titan Ridge DD 2018]',
    driver: 'pcieport',
  },
  nvme: {
    vendorId: 0x144d,
    vendorName: 'Samsung Electronics Co Ltd',
    classCode: 0x010802,
    deviceId: 0xa80c,
    deviceName: 'NVMe SSD Controller S4LV008[Pascal]',
    driver: 'nvme',
  },
  ethernet: {
    vendorId: 0x10ec,
    vendorName: 'Realtek Semiconductor Co., Ltd.',
    classCode: 0x020000,
    deviceId: 0x8125,
    deviceName: 'RTL8125 2.5GbE Controller',
    driver: 'r8169',
  },
} satisfies Record<string, Part>;

/** A part at an address. */
export function put(part: Part, address: Address, place: Place): FunctionSpec {
  const { connectors: names, ...facts } = part;
  const { monitors, behind, ...rest } = place;
  const connectors = names?.map((name): ConnectorSpec => {
    const monitor = monitors?.[name];
    return { name, connected: monitor !== undefined, enabled: monitor === 'lit' };
  });
  return { ...facts, ...rest, address, behind: behind ?? [], ...(connectors && { connectors }) };
}
