import type { Running } from './sandbox.js';
import type { Bus } from './session.js';

/** A card that switcheroo-control is to find. */
export interface MockGpu {
  /** Address without its domain: `01:00.0`. */
  readonly slot: string;
  /** As udev's hardware database names them. */
  readonly vendor: string;
  readonly model: string;
  readonly driver: string;
  /** Whether the firmware used it: switcheroo-control's `Default`. */
  readonly bootVga: boolean;
}

/**
 * Starts the real switcheroo-control on the bus, with cards that umockdev pretends; resolves when it answers.
 * It sees no change later: to take a card away, kill it and start another. `program` is another one than the tree's
 * 2.6, as the sandbox sees it.
 */
export async function startSwitcheroo(
  bus: Bus,
  gpus: readonly MockGpu[],
  program = '/usr/libexec/switcheroo-control',
): Promise<Running> {
  const file = '/run/switcheroo.umockdev';
  await bus.put(file, gpus.map(describeGpu).join('\n'));
  const running = bus.spawn(['umockdev-run', '--device', file, '--', program]);
  await bus.waitForName('net.hadess.SwitcherooControl');
  return running;
}

function describeGpu(gpu: MockGpu, index: number): string {
  const pci = `/devices/pci0000:00/0000:${gpu.slot}`;
  const node = (name: string, minor: number): string => `P: ${pci}/drm/${name}
N: dri/${name}
E: SUBSYSTEM=drm
E: DEVTYPE=drm_minor
E: DEVNAME=/dev/dri/${name}
E: MAJOR=226
E: MINOR=${minor}
E: ID_PATH=pci-0000:${gpu.slot}
E: ID_PATH_TAG=pci-0000_${gpu.slot.replace(/[:.]/g, '_')}
E: TAGS=:switcheroo-control:seat:
`;
  return `P: ${pci}
E: SUBSYSTEM=pci
E: DRIVER=${gpu.driver}
E: PCI_SLOT_NAME=0000:${gpu.slot}
E: ID_VENDOR_FROM_DATABASE=${gpu.vendor}
E: ID_MODEL_FROM_DATABASE=${gpu.model}
A: boot_vga=${gpu.bootVga ? 1 : 0}
L: driver=../../../bus/pci/drivers/${gpu.driver}

${node(`card${index}`, index)}
${node(`renderD${128 + index}`, 128 + index)}`;
}
