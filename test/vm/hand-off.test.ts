import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest';
import { gpuHandoff, guestHasCard, helperLog, picture, publishedState, workstation } from './product.js';
import { DGPU, Guest, type Machine } from './rig/index.js';

/** How many times the card goes there and back. */
const ROUNDS = 20;

let machine: Machine;
let guest: Guest;
let home: string;

beforeAll(async () => {
  machine = await workstation('hand-off');
  guest = await Guest.define(machine, { name: 'win', behaviour: 'obedient' });
  home = await picture(machine);
});

afterAll(async () => {
  await machine?.stop();
});

function tellOnFailure(): void {
  onTestFailed(async () => console.log(await helperLog(machine)));
}

describe('by the command', () => {
  test('the card is at home after boot, with its driver, services and nodes', () => {
    expect(home).toMatch(/driver of 0000:01:00\.0: nvidia override \(null\)/);
    expect(home).toMatch(/modules: nvidia nvidia_drm nvidia_modeset nvidia_uvm\n/);
    expect(home).not.toMatch(/left behind/);
  });

  test('a dry run prints the steps and touches nothing', async () => {
    tellOnFailure();
    const before = await picture(machine);
    const result = await gpuHandoff(machine, ['hand-off', 'win', '--dry-run']);
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(result.stdout).toMatch(/Unload nvidia_drm[\s\S]*Unload nvidia\n[\s\S]*Start the VM “win”/);
    expect(await picture(machine)).toBe(before);
  });

  test('hand-off starts a guest that really has the card', async () => {
    tellOnFailure();
    const result = await gpuHandoff(machine, ['hand-off', 'win']);
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(await guestHasCard(machine)).toEqual({ driver: 'vfio-pci', opened: true, modules: '' });
    expect(await guest.state()).toBe('running');
    expect(await publishedState(machine)).toBe('vm');
  });

  test('a second hand-off to a running VM is refused', async () => {
    const result = await gpuHandoff(machine, ['hand-off', 'win']);
    expect(result.code).toBe(7);
    expect(result.stderr).toMatch(/The VM “win” is running already\./);
  });

  test('take-back asks the guest to shut down, and everything is as before', async () => {
    tellOnFailure();
    await guest.waitUntilObedient();
    const result = await gpuHandoff(machine, ['take-back']);
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(await picture(machine)).toBe(home);
    expect(await guest.state()).toBe('shut off');
    expect(await publishedState(machine)).toBe('host');
  });

  test('take-back of a card that is at home says so and changes nothing', async () => {
    const result = await gpuHandoff(machine, ['take-back']);
    expect(result.code).toBe(7);
    expect(result.stderr).toMatch(/is at the host already/);
    expect(await picture(machine)).toBe(home);
  });

  test(`${ROUNDS} times in a row nothing is left behind`, async () => {
    tellOnFailure();
    for (let round = 1; round <= ROUNDS; round++) {
      const there = await gpuHandoff(machine, ['hand-off', 'win']);
      expect(there, `round ${round}`).toMatchObject({ code: 0, stderr: '' });
      // By turns the guest is asked and its power is cut.
      const asked = round % 2 === 0;
      if (asked) await guest.waitUntilObedient();
      const back = await gpuHandoff(machine, ['take-back', ...(asked ? [] : ['--force']), DGPU]);
      expect(back, `round ${round}`).toMatchObject({ code: 0, stderr: '' });
      expect(await picture(machine), `round ${round}`).toBe(home);
    }
  }, 1_500_000);

  test('a guest that does not listen keeps the card until it is forced off', async () => {
    tellOnFailure();
    const deaf = await Guest.define(machine, { name: 'deaf' });
    await machine.put('/etc/gpu-handoff/config.toml', '[take-back]\nguest-shutdown-seconds = 3\n');
    await machine.check('systemctl stop gpu-handoff');
    expect(await gpuHandoff(machine, ['hand-off', 'deaf'])).toMatchObject({ code: 0 });
    const refused = await gpuHandoff(machine, ['take-back']);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/The VM “deaf” did not shut down within 3 s: .*force it off/);
    expect(await deaf.state()).toBe('running');
    expect(await publishedState(machine)).toBe('vm');
    expect(await gpuHandoff(machine, ['take-back', '--force'])).toMatchObject({ code: 0 });
    expect(await picture(machine)).toBe(home);
    await machine.check('rm /etc/gpu-handoff/config.toml && systemctl stop gpu-handoff');
  });

  test('the journal tells each step, with fields to filter by', async () => {
    const lines = await machine.check('journalctl -o cat --no-pager GPU_HANDOFF_STEP=unload:nvidia');
    expect(lines).toMatch(/Unload nvidia: done/);
  });
});
