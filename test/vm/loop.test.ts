import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest';
import { app, helperLog, picture, workstation } from './product.js';
import { DGPU, guestXml, type Machine } from './rig/index.js';

/** Tries for each way of opening, each with another timing. */
const TRIES = 50;
const HOOK = '/etc/libvirt/hooks/qemu.d/gpu-handoff';
const UUID = '11111111-2222-4333-8444-555555555555';

let machine: Machine;
let home: string;

beforeAll(async () => {
  machine = await workstation('loop');
  await machine.put('/run/win.xml', guestXml({ name: 'win', uuid: UUID }));
  home = await picture(machine);
});

afterAll(async () => {
  await machine?.stop();
});

async function card(): Promise<{ driver: string; modules: string }> {
  const driver = (
    await machine.check(`basename "$(readlink /sys/bus/pci/devices/${DGPU}/driver)"; true`)
  ).trim();
  const modules = (await machine.check(`cut -d' ' -f1 /proc/modules | grep -c ^nvidia; true`)).trim();
  return { driver, modules };
}

/**
 * libvirt's hook is called as libvirt calls it, but no guest is started: this is about the card's driver, and fifty
 * guests would take an hour here. The user who opens is an ordinary one, and root.
 */
test.each([
  ['mallory', '/dev/nvidia0'],
  ['root', '/dev/nvidia0'],
])(
  '%s opening %s in a loop never gets the card stuck',
  async (user, node) => {
    onTestFailed(async () => console.log(await helperLog(machine)));
    let went = 0;
    for (let attempt = 0; attempt < TRIES; attempt++) {
      const where = `try ${attempt} of ${user}`;
      const looper = await app(machine, 'loop', [node, attempt * 400], { user });
      const prepared = await machine.run(`${HOOK} win prepare begin - < /run/win.xml`);
      if (prepared.code === 0) {
        went += 1;
        expect(await card(), where).toEqual({ driver: '', modules: '0' });
      } else {
        expect(prepared.stderr, where).toMatch(/^GeForce RTX 4090 .*(is held by|was taken by)/);
      }
      expect((await machine.run(`${HOOK} win release end failed < /run/win.xml`)).code, where).toBe(0);
      await looper.release();
      expect(await picture(machine), where).toBe(home);
      // The card works where it is said to be.
      await machine.check(['dd', 'if=/dev/nvidia0', 'of=/dev/null', 'count=0', 'status=none']);
    }
    console.log(`${user}: the card could leave in ${went} of ${TRIES} tries`);
  },
  1_200_000,
);
