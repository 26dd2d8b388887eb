/** Asks polkit whether a caller may do a thing. No answer is a no. */
import { type Power, polkitAction } from '../../core/src/contract.js';
import { failure, reasonOf } from '../../core/src/errors.js';
import { type Bus, Message, Variant, within } from '../../core/src/linux/bus/dbus.js';
import { say, sentence } from '../../core/src/words.js';

const POLKIT = {
  destination: 'org.freedesktop.PolicyKit1',
  path: '/org/freedesktop/PolicyKit1/Authority',
  interface: 'org.freedesktop.PolicyKit1.Authority',
} as const;

const ALLOW_USER_INTERACTION = 1;
/** Without a dialog polkit answers at once; a rule that spawns programs may take a moment. */
const SILENT_LIMIT_MS = 10_000;

export interface Authority {
  /**
   * Resolves when the caller may use the power, rejects with NotAuthorized when not. `details` are shown in the
   * dialog’s message. The dialog is closed when the caller leaves the bus.
   */
  require(
    caller: string,
    power: Power,
    details: Readonly<Record<string, string>>,
    interactive: boolean,
  ): Promise<void>;
  /** The caller has left the bus. */
  callerLeft(caller: string): void;
}

export class Polkit implements Authority {
  private readonly bus: Bus;
  private count = 0;
  /** Open dialogs: cancellation ids by caller. */
  private readonly open = new Map<string, Set<string>>();

  constructor(bus: Bus) {
    this.bus = bus;
  }

  async require(
    caller: string,
    power: Power,
    details: Readonly<Record<string, string>>,
    interactive: boolean,
  ): Promise<void> {
    this.count += 1;
    const cancellation = interactive ? `gpu-handoff-${process.pid}-${this.count}` : '';
    // The subject is the caller's name on this bus, which cannot be reused; a pid could be by now another's.
    const subject = ['system-bus-name', { name: new Variant('s', caller) }];
    const message = new Message({
      ...POLKIT,
      member: 'CheckAuthorization',
      signature: '(sa{sv})sa{ss}us',
      body: [subject, polkitAction(power), details, interactive ? ALLOW_USER_INTERACTION : 0, cancellation],
    });
    let authorized: boolean;
    if (interactive) this.remember(caller, cancellation);
    try {
      const asked = this.bus.call(message);
      const reply = await (interactive ? asked : within(SILENT_LIMIT_MS, asked));
      authorized = (reply?.body[0] as [boolean] | undefined)?.[0] === true;
    } catch (fault) {
      throw failure('NotAuthorized', 'error.authority-absent', { why: reasonOf(fault) });
    } finally {
      if (interactive) this.forget(caller, cancellation);
    }
    if (!authorized)
      throw failure('NotAuthorized', 'error.not-authorized', { power: say(sentence(`power.${power}`)) });
  }

  private remember(caller: string, cancellation: string): void {
    const ids = this.open.get(caller) ?? new Set();
    ids.add(cancellation);
    this.open.set(caller, ids);
  }

  private forget(caller: string, cancellation: string): void {
    const ids = this.open.get(caller);
    ids?.delete(cancellation);
    if (ids?.size === 0) this.open.delete(caller);
  }

  callerLeft(caller: string): void {
    for (const id of this.open.get(caller) ?? []) {
      const message = new Message({
        ...POLKIT,
        member: 'CancelCheckAuthorization',
        signature: 's',
        body: [id],
      });
      // Nobody waits for the answer; a polkit that is gone has no dialog open either.
      this.bus.call(message).catch(() => {});
    }
    this.open.delete(caller);
  }
}

/** For the simulated workstation alone: everybody may, or nobody. */
export class FixedAuthority implements Authority {
  private readonly answer: boolean;

  constructor(answer: boolean) {
    this.answer = answer;
  }

  async require(_caller: string, power: Power): Promise<void> {
    if (!this.answer)
      throw failure('NotAuthorized', 'error.not-authorized', { power: say(sentence(`power.${power}`)) });
  }

  callerLeft(): void {}
}
