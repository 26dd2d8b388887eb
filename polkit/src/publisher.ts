/** Tells what changed in the properties, and takes only a small share of a core for it. */
import type { Boxes } from '../../core/src/linux/bus/dbus.js';

/** How long changes are gathered, at least, before they are published. */
const GATHER_MS = 50;
/** Telling takes at most one part in so many of a core: it must not slow down what it tells of. */
const SHARE = 10;

export interface PublisherOptions {
  /** All properties as they are now. */
  readonly properties: () => Boxes;
  /** Tells those that changed. */
  readonly send: (changed: Boxes) => void;
  /** What this process has taken of its cores so far, in milliseconds. */
  readonly spent?: () => number;
}

function spentMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

export class Publisher {
  private readonly options: PublisherOptions;
  private readonly spent: () => number;
  /** JSON of each property as last published, to see what changed. */
  private readonly last = new Map<string, string>();
  private timer: NodeJS.Timeout | null = null;
  /** What the last publishing took of a core, in milliseconds. */
  private cost = 0;

  constructor(options: PublisherOptions) {
    this.options = options;
    this.spent = options.spent ?? spentMs;
  }

  /**
   * Something may have changed: changes that follow each other closely are published as one, since nobody reads faster.
   * @param more whether more is to come soon, as while an operation runs; its end is what everybody waits for
   */
  changed(more: boolean): void {
    if (this.timer !== null) {
      if (more) return;
      clearTimeout(this.timer);
    }
    const pause = more ? Math.max(GATHER_MS, SHARE * this.cost) : GATHER_MS;
    this.timer = setTimeout(() => this.publish(), pause);
  }

  /** Publishes at once what still waits to be. */
  flush(): void {
    if (this.timer !== null) this.publish();
  }

  private publish(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    const before = this.spent();
    const changed: Boxes = {};
    for (const [name, value] of Object.entries(this.options.properties())) {
      const text = JSON.stringify(value);
      if (this.last.get(name) === text) continue;
      this.last.set(name, text);
      changed[name] = value;
    }
    if (Object.keys(changed).length > 0) this.options.send(changed);
    this.cost = this.spent() - before;
  }
}
