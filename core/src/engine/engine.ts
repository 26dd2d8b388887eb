/**
 * The one owner of what happens to the cards: one operation at a time, each looked at before, journalled during,
 * and seen after. The helper puts it on the bus; `npm start` runs it over the simulated workstation.
 */
import type { Config } from '../config.js';
import { type Card, cardsOf } from '../detect.js';
import { failure, HandoffError, reasonOf } from '../errors.js';
import type { Address, VirtualMachine } from '../facts.js';
import type { HolderReport } from '../holders.js';
import { ActError, type Machine } from '../machine.js';
import type { Operation, OperationKind } from '../operation.js';
import { assume, isNothing } from '../plan.js';
import type { CardView, GuestRef } from '../state.js';
import { printable, type Sentence, say, sentence } from '../words.js';
import { type EndOptions, endHolders, everyHolder } from './end-holders.js';
import { handOff, type Intention, intend } from './hand-off.js';
import { needsMending, recover } from './recover.js';
import { asHandoffError } from './runner.js';
import { type Away, locate, takeBack } from './take-back.js';
import { type Run, Workshop } from './workshop.js';

/** What libvirt does with a domain, by the arguments of its hook. */
export interface HookCall {
  readonly operation: string;
  readonly suboperation: string;
  readonly extra: string;
  readonly vm: VirtualMachine;
}

/** How long libvirt waits in its hook for another operation to end before it is told that we are busy. */
const HOOK_PATIENCE_MS = 20000;

export interface Published {
  readonly cards: readonly CardView[];
  readonly guests: readonly { readonly vm: GuestRef; readonly cards: readonly Address[] }[];
  readonly operation: Operation | null;
}

function isHandOffTo(run: Run, uuid: string): boolean {
  return run.operation.kind === 'hand-off' && run.operation.vm?.uuid === uuid;
}

export class Engine {
  private readonly workshop: Workshop;
  private count = 0;
  /** Resolves when what a predecessor left is mended. Every call waits for it. */
  private ready: Promise<void>;

  constructor(machine: Machine, config: Config) {
    this.workshop = new Workshop(machine, config);
    this.ready = Promise.resolve();
  }

  /** Calls back after every change. What changed is read from `published`. */
  listen(heard: () => void): void {
    this.workshop.listen(heard);
  }

  /** Reads the notes of a predecessor and mends what it left. Resolves when the machine is in order. */
  start(): Promise<void> {
    this.ready = this.mend();
    return this.ready;
  }

  private async mend(): Promise<void> {
    const { workshop } = this;
    const journal = workshop.loadNotes();
    // The hardware was looked at a moment ago.
    await workshop.seeGuests();
    workshop.publish();
    if (!needsMending(workshop, journal)) return;
    const run = this.begin('recover', sentence('operation.recover'), 0, 'call', (r) =>
      recover(workshop, r, journal),
    );
    await run.over;
  }

  published(): Published {
    const { workshop } = this;
    const guests: { vm: GuestRef; cards: Address[] }[] = [];
    workshop.guestRefs().forEach((vm, card) => {
      const same = guests.filter((guest) => guest.vm.uuid === vm.uuid)[0];
      if (same === undefined) guests.push({ vm, cards: [card] });
      else same.cards.push(card);
    });
    return { cards: workshop.views(), guests, operation: workshop.operation };
  }

  /** True while the helper must not leave: an operation runs, or a guest has a card. */
  get needed(): boolean {
    return this.workshop.run !== null || this.workshop.guests.size > 0 || this.workshop.held.size > 0;
  }

  /** True while an operation runs. */
  get working(): boolean {
    return this.workshop.run !== null;
  }

  /** True while a card changes hands: the machine should not be put to sleep or switched off. */
  get switching(): boolean {
    return this.workshop.run?.touching ?? false;
  }

  /** Looks at the machine anew. While an operation runs that does its own looking, this does nothing. */
  async refresh(): Promise<void> {
    const { workshop } = this;
    // Also not while it mends: who watches is to see that.
    if (workshop.run === null) await this.ready;
    if (workshop.run === null) await workshop.refresh();
  }

  // Questions

