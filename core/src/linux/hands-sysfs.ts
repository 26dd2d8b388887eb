import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { isAddress } from '../config.js';
import type { Address } from '../facts.js';
import { ActError } from '../machine.js';
import { say, sentence } from '../words.js';
import { complaintOf } from './child.js';
import { linkName, readText } from './read.js';
import type { Tools } from './tools.js';

/*
 * Writes to sysfs. Each can hang in the kernel, so a child does it: `tee`, with the text on its standard input. Paths
 * are made from checked addresses and driver names alone.
 */

const DRIVER = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/;

/** Sets `power/control` where it stands differently. */
export async function setPower(
  tools: Tools,
  addresses: readonly Address[],
  control: 'on' | 'auto',
): Promise<void> {
  const paths = addresses.map((address) => join(functionPath(tools, address), 'power/control'));
  await writeAll(
    tools,
    paths.filter((path) => readText(path) !== control),
    control,
  );
}

/**
 * Sets `driver_override`; an empty driver clears it, for which the kernel wants a lone newline. It is written without
 * being read first: reading would wait for the device's lock in this process, and writing twice does no harm.
 */
export async function setOverride(
  tools: Tools,
  addresses: readonly Address[],
  driver: string,
): Promise<void> {
  if (driver !== '') checkDriver(driver);
  const paths = addresses.map((address) => join(functionPath(tools, address), 'driver_override'));
  await writeAll(tools, paths, `${driver}\n`);
}

/** Takes a function from a driver; done when that driver does not have it. */
export async function unbind(tools: Tools, address: Address, driver: string): Promise<void> {
  checkDriver(driver);
  const bound = () => linkName(join(functionPath(tools, address), 'driver')) === driver;
  if (!bound()) return;
  const path = join(tools.root, 'sys/bus/pci/drivers', driver, 'unbind');
  try {
    await writeAll(tools, [path], address);
  } catch (fault) {
    // Somebody else, or the end of the device, was quicker.
    if (!(fault instanceof ActError) || fault.fault !== 'gone' || bound()) throw fault;
  }
}

/** Lets the kernel find a driver for each function that has none, one after the other. */
export async function probe(tools: Tools, addresses: readonly Address[]): Promise<void> {
  const path = join(tools.root, 'sys/bus/pci/drivers_probe');
  for (const address of addresses) {
    const directory = functionPath(tools, address);
    if (!existsSync(directory)) throw new ActError('gone', `${address} is not there any more`);
    if (linkName(join(directory, 'driver')) === null) await writeAll(tools, [path], address);
  }
}

function functionPath(tools: Tools, address: Address): string {
  if (!isAddress(address)) throw new ActError('failed', 'that is no PCI address');
  return join(tools.root, 'sys/bus/pci/devices', address);
}

function checkDriver(driver: string): void {
  if (!DRIVER.test(driver)) throw new ActError('failed', 'that is no name of a driver');
}

/** Writes one text to several files with one child. Files that are not there are named after the rest was written. */
async function writeAll(tools: Tools, paths: readonly string[], text: string): Promise<void> {
  // tee would make a missing file, or be refused with a misleading EACCES.
  const present = paths.filter((path) => existsSync(path));
  if (present.length > 0) {
    const result = await tools.run({ program: 'tee', args: present, input: text, limitMs: tools.left() });
    if (result.status !== 0) {
      const said = complaintOf(result).replace(/^tee: /, '');
      const lost = present.filter((path) => !existsSync(path));
      const why = say(sentence('fail.write', { path: lost[0] ?? present.join(', '), why: said }));
      if (lost.length > 0 || /No such device/.test(said)) throw new ActError('gone', why);
      throw new ActError(/Device or resource busy/.test(said) ? 'busy' : 'failed', why);
    }
  }
  const missing = paths.filter((path) => !present.includes(path));
  if (missing.length > 0) throw new ActError('gone', `${missing.join(', ')} is not there any more`);
}
