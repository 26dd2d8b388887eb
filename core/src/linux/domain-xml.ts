import { XMLParser } from 'fast-xml-parser';
import { invalidArgument } from '../errors.js';
import type { Address, HostDevice, VirtualMachine } from '../facts.js';

/** Libvirt's own limit for a domain's XML over its protocol. */
const LONGEST = 4 * 1024 * 1024;
const UUID = /^[0-9a-f]{32}$/;

// Entities stay as they are written: the parser's own decoding has limits that a long command line meets.
const parser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: '@',
  parseTagValue: false,
  parseAttributeValue: false,
  trimValues: false,
  processEntities: false,
  isArray: (_name, _path, _leaf, isAttribute) => !isAttribute,
});

/**
 * Reads a domain as libvirt writes it (`virsh dumpxml`, the hook's standard input): UUID, name, and the PCI devices
 * that it takes from the host. `running` is null, since a definition does not tell.
 *
 * Throws a HandoffError `InvalidArgument` for anything that is not such a domain.
 */
export function parseDomain(xml: string): VirtualMachine {
  if (Buffer.byteLength(xml) > LONGEST) throw invalid('it is longer than 4 MiB');
  // Libvirt writes no document type; only that can define entities.
  if (/<!DOCTYPE/i.test(xml)) throw invalid('it has a document type');
  let parsed: unknown;
  try {
    parsed = parser.parse(xml, true);
  } catch (fault) {
    throw invalid(
      `it is not well-formed XML (${fault instanceof Error ? oneLine(fault.message) : 'unreadable'})`,
    );
  }
  const domains = childrenOf(parsed, 'domain');
  const domain = domains[0];
  if (domain === undefined || domains.length > 1) throw invalid('it is not one <domain>');
  const uuid = uuidOf(textOf(childrenOf(domain, 'uuid')[0]));
  const name = textOf(childrenOf(domain, 'name')[0]);
  if (uuid === null) throw invalid('the domain has no valid UUID');
  if (name === '') throw invalid('the domain has no name');
  return { uuid, name, devices: devicesOf(domain), running: null };
}

function invalid(why: string): Error {
  return invalidArgument('domain', why);
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').slice(0, 200);
}

/** `<hostdev type='pci'>`, and `<interface type='hostdev'>`, which is one with a network's settings. */
function devicesOf(domain: unknown): HostDevice[] {
  const devices = new Map<Address, HostDevice>();
  for (const list of childrenOf(domain, 'devices')) {
    const all = [
      ...childrenOf(list, 'hostdev').filter((device) => attribute(device, 'type') === 'pci'),
      ...childrenOf(list, 'interface').filter((device) => attribute(device, 'type') === 'hostdev'),
    ];
    for (const device of all) {
      const source = childrenOf(device, 'source')[0];
      const where = childrenOf(source, 'address')[0];
      if (where === undefined) throw invalid('a PCI host device has no source address');
      // An interface may also name a USB device.
      if ((attribute(where, 'type') ?? 'pci') !== 'pci') continue;
      const address = addressOf(where);
      devices.set(address, { address, managed: attribute(device, 'managed') === 'yes' });
    }
  }
  return [...devices.values()];
}

function addressOf(where: unknown): Address {
  const hex = (name: string, digits: number, most: number): string => {
    const value = numberOf(attribute(where, name) ?? '0');
    if (value === null || value > most) throw invalid(`a PCI host device has no valid ${name}`);
    return value.toString(16).padStart(digits, '0');
  };
  const domain = hex('domain', 4, 0xffff);
  return `${domain}:${hex('bus', 2, 0xff)}:${hex('slot', 2, 0x1f)}.${hex('function', 1, 7)}`;
}

/** As libvirt reads them (strtoul with base 0): hexadecimal after 0x, octal after 0, decimal otherwise. */
function numberOf(text: string): number | null {
  if (/^0x[0-9a-f]{1,8}$/i.test(text)) return Number.parseInt(text, 16);
  if (/^0[0-7]{0,8}$/.test(text)) return Number.parseInt(text, 8);
  return /^[1-9]\d{0,8}$/.test(text) ? Number(text) : null;
}

/** Libvirt takes UUIDs with and without hyphens, in either case. */
function uuidOf(text: string): string | null {
  const digits = text.trim().replace(/-/g, '').toLowerCase();
  if (!UUID.test(digits)) return null;
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

function field(element: unknown, name: string): unknown {
  if (typeof element !== 'object' || element === null || !Object.hasOwn(element, name)) return undefined;
  return (element as Record<string, unknown>)[name];
}

function childrenOf(element: unknown, name: string): readonly unknown[] {
  const children = field(element, name);
  return Array.isArray(children) ? children : [];
}

function attribute(element: unknown, name: string): string | undefined {
  const value = field(element, `@${name}`);
  return typeof value === 'string' ? decode(value) : undefined;
}

/** The text of an element: the parser gives a string, or an object where it has attributes too. */
function textOf(element: unknown): string {
  const text = typeof element === 'string' ? element : field(element, '#text');
  if (typeof text === 'string') return decode(text);
  return Array.isArray(text) ? text.map((part) => decode(String(part))).join('') : '';
}

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

/** XML's five entities and character references; others stay as they are. */
function decode(text: string): string {
  return text.replace(/&(?:#x([0-9a-f]{1,6})|#(\d{1,7})|([a-z]+));/gi, (whole, hex, decimal, name) => {
    if (name !== undefined) return Object.hasOwn(ENTITIES, name) ? (ENTITIES[name] ?? whole) : whole;
    const code = hex !== undefined ? Number.parseInt(hex, 16) : Number(decimal);
    return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}
