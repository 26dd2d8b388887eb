/** What the operations share: the machine, what was last seen of it, and what is remembered about it. */
import type { Config } from '../config.js';
import { type Card, detect } from '../detect.js';
import type { Address, HardwareFacts } from '../facts.js';
import {
  asHeld,
  asJournal,
  asStuck,
  type HeldNote,
  heldName,
  JOURNAL,
  JOURNAL_VERSION,
  type JournalNote,
  type StuckNote,
} from '../journal.js';
import type { Machine } from '../machine.js';
import type { Operation } from '../operation.js';
import type { Memory } from '../plan.js';
import type { CardView, GuestRef } from '../state.js';
import { viewOf } from '../state.js';
import { type Sentence, sentence } from '../words.js';
import { type GuestProcess, lookForGuests } from './look.js';

/** A running operation with what only its executor needs. */
export interface Run {
  readonly operation: Operation;
  cancelRequested: boolean;
  /** Something of the machine was or is being changed for these cards. */
  touching: boolean;
  /** libvirt has said through its hook that it gave the VM's devices back. */
  released: boolean;
  /** libvirt waits in its hook, or the VM is started by ourselves. */
  readonly origin: 'call' | 'hook';
  /** Resolves when the operation is over, whatever its end. Never rejects. */
  over: Promise<void>;
  /** Called when the cards are ready for libvirt. */
  prepared: () => void;
}

export class Workshop {
  readonly machine: Machine;
  readonly config: Config;
  facts: HardwareFacts;
  cards: readonly Card[];
  guests: ReadonlyMap<Address, GuestProcess> = new Map();
  readonly held = new Map<string, HeldNote>();
  readonly stuck = new Map<Address, Sentence>();
  run: Run | null = null;
  /** The running operation, or the last. */
  operation: Operation | null = null;
  private readonly listeners: (() => void)[] = [];

  constructor(machine: Machine, config: Config) {
    this.machine = machine;
    this.config = config;
    this.facts = machine.eyes.hardware();
    this.cards = detect(this.facts, config);
  }

  listen(heard: () => void): void {
    this.listeners.push(heard);
  }

  publish(): void {
    for (const heard of this.listeners) heard();
  }

  /** Reads sysfs anew; cheap. */
  lookAtHardware(): readonly Card[] {
    this.facts = this.machine.eyes.hardware();
    this.cards = detect(this.facts, this.config);
    return this.cards;
  }

  /** Looks, and publishes what was seen. */
  async refresh(): Promise<void> {
    await this.look();
    this.publish();
  }

  /** Reads sysfs anew and sees which guests have cards. A guest seen before is only checked to be alive. */
  async look(): Promise<void> {
    const cards = this.lookAtHardware();
    const away = cards.filter((card) => card.functions.some((fn) => fn.driver === 'vfio-pci'));
    const known = away.every((card) => {
      const guest = this.guests.get(card.id);
      return guest !== undefined && this.machine.eyes.startTicks(guest.pid) === guest.startTicks;
    });
    if (!known) this.guests = await lookForGuests(this.machine, cards);
    else if (away.length === 0) this.guests = new Map();
  }

  /** The guest that has a card: by our own record of ownership, else by QEMU's command line. */
  guestRefs(): ReadonlyMap<Address, GuestRef> {
    const refs = new Map<Address, GuestRef>();
    this.guests.forEach((guest, card) => {
      const ref = this.heldWith(card)?.vm ?? guest.vm;
      refs.set(card, ref ?? { uuid: '', name: `process ${guest.pid}` });
    });
    return refs;
  }

  heldWith(card: Address): HeldNote | null {
    let found: HeldNote | null = null;
    this.held.forEach((note) => {
      if (note.memory.cards.some((one) => one.id === card)) found = note;
    });
    return found;
  }

  views(): CardView[] {
    const switching = new Map<Address, Sentence>();
    const run = this.run;
    if (run?.touching) for (const card of run.operation.cards) switching.set(card, run.operation.title);
    const seen = { guests: this.guestRefs(), stuck: this.stuck, switching };
    return this.cards.map((card) => viewOf(card, seen));
  }

  // Notes

  loadNotes(): JournalNote | null {
    let journal: JournalNote | null = null;
    this.machine.notes.readAll().forEach((value, name) => {
      const held = asHeld(value, this.facts.bootId);
      const stuck = asStuck(value, this.facts.bootId);
      if (name === JOURNAL) journal = asJournal(value, this.facts.bootId);
      else if (held !== null && name === heldName(held.vm.uuid)) this.held.set(held.vm.uuid, held);
      else if (stuck !== null) this.stuck.set(stuck.card, sentence('refuse.stuck', stuckValues(stuck)));
      else this.machine.notes.remove(name);
    });
    return journal;
  }

  writeJournal(note: Omit<JournalNote, 'version' | 'bootId'>): void {
    const whole: JournalNote = Object.assign({ version: JOURNAL_VERSION, bootId: this.facts.bootId }, note);
    this.machine.notes.write(JOURNAL, whole);
  }

  removeJournal(): void {
    this.machine.notes.remove(JOURNAL);
  }

  /** Writes down that the VM has these cards, and forgets other VMs' claims on them. */
  keep(vm: GuestRef, memory: Memory): void {
    const cards = memory.cards.map((card) => card.id);
    this.held.forEach((note, uuid) => {
      if (uuid !== vm.uuid && note.memory.cards.some((card) => cards.indexOf(card.id) >= 0))
        this.forget(uuid);
    });
    const note: HeldNote = { version: JOURNAL_VERSION, bootId: this.facts.bootId, vm, memory };
    this.held.set(vm.uuid, note);
    this.machine.notes.write(heldName(vm.uuid), note);
  }

  forget(uuid: string): void {
    this.held.delete(uuid);
    this.machine.notes.remove(heldName(uuid));
  }

  /** Remembers until the next boot that a card hangs in the kernel. */
  markStuck(cards: readonly Address[], what: string): void {
    for (const id of cards) {
      const card = this.cards.filter((one) => one.id === id)[0];
      const note: StuckNote = { version: JOURNAL_VERSION, bootId: this.facts.bootId, card: id, what };
      this.stuck.set(id, sentence('refuse.stuck', { card: card?.name ?? id, why: what }));
      this.machine.notes.write(`stuck-${id.replace(/[:.]/g, '-')}`, note);
    }
  }
}

function stuckValues(note: StuckNote): { card: string; why: string } {
  return { card: note.card, why: note.what };
}
