import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MANAGER } from '../../../core/src/contract.js';
import { SESSION } from '../../../core/src/session-contract.js';
import type { Bind, Running } from '../../bus/rig/sandbox.js';
import { PLACES } from '../../bus/rig/session.js';
import { type HelperBus, type HelperOptions, startHelperBus } from '../../bus/support-helper.js';
import { REPO } from '../../rig/repo.js';
import { complaintsIn } from './complaints.js';
import { type Driver, startDriver } from './driver.js';
import { openRoom, type Room } from './room.js';
import { CACHE, type LOCALES } from './tree.js';
import { type GnomeVersion, versionUnderTest } from './versions.js';

/** An extension that a session has. */
export interface Installed {
  readonly uuid: string;
  /** On the host: what `gnome-extensions install` takes, or a folder of which it makes that. */
  readonly from: string;
}

export const EXAMPLE: Installed = {
  uuid: 'example@rig.test',
  from: fileURLToPath(new URL('example', import.meta.url)),
};

export const OURS: Installed = {
  uuid: 'gpu-handoff@gpuhandoff.github.io',
  from: join(REPO, 'dist/gpu-handoff@gpuhandoff.github.io.shell-extension.zip'),
};

/** How the desktop looks. */
export interface Appearance {
  readonly style?: 'light' | 'dark';
  readonly contrast?: boolean;
}

/** What a session is started with. */
export interface GnomeOptions {
  /** Left out: ours. Null: none. */
  readonly extension?: Installed | null;
  /** True where the extension is installed and not enabled. */
  readonly disabled?: boolean;
  /** The workstation behind the helper, and how it behaves. The session's user may do everything. */
  readonly helper?: Pick<HelperOptions, 'scenario' | 'prepare' | 'pace' | 'rules' | 'files'>;
  /** True where the helper is not installed until `installHelper()`. */
  readonly withoutHelper?: boolean;
  readonly appearance?: Appearance;
  /** The monitor has room for 1280 × 800 at either scale. */
  readonly scale?: 1 | 2;
  readonly locale?: (typeof LOCALES)[number];
  /** GNOME's settings: schema, key, and the value as `gsettings set` takes it. */
  readonly settings?: readonly (readonly [schema: string, key: string, value: string])[];
  /** Files of the user's, below its home. */
  readonly files?: Readonly<Record<string, string>>;
}

/** How a thing on the screen is meant. */
export interface Query {
  /** What a screen reader says; whole, or a pattern (flag u). */
  readonly name?: string | RegExp;
  /** As AT-SPI names it: `push button`, `toggle button`, `label`, … */
  readonly role?: string;
  /** The class of the shell that draws it. */
  readonly type?: string;
  /** One of its style classes. */
  readonly style?: string;
  /** A style class of something that it is inside of. */
  readonly within?: string;
  /** Only what answers to pointer and keyboard. */
  readonly usable?: boolean;
  /** Which of several, from 0. */
  readonly nth?: number;
}

