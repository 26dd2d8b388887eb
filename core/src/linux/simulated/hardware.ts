/** What is soldered and plugged in: written once by a scenario, read whenever a driver is bound. */
import { join } from 'node:path';
import type { Address } from '../../facts.js';
import { readText } from '../read.js';
import { writeText } from './files.js';

export interface ConnectorSpec {
  readonly name: string;
  readonly connected?: boolean;
  readonly enabled?: boolean;
}

export interface FunctionSpec {
  readonly address: Address;
  /** Bridges between it and the root bus, outermost first. */
  readonly behind: readonly Address[];
  readonly classCode: number;
  readonly vendorId: number;
  readonly deviceId: number;
  readonly vendorName: string;
  readonly deviceName: string;
  /** The driver that the kernel gives it; empty for none. */
  readonly driver: string;
  readonly group: number | null;
  readonly bootVga?: boolean;
  readonly external?: boolean;
  /** `auto` where the machine lets it sleep. */
  readonly power?: 'on' | 'auto';
  readonly connectors?: readonly ConnectorSpec[];
  /** How many i2c adapters its driver makes. */
  readonly i2c?: number;
  /** How many PCM devices its sound function has. */
  readonly pcm?: number;
  readonly framebuffer?: boolean;
  /** The seat that a udev rule gives its DRM nodes. */
  readonly seat?: string;
}

export interface HardwareSpec {
  readonly scenario: string;
  readonly iommu: boolean;
  readonly functions: readonly FunctionSpec[];
}

function file(dir: string): string {
  return join(dir, 'model', 'hardware.json');
}

export function readSpec(dir: string): HardwareSpec {
  const text = readText(file(dir));
  if (text === null) throw new Error(`${dir} holds no simulated workstation; create one first`);
  return JSON.parse(text) as HardwareSpec;
}

export function writeSpec(dir: string, spec: HardwareSpec): void {
  writeText(dir, file(dir), `${JSON.stringify(spec, null, 2)}\n`);
}

/** The function at an address, or undefined. */
export function functionAt(spec: HardwareSpec, address: Address): FunctionSpec | undefined {
  return spec.functions.find((fn) => fn.address === address);
}

/** The function at an address that the machine has; throws where there is none. */
export function requireFunction(spec: HardwareSpec, address: Address): FunctionSpec {
  const fn = functionAt(spec, address);
  if (fn === undefined) throw new Error(`there is no PCI function ${address}`);
  return fn;
}

export function isBridge(fn: FunctionSpec): boolean {
  return fn.classCode >> 16 === 0x06;
}

export function isDisplay(fn: FunctionSpec): boolean {
  return fn.classCode >> 16 === 0x03;
}

export function isSound(fn: FunctionSpec): boolean {
  return fn.classCode >> 16 === 0x04;
}
