/** What the extension costs the shell: time, wake-ups and memory, beside a shell without it. */
import dbus from 'dbus-next';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MANAGER } from '../../core/src/contract.js';
import { connect } from '../bus/rig/session.js';
import { type GnomeSession, type Point, startGnome } from './rig/gnome.js';
import { glance } from './support.js';

const PROPERTIES = 'org.freedesktop.DBus.Properties';
const CHANGES = 1000;
const OPENINGS = 100;
/** Wake-ups in five seconds: the shell has up to two without it; a timer of its own once a second would be five more. */
const AT_REST = 3;

type Dict = Record<string, dbus.Variant>;

/** Speaks in the helper's place, with what the real one said, as often as is asked of it. */
class Speaker {
  readonly #client: dbus.MessageBus;
  readonly #said = new Map<string, dbus.Message>();
  #all: Dict = {};

  constructor(client: dbus.MessageBus) {
    this.#client = client;
  }

  /** Listens to the real helper. */
  async learn(): Promise<void> {
    const ask = async (iface: string, member: string, signature: string, body: unknown[]): Promise<void> => {
      const where = { destination: MANAGER.name, path: MANAGER.path, interface: iface };
      const reply = await this.#client.call(new dbus.Message({ ...where, member, signature, body }));
      if (reply !== null) this.#said.set(member, reply);
    };
    await ask(PROPERTIES, 'GetAll', 's', [MANAGER.interface]);
    await ask(MANAGER.interface, 'ListVirtualMachines', 'a{sv}', [{}]);
    await ask(MANAGER.interface, 'GetHolders', 'sa{sv}', ['0000:01:00.0', {}]);
    this.#all = this.#said.get('GetAll')?.body[0] as Dict;
  }

  /** Takes the name, and answers. */
  async speak(): Promise<void> {
    this.#client.on('message', (message: dbus.Message) => {
      if (message.type !== dbus.MessageType.METHOD_CALL || message.path !== MANAGER.path) return;
      const said = this.#said.get(message.member ?? '');
      const { signature, body } = said ?? { signature: '', body: [] };
      this.#client.send(dbus.Message.newMethodReturn(message, signature ?? '', body));
    });
    await this.#client.requestName(MANAGER.name, dbus.NameFlag.DO_NOT_QUEUE);
  }

  /** Tells of one change of the card, of which every second undoes the one before. */
  change(count: number): void {
    const cards = this.#all.Cards?.value as Dict[];
    const changed = cards.map((card) =>
      card.role?.value === 'dgpu'
        ? { ...card, asleep: new dbus.Variant('b', count % 2 === 0), why: new dbus.Variant('s', '') }
        : card,
    );
    const values = { Cards: new dbus.Variant('aa{sv}', changed) };
    const body = [MANAGER.interface, values, []];
    this.#client.send(
      dbus.Message.newSignal(MANAGER.path, PROPERTIES, 'PropertiesChanged', 'sa{sv}as', body),
    );
  }
}

/** What there is in the shell, or how much more of it. */
interface Left {
  readonly things: number;
  readonly actors: number;
}

