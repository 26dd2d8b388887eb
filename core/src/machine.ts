import type {
  Address,
  DeviceNode,
  HardwareFacts,
  PassResult,
  ServiceFacts,
  VirtualMachine,
} from './facts.js';

/**
 * What the engine needs from a machine: eyes that look, hands that do one thing at a time, and a place for notes.
 * There are two: the real one (`linux/real/`) and the simulated workstation (`linux/simulated/`).
 */

/** One primitive act. Plain values, so that the journal can hold it; every act may be repeated without harm. */
export type Act =
  | { readonly do: 'set-power'; readonly addresses: readonly Address[]; readonly control: 'on' | 'auto' }
  /** An empty driver clears the override. */
  | { readonly do: 'set-override'; readonly addresses: readonly Address[]; readonly driver: string }
  /** `install MODULE /bin/false` for each, in a file under /run/modprobe.d. */
  | { readonly do: 'block-modules'; readonly modules: readonly string[] }
  | { readonly do: 'unblock-modules' }
  /** Takes every permission from the nodes (mode 0000), so that only root can open them. */
  | { readonly do: 'mask-nodes'; readonly nodes: readonly MaskedNode[] }
  /** Gives masked nodes their mode back: those that still exist, with the same number and mode 0000. */
  | { readonly do: 'unmask-nodes'; readonly nodes: readonly MaskedNode[] }
  | { readonly do: 'stop-services'; readonly units: readonly string[] }
  /** `reset-failed`, then `start`: nvidia-powerd meets systemd's start limit after five quick swaps. */
  | { readonly do: 'start-services'; readonly units: readonly string[] }
  /** delete_module without waiting: fails with `busy` while it is in use; done when it is not loaded. */
  | { readonly do: 'unload-module'; readonly module: string }
  | { readonly do: 'load-modules'; readonly modules: readonly string[] }
  /** Done when the function is not bound to that driver. */
  | { readonly do: 'unbind'; readonly address: Address; readonly driver: string }
  /** `drivers_probe` for functions that have no driver. */
  | { readonly do: 'probe'; readonly addresses: readonly Address[] }
  | { readonly do: 'start-vm'; readonly uuid: string }
  | { readonly do: 'shutdown-vm'; readonly uuid: string }
  | { readonly do: 'destroy-vm'; readonly uuid: string }
  /** Sends the signal through a pidfd after its start time was compared; ends when it was sent. */
  | {
      readonly do: 'signal-process';
      readonly pid: number;
      readonly startTicks: number;
      readonly signal: 'TERM' | 'KILL';
    };

export interface MaskedNode extends DeviceNode {
  /** Permission bits before, for example 0o660; null when not yet read. */
  readonly mode: number | null;
}

/** Why an act failed. `busy`: in use, nothing was changed. `stuck`: it hangs in the kernel. `gone`: no such thing. */
export type ActFault = 'failed' | 'busy' | 'stuck' | 'gone' | 'time';

export class ActError extends Error {
  readonly fault: ActFault;
  constructor(fault: ActFault, message: string) {
    super(message);
    this.name = 'ActError';
    this.fault = fault;
  }
}

export interface PassQuestion {
  /** `major:minor`, or a bare major for all its minors. */
  readonly numbers: readonly string[];
  /** Names in fdinfo's `exp_name`: a DRM driver's name, or `nv_dmabuf`. */
  readonly exporters: readonly string[];
  /** Look into every process anew, also into those that have slept since the last pass. */
  readonly fresh?: boolean;
}

export interface Eyes {
  /** Reads sysfs. Cheap (milliseconds), synchronous, wakes no sleeping card. */
  hardware(): HardwareFacts;
  /** One pass over the processes. */
  processes(question: PassQuestion): Promise<PassResult>;
  /** All domains of qemu:///system with their PCI host devices. Rejects with an ActError when libvirt is absent. */
  virtualMachines(): Promise<readonly VirtualMachine[]>;
  /** Which of these units are active; units that do not exist are left out. */
  services(units: readonly string[]): Promise<readonly ServiceFacts[]>;
  /** Permission bits of a node, when it exists and has that number; else null. */
  nodeMode(node: DeviceNode): number | null;
  /** The start time of a process in ticks, or null when it is gone. A zombie counts as gone. */
  startTicks(pid: number): number | null;
  /** Name of a user, or null. */
  userName(uid: number): string | null;
  /** When a process with these start ticks was started, in milliseconds since 1970. */
  startedAt(startTicks: number): number;
}

export interface Hands {
  /** Rejects with an ActError. `limitMs` is the time after which it is given up. */
  perform(act: Act, limitMs: number): Promise<void>;
}

/** Small files that last until the next boot: the journal, and what is held. Names are of our own making. */
export interface Notes {
  /** All notes by name; half-written or unreadable ones are left out and removed. */
  readAll(): ReadonlyMap<string, unknown>;
  /** Replaces one whole. Synchronous, since the next act must not begin before it stands. */
  write(name: string, value: unknown): void;
  remove(name: string): void;
}

export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  sleep(ms: number): Promise<void>;
}

/** One line of what was done and why, with fields to filter by. */
export interface Log {
  line(level: 'info' | 'warning' | 'error', text: string, fields?: Readonly<Record<string, string>>): void;
}

export interface Machine {
  readonly simulated: boolean;
  readonly eyes: Eyes;
  readonly hands: Hands;
  readonly notes: Notes;
  readonly clock: Clock;
  readonly log: Log;
  /** Calls back when something may have changed (device nodes, guests). Returns the way to stop. */
  onChange(heard: () => void): () => void;
}
