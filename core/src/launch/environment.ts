/** What an app's environment must say so that it runs on a card, and which card that is. */
import type { Card } from '../detect.js';
import { RECIPES } from './drivers.js';

/** Variables to set and variables to take out; everything else stays as the session has it. */
export interface LaunchEnvironment {
  readonly set: Readonly<Record<string, string>>;
  readonly unset: readonly string[];
}

/** What else of the machine counts. */
export interface Surroundings {
  /** Another card has the same ids, so that these do not name the card: see `hasTwin`. */
  readonly twin: boolean;
  /** Those files of drivers.ts' LOOKED_FOR that exist. */
  readonly files: readonly string[];
}

const NOTHING_KNOWN: Surroundings = { twin: false, files: [] };

/**
 * Names of the variables by which a session is kept off a dGPU: which drivers Vulkan's loader reads, and which
 * vendors libglvnd takes.
 */
export const SESSION_RESTRICTIONS: readonly string[] = [
  'VK_LOADER_DRIVERS_DISABLE',
  'VK_LOADER_DRIVERS_SELECT',
  'VK_DRIVER_FILES',
  'VK_ICD_FILENAMES',
  '__EGL_VENDOR_LIBRARY_FILENAMES',
  '__EGL_VENDOR_LIBRARY_DIRS',
  '__GLX_VENDOR_LIBRARY_NAME',
  '__VK_LAYER_NV_optimus',
];

function hex4(value: number): string {
  return value.toString(16).padStart(4, '0');
}

/** As udev's ID_PATH_TAG and Mesa's DRI_PRIME write an address: `pci-0000_01_00_0`. */
function tagOf(card: Card): string {
  return `pci-${card.id.replace(/[:.]/g, '_')}`;
}

/** True where the same driver has another card of the same ids. */
export function hasTwin(card: Card, cards: readonly Card[]): boolean {
  return cards.some(
    ({ id, main }) =>
      id !== card.id &&
      main.driver === card.main.driver &&
      main.vendorId === card.main.vendorId &&
      main.deviceId === card.main.deviceId,
  );
}

/** What an app needs to run on `card`, whose driver has it now; null where no app can run on it. */
export function launchEnvironment(
  card: Card,
  around: Surroundings = NOTHING_KNOWN,
): LaunchEnvironment | null {
  const driver = card.main.driver ?? '';
  const recipe = Object.keys(RECIPES).indexOf(driver) < 0 ? undefined : RECIPES[driver];
  if (recipe === undefined) return null;
  const set: Record<string, string> = {};
  const take = (values: Readonly<Record<string, string>>): void => {
    for (const name of Object.keys(values))
      set[name] = (values[name] ?? '')
        .replace('{tag}', tagOf(card))
        .replace('{vendor}', hex4(card.main.vendorId))
        .replace('{device}', hex4(card.main.deviceId));
  };
  take(recipe.set);
  if (!around.twin) take(recipe.setUnlessTwin);
  for (const { name, value, files } of recipe.setWhere) {
    const found = files.filter((file) => around.files.indexOf(file) >= 0)[0];
    if (found !== undefined) set[name] = value === '' ? found : value;
  }
  return { set, unset: recipe.unset.filter((name) => set[name] === undefined) };
}

/**
 * The card for an app that names none: the first dGPU on which apps can run now and that the user may open, else the
 * first; null where the machine has no dGPU.
 */
export function cardForLaunch(
  cards: readonly Card[],
  mayOpen: (card: Card) => boolean = () => true,
): Card | null {
  const dgpus = cards.filter((card) => card.role === 'dgpu');
  const usable = dgpus.filter((card) => launchEnvironment(card) !== null && mayOpen(card));
  return usable[0] ?? dgpus[0] ?? null;
}
