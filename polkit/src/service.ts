/** The helper's life on the bus: takes its name, answers, publishes what changes, and leaves when not needed. */
import type { Config, ConfigFault } from '../../core/src/config.js';
import { MANAGER, METHODS, type MethodName, PROPERTIES, type PropertyName } from '../../core/src/contract.js';
import { Engine } from '../../core/src/engine/engine.js';
import { reasonOf } from '../../core/src/errors.js';
import type { VirtualMachine } from '../../core/src/facts.js';
import {
  type Boxes,
  type Bus,
  dicts,
  propertiesChanged,
  s,
  u,
  Variant,
} from '../../core/src/linux/bus/dbus.js';
import { Door } from '../../core/src/linux/bus/door.js';
import { Stay } from '../../core/src/linux/bus/stay.js';
import type { Machine } from '../../core/src/machine.js';
import { sentence } from '../../core/src/words.js';
import type { Authority } from './authority.js';
import { Clients } from './clients.js';
import { encodeCard, encodeGuests, encodeOperation, type Properties } from './encode.js';
import { MOST_BODY_KIB } from './gate.js';
import { Inhibitor } from './inhibitor.js';
import { Limits, type UserCall } from './limits.js';
import { methodsOf } from './methods.js';
import { Publisher } from './publisher.js';

/** How long the helper, when asked to stop, goes on for calls that wait: a dialog can stand for long. */
const ANSWER_MS = 10_000;
const ANSWER_LOOK_MS = 20;

export interface ServiceOptions {
  readonly bus: Bus;
  readonly machine: Machine;
  readonly config: Config;
  readonly faults: readonly ConfigFault[];
  readonly authority: (bus: Bus) => Authority;
  readonly parseDomain: (xml: string) => VirtualMachine;
  readonly version: string;
  /** Called when the helper may leave. */
  readonly leave: () => void;
}

export class Service {
  private readonly options: ServiceOptions;
  private readonly engine: Engine;
  private readonly clients: Clients;
  private readonly door: Door<MethodName, PropertyName, UserCall>;
  private readonly stay: Stay;
  private readonly inhibitor: Inhibitor;
  private readonly publisher: Publisher;

  constructor(options: ServiceOptions) {
    this.options = options;
    const { bus, machine } = options;
    const authority = options.authority(bus);
    this.engine = new Engine(machine, options.config);
    this.clients = new Clients(bus, (caller) => authority.callerLeft(caller));
    const warn = (text: string): void => machine.log.line('warning', text);
    this.inhibitor = new Inhibitor((why) => warn(`No lock against sleep: ${why}`));
    this.publisher = new Publisher({
      properties: () => this.properties(),
      send: (changed) => this.tell(changed),
    });
    const { engine, clients } = this;
    const limits = new Limits(clients);
    this.door = new Door({
      bus,
      contract: { ...MANAGER, methods: METHODS, properties: PROPERTIES },
      methods: methodsOf({ engine, authority, clients, parseDomain: options.parseDomain }),
      properties: () => this.properties(),
      admit: (call, answer) => limits.admit(call, answer),
      alsoWrong: `, and it has at most ${MOST_BODY_KIB} KiB`,
      fault: (why) => sentence('error.internal', { why }),
      complain: warn,
    });
    this.stay = new Stay({
      bus,
      name: MANAGER.name,
      door: this.door,
      idleSeconds: options.config.idleSeconds,
      needed: () => engine.needed || clients.watching > 0,
      complain: warn,
      leave: options.leave,
    });
  }

  /** Takes the name and mends what a predecessor left. Rejects when another program owns the name. */
  async start(): Promise<void> {
    const { machine } = this.options;
    const looked = new Promise<void>((resolve) => this.engine.listen(resolve));
    this.engine.listen(() => this.changed());
    this.door.open();
    this.door.shut();
    // Only the owner of the name may mend: without it, what looks interrupted may be another helper's work.
    await Promise.all([this.stay.takeName(), this.clients.listen()]);
    const mended = this.engine.start();
    // Nothing is told before it was seen, but while something is mended that can be told.
    await Promise.race([looked, mended]);
    this.door.reopen();
    await mended;
    machine.onChange(() => {
      this.engine
        .refresh()
        .catch((fault) => machine.log.line('warning', `Looking failed: ${reasonOf(fault)}`));
    });
    this.stay.endWhenIdle();
  }

  /** For a simulated libvirt, which calls our hook as the real one does through its script. */
  hook(operation: string, suboperation: string, extra: string, vm: VirtualMachine): Promise<void> {
    return this.engine.hook({ operation, suboperation, extra, vm });
  }

  /** Resolves when no operation runs any more. */
  async finish(): Promise<void> {
    for (;;) {
      const { operation } = this.engine.published();
      if (operation === null || operation.state !== 'running') break;
      await this.engine.settled(operation.id);
    }
    // Who leaves now must not take the last change along.
    this.publisher.flush();
  }

  /** Resolves when the helper can stop: nothing runs, and nobody who called is left without an answer. */
  async stop(): Promise<void> {
    await this.finish();
    const end = Date.now() + ANSWER_MS;
    while (this.door.busy && Date.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, ANSWER_LOOK_MS));
      await this.finish();
    }
  }

  private properties(): Properties {
    const { machine, version, faults } = this.options;
    const { cards, guests, operation } = this.engine.published();
    return {
      Version: s(version),
      Cards: dicts(cards.map(encodeCard)),
      Guests: dicts(encodeGuests(guests)),
      Operation: new Variant(
        'a{sv}',
        encodeOperation(operation, (uid) => machine.eyes.userName(uid)),
      ),
      Faults: dicts(faults.map((fault) => ({ line: u(fault.line), sentence: s(fault.why) }))),
    };
  }

  private changed(): void {
    this.inhibitor.hold(this.engine.switching && !this.options.machine.simulated);
    this.publisher.changed(this.engine.working);
  }

  private tell(changed: Boxes): void {
    try {
      this.options.bus.send(propertiesChanged(MANAGER.path, MANAGER.interface, changed));
    } catch (fault) {
      this.options.machine.log.line('warning', `A change could not be published: ${reasonOf(fault)}`);
    }
  }
}