/** Something on the screen. Places and sizes are pixels of the stage. */
export interface Seen {
  readonly name: string;
  readonly role: string;
  readonly description: string;
  readonly text: string;
  /** Its text ends in an ellipsis for want of room. */
  readonly cut: boolean;
  readonly states: readonly string[];
  readonly usable: boolean;
  readonly focusable: boolean;
  readonly style: string;
  readonly icon: string;
  readonly type: string;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Something in the window of an application. Places are relative to its window. */
export interface Accessible {
  readonly name: string;
  readonly description: string;
  readonly role: string;
  /** Of `checked`, `expanded`, `focused`, `sensitive`, `showing`. */
  readonly states: readonly string[];
  readonly depth: number;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** A window of an application, as a screen reader is told of it. */
export interface AppWindow {
  find(query: WindowQuery): Promise<Accessible[]>;
  /** The one that fits, waited for. */
  see(query: WindowQuery): Promise<Accessible>;
  click(query: WindowQuery): Promise<void>;
  /** Waits until nothing in it changes any more. */
  settled(): Promise<void>;
}

/** How something in a window is meant. */
export interface WindowQuery {
  readonly name?: string | RegExp;
  readonly role?: string | RegExp;
  /** Which of several, from 0. */
  readonly nth?: number;
}

export interface MainLoop {
  /** Of the processor. */
  readonly milliseconds: number;
  /** How often it went to sleep. */
  readonly switches: number;
  /** Bytes that the process alone has written to. */
  readonly memory: number;
}

export interface Leftovers {
  readonly actors: number;
  /** Timers, idle work, watched files and sockets of the main loop. */
  readonly sources: number;
  /** Bytes of JavaScript. */
  readonly heap: number;
}

export interface Shot {
  /** On the host. */
  readonly path: string;
  readonly width: number;
  readonly height: number;
  /** How many different colours a sample of its pixels has. */
  readonly colours: number;
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

const RULES = `polkit.addRule(function (action, subject) {
  if (action.id.indexOf('io.github.gpuhandoff.') === 0 && subject.user === 'tester') return polkit.Result.YES;
});
`;

/** The bus also listens where the room can have it. */
const SECOND_SOCKET = `<busconfig><listen>unix:path=/srv/workstation/bus/system_bus_socket</listen></busconfig>
`;

const ACTIVATION = `${PLACES.activation}/${MANAGER.name}.service`;
const RELOAD = [
  ...['busctl', '--system', 'call', 'org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus'],
  'ReloadConfig',
];

/** Where a session finds what is in `inside/`. */
export const RIG = '/gpu-handoff/rig';
const PACKED = '/gpu-handoff/extension';
/** Where it leaves its pictures. */
export const SHOTS = '/gpu-handoff/shots';
/** `inside/` on the host. */
export const HERE = fileURLToPath(new URL('inside', import.meta.url));

/** Where the screenshots are kept on the host. */
export const SHOTS_DIR = join(CACHE, 'shots');

const INTERFACE = 'org.gnome.desktop.interface';

/** What every session under test is set to. */
export const SETTINGS: readonly (readonly [string, string, string])[] = [
  ['org.gnome.shell', 'welcome-dialog-last-shown-version', "'99'"],
  ['org.gnome.shell', 'disable-user-extensions', 'false'],
  [INTERFACE, 'toolkit-accessibility', 'true'],
  [INTERFACE, 'enable-animations', 'false'],
  [INTERFACE, 'cursor-blink', 'false'],
  // A pointer that crosses the corner would open the overview.
  [INTERFACE, 'enable-hot-corners', 'false'],
  ['org.gnome.desktop.session', 'idle-delay', 'uint32 0'],
  ['org.gnome.desktop.screensaver', 'lock-enabled', 'false'],
  // The clock of a screenshot tells nothing.
  [INTERFACE, 'clock-show-date', 'false'],
  // On a busy machine a key is let go late, which is no wish for many.
  ['org.gnome.desktop.peripherals.keyboard', 'repeat', 'false'],
];

/** Starts a GNOME session of its own with the real helper on its system bus; everything ends with the test process. */
export async function startGnome(options: GnomeOptions = {}): Promise<GnomeSession> {
  mkdirSync(SHOTS_DIR, { recursive: true });
  // The session's user writes there.
  chmodSync(SHOTS_DIR, 0o777);
  const bus = await startHelperBus({
    rules: RULES,
    ...options.helper,
    prepare(dir) {
      mkdirSync(join(dir, 'bus'), { mode: 0o755 });
      options.helper?.prepare?.(dir);
    },
    files: { ...options.helper?.files, '/etc/dbus-1/system-local.conf': SECOND_SOCKET },
  });
  try {
    const extension = options.extension === undefined ? OURS : options.extension;
    const binds: Bind[] = [
      { from: join(bus.dir, 'bus'), to: '/run/dbus' },
      { from: HERE, to: RIG },
      { from: SHOTS_DIR, to: SHOTS, writable: true },
      // The per-user service and the wrapper look at the machine by themselves.
      { from: join(bus.dir, 'sys'), to: '/sys' },
      { from: process.execPath, to: '/usr/bin/node' },
      { from: join(REPO, 'dist/session'), to: '/usr/lib/gpu-handoff/session' },
      { from: join(REPO, 'dist/wrapper/gpu-handoff-run'), to: '/usr/bin/gpu-handoff-run' },
      ...(extension === null ? [] : [{ from: extension.from, to: PACKED }]),
    ];
    const version = versionUnderTest();
    const room = await openRoom(bus.bus, version, binds);
    await installSession(room);
    const session = new GnomeSession(version, options, bus, room, extension);
    if (options.withoutHelper === true) await session.removeHelper();
    await session.start();
    return session;
  } catch (error) {
    await bus.stop();
    throw error;
  }
}

/** The per-user service, as its package installs it. */
async function installSession(room: Room): Promise<void> {
  const packaged = (name: string): string => readFileSync(join(REPO, 'cli/data', name), 'utf8');
  const file = `${SESSION.name}.service`;
  const user = 'root';
  await Promise.all([
    room.put('/usr/lib/gpu-handoff/package.json', '{ "type": "module" }\n', { user }),
    room.put('/usr/libexec/gpu-handoff-session', packaged('gpu-handoff-session'), { user, mode: '755' }),
    room.put(`/usr/share/dbus-1/services/${file}`, packaged(file), { user }),
  ]);
}

/** What stays where it is for so long is at rest. */
const STILL_MS = 80;

/** A shell's screen, looked at and used as a person would. */
export abstract class Screen {
  readonly version: GnomeVersion;
  protected readonly extension: Installed | null;
  /** How long something is waited for where nothing else is said. */
  protected readonly patienceMs: number = 15_000;
  protected driver: Driver | undefined;

