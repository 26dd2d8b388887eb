import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest';
import { app, gpuHandoff, helperLog, picture, workstation } from './product.js';
import { DGPU, Guest, type Machine } from './rig/index.js';

let machine: Machine;
let guest: Guest;
let home: string;

beforeAll(async () => {
  machine = await workstation('other-driver', {
    cards: [{ kind: 'bochs', sound: true }],
    // Nobody else has this hardware: a saved state of it would be of no further use.
    fresh: true,
  });
  guest = await Guest.define(machine, { name: 'win', behaviour: 'obedient' });
  // Whichever card was found first at boot has the console; this one must not light a monitor.
  const driver = `/sys/bus/pci/devices/${DGPU}/driver`;
  await machine.check(
    `d=$(readlink -f ${driver}); echo ${DGPU} > $d/unbind; echo ${DGPU} > $d/bind; udevadm settle`,
  );
  home = await picture(machine);
});

afterAll(async () => {
  await machine?.stop();
});

async function driver(): Promise<string> {
  return (await machine.check(`basename "$(readlink /sys/bus/pci/devices/${DGPU}/driver)"; true`)).trim();
}

test('a card whose driver stays loaded leaves by unbinding, and its driver comes back', async () => {
  onTestFailed(async () => console.log(await helperLog(machine)));
  expect(await driver()).toMatch(/^bochs/);
  expect(await gpuHandoff(machine, ['hand-off', 'win'])).toMatchObject({ code: 0, stderr: '' });
  expect(await driver()).toBe('vfio-pci');
  await guest.waitUntilObedient();
  expect(await gpuHandoff(machine, ['take-back'])).toMatchObject({ code: 0, stderr: '' });
  expect(await picture(machine)).toBe(home);
});

test('a process that uses it is named, and nothing is touched', async () => {
  const node = (
    await machine.check(`ls -d /sys/bus/pci/devices/${DGPU}/drm/card* | xargs -n1 basename`)
  ).trim();
  const holder = await app(machine, 'fd', [`/dev/dri/${node}`], { comm: 'painter' });
  const result = await gpuHandoff(machine, ['hand-off', 'win']);
  expect(result.code).toBe(6);
  expect(result.stderr).toMatch(/held by painter/);
  expect(await picture(machine)).toBe(home);
  await holder.release();
});