describe('the extension', () => {
  let shell: GnomeSession;
  let speaker: Speaker;
  beforeAll(async () => {
    shell = await startGnome();
    await glance(shell, 'held');
    speaker = new Speaker(await connect(shell.helperBus.bus.address));
    await speaker.learn();
    await shell.removeHelper();
    // Its absence has been seen before another speaks.
    await glance(shell, 'unavailable');
    await speaker.speak();
    await glance(shell, 'held');
  });
  afterAll(() => shell?.stop());

  /** Changes, as fast as the bus takes them; resolves when the last can have been seen. */
  async function changes(count: number): Promise<void> {
    for (let i = 1; i <= count; i++) {
      speaker.change(i);
      if (i % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 15));
    }
    // Behind all of them in the same queue.
    await shell.look('1');
  }

  /** Milliseconds of the processor that the shell's main loop takes for something. */
  async function cost(act: () => Promise<void>): Promise<number> {
    const before = await shell.mainLoop();
    await act();
    const after = await shell.mainLoop();
    return after.milliseconds - before.milliseconds;
  }

  it('handles a change of state in less than 2 ms', async () => {
    const on = await cost(() => changes(CHANGES));
    await glance(shell, 'asleep');
    await shell.enable(false);
    const off = await cost(() => changes(CHANGES));
    await shell.enable(true);
    const each = (on - off) / CHANGES;
    console.log(`one change of state: ${each.toFixed(3)} ms of main loop`);
    expect(each).toBeGreaterThan(0);
    expect(each).toBeLessThan(2);
  });

  it('sleeps while nothing changes', async () => {
    const wakeUps = async (): Promise<number> => {
      const before = await shell.mainLoop();
      await new Promise((resolve) => setTimeout(resolve, 5_000));
      return (await shell.mainLoop()).switches - before.switches;
    };
    // What was enabled a moment ago, or in a young shell, has things to do at first; what never sleeps goes on and on.
    let least = Number.POSITIVE_INFINITY;
    for (let i = 0; i < 8 && least > AT_REST; i++) least = Math.min(least, await wakeUps());
    console.log(`wake-ups in 5 s: ${least}`);
    expect(least).toBeLessThanOrEqual(AT_REST);
  });

  it('keeps no memory of what was', async () => {
    const quickSettings = await shell.see({ type: 'QuickSettings' });
    const middle = (one: Point & { width: number; height: number }): Point => ({
      x: one.x + one.width / 2,
      y: one.y + one.height / 2,
    });
    /** Openings of Quick Settings, and of a menu in them: the tile's, or one of the shell's own. */
    const openings = async (own: boolean, count: number): Promise<void> => {
      for (let i = 0; i < count; i++) {
        await shell.click(middle(quickSettings));
        await shell.see({ style: 'quick-settings-grid' });
        await shell.click(own ? { style: 'gpu-handoff-tile' } : { type: 'ShutdownItem' });
        await shell.see({ style: own ? 'gpu-handoff-content' : 'quick-toggle-menu' });
        await shell.closeEverything();
      }
    };
    /** What each of two rounds leaves, after what is made at the first times and kept. */
    const growth = async (own: boolean, count: number, times: number): Promise<Left[]> => {
      const after: Left[] = [];
      for (const round of [0.1, 1, 1]) {
        await changes(count * round);
        await openings(own, Math.ceil(times * round));
        after.push({ things: await shell.things(), actors: (await shell.leftovers()).actors });
      }
      const [warm, first, second] = after as [Left, Left, Left];
      const between = (a: Left, b: Left): Left => ({
        things: b.things - a.things,
        actors: b.actors - a.actors,
      });
      return [between(warm, first), between(first, second)];
    };
    const on = await growth(true, CHANGES / 2, OPENINGS / 2);
    await shell.enable(false);
    const off = await growth(false, CHANGES / 4, OPENINGS / 4);
    await shell.enable(true);
    console.log('more after each round:', ...on, 'without it:', ...off);
    // Things are counted: the code that the compiler keeps is half a megabyte more or less, also where nothing happens.
    // What leaks does so in each round; some things the shell makes once, whenever it needs them.
    for (const what of ['things', 'actors'] as const) {
      const noise = Math.max(...off.map((round) => Math.abs(round[what])));
      expect(Math.min(...on.map((round) => round[what]))).toBeLessThanOrEqual(noise + OPENINGS / 4);
    }
  }, 240_000);

  it('takes less than 5 MiB', async () => {
    expect(shell.complaints()).toEqual([]);
    const fresh = await startGnome({ disabled: true });
    try {
      const memory = async (): Promise<number> => {
        // Without what can be collected.
        await fresh.leftovers();
        return (await fresh.mainLoop()).memory;
      };
      const before = await memory();
      await fresh.enable(true);
      await glance(fresh, 'held');
      const after = await memory();
      const mebibytes = (after - before) / 1024 / 1024;
      console.log(`enabling takes ${mebibytes.toFixed(1)} MiB`);
      expect(mebibytes).toBeLessThan(5);
    } finally {
      await fresh.stop();
    }
  });
});
