/** A service's stay on the bus: under its name for as long as somebody needs it. */
import { reasonOf } from '../../errors.js';
import { type Bus, NameFlag, RequestNameReply } from './dbus.js';
import type { Call, Door } from './door.js';

/** How often it is looked, at least, whether anybody still needs the service. */
const LOOK_MS = 5000;

export interface StayOptions {
  readonly bus: Bus;
  readonly name: string;
  readonly door: Pick<Door<string, string, Call>, 'busy' | 'knocking' | 'lastCall' | 'shut' | 'reopen'>;
  /** Leave after so long without a call. */
  readonly idleSeconds: number;
  /** Whether the service has a reason to stay besides its calls. */
  readonly needed: () => boolean;
  readonly complain: (text: string) => void;
  /** Called when the service may leave. */
  readonly leave: () => void;
}

export class Stay {
  private readonly options: StayOptions;

  constructor(options: StayOptions) {
    this.options = options;
  }

  /** Takes the name. Rejects when another program owns it. */
  async takeName(): Promise<void> {
    const { bus, name } = this.options;
    const reply = await bus.requestName(name, NameFlag.DO_NOT_QUEUE);
    if (reply !== RequestNameReply.PRIMARY_OWNER) throw new Error(`another program owns ${name}`);
  }

  /** From now on leaves when nobody needs the service. */
  endWhenIdle(): void {
    const { idleSeconds, complain } = this.options;
    const look = (): void => {
      this.leaveWhenIdle()
        .catch((fault) => complain(`Leaving when idle failed: ${reasonOf(fault)}`))
        .finally(() => this.endWhenIdle());
    };
    setTimeout(look, Math.min(LOOK_MS, idleSeconds * 500)).unref();
  }

  /**
   * The name is given back first: the bus then starts a new service for whoever calls from there on, and who called
   * before is heard before the bus confirms it.
   */
  private async leaveWhenIdle(): Promise<void> {
    const { bus, name, door, needed, idleSeconds, leave } = this.options;
    if (door.busy || needed() || Date.now() - door.lastCall < idleSeconds * 1000) return;
    door.shut();
    await bus.releaseName(name);
    if (door.knocking > 0 || needed()) {
      const back = await this.takeName().then(
        () => true,
        () => false,
      );
      if (back) {
        door.reopen();
        return;
      }
      // Another one was started in between. Two must not work at once; who called us may call it.
    }
    leave();
  }
}
