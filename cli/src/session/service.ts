/** The service's life on the bus: takes its name, answers, tells what changes, and leaves when not needed. */
import { reasonOf } from '../../../core/src/errors.js';
import { SESSION } from '../../../core/src/session-contract.js';
import type { Apps } from './apps.js';
import { ask, type Bus, Message, MessageType, NameFlag, RequestNameReply, s, u } from './bus.js';
import { Door, type Properties } from './door.js';
import { UserManager } from './manager.js';
import { methodsOf } from './methods.js';
import { FolderWatch } from './watch.js';

const DAEMON = {
  destination: 'org.freedesktop.DBus',
  path: '/org/freedesktop/DBus',
  interface: 'org.freedesktop.DBus',
} as const;

/** How often it is looked, at least, whether anybody still needs the service. */
const IDLE_LOOK_MS = 5000;
const BUS_MS = 10_000;

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
  private readonly door: Door;
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
      complain,
    });
    this.watch = new FolderWatch(
      () => apps.folders,
      () => void this.follow(),
    );
    bus.on('message', (message: Message) => {
      if (message.type !== MessageType.SIGNAL || message.sender !== DAEMON.destination) return;
      if (message.member !== 'NameOwnerChanged' || message.interface !== DAEMON.interface) return;
      const [name, , owner] = message.body as [string, string, string];
      if (owner === '') this.staying.delete(name);
    });
  }

  /** Takes the name and begins to hear of changes. Rejects when another program owns the name. */
  async start(): Promise<void> {
    this.door.open();
    this.door.shut();
    await this.takeName();
    const rule = `type='signal',sender='${DAEMON.destination}',interface='${DAEMON.interface}',member='NameOwnerChanged',arg2=''`;
    const call = new Message({ ...DAEMON, member: 'AddMatch', signature: 's', body: [rule] });
    await ask(this.options.bus, call, BUS_MS);
    this.watch.refresh();
    this.mark = this.options.apps.mark();
    this.door.reopen();
    this.lookLater();
    // What has changed while nobody was there; where systemd's path unit is, it has seen to that already.
    void this.follow();
  }

  private async takeName(): Promise<void> {
    const reply = await this.options.bus.requestName(SESSION.name, NameFlag.DO_NOT_QUEUE);
    if (reply !== RequestNameReply.PRIMARY_OWNER) throw new Error(`another program owns ${SESSION.name}`);
  }

  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.turn.then(work);
    this.turn = mine.catch(() => {});
    return mine;
  }

  private async properties(): Promise<Properties> {
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
    const body = [SESSION.interface, { Revision: u(this.revision) }, []];
    const signal = ['org.freedesktop.DBus.Properties', 'PropertiesChanged', 'sa{sv}as', body] as const;
    try {
      this.options.bus.send(Message.newSignal(SESSION.path, ...signal));
    } catch (fault) {
      this.options.complain(`A change could not be told: ${reasonOf(fault)}`);
    }
  }

  private lookLater(): void {
    const pause = Math.min(IDLE_LOOK_MS, this.options.idleSeconds * 500);
    setTimeout(() => {
      this.leaveWhenIdle()
        .catch((fault) => this.options.complain(`Leaving when idle failed: ${reasonOf(fault)}`))
        .finally(() => this.lookLater());
    }, pause).unref();
  }

  /**
   * Leaves when nobody needs the service. The name is given back first: the bus then starts a new one for whoever calls
   * from there on, and who called before is heard before the bus confirms it.
   */
  private async leaveWhenIdle(): Promise<void> {
    const { door, staying } = this;
    if (door.busy || this.syncing || staying.size > 0) return;
    if (Date.now() - door.lastCall < this.options.idleSeconds * 1000) return;
    door.shut();
    await this.options.bus.releaseName(SESSION.name);
    if (door.knocking > 0) {
      const back = await this.takeName().then(
        () => true,
        () => false,
      );
      if (back) {
        door.reopen();
        return;
      }
    }
    this.watch.close();
    this.options.leave();
  }

  /** Resolves when no change is being made any more. */
  async finish(): Promise<void> {
    await this.turn;
  }
}