  async virtualMachines(): Promise<readonly (VirtualMachine & { readonly cards: readonly Address[] })[]> {
    await this.ready;
    const all = await this.listMachines();
    return all.map((vm) =>
      Object.assign({}, vm, { cards: cardsOf(vm, this.workshop.cards).map((card) => card.id) }),
    );
  }

  async holders(card: Address): Promise<HolderReport> {
    await this.ready;
    return everyHolder(this.workshop, card);
  }

  /** What a hand-off to this VM (name or UUID) would do. */
  async preflight(vm: string): Promise<Intention> {
    await this.ready;
    return intend(this.workshop, await this.resolve(vm), true);
  }

  card(id: Address): Card {
    const card = this.workshop.cards.filter((one) => one.id === id)[0];
    if (card === undefined) throw failure('NoSuchCard', 'error.no-such-card', { card: printable(id) });
    return card;
  }

  // Operations. Each returns the id at once; how it goes on is published.

  async handOff(vm: string, uid: number): Promise<string> {
    await this.ready;
    const title = sentence('operation.hand-off-begin', { vm: printable(vm) });
    const run = this.begin('hand-off', title, uid, 'call', (r) =>
      handOff(this.workshop, r, () => this.resolve(vm)),
    );
    return run.operation.id;
  }

  async takeBack(card: Address, options: { readonly force: boolean }, uid: number): Promise<string> {
    await this.ready;
    this.refuseWhenBusy();
    const away = await locate(this.workshop, card);
    return this.beginTakeBack(away, options, uid, 'call').operation.id;
  }

  async endHolders(card: Address, ids: readonly string[], options: EndOptions, uid: number): Promise<string> {
    await this.ready;
    const title = sentence('operation.end-holders', { card: this.card(card).name });
    const run = this.begin('end-holders', title, uid, 'call', (r) => {
      r.operation.cards = [card];
      return endHolders(this.workshop, r, card, ids, options);
    });
    return run.operation.id;
  }

  /** The user who started a running operation. Rejects when there is no such operation. */
  ownerOf(id: string): number {
    return this.running(id).operation.uid;
  }

  cancel(id: string): void {
    const run = this.running(id);
    if (!run.operation.cancellable) {
      const step = run.operation.steps.filter((one) => one.state === 'running')[0];
      throw failure('Refused', 'error.not-cancellable', {
        step: step === undefined ? say(run.operation.title) : say(step.title),
      });
    }
    run.cancelRequested = true;
    run.wake();
  }

  /** Resolves when the operation with this id is over. */
  async settled(id: string): Promise<Operation> {
    const run = this.workshop.run;
    if (run !== null && run.operation.id === id) {
      await run.over;
      return run.operation;
    }
    const operation = this.workshop.operation;
    if (operation === null || operation.id !== id)
      throw failure('NoSuchOperation', 'error.no-such-operation', { operation: printable(id, 40) });
    return operation;
  }

  // libvirt

  /**
   * What libvirt's hook asks. For `prepare begin` it resolves when the card is ready for the guest and rejects
   * when it is not; the other operations never fail a guest.
   */
  async hook(call: HookCall): Promise<void> {
    await this.ready;
    if (call.operation === 'prepare' && call.suboperation === 'begin') await this.hookPrepare(call.vm);
    else if (call.operation === 'release' && call.suboperation === 'end') await this.hookRelease(call.vm);
    else if (call.operation === 'reconnect') await this.hookReconnect(call.vm);
  }

  private async hookPrepare(vm: VirtualMachine): Promise<void> {
    // Cards that were not there at the last look may be there now; the preflight looks at all of them anyway.
    const known = cardsOf(vm, this.workshop.cards);
    if (known.length === 0 && cardsOf(vm, this.workshop.lookAtHardware()).length === 0) return;
    const title = sentence('operation.hand-off-begin', { vm: printable(vm.name) });
    const run = await this.whenFree(vm.uuid, () =>
      this.begin('hand-off', title, 0, 'hook', (r) => handOff(this.workshop, r, () => Promise.resolve(vm))),
    );
    if (run === null) return;
    await Promise.race([run.handedOver, run.over]);
    const { operation } = run;
    if (operation.state === 'failed' || operation.state === 'cancelled')
      throw new HandoffError(operation.failure ?? 'Failed', operation.sentence ?? operation.title);
  }

