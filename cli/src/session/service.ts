/** The service's life on the bus: takes its name, answers, tells what changes, and leaves when not needed. */
import { reasonOf } from '../../../core/src/errors.js';
import { type Bus, onNameLost, propertiesChanged, s, u } from '../../../core/src/linux/bus/dbus.js';
import { type Call, Door, type PropertiesOf } from '../../../core/src/linux/bus/door.js';
import { Stay } from '../../../core/src/linux/bus/stay.js';
import {
  SESSION,
  SESSION_METHODS,
  SESSION_PROPERTIES,
  type SessionMethodName,
  type SessionPropertyName,
} from '../../../core/src/session-contract.js';
import { sentence } from '../../../core/src/words.js';
import type { Apps } from './apps.js';
import { UserManager } from './manager.js';
import { methodsOf } from './methods.js';
import { FolderWatch } from './watch.js';

export interface ServiceOptions {
  readonly bus: Bus;
  readonly apps: Apps;
  readonly version: string;
  readonly idleSeconds: number;
  readonly complain: (text: string) => void;
  /** Called when the service may leave. */
  readonly leave: () => void;
}

export class Service {
  private readonly options: ServiceOptions;
  private readonly door: Door<SessionMethodName, SessionPropertyName, Call>;
  private readonly presence: Stay;
  private readonly watch: FolderWatch;
  /** Connections for whose sake the service stays. */
  private readonly staying = new Set<string>();
  private turn: Promise<unknown> = Promise.resolve();
  /** Seconds, so that it is higher than that of a service before this one. */
  private revision = Math.floor(Date.now() / 1000);
  private mark = '';
  private syncing = false;

  constructor(options: ServiceOptions) {
    this.options = options;
    const { bus, apps, complain } = options;
    const manager = new UserManager(bus, complain);
    this.door = new Door({
      bus,
      contract: { ...SESSION, methods: SESSION_METHODS, properties: SESSION_PROPERTIES },
      methods: methodsOf({
        apps,
        session: {
          environment: () => manager.environment(),
          adopt: (pid, scope, description) => manager.adopt(pid, scope, description),
          inherit: true,
        },
        inTurn: (work) => this.inTurn(work),
        changed: () => {
          // The first choice makes the folders.
          this.watch.refresh();
          this.tell();
        },
        stay: (caller) => this.staying.add(caller),
      }),
      properties: () => this.properties(),
      admit: (call, answer) => answer(call),
      fault: (why) => sentence('error.session-internal', { why }),
      complain,
    });
    this.presence = new Stay({
      bus,
      name: SESSION.name,
      door: this.door,
      idleSeconds: options.idleSeconds,
      needed: () => this.syncing || this.staying.size > 0,
      complain,
      leave: () => {
        this.watch.close();
        options.leave();
      },
    });
    this.watch = new FolderWatch(
      () => apps.folders,
      () => void this.follow(),
    );
  }

  /** Takes the name and begins to hear of changes. Rejects when another program owns the name. */
  async start(): Promise<void> {
    this.door.open();
    this.door.shut();
    await this.presence.takeName();
    await onNameLost(this.options.bus, (name) => this.staying.delete(name));
    this.watch.refresh();
    this.mark = this.options.apps.mark();
    this.door.reopen();
    this.presence.endWhenIdle();
    // What has changed while nobody was there; where systemd's path unit is, it has seen to that already.
    void this.follow();
  }

  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.turn.then(work);
    this.turn = mine.catch(() => {});
    return mine;
  }

  private async properties(): Promise<PropertiesOf<SessionPropertyName>> {
    const { way, reason } = await this.options.apps.way();
    return {
      Version: s(this.options.version),
      Way: s(way),
      WayReason: s(reason),
      Revision: u(this.revision),
    };
  }

  /** Something in the folders has changed: entries follow, and whoever listens is told. */
  private async follow(): Promise<void> {
    if (this.syncing) return;
    this.syncing = true;
    try {
      await this.inTurn(() => this.options.apps.sync());
    } catch (fault) {
      this.options.complain(reasonOf(fault));
    } finally {
      this.syncing = false;
      this.tell();
    }
  }

  /** Tells the new revision where the list would be another one. */
  private tell(): void {
    const mark = this.options.apps.mark();
    if (mark === this.mark) return;
    this.mark = mark;
    this.revision += 1;
    const changed = { Revision: u(this.revision) };
    try {
      this.options.bus.send(propertiesChanged(SESSION.path, SESSION.interface, changed));
    } catch (fault) {
      this.options.complain(`A change could not be told: ${reasonOf(fault)}`);
    }
  }

  /** Resolves when no change is being made any more. */
  async finish(): Promise<void> {
    await this.turn;
  }
}
