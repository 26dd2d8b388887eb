import { describe, expect, test } from 'vitest';
import { DEFAULT_CONFIG } from '../../core/src/config.js';
import { type Card, detect } from '../../core/src/detect.js';
import type { PciFunction } from '../../core/src/facts.js';
import { LOOKED_FOR, RECIPES } from '../../core/src/launch/drivers.js';
import {
  cardForLaunch,
  hasTwin,
  type LaunchEnvironment,
  launchEnvironment,
  SESSION_RESTRICTIONS,
} from '../../core/src/launch/environment.js';
import { amd, cardAt, intelIgpu, lit, machine, nvidia, pci } from './support-facts.js';

const cardsOf = (...functions: readonly PciFunction[]): Card[] => detect(machine(functions), DEFAULT_CONFIG);

const IGPU = intelIgpu({ bootVga: true, connectors: lit('eDP-1') });

/** A dGPU with this driver, at 0000:03:00.0. */
function dgpu(driver: string | null): Card {
  const make = driver === 'nvidia' || driver === 'nouveau' ? nvidia : amd;
  return cardAt(cardsOf(IGPU, make('0000:03:00.0', { driver, deviceId: 0x73ff })), '0000:03:00.0');
}

function environmentFor(driver: string): LaunchEnvironment {
  const environment = launchEnvironment(dgpu(driver));
  if (environment === null) throw new Error(`no app runs with ${driver}`);
  return environment;
}

/** What an app gets that is started with this environment in a session with that one. */
function applied(
  { set, unset }: LaunchEnvironment,
  session: Readonly<Record<string, string>>,
): Record<string, string> {
  const kept = Object.entries(session).filter(([name]) => !unset.includes(name));
  return { ...Object.fromEntries(kept), ...set };
}

/** The guide's session: nothing may touch the NVIDIA card. */
const SESSION = {
  HOME: '/home/ada',
  VK_LOADER_DRIVERS_DISABLE: '*nvidia*',
  __EGL_VENDOR_LIBRARY_FILENAMES: '/usr/share/glvnd/egl_vendor.d/50_mesa.json',
  __GLX_VENDOR_LIBRARY_NAME: 'mesa',
};

