import type { Address } from './facts.js';
import { printable } from './words.js';

/** What `/etc/gpu-handoff/config.toml` can say. Every key has a default; see docs/configuration.md. */
export interface Config {
  /** The card that serves the monitors; null: found by looking. */
  readonly igpu: Address | null;
  /** Cards for apps and VMs; empty: all others. */
  readonly dgpus: readonly Address[];
  /** Cards to leave alone altogether. */
  readonly ignore: readonly Address[];
  /** Units that are stopped for a hand-off of an NVIDIA card and started again afterwards. */
  readonly services: readonly string[];
  /** How long a guest may take to shut down, in seconds. */
  readonly guestShutdownSeconds: number;
  /** How long a process may take to end after it was asked to, in seconds. */
  readonly endHolderSeconds: number;
  /** Time limit of one step that touches the kernel, in seconds. */
  readonly stepSeconds: number;
  /** After how many seconds without a client the helper leaves. */
  readonly idleSeconds: number;
}

export const DEFAULT_CONFIG: Config = {
  igpu: null,
  dgpus: [],
  ignore: [],
  services: ['nvidia-powerd.service', 'nvidia-persistenced.service'],
  guestShutdownSeconds: 120,
  endHolderSeconds: 10,
  stepSeconds: 30,
  idleSeconds: 60,
};

/** One `key = value` of the file, with the line it stands on (from 1). Keys are dotted: `cards.igpu`. */
export interface ConfigEntry {
  readonly key: string;
  readonly value: unknown;
  readonly line: number;
}

export interface ConfigFault {
  readonly line: number;
  readonly why: string;
}

const ADDRESS = /^[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/;
/** A leading hyphen would be an option of systemctl. */
const UNIT = /^[A-Za-z0-9:_.\\@][A-Za-z0-9:_.\\@-]*\.(service|socket|target)$/;

/** True for a whole PCI address in sysfs's form. */
export function isAddress(value: unknown): value is Address {
  return typeof value === 'string' && ADDRESS.test(value);
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Returns why a value does not fit, or null after it was taken. */
type Taker = (config: Mutable<Config>, value: unknown) => string | null;

function addressInto(field: 'igpu'): Taker {
  return (config, value) => {
    if (!isAddress(value)) return 'it must be a PCI address such as "0000:01:00.0"';
    config[field] = value;
    return null;
  };
}

function addressesInto(field: 'dgpus' | 'ignore'): Taker {
  return (config, value) => {
    if (!Array.isArray(value) || !value.every(isAddress))
      return 'it must be a list of PCI addresses such as ["0000:01:00.0"]';
    config[field] = value;
    return null;
  };
}

type SecondsField = 'guestShutdownSeconds' | 'endHolderSeconds' | 'stepSeconds' | 'idleSeconds';

function secondsInto(field: SecondsField, least: number, most: number): Taker {
  return (config, value) => {
    if (typeof value !== 'number' || value % 1 !== 0 || value < least || value > most)
      return `it must be a whole number of seconds from ${least} to ${most}`;
    config[field] = value;
    return null;
  };
}

const unitsTaker: Taker = (config, value) => {
  if (!Array.isArray(value) || !value.every((unit) => typeof unit === 'string' && UNIT.test(unit)))
    return 'it must be a list of unit names such as ["nvidia-persistenced.service"]';
  config.services = value as string[];
  return null;
};

const TAKERS = new Map<string, Taker>([
  ['cards.igpu', addressInto('igpu')],
  ['cards.dgpu', addressesInto('dgpus')],
  ['cards.ignore', addressesInto('ignore')],
  ['hand-off.services', unitsTaker],
  ['hand-off.step-seconds', secondsInto('stepSeconds', 1, 600)],
  ['take-back.guest-shutdown-seconds', secondsInto('guestShutdownSeconds', 1, 3600)],
  ['holders.end-seconds', secondsInto('endHolderSeconds', 1, 600)],
  ['helper.idle-seconds', secondsInto('idleSeconds', 1, 86400)],
]);

/** Every key that may stand in the file. */
export const CONFIG_KEYS: readonly string[] = Array.from(TAKERS.keys());

const CARD_KEYS = ['cards.igpu', 'cards.dgpu', 'cards.ignore'];

/** A card that stands under two headings: it can only be one of them. */
function contradictions(entries: readonly ConfigEntry[]): ConfigFault[] {
  const faults: ConfigFault[] = [];
  const seen = new Map<Address, string>();
  for (const entry of entries) {
    if (CARD_KEYS.indexOf(entry.key) < 0) continue;
    for (const address of ([] as unknown[]).concat(entry.value).filter(isAddress)) {
      const before = seen.get(address);
      if (before !== undefined && before !== entry.key)
        faults.push({ line: entry.line, why: `${entry.key}: ${address} stands under ${before} already` });
      seen.set(address, before ?? entry.key);
    }
  }
  return faults;
}

/** Reads entries over the defaults. A faulty entry leaves its default in place and is named with its line. */
export function readConfig(entries: readonly ConfigEntry[]): { config: Config; faults: ConfigFault[] } {
  const config: Mutable<Config> = Object.assign({}, DEFAULT_CONFIG);
  const faults: ConfigFault[] = [];
  for (const entry of entries) {
    const take = TAKERS.get(entry.key);
    if (take === undefined) {
      faults.push({
        line: entry.line,
        why: `the key ${printable(entry.key)} is not known; known are ${CONFIG_KEYS.join(', ')}`,
      });
      continue;
    }
    const why = take(config, entry.value);
    if (why !== null) faults.push({ line: entry.line, why: `${entry.key}: ${why}` });
  }
  faults.push(...contradictions(entries));
  return { config, faults };
}
