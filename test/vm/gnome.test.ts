/** The way of a real card to a real VM and back, as a person goes it in GNOME with the pointer. */
import { afterAll, beforeAll, describe, expect, it, onTestFailed } from 'vitest';
import { OURS } from '../desktop/rig/gnome.js';
import { button, glance, openTile } from '../desktop/support.js';
import { MachineScreen } from './gnome-screen.js';
import { guestHasCard, helperLog, install, picture } from './product.js';
import { addDesktop } from './rig/desktop.js';
import { DGPU, ensureImage, Guest, type GuestProcess, Machine, type Session, until } from './rig/index.js';

/** The rule of docs/configuration.md, by which compositors leave the card alone. */
const hidden = (vendor: string, device: string): string =>
  `SUBSYSTEM=="drm", KERNELS=="${DGPU}", ATTRS{vendor}=="${vendor}", ATTRS{device}=="${device}", ENV{ID_SEAT}="seat1", TAG-="master-of-seat", TAG+="mutter-device-ignore"\n`;
/** Runs on the way to sleep, when the user's programs have been frozen. */
const AT_NIGHT = '/usr/lib/systemd/system-sleep/rig';

let machine: Machine;
let alice: Session;
let guest: Guest;
let shell: MachineScreen;
let home: string;

/** An app of alice's that draws on the card. */
async function app(name: string): Promise<GuestProcess> {
  const scope = ['--scope', '--collect', `--unit=app-gnome-${name}-4242.scope`];
  const hold = ['/usr/bin/rig-hold', '--name', name, 'fd', '/dev/nvidia0'];
  const process = await alice.spawn(['systemd-run', '--user', '--quiet', ...scope, ...hold]);
  await process.waitFor(/^ready/m);
  return process;
}

/** alice's sound server: its pid, and whether it has the card's sound open. */
async function soundServer(): Promise<{ pid: string; plays: boolean }> {
  const pid = (await machine.check(['pgrep', '-x', 'wireplumber'])).trim();
  const open = await machine.check(`readlink /proc/${pid}/fd/*`);
  return { pid, plays: /^\/dev\/snd\/controlC/m.test(open) };
}

beforeAll(async () => {
  machine = await Machine.boot(await ensureImage(), { name: 'gnome' });
  await addDesktop(machine);
  const ids = await machine.check(
    `cat /sys/bus/pci/devices/${DGPU}/vendor /sys/bus/pci/devices/${DGPU}/device`,
  );
  const [vendor = '', device = ''] = ids.split('\n');
  await machine.put('/etc/udev/rules.d/72-hidden-seat.rules', hidden(vendor, device));
  await machine.check('udevadm control --reload && udevadm trigger -s drm && udevadm settle');
  await MachineScreen.prepare(machine);
  await install(machine);
  home = await picture(machine);
  alice = await machine.login('alice');
  [shell, guest] = await Promise.all([
    MachineScreen.start(machine, alice),
    Guest.define(machine, { name: 'win', behaviour: 'obedient' }),
  ]);
});

afterAll(async () => {
  await machine?.stop();
});

describe('in GNOME, on a machine with kernel, libvirt and polkit', { timeout: 480_000 }, () => {
  let blender: GuestProcess;
  let painter: GuestProcess;
  let sculptor: GuestProcess;
  let server: Awaited<ReturnType<typeof soundServer>>;

  it('the card is in the top bar as soon as the extension is switched on', async () => {
    [blender, painter, sculptor] = await Promise.all([app('blender'), app('painter'), app('sculptor')]);
    await alice.check(['gnome-extensions', 'enable', OURS.uuid]);
    await glance(shell, 'held');
  });

  it('the tile shows who uses it', async () => {
    await openTile(shell);
    await shell.see(button('do.close-named', { name: 'blender' }));
    await shell.see(button('do.close-named', { name: 'painter' }));
    await shell.see(button('do.stop-named', { name: 'nvidia-powerd' }));
    await shell.screenshot('gnome-1-held');
  });

  it('an app is closed from the tile', async () => {
    await shell.click(button('do.close-named', { name: 'blender' }));
    await shell.seeNo({ name: 'blender', role: 'label' });
    expect((await blender.exited).code).not.toBe(0);
  });

  it('what changed while the machine slept is not shown as it was', async () => {
    // Until it holds nothing: it stays a zombie, since who would bury it is frozen, too.
    const kill = 'p=$(pgrep -x painter); kill -KILL $p; while [ -e /proc/$p/fd/3 ]; do :; done';
    await machine.put(AT_NIGHT, `#!/bin/sh\n[ "$1" = post ] || { ${kill}; }\n`, 0o755);
    await machine.suspend();
    await machine.wake();
    await shell.seeNo({ name: 'painter', role: 'label' });
    await shell.screenshot('gnome-2-woken');
    expect((await painter.exited).code).not.toBe(0);
  });

  it('the sound server is there, and nothing to be closed', async () => {
    await shell.see({ name: 'wireplumber', role: 'label' });
    await shell.seeNo(button('do.stop-named', { name: 'wireplumber' }));
    server = await soundServer();
    expect(server.plays).toBe(true);
  });

  it('who is still in the way of a hand-off is named, and closed; then it goes on step by step', async () => {
    onTestFailed(async () => console.log(await helperLog(machine)));
    await shell.click(button('do.hand-off', { vm: 'win' }));
    await shell.see({ name: /: sculptor\.$/, role: 'label', within: 'gpu-handoff-block' });
    await shell.screenshot('gnome-3-asks');
    await shell.click(button('do.close-all'));
    await glance(shell, 'switching');
    await shell.see({ style: 'gpu-handoff-step-title', nth: 2 });
    await shell.screenshot('gnome-4-progress');
    await glance(shell, 'vm');
    await shell.see(button('do.take-back', { vm: 'win' }));
    await shell.screenshot('gnome-5-vm');
    expect(await guestHasCard(machine)).toEqual({ driver: 'vfio-pci', opened: true, modules: '' });
    expect((await sculptor.exited).code).not.toBe(0);
    expect(await soundServer()).toEqual({ ...server, plays: false });
  });

  it('the card is taken back, and everything is as before', async () => {
    onTestFailed(async () => console.log(await helperLog(machine)));
    await guest.waitUntilObedient();
    await shell.click(button('do.take-back', { vm: 'win' }));
    await shell.see(button('do.hand-off', { vm: 'win' }));
    await glance(shell, 'host');
    await shell.screenshot('gnome-6-back');
    expect(await guest.state()).toBe('shut off');
    expect(await picture(machine)).toBe(home);
  });

  it('the sound server, which was never asked to end, has the card’s sound again', async () => {
    await until('wireplumber has the card', async () => (await soundServer()).plays);
    expect(await soundServer()).toEqual(server);
  });

  it('nobody complains in the journal', () => {
    expect(shell.complaints()).toEqual([]);
  });
});
