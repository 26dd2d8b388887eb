/** The real switcheroo-control daemons over pretended cards: each is told for what it is. */
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import dbus from 'dbus-next';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { unbox } from '../../cli/src/bus/unbox.js';
import type { CheckDocument, DoctorDocument } from '../../cli/src/documents.js';
import { askSwitcheroo, type BusCall } from '../../core/src/linux/switcheroo.js';
import { judgeSwitcheroo, type SwitcherooFacts } from '../../core/src/switcheroo.js';
import { DIST, type Running, type RunResult } from './rig/sandbox.js';
import { type Bus, type Client, connect, PLACES, startBus } from './rig/session.js';
import { type MockGpu, startSwitcheroo } from './rig/switcheroo.js';
import { ensureSwitcheroos, type Switcheroos } from './rig/switcheroo-build.js';

const NAME = 'net.hadess.SwitcherooControl';
const VENDORS = '/usr/share/glvnd/egl_vendor.d';
const STARTED = '/run/somebody-was-started';
const PROGRAMS = {
  '2.6': '/usr/libexec/switcheroo-control',
  patched: '/opt/patched/usr/libexec/switcheroo-control',
  '3.0': '/opt/third/usr/libexec/switcheroo-control',
} as const;

const IGPU: MockGpu = {
  slot: '00:02.0',
  vendor: 'Intel Corporation',
  model: 'AlderLake-S GT1 [UHD Graphics 770]',
  driver: 'i915',
  bootVga: true,
};
const DGPUS = {
  NVIDIA: {
    slot: '01:00.0',
    vendor: 'NVIDIA Corporation',
    model: 'AD104 [GeForce RTX 4070]',
    driver: 'nvidia',
    bootVga: false,
  },
  AMD: {
    slot: '03:00.0',
    vendor: 'Advanced Micro Devices, Inc. [AMD/ATI]',
    model: 'Navi 31 [Radeon RX 7900 XT/7900 XTX]',
    driver: 'amdgpu',
    bootVga: false,
  },
  Intel: {
    slot: '04:00.0',
    vendor: 'Intel Corporation',
    model: 'DG2 [Arc A770]',
    driver: 'xe',
    bootVga: false,
  },
} as const satisfies Record<string, MockGpu>;

/** How a session is kept off each card; nothing but Vulkan tells two cards with Mesa apart. */
const GNOME = { XDG_CURRENT_DESKTOP: 'GNOME' };
const MESA_ONLY = {
  ...GNOME,
  __EGL_VENDOR_LIBRARY_FILENAMES: `${VENDORS}/50_mesa.json`,
  __GLX_VENDOR_LIBRARY_NAME: 'mesa',
};
const SESSIONS = {
  NVIDIA: { ...MESA_ONLY, VK_LOADER_DRIVERS_DISABLE: '*nvidia*' },
  AMD: { ...MESA_ONLY, VK_LOADER_DRIVERS_DISABLE: '*radeon*' },
  Intel: { ...MESA_ONLY, VK_LOADER_DRIVERS_DISABLE: '*intel*' },
} as const;

/** As cardwire does: it takes the name from whoever has it. */
const CARDWIRED = `#!/usr/bin/python3
import dbus, dbus.mainloop.glib, dbus.service
from gi.repository import GLib

PROPERTIES = 'org.freedesktop.DBus.Properties'

class Shim(dbus.service.Object):
    @dbus.service.method(PROPERTIES, in_signature='s', out_signature='a{sv}')
    def GetAll(self, interface):
        env = ['CARDWIRE_FORCE_DGPU', '1', '__GLX_VENDOR_LIBRARY_NAME', 'nvidia']
        gpu = {'Name': 'AD104', 'Environment': env, 'Default': False, 'Discrete': True}
        return {'HasDualGpu': True, 'GPUs': dbus.Array([gpu], signature='a{sv}')}

dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
name = dbus.service.BusName('${NAME}', dbus.SystemBus(), replace_existing=True, do_not_queue=True)
Shim(dbus.SystemBus(), '/net/hadess/SwitcherooControl')
print('ready', flush=True)
GLib.MainLoop().run()
`;

let built: Switcheroos;
let noCards: string;
let bus: Bus;
let client: Client;
let running: Running | undefined;

