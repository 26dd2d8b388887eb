import type { CommandOptions, CommandResult } from './agent.js';
import { DGPU, DGPU_SOUND } from './hardware.js';
import type { Machine } from './machine.js';
import { until } from './process.js';

/**
 * How a guest takes the power button: `deaf` has no operating system and never does, `obedient` powers
 * itself off (so `virsh shutdown` works). One that is `{ offAfter: seconds }` ends by itself.
 */
export type GuestBehaviour = 'deaf' | 'obedient' | { readonly offAfter: number };

/** What `guestXml` and `Guest.define` take. */
export interface GuestSpec {
  /** Anything that libvirt takes: quotes and spaces too, no slash. */
  readonly name: string;
  /** Default `deaf`. */
  readonly behaviour?: GuestBehaviour;
  /** PCI addresses (0000:01:00.0) that it gets. Default: the first dGPU with its sound function. */
  readonly hostdevs?: readonly string[];
  /** Whether libvirt binds and gives back the devices; default yes. */
  readonly managed?: boolean;
  readonly uuid?: string;
  /** MiB, default 64. */
  readonly memory?: number;
  /** More of the devices element. */
  readonly devicesXml?: string;
}

const TICKS_PER_SECOND = 18.2;
const IMAGES = '/var/lib/libvirt/images';

function escaped(text: string): string {
  return text.replace(/[&<>'"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
}

function hostdevXml(address: string, managed: boolean): string {
  const match = /^([\da-f]{4}):([\da-f]{2}):([\da-f]{2})\.([0-7])$/.exec(address);
  if (match === null) {
    throw new Error(`no PCI address: ${address}`);
  }
  const [, domain, bus, slot, part] = match;
  return (
    `<hostdev mode='subsystem' type='pci' managed='${managed ? 'yes' : 'no'}'><source>` +
    `<address domain='0x${domain}' bus='0x${bus}' slot='0x${slot}' function='0x${part}'/></source></hostdev>`
  );
}

/** The domain's XML; `disk` is the path of its boot disk, which only a deaf guest lacks. */
export function guestXml(spec: GuestSpec, disk?: string): string {
  const hostdevs = (spec.hostdevs ?? [DGPU, DGPU_SOUND]).map((one) => hostdevXml(one, spec.managed ?? true));
  const uuid = spec.uuid === undefined ? '' : `<uuid>${spec.uuid}</uuid>`;
  const diskXml =
    disk === undefined
      ? ''
      : "<disk type='file' device='disk'><driver name='qemu' type='raw'/>" +
        `<source file='${escaped(disk)}'/><target dev='sda' bus='sata'/></disk>`;
  return [
    `<domain type='qemu'><name>${escaped(spec.name)}</name>${uuid}`,
    `<memory unit='MiB'>${spec.memory ?? 64}</memory>`,
    "<vcpu>1</vcpu><os><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/></features>",
    '<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>',
    "<controller type='usb' model='none'/><memballoon model='none'/>",
    diskXml,
    ...hostdevs,
    spec.devicesXml ?? '',
    '</devices></domain>',
  ].join('\n');
}

/** The settings of the guest's boot sector (see guest/boot.S). */
function bootSettings(behaviour: GuestBehaviour): Buffer {
  const settings = Buffer.alloc(6);
  if (behaviour === 'obedient') {
    settings.writeUInt8(1, 0);
  } else if (behaviour !== 'deaf') {
    settings.writeUInt32LE(Math.max(1, Math.round(behaviour.offAfter * TICKS_PER_SECOND)), 2);
  }
  return settings;
}

/** A nested guest in the machine's libvirt. */
export class Guest {
  readonly name: string;
  readonly uuid: string;
  readonly #machine: Machine;

  private constructor(machine: Machine, name: string, uuid: string) {
    this.#machine = machine;
    this.name = name;
    this.uuid = uuid;
  }

  /** Makes its boot disk and defines it; it is off. */
  static async define(machine: Machine, spec: GuestSpec): Promise<Guest> {
    const behaviour = spec.behaviour ?? 'deaf';
    let disk: string | undefined;
    if (behaviour !== 'deaf') {
      // Of the name only what needs no care: the disk's path is not what tests are about.
      disk = `${IMAGES}/${Buffer.from(spec.name).toString('hex').slice(0, 60)}.img`;
      const sector = await machine.get('/usr/share/rig-boot.bin');
      bootSettings(behaviour).copy(sector, 504);
      await machine.put(disk, sector);
      // SeaBIOS boots from no disk that is smaller than a cylinder.
      await machine.check(['truncate', '--size=1M', disk]);
    }
    const file = '/run/rig-guest.xml';
    await machine.put(file, guestXml(spec, disk));
    await machine.check(['virsh', '--quiet', 'define', file]);
    const uuid = (await machine.check(['virsh', 'domuuid', '--domain', spec.name])).trim();
    return new Guest(machine, spec.name, uuid);
  }

  /** `virsh VERB --domain NAME`, as root unless told otherwise. */
  async virsh(
    verb: string,
    args: readonly string[] = [],
    options: CommandOptions = {},
  ): Promise<CommandResult> {
    return await this.#machine.run(['virsh', '--quiet', verb, '--domain', this.name, ...args], options);
  }

  /** Starts it; rejects with libvirt's message where that fails. */
  async start(): Promise<void> {
    await this.#machine.check(['virsh', '--quiet', 'start', '--domain', this.name]);
  }

  /** Resolves when an obedient guest has reached the point from which it takes the power button. */
  async waitUntilObedient(timeoutMs = 120_000): Promise<void> {
    // The power button's bit in PM1_EN, which its boot sector sets.
    const look = ['virsh', 'qemu-monitor-command', '--domain', this.name, '--hmp', 'i /h 0x602'];
    await until(
      `${this.name} listens to its power button`,
      async () => {
        return (await this.#machine.check(look)).includes('= 0x0100');
      },
      timeoutMs,
      300,
    );
  }

  /** As `virsh domstate` says it: `running`, `shut off`. */
  async state(): Promise<string> {
    return (await this.#machine.check(['virsh', 'domstate', '--domain', this.name])).trim();
  }

  async waitForState(state: string, timeoutMs = 60_000): Promise<void> {
    await until(`${this.name} is ${state}`, async () => (await this.state()) === state, timeoutMs, 200);
  }

  /** Presses its power button. */
  async shutdown(): Promise<void> {
    await this.#machine.check(['virsh', '--quiet', 'shutdown', '--domain', this.name]);
  }

  /** Turns it off hard. */
  async destroy(): Promise<void> {
    await this.#machine.check(['virsh', '--quiet', 'destroy', '--domain', this.name]);
  }
}
