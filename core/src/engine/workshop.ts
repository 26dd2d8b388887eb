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
import { type Memory, sliceMemory } from '../plan.js';
import type { CardView, GuestRef } from '../state.js';
import { viewOf } from '../state.js';
import { type Sentence, say, sentence } from '../words.js';
import { type GuestProcess, isOnVfio, lookForGuests } from './look.js';

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
  /**
   * Of a hand-off: `coming` until everything before the VM's start is done, `done` while the cards are libvirt's to
   * take, `revoked` from the moment when they are being brought back.
   */
  handover: 'coming' | 'done' | 'revoked';
  /** Says that the cards are libvirt's to take. */
  handOver: () => void;
  /** Resolves when that is said for the first time. */
  handedOver: Promise<void>;
  /** Called when all that brings the cards home is done and it only remains to be seen. */
  returned: () => void;
  /** Ends the pause of a step that waits: something has happened that it wants to know at once. */
  wake: () => void;
  /** Resolves when cards that were lost at the very end were brought home. */
  homecoming: Promise<void>;
}

export class Workshop {
  readonly machine: Machine;
  readonly config: Config;
  facts: HardwareFacts;
  cards: readonly Card[];
  guests: ReadonlyMap<Address, GuestProcess> = new Map();
  /** Cards of which it could not be seen whether a guest has them, and why. */
  unsure: ReadonlyMap<Address, Sentence> = new Map();
  readonly held = new Map<string, HeldNote>();
  /** Cards that hang in the kernel, with the cause. */
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
    this.lookAtHardware();
    await this.seeGuests();
  }

  /** Sees which guests have the cards that are away by the last look at the hardware. */
  async seeGuests(): Promise<void> {
    const away = this.cards.filter(isOnVfio);
    const alive = new Map<Address, GuestProcess>();
    for (const { id } of away) {
      const guest = this.guests.get(id);
      if (guest !== undefined && this.machine.eyes.startTicks(guest.pid) === guest.startTicks)
        alive.set(id, guest);
    }
    if (away.every((card) => alive.has(card.id))) {
      this.guests = alive;
      this.unsure = new Map();
      return;
    }
    const seen = await lookForGuests(this.machine, away);
    // A guest that is alive and was only not seen this time has its card still.
    alive.forEach((guest, id) => {
      if (seen.unsure.delete(id)) seen.guests.set(id, guest);
    });
    this.guests = seen.guests;
    this.unsure = seen.unsure;
  }

  /** The guest that has a card: by QEMU's command line, else by our own record of who was given it. */
  guestRefs(): ReadonlyMap<Address, GuestRef> {
    const refs = new Map<Address, GuestRef>();
    this.guests.forEach((guest, card) => {
      const ref = guest.vm ?? this.heldWith(card)?.vm;
      refs.set(card, ref ?? { uuid: '', name: `process ${guest.pid}` });
    });
    return refs;
  }

  /** True when the guest that has the card is this VM, as far as its process tells. */
  isWith(card: Address, uuid: string): boolean {
    const guest = this.guests.get(card);
    return guest !== undefined && (guest.vm === null || guest.vm.uuid === uuid);
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
    const seen = { guests: this.guestRefs(), stuck: this.stuck, switching, unsure: this.unsure };
    return this.cards.map((card) => viewOf(card, seen));
  }

  // Notes

  /** Takes up the notes of this boot and removes all others. Returns the journal of an unfinished operation. */
  loadNotes(): JournalNote | null {
    let journal: JournalNote | null = null;
    const { bootId } = this.facts;
    this.machine.notes.readAll().forEach((value, name) => {
      const held = asHeld(value, bootId);
      const stuck = asStuck(value, bootId);
      if (name === JOURNAL) journal = asJournal(value, bootId);
      if (name === JOURNAL && journal !== null) return;
      if (held !== null && name === heldName(held.vm.uuid)) this.held.set(held.vm.uuid, held);
      else if (stuck !== null && name === stuckName(stuck.card))
        this.stuck.set(stuck.card, sentence('stuck.cause', { what: stuck.what }));
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

  /** Writes down that the VM has these cards, and that no other VM has them any more. */
  keep(vm: GuestRef, memory: Memory): void {
    this.letGo(
      memory.cards.map((card) => card.id),
      vm.uuid,
    );
    const note: HeldNote = { version: JOURNAL_VERSION, bootId: this.facts.bootId, vm, memory };
    this.held.set(vm.uuid, note);
    this.machine.notes.write(heldName(vm.uuid), note);
  }

  /** These cards are with no VM any more, or with none but `owner`. What is left of a note stays. */
  letGo(cards: readonly Address[], owner: string | null = null): void {
    for (const [uuid, note] of Array.from(this.held.entries())) {
      if (uuid === owner) continue;
      const left = note.memory.cards.map((card) => card.id).filter((id) => cards.indexOf(id) < 0);
      if (left.length === note.memory.cards.length) continue;
      if (left.length === 0) {
        this.held.delete(uuid);
        this.machine.notes.remove(heldName(uuid));
        continue;
      }
      const smaller: HeldNote = Object.assign({}, note, { memory: sliceMemory(note.memory, left) });
      this.held.set(uuid, smaller);
      this.machine.notes.write(heldName(uuid), smaller);
    }
  }

  /** Remembers until the next boot that cards hang in the kernel, and in which step. */
  markStuck(cards: readonly Address[], what: string): void {
    for (const id of cards) {
      const note: StuckNote = { version: JOURNAL_VERSION, bootId: this.facts.bootId, card: id, what };
      this.stuck.set(id, sentence('stuck.cause', { what }));
      this.machine.notes.write(stuckName(id), note);
    }
  }

  /** Why a card is left alone until the next boot, as a refusal; null where it is not stuck. */
  stuckRefusal(id: Address): Sentence | null {
    const cause = this.stuck.get(id);
    if (cause === undefined) return null;
    const name = this.cards.filter((card) => card.id === id)[0]?.name ?? id;
    return sentence('refuse.stuck', { card: name, why: say(cause) });
  }
}

function stuckName(card: Address): string {
  return `stuck-${card.replace(/[:.]/g, '-')}`;
}
