import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest';
import { helperLog, picture, workstation } from './product.js';
import { DGPU, guestXml, hold, type Machine, until } from './rig/index.js';

/** Each with another timing. */
const TRIES = 60;
/** As tight as can be at first, then ever more like a program that watches. */
const TIGHT = 10;
const pauseUs = (attempt: number): number => (attempt < TIGHT ? attempt * 10 : (attempt - TIGHT + 1) * 400);
/** Who opens the card is named; only who does so without a pause can be missed at every look, and nobody is blamed. */
const NAMED = /^GeForce RTX 4090 .*is held by/;
const NAMED_OR_MISSED =
  /^GeForce RTX 4090 .*(is held by|is in use \(nvidia: \d+\), but no process could be found|was in use when the module)/;
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

/** What a try needs to know of the card, by one script: its driver, how many of NVIDIA's modules, what is left. */
const LOOK = `
echo "driver $(basename "$(readlink /sys/bus/pci/devices/${DGPU}/driver)")"
echo "modules $(cut -d' ' -f1 /proc/modules | grep -c ^nvidia)"
ls /run/gpu-handoff /run/modprobe.d 2>/dev/null | grep -v ':$' | grep .
stat -c '%a %n' /dev/nvidia0 2>/dev/null
true`;

const AT_HOME = 'driver nvidia\nmodules 4\n666 /dev/nvidia0\n';

/**
 * libvirt's hook is called as libvirt calls it, but no guest is started: this is about the card's driver, and sixty
 * guests would take an hour here. The one who opens is an ordinary user and root by turns.
 */
test(`a process that opens the card in a loop never gets it stuck: ${TRIES} tries`, async () => {
  onTestFailed(async () => console.log(await helperLog(machine)));
  let went = 0;
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const user = attempt % 2 === 0 ? 'mallory' : 'root';
    const where = `try ${attempt}, ${user}`;
    const looper = await hold(machine, 'loop', ['/dev/nvidia0', pauseUs(attempt)], { user });
    const prepared = await machine.run(`${HOOK} win prepare begin - < /run/win.xml`);
    if (prepared.code === 0) {
      went += 1;
      const seen = await machine.check(LOOK);
      expect(seen, where).toMatch(/^driver \nmodules 0\n/);
    } else {
      expect(prepared.stderr, where).toMatch(attempt < TIGHT ? NAMED_OR_MISSED : NAMED);
    }
    expect((await machine.run(`${HOOK} win release end failed < /run/win.xml`)).code, where).toBe(0);
    await looper.release();
    const home = async (): Promise<boolean> => (await machine.check(LOOK)) === AT_HOME;
    await until(`the card is at home (${where})`, home, 60_000, 100);
    // It works where it is said to be.
    await machine.check(['dd', 'if=/dev/nvidia0', 'of=/dev/null', 'count=0', 'status=none']);
  }
  expect(await picture(machine)).toBe(home);
  console.log(`the card could leave in ${went} of ${TRIES} tries`);
}, 1_200_000);