describe('what an app needs to run on a card', () => {
  test('NVIDIA: the restrictions of the session are gone, and offloading is on', () => {
    expect(applied(environmentFor('nvidia'), SESSION)).toEqual({
      HOME: '/home/ada',
      __GLX_VENDOR_LIBRARY_NAME: 'nvidia',
      __NV_PRIME_RENDER_OFFLOAD: '1',
      __VK_LAYER_NV_optimus: 'NVIDIA_only',
      VK_LOADER_DRIVERS_SELECT: '*nvidia*',
      MESA_VK_DEVICE_SELECT: '10de:73ff!',
    });
  });

  test('AMD: the card by its address for OpenGL, Vulkan’s driver, and the decoders', () => {
    expect(
      applied(environmentFor('amdgpu'), { ...SESSION, DRI_PRIME: '0', LIBVA_DRIVER_NAME: 'iHD' }),
    ).toEqual({
      HOME: '/home/ada',
      DRI_PRIME: 'pci-0000_03_00_0',
      MESA_VK_DEVICE_SELECT: '1002:73ff!',
      VK_LOADER_DRIVERS_SELECT: '*radeon*,amd_*',
      VDPAU_DRIVER: 'radeonsi',
      __GLX_VENDOR_LIBRARY_NAME: 'mesa',
    });
  });

  test('Intel, by either driver, and nouveau', () => {
    expect(environmentFor('xe').set).toEqual(environmentFor('i915').set);
    expect(environmentFor('xe').set).toMatchObject({
      DRI_PRIME: 'pci-0000_03_00_0',
      VK_LOADER_DRIVERS_SELECT: '*intel*',
    });
    expect(environmentFor('nouveau').set).toMatchObject({ DRI_PRIME: 'pci-0000_03_00_0' });
  });

  test.each([null, 'vfio-pci', 'pci-stub', 'ast', 'constructor'])(
    'with the driver %s no app runs there',
    (driver) => {
      expect(launchEnvironment(dgpu(driver))).toBeNull();
    },
  );

  test.each(Object.keys(RECIPES))(
    '%s: every restriction of a session is undone, and none is set to nothing',
    (driver) => {
      const { set, unset } = environmentFor(driver);
      for (const name of SESSION_RESTRICTIONS) expect([...Object.keys(set), ...unset], name).toContain(name);
      for (const [name, value] of Object.entries(set)) expect(value, name).not.toBe('');
      expect(unset.filter((name) => name in set)).toEqual([]);
    },
  );

  test.each(['nvidia', 'amdgpu'])(
    '%s: an app of a session that was led to another card by any of them goes to this one',
    (driver) => {
      const misled = Object.fromEntries(
        [
          ...SESSION_RESTRICTIONS,
          'DRI_PRIME',
          'MESA_VK_DEVICE_SELECT',
          'NODEVICE_SELECT',
          'LIBVA_DRIVER_NAME',
        ].map((name) => [name, 'elsewhere']),
      );
      expect(Object.values(applied(environmentFor(driver), misled))).not.toContain('elsewhere');
    },
  );

  test('CUDA can be hidden by a session; only for a card that has CUDA is that undone', () => {
    const hidden = { CUDA_VISIBLE_DEVICES: '-1' };
    expect(applied(environmentFor('nvidia'), hidden)).not.toHaveProperty('CUDA_VISIBLE_DEVICES');
    expect(applied(environmentFor('amdgpu'), hidden)).toHaveProperty('CUDA_VISIBLE_DEVICES', '-1');
  });

  test('two cards of the same ids: they are told apart by address alone', () => {
    const cards = cardsOf(IGPU, amd('0000:03:00.0'), amd('0000:04:00.0'), nvidia('0000:05:00.0'));
    const [first, other] = [cardAt(cards, '0000:04:00.0'), cardAt(cards, '0000:05:00.0')];
    expect([hasTwin(first, cards), hasTwin(other, cards)]).toEqual([true, false]);
    const environment = launchEnvironment(first, { twin: true, files: [] });
    expect(environment?.set).toMatchObject({ DRI_PRIME: 'pci-0000_04_00_0' });
    expect(environment?.set).not.toHaveProperty('MESA_VK_DEVICE_SELECT');
    expect(environment?.unset).toContain('MESA_VK_DEVICE_SELECT');
  });

  test('a card whose twin a guest has is named by its ids', () => {
    const cards = cardsOf(IGPU, amd('0000:03:00.0'), amd('0000:04:00.0', { driver: 'vfio-pci' }));
    expect(hasTwin(cardAt(cards, '0000:03:00.0'), cards)).toBe(false);
  });

  test('a file is only named where it exists', () => {
    const mesa = '/usr/share/glvnd/egl_vendor.d/50_mesa.json';
    expect(LOOKED_FOR).toContain(mesa);
    expect(launchEnvironment(dgpu('amdgpu'), { twin: false, files: [mesa] })?.set).toMatchObject({
      __EGL_VENDOR_LIBRARY_FILENAMES: mesa,
    });
    const vaapi = LOOKED_FOR.filter((file) => file.includes('nvidia_drv_video'));
    expect(launchEnvironment(dgpu('nvidia'), { twin: false, files: vaapi })?.set).toMatchObject({
      LIBVA_DRIVER_NAME: 'nvidia',
    });
    expect(launchEnvironment(dgpu('nvidia'), { twin: false, files: [mesa] })?.set).not.toHaveProperty(
      '__EGL_VENDOR_LIBRARY_FILENAMES',
    );
  });
});

describe('the card for an app that names none', () => {
  test('the first dGPU on which apps can run', () => {
    const cards = cardsOf(IGPU, nvidia('0000:01:00.0', { driver: 'vfio-pci' }), amd('0000:04:00.0'));
    expect(cardForLaunch(cards)?.id).toBe('0000:04:00.0');
  });

  test('where all are away, the first of them', () => {
    const cards = cardsOf(
      IGPU,
      nvidia('0000:01:00.0', { driver: null }),
      amd('0000:04:00.0', { driver: 'vfio-pci' }),
    );
    expect(cardForLaunch(cards)?.id).toBe('0000:01:00.0');
  });

  test('none on a machine with one card, and never a server’s management controller', () => {
    expect(cardForLaunch(cardsOf(IGPU))).toBeNull();
    expect(cardForLaunch(cardsOf(IGPU, pci('0000:05:00.0', { vendorId: 0x1a03, driver: 'ast' })))).toBeNull();
  });
});
