/** A GNOME Shell in the proving machine, in the session of a user who has logged in there. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startDriver } from '../desktop/rig/driver.js';
import { HERE, OURS, RIG, Screen, SETTINGS, SHOTS } from '../desktop/rig/gnome.js';
import type { GuestProcess, Machine, Session } from './rig/index.js';
import { CACHE_DIR } from './rig/paths.js';

/** Where the pictures are kept on the host. */
const KEPT = join(CACHE_DIR, 'shots');
const UNIT = 'gnome-shell';
const SHELL = [
  ...['systemd-run', '--user', '--quiet', `--unit=${UNIT}`],
  ...['XDG_SESSION_TYPE=wayland', 'XDG_CURRENT_DESKTOP=GNOME', 'LIBGL_ALWAYS_SOFTWARE=1'].map(
    (variable) => `--setenv=${variable}`,
  ),
  ...['gnome-shell', '--headless', '--virtual-monitor', '1280x800', '--no-x11', '--unsafe-mode'],
];

/** One record of the journal, as far as it is looked at. */
interface Entry {
  readonly MESSAGE: unknown;
  readonly PRIORITY?: string;
  readonly GLIB_DOMAIN?: string;
  readonly _COMM?: string;
  readonly _PID?: string;
}

/** By the journal's priority. */
const LEVELS = ['ERROR', 'ERROR', 'ERROR', 'CRITICAL', 'WARNING', 'Message', 'INFO', 'DEBUG'] as const;

/** A record as GLib writes it where there is no journal. */
function asText({ MESSAGE, PRIORITY, GLIB_DOMAIN, _COMM, _PID }: Entry): string {
  const text = typeof MESSAGE === 'string' ? MESSAGE : JSON.stringify(MESSAGE);
  // What a program prints.
  if (GLIB_DOMAIN === undefined) return `${text}\n`;
  const level = LEVELS[Number(PRIORITY)] ?? 'INFO';
  if (level === 'Message') return `${GLIB_DOMAIN}-Message: ${text}\n`;
  return `(${_COMM}:${_PID}): ${GLIB_DOMAIN.replaceAll(' ', '-')}-${level} **: ${text}\n`;
}

/** Waited for longer than elsewhere: everything here is emulated. */
export class MachineScreen extends Screen {
  readonly #machine: Machine;
  readonly #session: Session;
  readonly #journal: GuestProcess;
  protected override readonly patienceMs = 180_000;

  private constructor(machine: Machine, session: Session, journal: GuestProcess) {
    super(48, OURS);
    this.#machine = machine;
    this.#session = session;
    this.#journal = journal;
  }

  /** Settings for everybody in the machine; they count from the next installation of a package that has some. */
  static async prepare(machine: Machine): Promise<void> {
    const parts = SETTINGS.map(([schema, key, value]) => `[${schema}]\n${key}=${value}\n`);
    await machine.put('/usr/share/glib-2.0/schemas/99_rig.gschema.override', parts.join(''));
  }

  /** Starts the shell as a unit of the user's manager, and waits until it can be used. */
  static async start(machine: Machine, session: Session): Promise<MachineScreen> {
    mkdirSync(KEPT, { recursive: true });
    await machine.check(['install', '-d', '-m', '777', SHOTS]);
    await machine.putTree(HERE, RIG);
    const ofUnit = `_SYSTEMD_USER_UNIT=${UNIT}.service`;
    const journal = await machine.spawn(['journalctl', '--follow', '--lines=all', '--output=json', ofUnit]);
    const screen = new MachineScreen(machine, session, journal);
    await session.put('/home/alice/.local/share/gnome-shell/lock-warning-shown', '');
    await session.check(SHELL);
    const hands = { pipe: async (argv: readonly string[]) => (await session.spawn(argv)).stream() };
    screen.driver = await startDriver(hands, `${RIG}/driver.js`);
    // Who asks again and again meanwhile makes it later still.
    await journal.waitFor(/GNOME Shell started/, screen.patienceMs);
    await screen.ready();
    return screen;
  }

  log(): string {
    const lines = this.#journal.output().stdout.split('\n').slice(0, -1);
    return lines.map((line) => asText(JSON.parse(line) as Entry)).join('');
  }

  async must(argv: readonly string[]): Promise<string> {
    return await this.#session.check(argv);
  }

  protected override async fetch(file: string): Promise<string> {
    const path = join(KEPT, file);
    writeFileSync(path, await this.#machine.get(`${SHOTS}/${file}`));
    return path;
  }
}
