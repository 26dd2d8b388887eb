/**
 * What the command can see by itself, without the helper and without root. It says what it could not see: a card
 * that nobody was seen to hold is free only when everybody could be looked at.
 */
import { readdirSync } from 'node:fs';
import { DEFAULT_CONFIG } from '../../core/src/config.js';
import { type Card, detect } from '../../core/src/detect.js';
import type { Address, HardwareFacts } from '../../core/src/facts.js';
import { countsSayFree, type Holder, type HolderReport, NOBODY, nameHolder } from '../../core/src/holders.js';
import { type LoadedConfig, loadConfig } from '../../core/src/linux/config-file.js';
import { readHardware } from '../../core/src/linux/hardware.js';
import type { Eyes, Machine } from '../../core/src/machine.js';
import { holdersLine } from '../../core/src/present.js';
import { type GuestRef, type Seen, viewOf } from '../../core/src/state.js';
import { say } from '../../core/src/words.js';
import type { CardDocument, HolderDocument, HoldersDocument } from './documents.js';

/** Where the helper writes down what it has begun; only root can read more than the names, if even those. */
const NOTES = '/run/gpu-handoff';

const UNFINISHED = 'The helper ended in the middle of something; it mends that as soon as it is started.';

/** The machine as this process sees it. */
export class OwnLook {
  readonly facts: HardwareFacts;
  readonly loaded: LoadedConfig;
  readonly cards: readonly Card[];
  private readonly simulate: string | null;
  private coming: Promise<Machine> | null;

  private constructor(
    facts: HardwareFacts,
    loaded: LoadedConfig,
    simulate: string | null,
    machine: Machine | null,
  ) {
    this.facts = facts;
    this.loaded = loaded;
    this.cards = detect(facts, loaded.config);
    this.simulate = simulate;
    this.coming = machine === null ? null : Promise.resolve(machine);
  }

  /** Looks at this machine, or at the simulated workstation in a directory. */
  static async begin(simulate: string | null): Promise<OwnLook> {
    if (simulate === null) return new OwnLook(readHardware(), await loadConfig(), null, null);
    const machine = await (await import('./eyes.js')).machineOf(simulate);
    const loaded = { config: DEFAULT_CONFIG, faults: [] };
    return new OwnLook(machine.eyes.hardware(), loaded, simulate, machine);
  }

  /** Loaded only when it is needed, since sysfs alone answers most questions. */
  private machine(): Promise<Machine> {
    this.coming ??= import('./eyes.js').then(({ machineOf }) => machineOf(this.simulate));
    return this.coming;
  }

  /** What sees processes and libvirt. */
  async eyes(): Promise<Eyes> {
    return (await this.machine()).eyes;
  }

  /** All cards with their state. A state that could not be seen is `unknown`. */
  async cardDocuments(): Promise<CardDocument[]> {
    const seen = await this.guests();
    return this.cards.map((card) => {
      const view = viewOf(card, seen);
      return {
        address: card.id,
        name: card.name,
        vendor: card.vendor,
        role: card.role,
        reason: say(card.reason),
        state: view.state,
        asleep: view.asleep,
        external: card.main.external,
        driver: card.main.driver,
        nodes: card.functions.flatMap((fn) => fn.nodes.map((node) => node.path)),
        iommuGroup: card.main.iommuGroup === null ? null : String(card.main.iommuGroup),
        vm: view.vm,
        why: view.why === null ? null : say(view.why),
        obstacles: card.obstacles.map((one) => ({ code: one.code, sentence: say(one.sentence) })),
      };
    });
  }

  /** What could not be seen by looking at the hardware, in sentences. */
  notes(): string[] {
    return this.simulate === null && namesOf(NOTES).includes('journal.json') ? [UNFINISHED] : [];
  }

  /** What is known beside the hardware: the guests, by the processes that have a card open. */
  private async guests(): Promise<Seen> {
    const nothing = { guests: new Map(), stuck: new Map(), switching: new Map() };
    // Only a card that is kept for guests can be with one.
    if (!this.cards.some((card) => card.functions.some((fn) => fn.driver === 'vfio-pci'))) return nothing;
    const { lookForGuests } = await import('./eyes.js');
    const found = await lookForGuests(await this.machine(), this.cards);
    const guests = new Map<Address, GuestRef>();
    for (const [id, { vm, pid }] of found.guests) guests.set(id, vm ?? { uuid: '', name: `process ${pid}` });
    return { ...nothing, guests, unsure: found.unsure };
  }

  /** Who holds a card. Reads the processes only where the use counts do not say that nobody can. */
  async holders(card: Card): Promise<HolderReport> {
    if (countsSayFree(card, this.facts)) return NOBODY;
    const { lookForHolders } = await import('./eyes.js');
    return lookForHolders(await this.machine(), [card], this.facts, this.loaded.config.services);
  }
}

function namesOf(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
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