beforeAll(async () => {
  built = await ensureSwitcheroos();
  noCards = mkdtempSync(join(tmpdir(), 'no-cards-'));
  bus = await startBus({
    polkit: false,
    binds: [
      { from: built.patched, to: '/opt/patched' },
      { from: built.third, to: '/opt/third' },
      // The cards of the machine that runs the test are none of theirs.
      { from: noCards, to: '/sys' },
    ],
    files: {
      [`${VENDORS}/10_nvidia.json`]: '{}',
      '/usr/bin/cardwired': { mode: '755', content: CARDWIRED },
    },
  });
  client = await connect(bus.address);
}, 600_000);

afterEach(async () => {
  await running?.kill();
  running = undefined;
  await bus.waitForNoName(NAME);
});

afterAll(async () => {
  client?.disconnect();
  await bus?.stop();
  rmdirSync(noCards);
});

const call: BusCall = async (fields) => {
  const message = new dbus.Message({
    ...fields,
    body: [...fields.body],
    flags: dbus.MessageFlag.NO_AUTO_START,
  });
  return ((await client.call(message))?.body ?? []).map(unbox);
};

function ask(): Promise<SwitcherooFacts> {
  // The bus tells a process by the sandbox's own numbers.
  return askSwitcheroo(call, { root: `/proc/${bus.hostPid}/root` });
}

/** A check of `gpu-handoff doctor`, run by a user in such a session. */
async function doctor(
  session: Readonly<Record<string, string>>,
  id = 'switcheroo',
): Promise<CheckDocument | undefined> {
  const ran = await bus.run(['/usr/bin/node', `${DIST}/cli/main.js`, 'doctor', '--json'], {
    user: 'alice',
    env: session,
  });
  const { groups } = JSON.parse(ran.stdout) as DoctorDocument;
  return groups.flatMap((group) => group.checks).find((check) => check.id === id);
}

const CARDS = Object.keys(DGPUS) as (keyof typeof DGPUS)[];

describe('the patch', () => {
  it('applies to Debian’s source as it is, and switcheroo-control’s own tests pass', () => {
    expect(built.logs.patch).toMatch(/^(patching file \S+\n)+$/);
    expect(built.logs.tests).toMatch(/^Ok:\s+[1-9]\d*\s*$/m);
    expect(built.logs.tests).toMatch(/^Fail:\s+0\s*$/m);
  });
});

describe.each(CARDS)('with a dGPU of %s', (maker) => {
  const isNvidia = maker === 'NVIDIA';

  it('2.6 as it comes: not patched, and the limits stay', async () => {
    running = await startSwitcheroo(bus, [IGPU, DGPUS[maker]], PROGRAMS['2.6']);
    const facts = await ask();
    expect(facts).toMatchObject({ owner: 'switcheroo', ownerName: 'switcheroo-control', failure: '' });
    expect(judgeSwitcheroo(facts, SESSIONS[maker])).toMatchObject({
      kind: 'unpatched',
      way: 'wrapper',
      undoes: { vulkan: false, egl: !isNvidia, glx: true },
    });
    expect(await doctor(SESSIONS[maker])).toMatchObject({ result: 'differs' });
  });

  it('2.6 with the patch: whole', async () => {
    running = await startSwitcheroo(bus, [IGPU, DGPUS[maker]], PROGRAMS.patched);
    const facts = await ask();
    expect(judgeSwitcheroo(facts, SESSIONS[maker])).toMatchObject({
      kind: 'patched',
      way: 'switcheroo',
      undoes: { vulkan: true, egl: true, glx: true },
    });
    const environment = facts.gpus.find((gpu) => !gpu.isDefault)?.environment;
    expect(environment).toMatchObject({
      __EGL_VENDOR_LIBRARY_FILENAMES: `${VENDORS}/10_nvidia.json:${VENDORS}/50_mesa.json`,
      __GLX_VENDOR_LIBRARY_NAME: isNvidia ? 'nvidia' : 'mesa',
    });
    const check = await doctor(SESSIONS[maker]);
    expect(check?.sentence).toMatch(/^It runs, patched to free apps/);
    expect(check?.result).toBe('ok');
  });

  it('3.0: Vulkan is free, EGL only where Mesa serves both cards', async () => {
    running = await startSwitcheroo(bus, [IGPU, DGPUS[maker]], PROGRAMS['3.0']);
    expect(judgeSwitcheroo(await ask(), SESSIONS[maker])).toMatchObject({
      kind: 'third',
      way: isNvidia ? 'wrapper' : 'switcheroo',
      undoes: { vulkan: true, egl: !isNvidia, glx: true },
    });
    expect(await doctor(SESSIONS[maker])).toMatchObject({ result: isNvidia ? 'differs' : 'ok' });
  });
});

