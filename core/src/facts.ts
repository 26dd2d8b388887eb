/**
 * What the adapters read from a machine, as plain values that can be written as JSON. Nothing here is decided:
 * a fact says what stands in sysfs, /proc or libvirt, or null where the machine does not say.
 */

/** A PCI address as sysfs writes it, `0000:01:00.0`. */
export type Address = string;

export type NodeKind = 'card' | 'render' | 'sound' | 'i2c' | 'fb' | 'nvidia' | 'vfio' | 'other';

/** A device node that belongs to a PCI function. */
export interface DeviceNode {
  /** `major:minor`; the only thing that identifies an open device, since containers have their own /dev. */
  readonly number: string;
  /** Where the host's udev puts it, for example `/dev/dri/card1`. */
  readonly path: string;
  readonly kind: NodeKind;
}

export interface Connector {
  /** As the kernel names it, without the card: `HDMI-A-1`. */
  readonly name: string;
  /** A monitor is plugged in. Sysfs gives the last known answer and does not probe. */
  readonly connected: boolean;
  /** The connector is lit: something shows a picture through it. */
  readonly enabled: boolean;
}

export interface PowerFacts {
  /** `D0`, `D3hot`, `D3cold`, `unknown`; null where the kernel has no `power_state`. */
  readonly state: string | null;
  /** `active`, `suspended`, `unsupported`, … */
  readonly runtime: string | null;
  /** `on` or `auto`. */
  readonly control: string | null;
}

export interface PciFunction {
  readonly address: Address;
  /** 24 bits: class, subclass, interface; 0x030000 is a VGA controller. */
  readonly classCode: number;
  readonly vendorId: number;
  readonly deviceId: number;
  readonly vendorName: string | null;
  readonly deviceName: string | null;
  readonly driver: string | null;
  readonly driverOverride: string | null;
  /** Modules that could drive it are not listed: the kernel knows, and asking kmod costs a process. */
  readonly bootVga: boolean;
  readonly iommuGroup: number | null;
  readonly power: PowerFacts;
  /** On Thunderbolt or USB4: the kernel calls it removable. */
  readonly external: boolean;
  readonly nodes: readonly DeviceNode[];
  readonly connectors: readonly Connector[];
  /** The seat of its DRM card by udev (`seat0` where none is named); null where it has no DRM card. */
  readonly seat: string | null;
}

export interface ModuleFacts {
  readonly name: string;
  /** Null where it cannot be unloaded (built in). */
  readonly useCount: number | null;
  /** Modules that use this one: `/sys/module/NAME/holders`. */
  readonly holders: readonly string[];
}

export interface HardwareFacts {
  /** `/proc/sys/kernel/random/boot_id`: what is remembered under /run holds for one boot only. */
  readonly bootId: string;
  /** The kernel has made IOMMU groups. */
  readonly iommu: boolean;
  /** All functions of slots that have a display function, and all members of their IOMMU groups. */
  readonly functions: readonly PciFunction[];
  /** The modules that drive those functions, what they need and what needs them; NVIDIA's stack when loaded. */
  readonly modules: readonly ModuleFacts[];
  /** NVIDIA's character devices by `/proc/devices` and `/proc/misc`: `195` (a whole major) or `10:122`. */
  readonly nvidiaNumbers: readonly string[];
  /** Nodes of NVIDIA's driver that belong to no one function, such as /dev/nvidiactl. */
  readonly nvidiaNodes: readonly DeviceNode[];
}

/** How one process uses a device. */
export interface DeviceUse {
  /** `major:minor`; empty for a dma-buf, and for a mapping whose device could not be learnt. */
  readonly number: string;
  readonly via: 'fd' | 'map' | 'dmabuf';
  /** Descriptors in ascending order; none for a mapping, or a dma-buf that is mapped but no longer open. */
  readonly fds: readonly number[];
}

/** A process that was seen to use one of the devices asked for. */
export interface ProcessUse {
  readonly pid: number;
  /** Clock ticks since boot (field 22 of /proc/PID/stat): pid and this together name one process. */
  readonly startTicks: number;
  /** The real uid. */
  readonly uid: number;
  /** Any bytes but NUL: it is the process that chooses it. */
  readonly comm: string;
  /** At most 32 KiB of it; empty where it could not be read. */
  readonly argv: readonly string[];
  /** Its path in the unified hierarchy, `/user.slice/…`; empty where unknown. */
  readonly cgroup: string;
  readonly uses: readonly DeviceUse[];
  /** By DRM's fdinfo; null where the driver does not tell. */
  readonly gpuMemoryBytes: number | null;
}

/** A process that could not be looked into. */
export interface Unseen {
  readonly pid: number;
  readonly uid: number;
  readonly comm: string;
}

export interface PassResult {
  readonly processes: number;
  readonly found: readonly ProcessUse[];
  /** Processes that could not be looked into. */
  readonly unseen: readonly Unseen[];
  /** False when not all could be seen: never to be read as "nobody". */
  readonly complete: boolean;
  /** What could not be seen and why, where `complete` is false; for the log, in English. */
  readonly gaps?: readonly string[];
}

export interface HostDevice {
  readonly address: Address;
  readonly managed: boolean;
}

/** A libvirt domain, as far as the hand-off needs it. */
export interface VirtualMachine {
  readonly uuid: string;
  readonly name: string;
  /** Its PCI host devices. */
  readonly devices: readonly HostDevice[];
  /** Null where only its definition was read. */
  readonly running: boolean | null;
}

export interface ServiceFacts {
  readonly unit: string;
  readonly active: boolean;
}