  protected constructor(version: GnomeVersion, extension: Installed | null) {
    this.version = version;
    this.extension = extension;
  }

  protected get hands(): Driver {
    if (this.driver === undefined) throw new Error('the session has not been started');
    return this.driver;
  }

  /** What the shell has written so far. */
  abstract log(): string;

  /** What has been written beside the shell, where anything is: for who looks at a failure. */
  protected beside(): string {
    return '';
  }

  /** Runs a command as the session's user; throws when it fails. */
  abstract must(argv: readonly string[]): Promise<string>;

  /** Waits for a shell that has just been started, and leaves it with nothing open. */
  protected async ready(): Promise<void> {
    await this.waitFor('the shell', async () => {
      const answer = await this.look('!Main.layoutManager._startingUp').catch(() => false);
      return answer === true;
    });
    await this.closeEverything();
  }

  /**
   * Waits until the extension is on, or off, and the shell is done with that: while it still works on one change, another
   * one can pass unnoticed.
   */
  protected async isEnabled(enabled = true): Promise<void> {
    const manager = 'Main.extensionManager';
    const uuid = JSON.stringify(this.extension?.uuid);
    const parts = [
      `${manager}.lookup(${uuid})?.state`,
      `${manager}._enabledExtensions.includes(${uuid})`,
      `${manager}._extensionOrder.includes(${uuid})`,
      `global.settings.get_strv('enabled-extensions').includes(${uuid})`,
    ];
    const wanted = JSON.stringify([enabled ? 1 : 2, enabled, enabled, enabled]);
    let seen: unknown;
    await this.waitFor(
      () => `the extension ${enabled ? 'on' : 'off'}: ${wanted}, but ${seen}`,
      async () => {
        seen = await this.look(`JSON.stringify([${parts.join(', ')}])`);
        return seen === wanted;
      },
    );
  }

  /** Changes how the desktop looks, as its settings do; dark where nothing is said. */
  async appear({ style = 'dark', contrast = false }: Appearance): Promise<void> {
    await this.hands.ask('settings', {
      values: [
        [INTERFACE, 'color-scheme', `'prefer-${style}'`],
        ['org.gnome.desktop.a11y.interface', 'high-contrast', `${contrast}`],
      ],
    });
    await this.settled();
  }

  /** What the shell has complained about so far; see complaints.ts. */
  complaints(): string[] {
    return complaintsIn(this.log());
  }

  /** What a screen reader is told of a whole application, through the accessibility bus. */
  async accessibles(application: string): Promise<Accessible[]> {
    return (await this.hands.ask('accessibles', { application })) as Accessible[];
  }

  /** Whether a name has an owner on the session's bus. */
  async owned(name: string): Promise<boolean> {
    return (await this.hands.ask('owned', { name })) as boolean;
  }

  /** The value of an expression inside the shell, by way of JSON. For looking only. */
  async look(expression: string): Promise<unknown> {
    const text = (await this.hands.ask('eval', { code: expression })) as string;
    return text === '' ? undefined : JSON.parse(text);
  }

