/** Whose card a dGPU plays; `bochs` is what QEMU calls it, driven by the kernel's own bochs driver. */
export type CardKind = 'nvidia' | 'amd' | 'bochs';

/** One dGPU: function 0 is the display, function 1 (where it has sound) an HD-audio controller. */
export interface Card {
  readonly kind: CardKind;
  readonly sound?: boolean;
}

/** What of a machine is there from its first moment. */
export interface HardwareOptions {
  /** The nth (from 1) is at 0000:0n:00.0 behind its own root port. Default: one of NVIDIA, with sound. */
  readonly cards?: readonly Card[];
  /** MiB; default 2560. */
  readonly memory?: number;
  readonly kernelArgs?: readonly string[];
  /**
   * A thread of the host for each of the two processors: for measurements, where work may be done side by side. Not for
   * tests: QEMU (7.2 and 10.0 were seen to) then loses itself now and then, when one processor writes to a device while
   * the other changes the map of the memory (iotlb_to_section finds no region).
   */
  readonly parallel?: boolean;
}

/** QEMU's arguments for it, and the kernel's. */
export interface Hardware {
  readonly qemu: readonly string[];
  readonly append: string;
}

/** Address of the iGPU: virtio-vga, the boot display. */
export const IGPU = '0000:00:01.0';
/** Address of the first dGPU. */
export const DGPU = '0000:01:00.0';
/** Address of the first dGPU's sound function. */
export const DGPU_SOUND = '0000:01:00.1';

/** Vendor and device of the display and of the sound function. */
const IDENTITIES: Readonly<Record<CardKind, readonly [string, string] | undefined>> = {
  nvidia: ['10de:2684', '10de:22ba'],
  amd: ['1002:744c', '1002:ab30'],
  bochs: undefined,
};

/** With newer ones some programs use AVX, which the emulation is slow or wrong at. */
const CPU = 'Nehalem';

/** The port that is empty at first; behind those of the cards, so that it takes no bus number from them. */
export const SPARE_PORT = 'spare';

/** Turns options into arguments; equal options give equal arguments. */
export function describeHardware(options: HardwareOptions): Hardware {
  const cards = options.cards ?? [{ kind: 'nvidia', sound: true }];
  const qemu = [
    '-machine',
    'q35,kernel-irqchip=split',
    '-accel',
    `tcg,thread=${options.parallel === true ? 'multi' : 'single'},tb-size=512`,
    '-cpu',
    CPU,
    '-smp',
    '2',
  ];
  qemu.push('-m', String(options.memory ?? 2560), '-nodefaults', '-display', 'none');
  qemu.push('-device', 'intel-iommu,intremap=on,caching-mode=on', '-device', 'virtio-vga,addr=1');
  const identities: string[] = [];
  cards.forEach((card, index) => {
    const slot = index + 1;
    qemu.push('-device', `pcie-root-port,id=rp${slot},chassis=${slot},slot=${slot},addr=${index + 16}`);
    qemu.push('-device', `bochs-display,bus=rp${slot},addr=0.0,multifunction=on`);
    if (card.sound === true) {
      qemu.push(
        '-device',
        `intel-hda,id=hda${slot},bus=rp${slot},addr=0.1`,
        '-audiodev',
        `none,id=none${slot}`,
      );
      qemu.push('-device', `hda-output,bus=hda${slot}.0,audiodev=none${slot}`);
    }
    const address = `0000:${slot.toString(16).padStart(2, '0')}:00`;
    const functions = card.sound === true ? [0, 1] : [0];
    for (const part of functions) {
      const identity = IDENTITIES[card.kind]?.[part];
      if (identity !== undefined) {
        identities.push(`${address}.${part}=${identity}`);
      }
    }
  });
  qemu.push('-device', `pcie-root-port,id=${SPARE_PORT},chassis=255,slot=255,addr=1e`);
  const append = [
    'root=/dev/vda rw console=ttyS0 loglevel=4 systemd.show_status=0 mitigations=off intel_iommu=on',
    // Under software emulation the watchdogs take a slow machine for a broken one.
    'nowatchdog rcupdate.rcu_cpu_stall_suppress=1 tsc=reliable',
    // A reset does not empty QEMU's count of answers that the guest has not fetched from its sound card. A power cut
    // between the two would leave the card dumb; commands given one at a time are not counted.
    'snd_hda_intel.single_cmd=1',
  ];
  if (identities.length > 0) {
    append.push(`rig.identity=${identities.join(',')}`);
  }
  if (!cards.some((card) => card.kind === 'nvidia')) {
    append.push('rig.no-nvidia');
  }
  return { qemu, append: [...append, ...(options.kernelArgs ?? [])].join(' ') };
}