  private async hookRelease(vm: VirtualMachine): Promise<void> {
    const current = this.workshop.run;
    if (current !== null && current.operation.vm?.uuid === vm.uuid) {
      if (current.origin === 'call' && isHandOffTo(current, vm.uuid) && current.handover === 'coming') {
        // Not of this hand-off, which gave libvirt nothing yet. libvirt must not wait: its VM cannot start meanwhile.
        current.over.then(() => this.bringHome(vm.uuid));
        return;
      }
      // The running operation goes on by itself; libvirt waits only for one that it started itself.
      current.released = true;
      current.wake();
      if (current.origin !== 'hook' || current.operation.kind !== 'hand-off') return;
      const returned = new Promise<void>((resolve) => {
        current.returned = resolve;
      });
      await Promise.race([returned, current.over.then(() => current.homecoming)]);
      return;
    }
    // libvirt waits only so long, and not for the last look; the cards come home all the same.
    const { clock } = this.workshop.machine;
    await new Promise<void>((resolve) => {
      this.bringHome(vm.uuid, resolve).then(resolve);
      clock.sleep(HOOK_PATIENCE_MS).then(resolve);
    });
  }

  /** Brings the cards of a VM that has ended home, when nothing else runs any more. */
  private async bringHome(uuid: string, returned: () => void = () => {}): Promise<void> {
    const { workshop } = this;
    try {
      while (workshop.run !== null) await workshop.run.over;
      const held = workshop.held.get(uuid);
      if (held === undefined) return;
      const ids = held.memory.cards.map((card) => card.id);
      await workshop.look();
      // It may have been started again in the meantime.
      if (ids.some((id) => workshop.guests.has(id) || workshop.unsure.has(id) || workshop.stuck.has(id)))
        return;
      if (workshop.run !== null) return await this.bringHome(uuid, returned);
      if (isNothing(held.memory)) {
        workshop.letGo(ids);
        workshop.publish();
        return;
      }
      const away: Away = { vm: held.vm, memory: held.memory, guest: false };
      const run = this.beginTakeBack(away, { force: false }, 0, 'hook');
      run.returned = returned;
      await run.over;
    } catch (fault) {
      workshop.machine.log.line('error', `Could not bring the cards home: ${reasonOf(fault)}`);
    }
  }

  /** libvirt's daemon was restarted and finds a running guest: what it has is its own, remembered or not. */
  private async hookReconnect(vm: VirtualMachine): Promise<void> {
    const { workshop } = this;
    if (workshop.run?.operation.vm?.uuid === vm.uuid) return;
    await workshop.look();
    const cards = cardsOf(vm, workshop.cards).filter((card) => workshop.isWith(card.id, vm.uuid));
    if (cards.length > 0 && !workshop.held.has(vm.uuid))
      workshop.keep({ uuid: vm.uuid, name: vm.name }, assume(cards, workshop.facts));
    workshop.publish();
  }

  // The slot

  /** Rejects with Busy while an operation runs. */
  refuseWhenBusy(): void {
    const { run } = this.workshop;
    if (run !== null) throw failure('Busy', 'error.busy', { what: say(run.operation.title) });
  }

  /** Whether a hand-off of ours has made the cards ready for this VM, and they still are. */
  private isHandedTo(uuid: string): boolean {
    const { run } = this.workshop;
    return run !== null && isHandOffTo(run, uuid) && run.handover === 'done' && !run.released;
  }

  /**
   * Begins as soon as nothing else runs; null where a hand-off of ours has made the cards ready for this VM already and
   * waits for libvirt to start it. Rejects with Busy when that takes too long.
   */
  private async whenFree(uuid: string, begin: () => Run): Promise<Run | null> {
    const { clock } = this.workshop.machine;
    const end = clock.now() + HOOK_PATIENCE_MS;
    // Several may wait: between the end of one operation and the begin of the next nobody else may get in.
    for (;;) {
      const { run } = this.workshop;
      if (this.isHandedTo(uuid)) return null;
      if (run === null || clock.now() >= end) return begin();
      const events = [run.over, clock.sleep(end - clock.now())];
      // Our own start of this VM would wait for libvirt, and libvirt for us.
      if (run.handover === 'coming') events.push(run.handedOver);
      await Promise.race(events);
    }
  }