  async #eyes(call: string, query?: Query): Promise<unknown> {
    const { name, ...rest } = query ?? {};
    const wanted =
      name === undefined ? {} : typeof name === 'string' ? { text: name } : { pattern: name.source };
    const argument = JSON.stringify({ ...rest, ...(name === undefined ? {} : { name: wanted }) });
    return this.look(`import('file://${RIG}/eyes.js').then((eyes) => eyes.${call}(${argument}))`);
  }

  /** Everything on the screen that fits. */
  async find(query: Query): Promise<Seen[]> {
    return (await this.#eyes('find', query)) as Seen[];
  }

  /** The one thing on the screen that fits, waited for. */
  async see(query: Query, timeoutMs?: number): Promise<Seen> {
    return this.waitFor(
      `${describe(query)} on the screen`,
      async () => (await this.find(query))[query.nth ?? 0],
      timeoutMs,
    );
  }

  /** Waits until nothing on the screen fits. */
  async seeNo(query: Query): Promise<void> {
    await this.waitFor(
      `no ${describe(query)} on the screen`,
      async () => (await this.find(query)).length === 0,
    );
  }

  /** A tree of all that is on the screen, to be read by people. */
  async outline(): Promise<string> {
    return (await this.#eyes('outline')) as string;
  }

  /** Waits until nothing on the screen changes any more. */
  settled(): Promise<void> {
    return this.#rest(() => this.outline());
  }

  async #rest(look: () => Promise<string>): Promise<void> {
    let last = '';
    let same = 0;
    await this.waitFor('a screen at rest', async () => {
      const now = await look();
      same = now === last ? same + 1 : 0;
      last = now;
      return same >= 4;
    });
  }

  /** What has the keyboard. */
  async focus(): Promise<Seen | null> {
    return (await this.#eyes('focus')) as Seen | null;
  }

  /** Tries until something is there (not undefined, null or false), and gives it. */
  async waitFor<T>(
    what: string | (() => string),
    look: () => Promise<T | undefined | null | false>,
    timeoutMs = this.patienceMs,
  ): Promise<T> {
    const until = performance.now() + timeoutMs;
    for (;;) {
      const found = await look();
      if (found !== undefined && found !== null && found !== false) return found;
      if (performance.now() > until) {
        await this.#keep();
        const said = typeof what === 'string' ? what : what();
        const tail = (log: string): string => log.split('\n').slice(-20).join('\n');
        throw new Error(
          `not seen in ${timeoutMs} ms: ${said}\n${tail(this.log())}\nbeside it:\n${tail(this.beside())}`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** For who looks at a failure: what was on the screen, and what had been written. */
  async #keep(): Promise<void> {
    try {
      const { path } = await this.screenshot('failed');
      const kept = [await this.outline(), this.log(), this.beside()];
      writeFileSync(path.replace(/png$/, 'txt'), kept.join('\n\n'));
    } catch {
      // The shell may be what failed.
    }
  }

  /** Leaves menus and the overview as a user does, by Escape. */
  async closeEverything(): Promise<void> {
    await this.waitFor('nothing open', async () => {
      const open = 'Main.overview.visible || Main.actionMode !== 1';
      if ((await this.look(open)) === false) return true;
      await this.key('Escape');
      return false;
    });
  }

  /** Moves the pointer somewhere on the stage. */
  async moveTo(point: Point): Promise<void> {
    await this.waitFor('the pointer there', async () => {
      const at = (await this.#eyes('pointer')) as Point;
      const [dx, dy] = [point.x - at.x, point.y - at.y];
      if (Math.abs(dx) <= 1 && Math.abs(dy) <= 1) return true;
      await this.hands.ask('move', { dx, dy });
      return false;
    });
  }

  /** Presses a button of the pointer where it is. */
  async press(button: 'left' | 'right' = 'left'): Promise<void> {
    const code = button === 'left' ? 0x110 : 0x111;
    await this.hands.ask('button', { button: code, pressed: true });
    await this.hands.ask('button', { button: code, pressed: false });
  }

  /** Waits for something on the screen, moves the pointer there (turning the wheel where it must) and clicks. */
  async click(query: Query | Point, button: 'left' | 'right' = 'left'): Promise<void> {
    if ('x' in query) await this.moveTo(query);
    else await this.hover(query);
    await this.press(button);
  }

  /** Moves the pointer onto something, after it if it has moved away meanwhile. */
  async hover(query: Query): Promise<void> {
    for (;;) {
      const point = await this.#reach(query);
      await this.moveTo(point);
      const target = (await this.#eyes('target', query)) as (Point & { reached: boolean }) | null;
      if (target?.reached === true && target.x === point.x && target.y === point.y) return;
    }
  }

  async #reach(query: Query): Promise<Point> {
    let last = '';
    let since = 0;
    return this.waitFor(`${describe(query)} within reach of the pointer`, async () => {
      const target = (await this.#eyes('target', query)) as (Point & { reached: boolean }) | null;
      if (target === null) return undefined;
      const place = `${target.x} ${target.y}`;
      if (place !== last) since = performance.now();
      last = place;
      // What still moves would be missed: frames may be this far apart on a loaded machine.
      const still = performance.now() - since >= STILL_MS;
      return target.reached && still ? target : undefined;
    });
  }

  /** Presses and releases keys, named as X does (`Tab`, `Return`, `Super_L`, `a`), together: `Shift_L+Tab`. */
  async key(chord: string): Promise<void> {
    const keysyms = chord.split('+').map(keysym);
    for (const one of keysyms) await this.hands.ask('key', { keysym: one, pressed: true });
    for (const one of keysyms.reverse()) await this.hands.ask('key', { keysym: one, pressed: false });
  }

  async type(text: string): Promise<void> {
    for (const letter of text) await this.key(letter === ' ' ? 'space' : letter);
  }

  /** Keeps a picture of the whole screen as `NAME-VERSION.png` and says what is in it. */
  async screenshot(name: string): Promise<Shot> {
    const file = `${name}-${this.version}.png`;
    const told = await this.hands.ask('screenshot', { path: `${SHOTS}/${file}` });
    return { ...(told as Shot), path: await this.fetch(file) };
  }

  /** Where a picture is on the host, once the session has taken it. */
  protected async fetch(file: string): Promise<string> {
    return join(SHOTS_DIR, file);
  }

  /** Switches the extension on or off, and waits until it is. */
  async enable(enabled: boolean): Promise<void> {
    const uuid = this.extension?.uuid;
    await this.hands.ask('enable', { uuid, enabled });
    await this.isEnabled(enabled);
  }

  /** What there is in the shell after a collection of garbage. */
  async leftovers(): Promise<Leftovers> {
    return (await this.#eyes('leftovers')) as Leftovers;
  }

  /** Starts an application's preferences and gives its window when it is there. */
  async prefs(): Promise<AppWindow> {
    const uuid = this.extension?.uuid;
    if (uuid === undefined) throw new Error('the session has no extension');
    await this.must(['gnome-extensions', 'prefs', uuid]);
    return this.window('org.gnome.Shell.Extensions');
  }

  /** The window of an application, by its application id. */
  async window(application: string): Promise<AppWindow> {
    const place = (): Promise<unknown> =>
      this.look(
        `global.get_window_actors().map((one) => one.meta_window).filter((one) => one.get_wm_class() === '${application}')` +
          '.map((one) => one.get_frame_rect()).map(({ x, y }) => ({ x, y }))[0]',
      );
    const window: AppWindow = {
      find: async ({ name, role }) =>
        (await this.accessibles(application)).filter(
          (one) =>
            one.states.includes('showing') &&
            (role === undefined || isMeant(one.role, role)) &&
            (name === undefined || isMeant(one.name, name)),
        ),
      see: (query) =>
        this.waitFor(
          `${describe(query)} in the window`,
          async () => (await window.find(query))[query.nth ?? 0],
        ),
      settled: () =>
        this.#rest(async () => {
          // Places are left out: GTK gives random ones for what has none.
          const all = await window.find({});
          return JSON.stringify(all.map(({ name, role, states }) => [name, role, states]));
        }),
      click: async (query) => {
        const one = await window.see(query);
        const at = (await place()) as Point;
        await this.click({ x: at.x + one.x + one.width / 2, y: at.y + one.y + one.height / 2 });
      },
    };
    await this.waitFor(`a window of ${application}`, async () => (await place()) !== undefined);
    return window;
  }
}

/** A session of its own in a tree, with the real helper on its system bus. */
export class GnomeSession extends Screen {
  readonly helperBus: HelperBus;
  readonly room: Room;
  readonly #options: GnomeOptions;
  #shell: Running | undefined;
  #daemon: Running | undefined;

  constructor(
    version: GnomeVersion,
    options: GnomeOptions,
    bus: HelperBus,
    room: Room,
    extension: Installed | null,
  ) {
    super(version, extension);
    this.helperBus = bus;
    this.room = room;
    this.#options = options;
  }

  async start(): Promise<void> {
    const { appearance, disabled = false, scale, locale, settings, files } = this.#options;
    const language = locale === undefined ? {} : { LANG: `${locale}.UTF-8`, LANGUAGE: locale };
    const env = {
      XDG_SESSION_TYPE: 'wayland',
      XDG_CURRENT_DESKTOP: 'GNOME',
      XDG_SESSION_DESKTOP: 'gnome',
      LIBGL_ALWAYS_SOFTWARE: '1',
      ...language,
    };
    await Promise.all(
      Object.entries(files ?? {}).map(([path, text]) => this.room.put(`/home/tester/${path}`, text)),
    );
    await this.room.put('/home/tester/.local/share/gnome-shell/lock-warning-shown', '');
    this.#daemon = this.room.spawn(
      [
        ...['dbus-daemon', '--session', '--nofork', '--nopidfile', '--nosyslog', '--print-address'],
        '--address=unix:path=/run/user/1000/bus',
      ],
      { env },
    );
    await this.#daemon.waitFor(/^unix:/m);
    this.driver = await startDriver(this.room, `${RIG}/driver.js`);
    if (this.extension !== null) await this.#install(this.extension);
    await this.hands.ask('settings', {
      values: [
        ...SETTINGS,
        [
          'org.gnome.shell',
          'enabled-extensions',
          this.extension === null || disabled ? '@as []' : `['${this.extension.uuid}']`,
        ],
        ...(settings ?? []),
      ],
    });
    this.#shell = this.room.spawn(
      [
        ...[
          'gnome-shell',
          '--headless',
          '--virtual-monitor',
          scale === 2 ? '2560x1600' : '1280x800',
          '--unsafe-mode',
        ],
        ...(this.version < 50 ? ['--no-x11'] : []),
      ],
      { env },
    );
    await this.ready();
    if (scale === 2) await this.hands.ask('scale', { scale: 2 });
    if (appearance !== undefined) await this.appear(appearance);
    if (this.extension !== null && !disabled) await this.isEnabled();
  }

  async #install(extension: Installed): Promise<void> {
    const packed = extension.from.endsWith('.zip');
    if (!packed) await this.must(['gnome-extensions', 'pack', '--out-dir=/tmp', PACKED]);
    const zip = packed ? PACKED : `/tmp/${extension.uuid}.shell-extension.zip`;
    await this.must(['gnome-extensions', 'install', '--force', zip]);
  }

  async must(argv: readonly string[]): Promise<string> {
    const result = await this.room.run(argv);
    if (result.code !== 0)
      throw new Error(`${argv.join(' ')} ended with ${result.code}: ${result.stderr}${result.stdout}`);
    return result.stdout;
  }

  log(): string {
    return `${this.#shell?.stdout ?? ''}${this.#shell?.stderr ?? ''}`;
  }

  protected override beside(): string {
    return this.helperBus.bus.log();
  }

  /** What the programs that the session's bus has started have written so far; the preferences are one of them. */
  programsLog(): string {
    return this.#daemon?.stderr ?? '';
  }

  /** The process of the session whose command line fits, waited for: its number there, and its environment. */
  async process(pattern: RegExp): Promise<{ pid: number; environment: Readonly<Record<string, string>> }> {
    const { bus } = this.helperBus;
    const pid = await this.waitFor(`a process ${pattern}`, async () => {
      const { stdout } = await bus.run(['ps', '-eo', 'pid=,args=']);
      return stdout
        .split('\n')
        .filter((line) => pattern.test(line.trim().replace(/^\d+ /, '')))
        .map((line) => Number.parseInt(line, 10))[0];
    });
    const { stdout } = await bus.run(['cat', `/proc/${pid}/environ`]);
    const pairs = stdout.split('\0').filter(Boolean);
    const environment = Object.fromEntries(
      pairs.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]),
    );
    return { pid, environment };
  }

  /** How many things the shell's JavaScript has after a collection of garbage: objects, closures, texts, shapes. */
  async things(): Promise<number> {
    const path = '/tmp/heap';
    // A dump is added to what is in the file.
    await this.must(['rm', '-f', path]);
    await this.look(
      `import('system').then(({ default: system }) => { system.gc(); system.gc(); system.dumpHeap('${path}'); })`,
    );
    // Below a line across, each thing has a line of its own, and one for each thing that it holds.
    return Number(await this.must(['awk', '/^=+$/ { all = 1 } all && /^0x/ { n++ } END { print n }', path]));
  }

  /** What the shell's main loop has taken so far, and what the shell's process has in memory. */
  async mainLoop(): Promise<MainLoop> {
    const { bus } = this.helperBus;
    const { pid } = await this.process(/^gnome-shell --headless/);
    const read = async (path: string): Promise<string> => (await bus.run(['cat', path])).stdout;
    const task = `/proc/${pid}/task/${pid}`;
    const [times, status, memory] = await Promise.all([
      read(`${task}/schedstat`),
      read(`${task}/status`),
      read(`/proc/${pid}/smaps_rollup`),
    ]);
    return {
      milliseconds: Number.parseInt(times, 10) / 1e6,
      switches: Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(status)?.[1]),
      memory: Number(/^Private_Dirty:\s+(\d+)/m.exec(memory)?.[1]) * 1024,
    };
  }

