/**
 * What switcheroo-control says about the cards, and whether launch entries can leave the choice of the card to it.
 * Pure: the facts come from linux/switcheroo.ts.
 */
import type { Way } from './launch/entry.js';
import { printable, type Sentence, sentence } from './words.js';

/** Variables by name. */
type Variables = Readonly<Record<string, string>>;

/** A card as switcheroo-control shows it. */
export interface SwitcherooGpu {
  readonly name: string;
  /** What an app needs to run on it. Who reads it can only set variables, never take one away. */
  readonly environment: Variables;
  /** The card that the machine booted with. */
  readonly isDefault: boolean;
  /** Told since 3.0; null by older ones. */
  readonly discrete: boolean | null;
}

export interface SwitcherooFacts {
  readonly owner: 'absent' | 'switcheroo' | 'other';
  /** The program that owns the name, as far as that can be seen; may be empty. */
  readonly ownerName: string;
  readonly gpus: readonly SwitcherooGpu[];
  /** Why it could not be asked; empty where it was. */
  readonly failure: string;
  /** Nobody owns the name, but the bus could start somebody. */
  readonly startable?: boolean;
  /** EGL vendor files that an environment names and that do not exist. */
  readonly missingFiles?: readonly string[];
}

/** `third` is 3.0; `wrongly-patched` sets the variables, but to values with which apps do not reach the card. */
export type SwitcherooKind =
  | 'absent'
  | 'unpatched'
  | 'patched'
  | 'wrongly-patched'
  | 'third'
  | 'other-owner'
  | 'unknown';

/** Whether an app reaches the card by each of them, started with the session’s environment and switcheroo’s. */
export interface Undoes {
  readonly vulkan: boolean;
  readonly egl: boolean;
  readonly glx: boolean;
}

export interface SwitcherooJudgement {
  readonly kind: SwitcherooKind;
  readonly undoes: Undoes;
  readonly way: Way;
  /** Why this way, as a whole sentence. */
  readonly reason: Sentence;
  /**
   * False where `way` holds only for now: no second card is there to be judged by (a VM has it), the desktop is not
   * known yet, or nobody answered. Entries of the other way need not be converted for it.
   */
  readonly settled: boolean;
}

/** A dGPU as far as it has to be found again among switcheroo-control's cards. */
export interface KnownCard {
  /** `0000:01:00.0`. */
  readonly id: string;
  readonly vendor: string;
}

const SELECT = 'VK_LOADER_DRIVERS_SELECT';
const DISABLE = 'VK_LOADER_DRIVERS_DISABLE';
const EGL_FILES = '__EGL_VENDOR_LIBRARY_FILENAMES';
const EGL_DIRS = '__EGL_VENDOR_LIBRARY_DIRS';
const GLX = '__GLX_VENDOR_LIBRARY_NAME';
const NV_OPTIMUS = '__VK_LAYER_NV_optimus';

/** What no switcheroo-control before 3.0 sets by itself. */
const SET_BY_PATCHES = [SELECT, DISABLE, EGL_FILES];

const NOTHING: Undoes = { vulkan: false, egl: false, glx: false };

function endsWith(text: string, end: string): boolean {
  return text.length >= end.length && text.lastIndexOf(end) === text.length - end.length;
}

/** By the userspace that serves a card: NVIDIA's own, or Mesa. */
function isNvidias(gpu: SwitcherooGpu): boolean {
  return gpu.environment[GLX] === 'nvidia' || gpu.environment.__NV_PRIME_RENDER_OFFLOAD === '1';
}

/** Manifests of Vulkan drivers with which an app may reach the card; all of Mesa's where the name tells no maker. */
function manifestsOf(gpu: SwitcherooGpu): readonly string[] {
  if (isNvidias(gpu)) return ['nvidia_icd.json', 'nvidia_icd.x86_64.json'];
  const found: string[] = [];
  if (/\bAMD\b|\bATI\b|Radeon|Advanced Micro/i.test(gpu.name)) found.push('radeon_icd.x86_64.json');
  if (/Intel/i.test(gpu.name)) found.push('intel_icd.x86_64.json');
  if (/NVIDIA|GeForce|Quadro/i.test(gpu.name)) found.push('nouveau_icd.x86_64.json');
  return found.length > 0
    ? found
    : ['radeon_icd.x86_64.json', 'intel_icd.x86_64.json', 'nouveau_icd.x86_64.json'];
}

