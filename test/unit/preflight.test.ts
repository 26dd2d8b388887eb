import { describe, expect, test } from 'vitest';
import { DEFAULT_CONFIG } from '../../core/src/config.js';
import { detect } from '../../core/src/detect.js';
import type { HardwareFacts, VirtualMachine } from '../../core/src/facts.js';
import { NOBODY } from '../../core/src/holders.js';
import { type Circumstances, preflight, refusalByHolders } from '../../core/src/preflight.js';
import { say, sentence } from '../../core/src/words.js';
import {
  card,
  intelIgpu,
  laptop,
  lit,
  machine,
  nvidia,
  pci,
  sound,
  UUID_A,
  UUID_B,
  vm,
} from './support-facts.js';

const GPU = '0000:01:00.0';
const SOUND = '0000:01:00.1';
const NOTHING: Circumstances = { guests: new Map(), stuck: new Map() };

const refusals = (wanted: VirtualMachine, facts: HardwareFacts = laptop(), known: Circumstances = NOTHING) =>
  preflight(wanted, detect(facts, DEFAULT_CONFIG), facts, known).map((one) => [
    one.code,
    one.failure,
    say(one.sentence),
  ]);

describe('a VM that can have its cards', () => {
  test('takes the card with all of its group', () => {
    expect(refusals(vm([GPU, SOUND]))).toEqual([]);
  });

  test('is started by libvirt already, so that nobody knows whether it runs', () => {
    expect(refusals(vm([GPU, SOUND], { running: null }))).toEqual([]);
  });

  test('may leave functions out that are in another group, or that nobody uses', () => {
    const parts = [intelIgpu({ connectors: lit('DP-1') }), nvidia(GPU)];
    expect(refusals(vm([GPU]), machine([...parts, sound(SOUND, { iommuGroup: 16 })]))).toEqual([]);
    expect(refusals(vm([GPU]), machine([...parts, sound(SOUND, { driver: null })]))).toEqual([]);
    expect(refusals(vm([GPU]), machine([...parts, sound(SOUND, { driver: 'vfio-pci' })]))).toEqual([]);
  });

  test('may have had the card before: its own is no other VM', () => {
    const known = { ...NOTHING, guests: new Map([[GPU, { uuid: UUID_A, name: 'win11' }]]) };
    expect(refusals(vm([GPU, SOUND]), laptop(), known)).toEqual([]);
  });

  test('may have managed="no" where the card is on vfio-pci already', () => {
    const facts = machine([
      intelIgpu({ connectors: lit('DP-1') }),
      nvidia(GPU, { driver: 'vfio-pci' }),
      sound(SOUND, { driver: 'vfio-pci' }),
    ]);
    const unmanaged = vm([], { devices: [GPU, SOUND].map((address) => ({ address, managed: false })) });
    expect(refusals(unmanaged, facts)).toEqual([]);
  });
});