  /**
   * Ends the helper at once, as a crash would, and waits until our extension knows: what it shows afterwards is of
   * another life, or of none. The bus starts another helper when somebody asks for it.
   */
  async killHelper(): Promise<void> {
    const { bus } = this.helperBus;
    const owner = await bus.owner(MANAGER.name);
    await this.#knowsHelper((known) => known === owner);
    await bus.run(['kill', '-KILL', `${await this.helperBus.pid()}`]);
    await this.waitFor('the end of the helper', async () => (await bus.owner(MANAGER.name)) !== owner);
    await this.#knowsHelper((known) => known !== owner);
  }

  /** Waits until our extension has heard of a helper, or of its end. No other extension asks for it. */
  async #knowsHelper(fits: (owner: unknown) => boolean): Promise<void> {
    if (this.extension?.uuid !== OURS.uuid) return;
    // Inside of the extension, since nothing on the screen tells two helpers apart.
    const known = `Main.extensionManager.lookup('${OURS.uuid}').stateObj.desk.model.helper.owner`;
    await this.waitFor('what the shell knows of the helper', async () => fits(await this.look(known)));
  }

  /** Takes the helper's package away, with the helper that runs. */
  async removeHelper(): Promise<void> {
    const { bus } = this.helperBus;
    await bus.run(['mv', ACTIVATION, '/root/kept.service']);
    await bus.run(RELOAD);
    if ((await bus.owner(MANAGER.name)) !== undefined) await this.killHelper();
  }

