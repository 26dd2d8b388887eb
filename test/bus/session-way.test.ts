/** Entries follow switcheroo-control: they ask the desktop for the dGPU where that is enough, and begin with the wrapper where not. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Running } from './rig/sandbox.js';
import { PLACES } from './rig/session.js';
import {
  APPLICATIONS,
  entry,
  OWN,
  type SessionBus,
  type SessionCaller,
  startSession,
} from './support-session.js';

const NAME = 'net.hadess.SwitcherooControl';
const APP = 'app.desktop';
const POLICY = `<busconfig>
  <policy user="root"><allow own="${NAME}"/></policy>
  <policy context="default"><allow send_destination="${NAME}"/></policy>
</busconfig>
`;
const RESTRICTED = {
  XDG_CURRENT_DESKTOP: 'GNOME',
  VK_LOADER_DRIVERS_DISABLE: '*nvidia*',
  __GLX_VENDOR_LIBRARY_NAME: 'mesa',
};
const OFFLOAD = ['__GLX_VENDOR_LIBRARY_NAME', 'nvidia', '__NV_PRIME_RENDER_OFFLOAD', '1'];

/** Stands in for switcheroo-control, by name and program; the dGPU's Environment is what a file says. */
const DAEMON = '/usr/libexec/switcheroo-control';
const WORDS = '/run/words';
const STAND_IN = `import dbus, dbus.service, dbus.mainloop.glib
from gi.repository import GLib
dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
bus = dbus.SystemBus()
class Switcheroo(dbus.service.Object):
    @dbus.service.method('org.freedesktop.DBus.Properties', in_signature='s', out_signature='a{sv}')
    def GetAll(self, interface):
        def gpu(name, words, default):
            return dbus.Dictionary({'Name': name, 'Environment': dbus.Array(words, signature='s'),
                                    'Default': dbus.Boolean(default)}, signature='sv')
        words = open('${WORDS}').read().split()
        return {'GPUs': dbus.Array([
            gpu('Intel Corporation UHD Graphics', ['DRI_PRIME', 'pci-0000_00_02_0'], True),
            gpu('NVIDIA Corporation GeForce RTX 4070', words, False)], signature='a{sv}')}
name = dbus.service.BusName('${NAME}', bus, do_not_queue=True)
Switcheroo(bus, '/net/hadess/SwitcherooControl')
GLib.MainLoop().run()
`;

let session: SessionBus;
let alice: SessionCaller;
let daemon: Running | null = null;

beforeAll(async () => {
  session = await startSession({
    files: {
      [`${PLACES.busPolicies}/${NAME}.conf`]: POLICY,
      [DAEMON]: STAND_IN,
      [`${APPLICATIONS}/${APP}`]: entry('waiting %f'),
    },
    env: RESTRICTED,
  });
  alice = await session.caller();
});
afterAll(() => session?.stop());

/** The way after a sync, and what the entry says; null: without a switcheroo-control. */
async function synced(
  words: readonly string[] | null,
): Promise<{ way: unknown; reason: unknown; text: string; changed: number }> {
  if (words !== null) await session.bus.put(WORDS, words.join(' '));
  if (words === null) await daemon?.kill();
  else if (daemon === null) {
    daemon = session.bus.spawn(['python3', DAEMON]);
    await session.bus.waitForName(NAME);
  }
  const { changes } = (await alice.call('Sync')) as { changes: unknown[] };
  return {
    way: await alice.get('Way'),
    reason: await alice.get('WayReason'),
    text: await session.bus.get(`${OWN}/${APP}`),
    changed: changes.length,
  };
}

describe('an entry', () => {
  it('is converted when switcheroo-control frees apps by itself, and back when it does not', async () => {
    await alice.call('SetChoice', [APP, 'always']);
    const wrapped = await session.bus.get(`${OWN}/${APP}`);
    expect(wrapped).toContain('Exec=/usr/bin/gpu-handoff-run waiting %f\n');

    const unpatched = await synced(OFFLOAD);
    expect(unpatched).toMatchObject({ way: 'wrapper', text: wrapped, changed: 0 });

    const patched = await synced([...OFFLOAD, 'VK_LOADER_DRIVERS_SELECT', '*nvidia*']);
    expect(patched).toMatchObject({ way: 'switcheroo', changed: 1 });
    expect(patched.text).toContain('PrefersNonDefaultGPU=true');
    expect(patched.text).toContain('Exec=waiting %f\n');
    expect(patched.reason).not.toBe(unpatched.reason);

    expect(await synced(null)).toMatchObject({ way: 'wrapper', text: wrapped, changed: 1 });
  });
});
