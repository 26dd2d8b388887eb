/**
 * What the command can see by itself, without the helper and without root. It says what it could not see: a card
 * that nobody was seen to hold is free only when everybody could be looked at.
 */
import { readdirSync } from 'node:fs';
import { DEFAULT_CONFIG } from '../../core/src/config.js';
import { type Card, detect } from '../../core/src/detect.js';
import type { HardwareFacts } from '../../core/src/facts.js';
import {
  countsSayFree,
  type Holder,
  type HolderReport,
  holderQuestion,
  NOBODY,
  nameHolder,
  reportHolders,
} from '../../core/src/holders.js';
import { type LoadedConfig, loadConfig } from '../../core/src/linux/config-file.js';
import { readHardware } from '../../core/src/linux/hardware.js';
import type { Eyes } from '../../core/src/machine.js';
import { holdersLine } from '../../core/src/present.js';
import { viewOf } from '../../core/src/state.js';
import { say } from '../../core/src/words.js';
import type { CardDocument, HolderDocument, HoldersDocument } from './documents.js';
import type { GuestsSeen } from './eyes.js';

/** Where the helper writes down what it has begun; only root can read more than the names, if even those. */
const NOTES = '/run/gpu-handoff';

const UNFINISHED = 'The helper ended in the middle of something; it mends that as soon as it is started.';

function unseenGuest(card: Card): string {
  return `It is kept for VMs (${card.main.driver ?? 'no driver'}), and whether one has it could not be seen: ask as root, or through the helper.`;
}

/** The machine as this process sees it. */
export class OwnLook {
  readonly facts: HardwareFacts;
  readonly loaded: LoadedConfig;
  readonly cards: readonly Card[];
  private readonly simulate: string | null;
  private watching: Promise<Eyes> | null = null;

  private constructor(
    facts: HardwareFacts,
    loaded: LoadedConfig,
    simulate: string | null,
    eyes: Eyes | null,
  ) {
    this.facts = facts;
    this.loaded = loaded;
    this.cards = detect(facts, loaded.config);
    this.simulate = simulate;
    if (eyes !== null) this.watching = Promise.resolve(eyes);
  }

  /** Looks at this machine, or at the simulated workstation in a directory. */
  static async begin(simulate: string | null): Promise<OwnLook> {
    if (simulate === null) return new OwnLook(readHardware(), await loadConfig(), null, null);
    const eyes = await (await import('./eyes.js')).eyesOf(simulate);
    return new OwnLook(eyes.hardware(), { config: DEFAULT_CONFIG, faults: [] }, simulate, eyes);
  }

  /** What sees processes and libvirt; loaded only when it is needed, since sysfs alone answers most questions. */
  eyes(): Promise<Eyes> {
    this.watching ??= import('./eyes.js').then(({ eyesOf }) => eyesOf(this.simulate));
    return this.watching;
  }

  /** All cards with their state. A state that could not be seen is `unknown`. */
  async cardDocuments(): Promise<CardDocument[]> {
    const { guests, sure } = await this.guests();
    return this.cards.map((card) => {
      const view = viewOf(card, { guests, stuck: new Map(), switching: new Map() });
      const unsure = view.state === 'detached' && keptForGuests(card) && !sure;
      return {
        address: card.id,
        name: card.name,
        vendor: card.vendor,
        role: card.role,
        reason: say(card.reason),
        state: unsure ? 'unknown' : view.state,
        asleep: view.asleep,
        external: card.main.external,
        driver: card.main.driver,
        nodes: card.functions.flatMap((fn) => fn.nodes.map((node) => node.path)),
        iommuGroup: card.main.iommuGroup === null ? null : String(card.main.iommuGroup),
        vm: view.vm,
        why: unsure ? unseenGuest(card) : view.why === null ? null : say(view.why),
        obstacles: card.obstacles.map((one) => ({ code: one.code, sentence: say(one.sentence) })),
      };
    });
  }

  /** What could not be seen by looking at the hardware, in sentences. */
  notes(): string[] {
    return this.simulate === null && namesOf(NOTES).includes('journal.json') ? [UNFINISHED] : [];
  }

  /** Cards that guests have; `sure` when every process could be seen. */
  private async guests(): Promise<GuestsSeen> {
    const away = this.cards.filter(keptForGuests);
    if (away.length === 0) return { guests: new Map(), sure: true };
    const { guestsAmong } = await import('./eyes.js');
    return guestsAmong(away, await this.eyes());
  }

  /** Who holds a card. Reads the processes only where the use counts do not say that nobody can. */
  async holders(card: Card): Promise<HolderReport> {
    if (countsSayFree(card, this.facts)) return NOBODY;
    const eyes = await this.eyes();
    const pass = await eyes.processes(holderQuestion([card], this.facts));
    return reportHolders([card], this.facts, pass, this.loaded.config.services, eyes);
  }
}

function namesOf(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function keptForGuests(card: Card): boolean {
  return card.functions.some((fn) => fn.driver === 'vfio-pci');
}

function holderDocument(holder: Holder): HolderDocument {
  return {
    id: holder.id,
    pid: holder.pid,
    uid: holder.uid,
    user: holder.user,
    name: nameHolder(holder),
    process: holder.process,
    ownerKind: holder.owner.kind,
    ownerName: holder.owner.name,
    unit: holder.owner.unit,
    command: holder.argv,
    nodes: holder.nodes,
    mapped: holder.mapped,
    since: new Date(holder.since).toISOString(),
    gpuMemoryBytes: holder.gpuMemoryBytes,
    essential: holder.essential,
    stopsByItself: holder.stopsByItself,
  };
}

/** A report of the core as the document that the helper's answer becomes, too. */
export function holdersDocument(cardName: string, report: HolderReport): HoldersDocument {
  return {
    verdict: report.verdict,
    complete: report.complete,
    unseen: report.unseen,
    sentence: holdersLine(cardName, report),
    holders: report.holders.map(holderDocument),
    kernel: report.kernel,
  };
}