  /** Installs what `removeHelper` took. */
  async installHelper(): Promise<void> {
    const { bus } = this.helperBus;
    await bus.run(['mv', '/root/kept.service', ACTIVATION]);
    await bus.run(RELOAD);
  }

  async stop(): Promise<void> {
    writeFileSync(join(CACHE, `last-${this.version}.log`), this.log());
    await this.helperBus.stop();
  }
}

function describe(query: Query | WindowQuery): string {
  return JSON.stringify(query, (_key, value: unknown) => (value instanceof RegExp ? String(value) : value));
}

function isMeant(text: string, meant: string | RegExp): boolean {
  return typeof meant === 'string' ? text === meant : meant.test(text);
}

const KEYSYMS: Readonly<Record<string, number>> = {
  BackSpace: 0xff08,
  Tab: 0xff09,
  Return: 0xff0d,
  Escape: 0xff1b,
  Home: 0xff50,
  Left: 0xff51,
  Up: 0xff52,
  Right: 0xff53,
  Down: 0xff54,
  Page_Up: 0xff55,
  Page_Down: 0xff56,
  End: 0xff57,
  Menu: 0xff67,
  Shift_L: 0xffe1,
  Control_L: 0xffe3,
  Alt_L: 0xffe9,
  Super_L: 0xffeb,
  F10: 0xffc7,
  space: 0x20,
};

function keysym(name: string): number {
  const known = KEYSYMS[name] ?? (name.length === 1 ? name.codePointAt(0) : undefined);
  if (known === undefined) throw new Error(`no key ${name}`);
  return known;
}
