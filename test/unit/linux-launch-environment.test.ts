/** The environment of an app that the per-user service starts, and on which GPU it runs. */
import { describe, expect, test } from 'vitest';
import { DEFAULT_CONFIG } from '../../core/src/config.js';
import { detect } from '../../core/src/detect.js';
import type { HardwareFacts } from '../../core/src/facts.js';
import { seatFor } from '../../core/src/linux/launch/cards.js';
import { sessionEnvironment } from '../../core/src/linux/launch/session-environment.js';
import { simulatedMachine } from '../../core/src/linux/simulated/machine.js';
import { say } from '../../core/src/words.js';
import { workstation } from './support-cli.js';

describe('the environment', () => {
  test('is the one that the manager has now', () => {
    const own = {
      HOME: '/home/a',
      PATH: '/bin',
      WAYLAND_DISPLAY: 'old',
      INVOCATION_ID: 'x',
      LISTEN_FDS: '1',
    };
    expect(sessionEnvironment(['WAYLAND_DISPLAY=new', 'A=b=c', 'EMPTY=', 'no name'], own)).toEqual({
      HOME: '/home/a',
      PATH: '/bin',
      WAYLAND_DISPLAY: 'new',
      A: 'b=c',
      EMPTY: '',
    });
  });

  test('is our own without what only services have, where there is no manager', () => {
    const own = {
      HOME: '/h',
      DISPLAY: ':0',
      INVOCATION_ID: 'x',
      JOURNAL_STREAM: '1:2',
      DBUS_STARTER_BUS_TYPE: 'session',
    };
    expect(sessionEnvironment(null, own)).toEqual({ HOME: '/h', DISPLAY: ':0' });
  });
});

describe('where an app runs', () => {
  const hardware = (scenario: Parameters<typeof workstation>[0]): HardwareFacts =>
    simulatedMachine(workstation(scenario)).eyes.hardware();
  const cards = (facts: HardwareFacts) => detect(facts, DEFAULT_CONFIG);
  const DGPU = '0000:01:00.0';

  /** The machine while this driver, or none, has its dGPU. */
  function driven(driver: string | null): HardwareFacts {
    const facts = hardware('laptop');
    const functions = facts.functions.map((fn) => (fn.address === DGPU ? { ...fn, driver } : fn));
    return { ...facts, functions };
  }

  test('is the dGPU while its driver has it', () => {
    expect(seatFor(cards(hardware('laptop')), 'dgpu', null)).toEqual({ on: 'dgpu', card: DGPU, why: null });
  });

  test('is the iGPU when that is wanted', () => {
    expect(seatFor(cards(hardware('laptop')), 'igpu', null)).toEqual({ on: 'igpu', card: null, why: null });
  });

  test.each([
    ['a guest has it', 'vfio-pci', /is with the driver vfio-pci\.$/],
    ['no driver has it', null, /^no driver has /],
  ])('is the iGPU while %s, and says why', (_when, driver, why) => {
    const seat = seatFor(cards(driven(driver)), 'dgpu', null);
    expect(seat.on).toBe('igpu');
    expect(seat.why === null ? '' : say(seat.why)).toMatch(why);
  });

  test('is the iGPU while the user may not open the dGPU, and says why', () => {
    const seat = seatFor(cards(hardware('laptop')), 'dgpu', null, () => false);
    expect(seat).toMatchObject({ on: 'igpu', card: DGPU });
    expect(seat.why === null ? '' : say(seat.why)).toMatch(
      /^this user may not open GeForce RTX 4070 .* now\.$/,
    );
  });

  test('is the dGPU that the user may open, of two', () => {
    const opens = ({ id }: { readonly id: string }): boolean => id !== DGPU;
    const seat = seatFor(cards(hardware('two-dgpus')), 'dgpu', null, opens);
    expect(seat).toMatchObject({ on: 'dgpu', why: null });
    expect(seat.card).not.toBe(DGPU);
  });

  test('is the iGPU where there is no other card', () => {
    const seat = seatFor(cards(hardware('one-card')), 'dgpu', null);
    expect(seat).toMatchObject({ on: 'igpu', card: null });
    expect(seat.why === null ? '' : say(seat.why)).toBe('this machine has none.');
  });

  test.each(['0000:77:00.0', '0000:00:02.0', '../../x', ''])(
    'is refused for %j, which is no dGPU',
    (card) => {
      expect(() => seatFor(cards(hardware('laptop')), 'dgpu', card)).toThrow('There is no graphics card');
    },
  );
});
