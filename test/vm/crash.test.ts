import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest';
import { guestHasCard, helperLog, picture, workstation } from './product.js';
import { DGPU_SOUND, Guest, type Machine, until } from './rig/index.js';

/** A fault-injection point of the tests alone: the helper is stopped after a step by a signal from outside. */
let machine: Machine;
let guest: Guest;
let home: string;

beforeAll(async () => {
  machine = await workstation('crash');
  guest = await Guest.define(machine, { name: 'win' });
  home = await picture(machine);
});

afterAll(async () => {
  await machine?.stop();
});

/** Steps of a hand-off, as the journal under /run names them. */
const STEPS = [
  'power',
  'claim',
  'block',
  'mask',
  'stop',
  'look',
  'unload:nvidia_drm',
  'unload:nvidia_modeset',
  'unload:nvidia_uvm',
  'unload:nvidia',
  'start-vm',
  'guest-has',
];

/** Kills the helper as soon as its journal says that the step was begun. */
function killAt(step: string): string {
  return `
n=0
until grep -q '"${step}"' /run/gpu-handoff/journal.json 2>/dev/null; do
  n=$((n + 1)); [ $n -lt 60000 ] || exit 3
done
kill -KILL "$(systemctl show -p MainPID --value gpu-handoff)"
echo killed`;
}

/** At the host with everything in place, or with a running guest; nothing else is allowed to last. */
async function settled(): Promise<'host' | 'vm' | null> {
  if ((await machine.run('ls /run/gpu-handoff/journal.json 2>/dev/null')).stdout !== '') return null;
  const there = await guestHasCard(machine);
  if (there.driver === 'vfio-pci' && there.opened && there.modules === '') return 'vm';
  return (await picture(machine)) === home ? 'host' : null;
}

describe('killing the helper', () => {
  test.each(STEPS.map((step) => [step]))('at the step %s ends at the host or in the VM', async (step) => {
    onTestFailed(async () => console.log(await helperLog(machine), await picture(machine)));
    const killer = await machine.spawn(killAt(step));
    const handing = await machine.run(['gpu-handoff', 'hand-off', 'win'], {
      user: 'alice',
      timeoutMs: 120_000,
    });
    expect(handing.code).not.toBe(2);
    expect((await killer.exited).stdout).toContain('killed');
    const end = await until('the card is at the host or in the VM', settled, 90_000, 500);
    if (end === 'vm') await guest.destroy();
    else await machine.run(['virsh', 'destroy', '--domain', 'win']);
    await until('the card is at home again', async () => (await picture(machine)) === home, 60_000, 500);
  });
});

test('a power cut at the worst step leaves everything at the host after boot', async () => {
  onTestFailed(async () => console.log(await helperLog(machine), await picture(machine)));
  const cut = machine.spawn(`until [ ! -d /sys/module/nvidia_drm ]; do :; done; sync; echo now`);
  const handing = machine.run(['gpu-handoff', 'hand-off', 'win'], { user: 'alice' }).catch(() => undefined);
  await (await cut).waitFor(/now/);
  await machine.powerCut();
  await handing;
  // The kernel looks for the sound card's codecs on its own, and a boot does not wait for it.
  const sound = `test -e /dev/snd/controlC0 && grep -q auto /sys/bus/pci/devices/${DGPU_SOUND}/power/control`;
  await until('the sound card is there', async () => (await machine.run(sound)).code === 0, 60_000, 500);
  await machine.check('udevadm settle');
  const after = await picture(machine);
  expect(after.replace(/\(null\)/g, '')).toBe(home.replace(/\(null\)/g, ''));
}, 400_000);