  private running(id: string): Run {
    const { run } = this.workshop;
    if (run === null || run.operation.id !== id)
      throw failure('NoSuchOperation', 'error.no-such-operation', { operation: printable(id, 40) });
    return run;
  }

  private beginTakeBack(away: Away, options: { force: boolean }, uid: number, origin: Run['origin']): Run {
    const title = sentence('operation.take-back-detached', {
      card: away.memory.cards.map((card) => card.name).join(', '),
    });
    return this.begin('take-back', title, uid, origin, (r) => takeBack(this.workshop, r, away, options));
  }

  /** Takes the slot and executes; rejects nothing: how it ended stands in the operation. */
  private begin(
    kind: OperationKind,
    title: Sentence,
    uid: number,
    origin: Run['origin'],
    body: (run: Run) => Promise<void>,
  ): Run {
    this.refuseWhenBusy();
    const { workshop } = this;
    const { clock, log } = workshop.machine;
    this.count += 1;
    const operation: Operation = {
      id: `${clock.now().toString(36)}-${this.count}`,
      kind,
      title,
      cards: [],
      vm: null,
      state: 'running',
      cancellable: kind !== 'recover',
      steps: [],
      failure: null,
      sentence: null,
      uid,
      startedAt: clock.now(),
      endedAt: null,
    };
    let handedOver: () => void = () => {};
    const run: Run = {
      operation,
      cancelRequested: false,
      touching: false,
      released: false,
      origin,
      over: Promise.resolve(),
      handover: 'coming',
      handOver: () => {
        run.handover = 'done';
        handedOver();
      },
      handedOver: new Promise((resolve) => {
        handedOver = resolve;
      }),
      returned: () => {},
      wake: () => {},
      homecoming: Promise.resolve(),
    };
    workshop.run = run;
    workshop.operation = operation;
    log.line('info', `Begin: ${say(title)} (asked by user ${uid}, ${origin})`, { operation: operation.id });
    run.over = this.execute(run, body);
    return run;
  }

  private async execute(run: Run, body: (run: Run) => Promise<void>): Promise<void> {
    const { workshop } = this;
    const { operation } = run;
    let failed: HandoffError | null = null;
    try {
      await body(run);
    } catch (fault) {
      failed = asHandoffError(fault);
    }
    // What is published as the end was seen on the machine, not concluded from the commands.
    try {
      await workshop.look();
    } catch (fault) {
      failed = failed ?? asHandoffError(fault);
    }
    const { vm } = operation;
    const lost =
      operation.kind === 'hand-off' &&
      failed === null &&
      (run.released || !operation.cards.every((id) => workshop.isWith(id, vm?.uuid ?? '')));
    if (lost) failed = failure('Failed', 'fail.guest-gave-back', { vm: printable(vm?.name ?? '') });
    workshop.run = null;
    operation.cancellable = false;
    operation.endedAt = workshop.machine.clock.now();
    operation.state = failed === null ? 'done' : failed.failure === 'Cancelled' ? 'cancelled' : 'failed';
    operation.failure = failed?.failure ?? null;
    operation.sentence = failed?.sentence ?? operation.sentence;
    const text = failed === null ? `Done: ${say(operation.title)}` : `Failed: ${failed.message}`;
    workshop.machine.log.line(failed === null ? 'info' : 'warning', text, { operation: operation.id });
    workshop.publish();
    if (lost && vm !== null) run.homecoming = this.bringHome(vm.uuid);
  }

  private async listMachines(): Promise<readonly VirtualMachine[]> {
    try {
      return await this.workshop.machine.eyes.virtualMachines();
    } catch (fault) {
      if (fault instanceof ActError)
        throw failure('LibvirtAbsent', 'refuse.libvirt-absent', { why: reasonOf(fault) });
      throw fault;
    }
  }

  private async resolve(wanted: string): Promise<VirtualMachine> {
    const all = await this.listMachines();
    const found = all.filter((vm) => vm.uuid === wanted)[0] ?? all.filter((vm) => vm.name === wanted)[0];
    if (found === undefined) throw failure('NoSuchVm', 'refuse.no-such-vm', { vm: printable(wanted) });
    return found;
  }
}