describe('while a VM has the card', () => {
  it.each(Object.keys(PROGRAMS) as (keyof typeof PROGRAMS)[])('%s: nothing is settled', async (version) => {
    running = await startSwitcheroo(bus, [IGPU], PROGRAMS[version]);
    expect(judgeSwitcheroo(await ask(), SESSIONS.NVIDIA)).toMatchObject({
      kind: version === '3.0' ? 'third' : 'unknown',
      way: 'wrapper',
      settled: false,
    });
    expect(await doctor(SESSIONS.NVIDIA)).toMatchObject({ result: 'cannot-tell' });
  });
});

describe('without it', () => {
  it('is told as absent, which is no fault', async () => {
    expect(await ask()).toMatchObject({ owner: 'absent', startable: false, failure: '' });
    const check = await doctor(SESSIONS.NVIDIA);
    expect(check).toMatchObject({ result: 'ok', advice: null });
    expect(check?.sentence).toMatch(/^It is not there\. Apps are started through the wrapper/);
  });

  it('nobody is started to be asked', async () => {
    await bus.put(
      `${PLACES.activation}/${NAME}.service`,
      `[D-BUS Service]\nName=${NAME}\nExec=/usr/bin/touch ${STARTED}\nUser=root\n`,
    );
    await call({
      ...{
        destination: 'org.freedesktop.DBus',
        path: '/org/freedesktop/DBus',
        interface: 'org.freedesktop.DBus',
      },
      ...{ member: 'ReloadConfig', signature: '', body: [] },
    });
    expect(await ask()).toMatchObject({ owner: 'absent', startable: true });
    expect((await doctor(SESSIONS.NVIDIA))?.sentence).toMatch(/^It is installed, but does not run\./);
    expect(await bus.exists(STARTED)).toBe(false);
  });

  it('another program that took its name is named', async () => {
    const first = await startSwitcheroo(bus, [IGPU, DGPUS.NVIDIA]);
    running = bus.spawn(['/usr/bin/cardwired']);
    await running.waitFor(/^ready$/m);
    await first.done;
    const facts = await ask();
    expect(facts).toMatchObject({ owner: 'other', ownerName: 'cardwired' });
    expect(judgeSwitcheroo(facts, GNOME)).toMatchObject({ kind: 'other-owner', way: 'wrapper' });
    const check = await doctor(GNOME);
    expect(check?.result).toBe('differs');
    expect(check?.sentence).toMatch(/^cardwired owns its name on the bus\./);
  });

  it('an owner that does not answer costs no more than the limit', async () => {
    running = await startSwitcheroo(bus, [IGPU, DGPUS.NVIDIA]);
    const signal = (name: string): Promise<RunResult> =>
      bus.run(['pkill', `-${name}`, '-f', `^${PROGRAMS['2.6']}`]);
    expect((await signal('STOP')).code).toBe(0);
    expect(await askSwitcheroo(call, { limitMs: 200 })).toMatchObject({
      failure: 'no answer within 0.2 s',
      gpus: [],
    });
    expect((await signal('KILL')).code).toBe(0);
  });
});

describe('what else starts apps on the dGPU', () => {
  const PLASMA = { XDG_CURRENT_DESKTOP: 'KDE' };

  it('the wrapper, which has to be a program', async () => {
    expect(await doctor(GNOME, 'wrapper')).toMatchObject({ result: 'missing' });
    await bus.put('/usr/bin/gpu-handoff-run', '#!/bin/sh\n', '644');
    expect(await doctor(GNOME, 'wrapper')).toMatchObject({ result: 'missing' });
    await bus.put('/usr/bin/gpu-handoff-run', '#!/bin/sh\n', '755');
    expect(await doctor(GNOME, 'wrapper')).toMatchObject({ result: 'ok' });
  });

  it('the action in Plasma’s launchers, where Plasma is', async () => {
    expect(await doctor(GNOME, 'plasma-action')).toBeUndefined();
    expect(await doctor(PLASMA, 'plasma-action')).toMatchObject({ result: 'missing' });
    await bus.put('/usr/share/plasma/kickeractions/gpu-handoff.desktop', '');
    expect((await doctor(PLASMA, 'plasma-action'))?.sentence).toMatch(/only one graphics card/);
    await bus.put('/run/gpu-handoff-offer', '');
    const offered = await doctor(PLASMA, 'plasma-action');
    expect(offered).toMatchObject({ result: 'ok', sentence: 'They offer “Run on dGPU” for every app.' });
  });
});
