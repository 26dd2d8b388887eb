import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SESSION } from '../../core/src/session-contract.js';
import { gpuHandoff, guestHasCard, picture, workstation } from './product.js';
import { type CommandResult, DGPU, Guest, type Machine, type Session, until } from './rig/index.js';

const ID = 'rig-app.desktop';
/** Nothing else in the machine sleeps for so long. */
const SECONDS = '86399';
const SOURCE = `[Desktop Entry]
Type=Application
Name=Rig App
Exec=sleep ${SECONDS}
Icon=rig-app
`;
/** What a session's own files keep apps off the card with, in the well-known guide's way. */
const RESTRICTED = { __GLX_VENDOR_LIBRARY_NAME: 'mesa', VK_LOADER_DRIVERS_DISABLE: '*nvidia*' };
const OVERRIDE = `/home/alice/.local/share/applications/${ID}`;
const MENU = '/usr/share/plasma/kickeractions/gpu-handoff.desktop';

let machine: Machine;
let alice: Session;
let home: string;

/** A command in alice's session, with what her session's environment.d says. */
function inSession(words: readonly string[]): Promise<CommandResult> {
  const environment = Object.entries(RESTRICTED).map(([name, value]) => `${name}=${value}`);
  return alice.run(['env', ...environment, ...words], { timeoutMs: 120_000 });
}

/** The command of the action that Plasma's launchers add to every app's menu, for our app. */
async function menuAction(): Promise<string[]> {
  const action = (await machine.check(['cat', MENU])).split(/^\[Desktop Action .*\]$/m)[1] ?? '';
  const exec = /^Exec=(.*)$/m.exec(action)?.[1] ?? '';
  expect(exec).toMatch(/^[\w/.-]+( [\w/.%-]+)+$/);
  return exec.split(' ').map((word) => (word === '%f' ? `/usr/share/applications/${ID}` : word));
}

/** Every way on which an app is started, with what starts it. */
const WAYS: readonly [string, () => Promise<CommandResult>][] = [
  [
    'the wrapper',
    () => inSession(['sh', '-c', `gpu-handoff-run sleep ${SECONDS} < /dev/null > /dev/null 2>&1 &`]),
  ],
  ['an entry of ours', () => inSession(['gio', 'launch', OVERRIDE])],
  ['the menu of Plasma’s launchers', async () => inSession(await menuAction())],
  [
    'the per-user service',
    () => {
      const call = [
        SESSION.name,
        SESSION.path,
        SESSION.interface,
        'Launch',
        'sa{sv}',
        ID,
        '1',
        'on',
        's',
        'dgpu',
      ];
      return inSession(['busctl', '--user', '--timeout=60', 'call', ...call]);
    },
  ],
];

/** The environment of the app, which is started by `start` and ended again. */
async function environmentOf(start: () => Promise<CommandResult>): Promise<Record<string, string>> {
  const result = await start();
  expect(`${result.stdout}${result.stderr}`).not.toMatch(/\n\s+at /);
  expect(result.code).toBe(0);
  let pid = '';
  await until('the app runs', async () => {
    pid = (await machine.run(['pgrep', '-u', 'alice', '-f', `^sleep ${SECONDS}$`])).stdout.trim();
    return /^\d+$/.test(pid);
  });
  const text = await machine.check(['cat', `/proc/${pid}/environ`]);
  await machine.check(['kill', pid]);
  await until('the app is gone', async () => (await machine.run(['test', '-e', `/proc/${pid}`])).code !== 0);
  const pairs = text.split('\0').filter((line) => line !== '');
  return Object.fromEntries(
    pairs.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );
}

beforeAll(async () => {
  machine = await workstation('launch');
  await machine.put(`/usr/share/applications/${ID}`, SOURCE);
  const lines = Object.entries(RESTRICTED).map(([name, value]) => `${name}=${value}\n`);
  await machine.put('/etc/environment.d/90-igpu.conf', lines.join(''));
  await Guest.define(machine, { name: 'win' });
  home = await picture(machine);
  alice = await machine.login('alice');
  const chosen = await inSession(['gpu-handoff', 'apps', 'set', ID, 'always']);
  expect(chosen.stderr).toBe('');
  expect(chosen.code).toBe(0);
});

afterAll(async () => {
  await machine?.stop();
});

describe('while the card is at home', () => {
  test.each(WAYS)('%s runs the app on the dGPU', async (_way, start) => {
    const environment = await environmentOf(start);
    expect(environment).toMatchObject({
      __NV_PRIME_RENDER_OFFLOAD: '1',
      __GLX_VENDOR_LIBRARY_NAME: 'nvidia',
      VK_LOADER_DRIVERS_SELECT: '*nvidia*',
    });
    expect(environment).not.toHaveProperty('VK_LOADER_DRIVERS_DISABLE');
  });
});

describe('while a guest has the card', () => {
  beforeAll(async () => {
    expect((await gpuHandoff(machine, ['hand-off', 'win'])).code).toBe(0);
    expect((await guestHasCard(machine)).opened).toBe(true);
  });
  afterAll(async () => {
    expect((await gpuHandoff(machine, ['take-back', '--force'])).code).toBe(0);
    expect(await picture(machine)).toBe(home);
  });

  test.each(WAYS)('%s runs the app on the iGPU, with the session’s own environment', async (_way, start) => {
    const environment = await environmentOf(start);
    expect(environment).toMatchObject(RESTRICTED);
    expect(environment).not.toHaveProperty('__NV_PRIME_RENDER_OFFLOAD');
  });

  test('the wrapper says so in one line', async () => {
    const result = await inSession(['gpu-handoff-run', 'true']);
    expect(result.code).toBe(0);
    expect(result.stderr).toMatch(/^gpu-handoff-run: .*\n$/);
    expect(result.stderr).toContain(DGPU);
  });

  test('the wrapper can insist on the card', async () => {
    const result = await inSession(['gpu-handoff-run', '--require', 'true']);
    expect(result.code).toBe(125);
  });
});

describe('the entry follows by itself', () => {
  const entry = async (): Promise<string> => (await machine.run(['cat', OVERRIDE])).stdout;

  test('the app is updated: the entry is that of the new version', async () => {
    const updated = SOURCE.replace('Name=Rig App', 'Name=Rig App 2');
    await machine.put(`/usr/share/applications/${ID}`, updated);
    await until('the entry has the new name', async () => /^Name=Rig App 2$/m.test(await entry()));
    expect(await entry()).toMatch(/^Exec=\S*gpu-handoff-run sleep/m);
  });

  test('the app is removed: so is the entry, and it comes back with the app', async () => {
    await machine.check(['rm', `/usr/share/applications/${ID}`]);
    await until('the entry is gone', async () => (await entry()) === '');
    await machine.put(`/usr/share/applications/${ID}`, SOURCE);
    await until('the entry is back', async () => /^Exec=\S*gpu-handoff-run sleep/m.test(await entry()));
  });

  test('the package is removed: nothing points to a wrapper that is not there', async () => {
    await machine.check('dpkg -r gpu-handoff', { timeoutMs: 240_000 });
    expect(await entry()).toBe('');
    expect((await machine.run(['test', '-e', '/usr/bin/gpu-handoff-run'])).code).not.toBe(0);
  });
});