describe('a VM that cannot, with what to do', () => {
  test('has no card of this machine', () => {
    expect(refusals(vm(['0000:99:00.0']))).toEqual([
      [
        'vm-without-card',
        'Refused',
        'The VM “win11” has no graphics card of this machine among its devices: add one as a PCI host device in virt-manager.',
      ],
    ]);
  });

  test('runs already', () => {
    expect(refusals(vm([GPU, SOUND], { running: true }))[0]?.[0]).toBe('vm-running');
  });

  test('takes the monitors’ card', () => {
    expect(refusals(vm(['0000:00:02.0']))).toEqual([
      [
        'is-igpu',
        'Refused',
        'Iris Xe Graphics serves the monitors and stays with the host: choose another card.',
      ],
    ]);
  });

  test('leaves out a function of the group that the host uses', () => {
    expect(refusals(vm([GPU]))).toEqual([
      [
        'group-not-whole',
        'Refused',
        'The VM “win11” takes GeForce RTX 4070 but not High Definition Audio Controller at 0000:01:00.1, which has to go with it: add that function as a PCI host device too.',
      ],
    ]);
  });

  test('takes the sound of a card and not the card, though both are in groups of their own', () => {
    const facts = machine([
      intelIgpu({ connectors: lit('DP-1') }),
      nvidia(GPU, { iommuGroup: 14 }),
      sound(SOUND, { iommuGroup: 15 }),
    ]);
    expect(refusals(vm([SOUND]), facts)).toEqual([
      [
        'group-not-whole',
        'Refused',
        'The VM “win11” takes GeForce RTX 4070 but not AD104 [GeForce RTX 4070] at 0000:01:00.0, which has to go with it: add that function as a PCI host device too.',
      ],
    ]);
  });

  test('has the card with managed="no"', () => {
    const half = vm([], {
      devices: [
        { address: GPU, managed: false },
        { address: SOUND, managed: true },
      ],
    });
    expect(refusals(half).map(([code]) => code)).toEqual(['not-managed']);
    expect(refusals(half)[0]?.[2]).toMatch(/set managed="yes"\.$/);
  });

  test('wants what another VM has', () => {
    const known = { ...NOTHING, guests: new Map([[GPU, { uuid: UUID_B, name: 'linux\u001b' }]]) };
    expect(refusals(vm([GPU, SOUND]), laptop(), known)).toEqual([
      [
        'other-vm',
        'Refused',
        'GeForce RTX 4070 is in use by the VM “linux\\u001b”: shut that VM down first.',
      ],
    ]);
  });

  test('wants a card that is stuck: it is told why', () => {
    const why = sentence('stuck.cause', { what: 'Unload nvidia' });
    expect(refusals(vm([GPU, SOUND]), laptop(), { ...NOTHING, stuck: new Map([[GPU, why]]) })).toEqual([
      [
        'stuck',
        'Stuck',
        'GeForce RTX 4070 is stuck until the next reboot: the step “Unload nvidia” hangs inside the kernel.',
      ],
    ]);
  });

  test('takes one of two NVIDIA cards, but may take both', () => {
    const facts = machine([
      intelIgpu({ connectors: lit('DP-1') }),
      nvidia(GPU),
      nvidia('0000:05:00.0', { iommuGroup: 20, deviceName: 'GTX' }),
    ]);
    expect(refusals(vm([GPU]), facts).map(([code]) => code)).toEqual(['second-nvidia']);
    expect(refusals(vm([GPU, '0000:05:00.0']), facts)).toEqual([]);
  });

  test('shares the group with a disk, unless it takes the disk as well', () => {
    const disk = pci('0000:02:00.0', { classCode: 0x010802, driver: 'nvme', iommuGroup: 15 });
    const facts = machine([...laptop().functions, disk]);
    expect(refusals(vm([GPU, SOUND]), facts).map(([code]) => code)).toEqual(['group-strangers']);
    expect(refusals(vm([GPU, SOUND, disk.address]), facts)).toEqual([]);
  });

  test('is told everything at once', () => {
    const facts = machine(
      [
        intelIgpu({ connectors: lit('eDP-1') }),
        nvidia(GPU, { iommuGroup: null, connectors: lit('DP-1') }),
        sound(SOUND, { iommuGroup: null }),
      ],
      { iommu: false },
    );
    const known = { ...NOTHING, guests: new Map([[GPU, { uuid: UUID_B, name: 'b' }]]) };
    expect(refusals(vm([GPU]), facts, known).map(([code]) => code)).toEqual([
      'other-vm',
      'no-iommu',
      'drives-monitor',
      'group-not-whole',
    ]);
  });

  test('a hostile name is shown, not sent to a terminal', () => {
    expect(refusals(vm([], { name: 'x\u001b[2J\n' }))[0]?.[2]).toMatch(/^The VM “x\\u001b\[2J\\n” has no/);
  });
});

describe('what the holders say', () => {
  const cards = [card(laptop(), GPU)];

  test('nobody: nothing', () => {
    expect(refusalByHolders(cards, NOBODY)).toBeNull();
  });

  test('the kernel: held', () => {
    const report = { ...NOBODY, verdict: 'held' as const, kernel: [{ module: 'nvidia', count: 1 }] };
    expect(refusalByHolders(cards, report)).toMatchObject({ code: 'held', failure: 'Held' });
  });

  test('what could not be seen is not called held', () => {
    const report = { ...NOBODY, verdict: 'unknown' as const, complete: false };
    expect(refusalByHolders(cards, report)).toMatchObject({ code: 'could-not-look', failure: 'Refused' });
  });
});
