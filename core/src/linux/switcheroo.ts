/**
 * Reads switcheroo-control over the system bus: who owns its name, and what it says about the cards. Starts nobody, and
 * waits for nobody for long: switcheroo-control reads udev's records, so asking it wakes no card.
 */
import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { reasonOf } from '../errors.js';
import type { SwitcherooFacts, SwitcherooGpu } from '../switcheroo.js';

export interface BusMessage {
  readonly destination: string;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly signature: string;
  readonly body: readonly unknown[];
}

/** Calls a method; resolves with its results, variants already taken off. */
export type BusCall = (message: BusMessage) => Promise<readonly unknown[]>;

export interface AskOptions {
  /** Where the machine's files begin; `/`. */
  readonly root?: string;
  /** Milliseconds for all questions together; 3 000. */
  readonly limitMs?: number;
}

const NAME = 'net.hadess.SwitcherooControl';
const PATH = '/net/hadess/SwitcherooControl';
const BUS = 'org.freedesktop.DBus';
const EGL_FILES = '__EGL_VENDOR_LIBRARY_FILENAMES';

/** More than any machine has; what comes beyond is no list of cards. */
const MOST_GPUS = 64;

const INTERPRETERS = /^(python|perl|node|ruby|gjs|bash|dash|sh)[0-9.]*$/;

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `Environment` is flat: name, value, name, value. */
function environmentOf(value: unknown): Record<string, string> {
  const words = Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string') : [];
  const environment: Record<string, string> = {};
  for (let i = 0; i + 1 < words.length; i += 2) environment[words[i] ?? ''] = words[i + 1] ?? '';
  return environment;
}

function gpusOf(properties: unknown): SwitcherooGpu[] {
  const list = isRecord(properties) ? properties.GPUs : undefined;
  if (!Array.isArray(list)) throw new Error('its answer has no list of cards');
  return list
    .slice(0, MOST_GPUS)
    .filter(isRecord)
    .map((gpu) => ({
      name: typeof gpu.Name === 'string' ? gpu.Name : '',
      environment: environmentOf(gpu.Environment),
      isDefault: gpu.Default === true,
      discrete: typeof gpu.Discrete === 'boolean' ? gpu.Discrete : null,
    }));
}

/** The program's name by what it was started as; empty where the process cannot be seen. */
function programOf(pid: number, root: string): string {
  try {
    const argv = readFileSync(join(root, 'proc', String(pid), 'cmdline'), 'utf8').split('\0');
    const program = basename(argv[0] ?? '');
    const script = argv[1] ?? '';
    return INTERPRETERS.test(program) && /^[^-]/.test(script) ? basename(script) : program;
  } catch {
    return '';
  }
}

/** Files that an environment names for EGL and that are not there: libglvnd passes them over. */
function missingFilesOf(gpus: readonly SwitcherooGpu[], root: string): string[] {
  const named = gpus.flatMap((gpu) => (gpu.environment[EGL_FILES] ?? '').split(':'));
  return [...new Set(named)].filter((path) => path !== '' && !existsSync(join(root, path)));
}

/** Who it is by the process, and where that cannot be seen, by what only others say. */
function ownerOf(
  program: string,
  gpus: readonly SwitcherooGpu[],
): Pick<SwitcherooFacts, 'owner' | 'ownerName'> {
  const isCardwire = gpus.some((gpu) =>
    Object.keys(gpu.environment).some((name) => name.startsWith('CARDWIRE_')),
  );
  if (program === '' ? isCardwire : !program.includes('switcheroo-control'))
    return { owner: 'other', ownerName: program || 'cardwire' };
  return { owner: 'switcheroo', ownerName: program };
}

async function ask(call: BusCall, root: string): Promise<SwitcherooFacts> {
  const bus = (member: string, ...body: readonly string[]): Promise<readonly unknown[]> =>
    call({
      ...{ destination: BUS, path: '/org/freedesktop/DBus', interface: BUS, member },
      ...{ signature: 's'.repeat(body.length), body },
    });
  const [owned] = await bus('NameHasOwner', NAME);
  if (owned !== true) {
    const [names] = await bus('ListActivatableNames');
    const startable = Array.isArray(names) && names.includes(NAME);
    return { owner: 'absent', ownerName: '', gpus: [], failure: '', startable };
  }
  const [unique] = await bus('GetNameOwner', NAME);
  if (typeof unique !== 'string') throw new Error('the bus did not say who it is');
  const [pid] = await bus('GetConnectionUnixProcessID', unique);
  const program = typeof pid === 'number' ? programOf(pid, root) : '';
  try {
    // To the connection, not to the name: nobody is started should it have left meanwhile.
    const [properties] = await call({
      ...{ destination: unique, path: PATH, interface: `${BUS}.Properties`, member: 'GetAll' },
      ...{ signature: 's', body: [NAME] },
    });
    const gpus = gpusOf(properties);
    return { ...ownerOf(program, gpus), gpus, failure: '', missingFiles: missingFilesOf(gpus, root) };
  } catch (fault) {
    return { ...ownerOf(program, []), gpus: [], failure: reasonOf(fault) };
  }
}

/** What is known about switcheroo-control now. Never rejects: what went wrong is in `failure`. */
export async function askSwitcheroo(call: BusCall, options: AskOptions = {}): Promise<SwitcherooFacts> {
  const { root = '/', limitMs = 3_000 } = options;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const why = new Error(`no answer within ${limitMs / 1000} s`);
    timer = setTimeout(() => reject(why), limitMs);
  });
  try {
    return await Promise.race([ask(call, root), late]);
  } catch (fault) {
    return { owner: 'switcheroo', ownerName: '', gpus: [], failure: reasonOf(fault) };
  } finally {
    clearTimeout(timer);
  }
}