/**
 * One of the globs of a list fits, as the Vulkan loader reads them: separated by commas, an asterisk at the beginning
 * or the end, capital letters or not.
 */
function fits(list: string, manifest: string): boolean {
  const name = manifest.toLowerCase();
  return list.split(',').some((glob) => {
    const words = glob.toLowerCase();
    if (words === '') return false;
    const open = words.charAt(0) === '*';
    const left = open ? words.slice(1) : words;
    const closed = endsWith(left, '*');
    const rest = closed ? left.slice(0, -1) : left;
    const at = name.indexOf(rest);
    if (open && closed) return at >= 0;
    if (open) return endsWith(name, rest);
    return closed ? at === 0 : name === rest;
  });
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

function reachesByVulkan(gpu: SwitcherooGpu, env: Variables): boolean {
  const select = env[SELECT] ?? '';
  const disable = env[DISABLE] ?? '';
  const files = env.VK_DRIVER_FILES || env.VK_ICD_FILENAMES || '';
  if (env[NV_OPTIMUS] === (isNvidias(gpu) ? 'non_NVIDIA_only' : 'NVIDIA_only')) return false;
  const manifests = manifestsOf(gpu);
  const maker = (name: string): string => name.slice(0, name.indexOf('_'));
  if (
    files !== '' &&
    !manifests.every((one) => files.split(':').some((file) => baseName(file).indexOf(maker(one)) >= 0))
  )
    return false;
  // What is selected cannot be disabled. An empty list is none.
  if (select !== '') return manifests.every((one) => fits(select, one));
  return disable === '' || !manifests.some((one) => fits(disable, one));
}

function reachesByEgl(gpu: SwitcherooGpu, env: Variables, missingFiles: readonly string[]): boolean {
  const vendor = isNvidias(gpu) ? 'nvidia' : 'mesa';
  const files = env[EGL_FILES];
  // libglvnd takes a list that is there, and be it empty: then no vendor at all is loaded. So it is with folders.
  if (files !== undefined)
    return files
      .split(':')
      .some((file) => baseName(file).indexOf(vendor) >= 0 && missingFiles.indexOf(file) < 0);
  return env[EGL_DIRS] === undefined;
}

function reachesByGlx(gpu: SwitcherooGpu, env: Variables): boolean {
  const vendor = env[GLX] ?? '';
  return isNvidias(gpu) ? vendor === 'nvidia' : vendor === '' || vendor === 'mesa';
}

function reaches(gpu: SwitcherooGpu, session: Variables, missingFiles: readonly string[]): Undoes {
  const env: Variables = Object.assign({}, session, gpu.environment);
  return {
    vulkan: reachesByVulkan(gpu, env),
    egl: reachesByEgl(gpu, env, missingFiles),
    glx: reachesByGlx(gpu, env),
  };
}

function isWhole(undoes: Undoes): boolean {
  return undoes.vulkan && undoes.egl && undoes.glx;
}

/**
 * The cards that a desktop may take for “the other one”: GNOME Shell up to 49 the first that is not the default, from
 * 50 on a discrete one before it.
 */
function chosenOf(gpus: readonly SwitcherooGpu[]): SwitcherooGpu[] {
  const others = gpus.filter((gpu) => !gpu.isDefault);
  const discrete = others.concat(gpus).filter((gpu) => gpu.discrete === true)[0];
  const chosen: SwitcherooGpu[] = [];
  for (const gpu of [discrete, others[0]]) if (gpu !== undefined && chosen.indexOf(gpu) < 0) chosen.push(gpu);
  return chosen;
}

function isOneOf(gpu: SwitcherooGpu, cards: readonly KnownCard[]): boolean {
  const tag = gpu.environment.DRI_PRIME;
  if (tag === undefined) return isNvidias(gpu) && cards.some((card) => card.vendor === 'NVIDIA');
  return cards.some((card) => tag === `pci-${card.id.replace(/[:.]/g, '_')}`);
}

function kindOf(facts: SwitcherooFacts, chosen: readonly SwitcherooGpu[], undoes: Undoes): SwitcherooKind {
  if (facts.owner === 'absent') return 'absent';
  if (facts.owner === 'other') return 'other-owner';
  if (facts.failure !== '') return 'unknown';
  if (facts.gpus.some((gpu) => gpu.discrete !== null)) return 'third';
  if (chosen.length === 0) return 'unknown';
  const names = chosen.map((gpu) => Object.keys(gpu.environment));
  if (!names.some((own) => SET_BY_PATCHES.some((name) => own.indexOf(name) >= 0))) return 'unpatched';
  return isWhole(undoes) ? 'patched' : 'wrongly-patched';
}

/** What is out of an app's reach on the card, as a list for a sentence. */
function shortfall(undoes: Undoes): string {
  const names: string[] = [];
  if (!undoes.vulkan) names.push('Vulkan');
  if (!undoes.egl) names.push('EGL');
  if (!undoes.glx) names.push('GLX');
  return names.join(', ');
}

/** Why switcheroo-control cannot be used as things are; null where the cards decide. */
function obstacleOf(facts: SwitcherooFacts): Sentence | null {
  if (facts.owner === 'other')
    return sentence('switcheroo.other-owner', { owner: printable(facts.ownerName) || 'another program' });
  if (facts.failure !== '') return sentence('switcheroo.unanswered', { why: facts.failure });
  if (facts.owner === 'absent')
    return facts.startable === true ? sentence('switcheroo.startable') : sentence('switcheroo.absent');
  return null;
}

/**
 * Which switcheroo-control this is, and which way launch entries take in a session with this environment: through it
 * only where its environment frees an app of all that keeps the session off the card, and where the desktop asks it
 * anew at each launch. `dgpus` are the cards that apps are to run on, where they are known: a machine that booted with
 * its dGPU has the other card as “not the default”.
 */
export function judgeSwitcheroo(
  facts: SwitcherooFacts,
  sessionEnvironment: Variables,
  dgpus: readonly KnownCard[] | null = null,
): SwitcherooJudgement {
  const chosen = chosenOf(facts.gpus);
  const each = chosen.map((gpu) => reaches(gpu, sessionEnvironment, facts.missingFiles ?? []));
  const undoes: Undoes =
    each.length === 0
      ? NOTHING
      : {
          vulkan: each.every((one) => one.vulkan),
          egl: each.every((one) => one.egl),
          glx: each.every((one) => one.glx),
        };
  const kind = kindOf(facts, chosen, undoes);
  const wrapper = (reason: Sentence, settled = true): SwitcherooJudgement => ({
    kind,
    undoes,
    way: 'wrapper',
    reason,
    settled,
  });

  const obstacle = obstacleOf(facts);
  if (obstacle !== null) return wrapper(obstacle, facts.failure === '' && facts.startable !== true);
  const desktops = (sessionEnvironment.XDG_CURRENT_DESKTOP ?? '').split(':');
  if (desktops.indexOf('KDE') >= 0) return wrapper(sentence('switcheroo.plasma'));
  const first = chosen[0];
  if (first === undefined) return wrapper(sentence('switcheroo.one-card'), false);
  const gpu = printable(first.name);
  if (dgpus !== null && dgpus.length > 0) {
    const stranger = chosen.filter((one) => !isOneOf(one, dgpus))[0];
    if (stranger !== undefined)
      return wrapper(sentence('switcheroo.other-card', { gpu: printable(stranger.name) }));
  }
  if (chosen.some((one) => one.environment[EGL_FILES] === ''))
    return wrapper(sentence('switcheroo.no-egl', { gpu }));
  if (!isWhole(undoes)) return wrapper(sentence('switcheroo.short', { gpu, what: shortfall(undoes) }));
  if (desktops.indexOf('GNOME') < 0)
    return wrapper(sentence('switcheroo.desktop'), sessionEnvironment.XDG_CURRENT_DESKTOP !== undefined);
  return { kind, undoes, way: 'switcheroo', reason: sentence('switcheroo.whole', { gpu }), settled: true };
}
