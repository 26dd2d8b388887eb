import { describe, expect, test } from 'vitest';
import { type Config, DEFAULT_CONFIG } from '../../core/src/config.js';
import { type Card, cardsOf, detect, isAsleep, obstaclesOf } from '../../core/src/detect.js';
import type { Connector, HardwareFacts } from '../../core/src/facts.js';
import { say } from '../../core/src/words.js';
import { amd, cardAt, intelIgpu, laptop, lit, machine, nvidia, pci, sound, vm } from './support-facts.js';

const DGPU = '0000:01:00.0';
const IGPU = '0000:00:02.0';

const found = (facts: HardwareFacts, config: Partial<Config> = {}): Card[] =>
  detect(facts, { ...DEFAULT_CONFIG, ...config });

/** Each card as `id role: reason`. */
const roles = (facts: HardwareFacts, config: Partial<Config> = {}): string[] =>
  found(facts, config).map((card) => `${card.id} ${card.role}: ${say(card.reason)}`);

const dark = (...names: string[]): Connector[] =>
  names.map((name) => ({ name, connected: true, enabled: false }));

const obstacles = (card: Card): string[] => card.obstacles.map((one) => say(one.sentence));

describe('which card serves the monitors, and why', () => {
  test('a laptop: the Intel card with the panel stays, the NVIDIA card can leave', () => {
    expect(roles(laptop())).toEqual([
      '0000:00:02.0 igpu: it drives a monitor (eDP-1)',
      '0000:01:00.0 dgpu: another card serves the monitors (Iris Xe Graphics)',
    ]);
    expect(found(laptop()).map((card) => card.obstacles.map((one) => one.code))).toEqual([['is-igpu'], []]);
  });

  test('two AMD cards: the one that is lit stays, though the other has the lower address', () => {
    const facts = machine([
      amd('0000:03:00.0'),
      amd('0000:13:00.0', {
        deviceName: 'Raphael [Radeon Graphics]',
        bootVga: true,
        connectors: lit('DP-1', 'DP-2'),
      }),
    ]);
    expect(roles(facts)).toEqual([
      '0000:03:00.0 dgpu: another card serves the monitors (Radeon Graphics)',
      '0000:13:00.0 igpu: it drives monitors (DP-1, DP-2)',
    ]);
  });

  test('a monitor on the dGPU only: that card serves the monitors now', () => {
    const facts = machine([intelIgpu(), nvidia(DGPU, { bootVga: true, connectors: lit('HDMI-A-1') })]);
    expect(roles(facts)).toEqual([
      '0000:00:02.0 dgpu: another card serves the monitors (GeForce RTX 4070)',
      '0000:01:00.0 igpu: it drives a monitor (HDMI-A-1)',
    ]);
  });

  test('monitors on both: the one that the machine booted with stays, the other says which monitor', () => {
    const facts = machine([
      intelIgpu({ bootVga: true, connectors: lit('eDP-1') }),
      nvidia(DGPU, { connectors: lit('HDMI-A-1', 'DP-1') }),
    ]);
    expect(roles(facts)[0]).toBe('0000:00:02.0 igpu: it drives a monitor (eDP-1)');
    expect(obstacles(cardAt(found(facts), DGPU))).toEqual([
      'GeForce RTX 4070 drives monitors (HDMI-A-1, DP-1): plug them into the other card, or hide this card from the desktop.',
    ]);
  });

  test('a monitor that is plugged in but dark is no monitor that is driven', () => {
    const facts = machine([
      intelIgpu({ connectors: lit('DP-1') }),
      nvidia(DGPU, { connectors: [{ name: 'HDMI-A-1', connected: true, enabled: false }] }),
    ]);
    expect(cardAt(found(facts), DGPU).obstacles).toEqual([]);
  });

  test('the firmware booted with the dGPU, but the monitor is on the iGPU: the monitor decides', () => {
    const facts = machine([intelIgpu({ connectors: lit('DP-2') }), nvidia(DGPU, { bootVga: true })]);
    expect(roles(facts)).toEqual([
      '0000:00:02.0 igpu: it drives a monitor (DP-2)',
      '0000:01:00.0 dgpu: another card serves the monitors (Iris Xe Graphics)',
    ]);
    expect(cardAt(found(facts), DGPU).obstacles).toEqual([]);
  });

  describe('while the screen is blanked, so that every monitor is plugged in but dark', () => {
    test('the card with the monitors stays, though the firmware booted with the other', () => {
      for (const dgpu of [nvidia(DGPU, { bootVga: true }), amd(DGPU, { bootVga: true })]) {
        const facts = machine([intelIgpu({ connectors: dark('DP-1', 'DP-2') }), dgpu]);
        expect(roles(facts)[0]).toBe('0000:00:02.0 igpu: monitors are plugged into it (DP-1, DP-2)');
        expect(cardAt(found(facts), DGPU)).toMatchObject({ role: 'dgpu', obstacles: [] });
      }
    });

    test('so it does where neither sits on the processor’s bus, whichever drivers they have', () => {
      const facts = machine([
        amd('0000:03:00.0', { bootVga: true }),
        nvidia('0000:13:00.0', { connectors: dark('DP-1') }),
      ]);
      expect(roles(facts)).toEqual([
        '0000:03:00.0 dgpu: another card serves the monitors (GeForce RTX 4070)',
        '0000:13:00.0 igpu: a monitor is plugged into it (DP-1)',
      ]);
    });

    test('with monitors on both cards, the one that the machine booted with', () => {
      const facts = machine([
        intelIgpu({ connectors: dark('DP-1') }),
        nvidia(DGPU, { bootVga: true, connectors: dark('HDMI-A-1') }),
      ]);
      expect(roles(facts)[1]).toBe('0000:01:00.0 igpu: it is the display the machine booted with');
    });

    test('with one on a dGPU that udev hides from the desktop, the other card', () => {
      const facts = machine([
        intelIgpu({ connectors: dark('DP-1') }),
        nvidia(DGPU, { bootVga: true, connectors: dark('HDMI-A-1'), seat: 'seat1' }),
      ]);
      expect(roles(facts)[0]).toBe('0000:00:02.0 igpu: a monitor is plugged into it (DP-1)');
    });

    test('a cable from the dGPU alone does not take the monitors from the processor’s boot display', () => {
      const facts = machine([intelIgpu({ bootVga: true }), amd(DGPU, { connectors: dark('HDMI-A-1') })]);
      expect(found(facts).map((card) => card.role)).toEqual(['igpu', 'dgpu']);
    });

    test('one that is lit on any card decides alone', () => {
      const facts = machine([
        amd('0000:03:00.0', { bootVga: true, connectors: dark('DP-1') }),
        amd('0000:04:00.0', { connectors: lit('DP-2') }),
      ]);
      expect(roles(facts)[1]).toBe('0000:04:00.0 igpu: it drives a monitor (DP-2)');
    });

    test('a server’s remote management, which is always lit, is no monitor', () => {
      const management = { vendorId: 0x1a03, driver: 'ast', connectors: lit('VGA-1') };
      const facts = machine([
        amd('0000:03:00.0', { bootVga: true }),
        amd('0000:04:00.0', { connectors: dark('DP-1') }),
        pci('0000:05:00.0', management),
      ]);
      expect(found(facts).map((card) => card.role)).toEqual(['dgpu', 'igpu', 'ignored']);
    });

    test('a lit monitor of an ignored card says nothing of the others', () => {
      const facts = machine([
        amd('0000:03:00.0', { bootVga: true }),
        amd('0000:04:00.0', { connectors: dark('DP-1') }),
        amd('0000:05:00.0', { connectors: lit('DP-1') }),
      ]);
      const ignored = { ignore: ['0000:05:00.0'] };
      expect(found(facts, ignored).map((card) => card.role)).toEqual(['dgpu', 'igpu', 'ignored']);
    });
  });

  test('no monitor anywhere: the boot display', () => {
    const facts = machine([intelIgpu(), amd('0000:03:00.0', { bootVga: true })]);
    expect(roles(facts)).toEqual([
      '0000:00:02.0 dgpu: another card serves the monitors (Radeon RX 7800 XT)',
      '0000:03:00.0 igpu: it is the display the machine booted with',
    ]);
  });

  test('no monitor and no boot display: the processor’s own card', () => {
    const facts = machine([intelIgpu(), amd('0000:03:00.0')]);
    expect(roles(facts)[0]).toBe('0000:00:02.0 igpu: it sits on the processor’s own bus');
  });

  test('two equal cards: the one with the monitor stays, whichever it is', () => {
    for (const which of ['0000:01:00.0', '0000:02:00.0']) {
      const facts = machine(
        ['0000:01:00.0', '0000:02:00.0'].map((address) =>
          amd(address, { connectors: address === which ? lit('DP-1') : [] }),
        ),
      );
      expect(cardAt(found(facts), which).role).toBe('igpu');
      expect(found(facts).filter((card) => card.role === 'dgpu')).toHaveLength(1);
    }
  });

  test('two equal cards that nothing tells apart: the first stays, the second can leave', () => {
    const facts = machine([amd('0000:03:00.0'), amd('0000:04:00.0')]);
    expect(roles(facts)).toEqual([
      '0000:03:00.0 igpu: it is the card that is left for the monitors',
      '0000:04:00.0 dgpu: another card serves the monitors (Radeon RX 7800 XT)',
    ]);
  });

  test('a card that vfio-pci had since boot can leave, whatever the firmware booted with', () => {
    const facts = machine([intelIgpu(), nvidia(DGPU, { driver: 'vfio-pci', bootVga: true, nodes: [] })]);
    expect(found(facts).map((card) => card.role)).toEqual(['igpu', 'dgpu']);
    expect(cardAt(found(facts), DGPU).obstacles).toEqual([]);
  });

  test('a card without any driver can leave', () => {
    const facts = machine([intelIgpu({ bootVga: true }), nvidia(DGPU, { driver: null, nodes: [] })]);
    expect(found(facts).map((card) => card.role)).toEqual(['igpu', 'dgpu']);
    expect(cardAt(found(facts), DGPU).obstacles).toEqual([]);
  });

  test('a card in a Thunderbolt case is a dGPU like another', () => {
    const card = '0000:3f:00.0';
    const facts = machine([
      intelIgpu({ bootVga: true, connectors: lit('eDP-1') }),
      nvidia(card, { external: true }),
    ]);
    expect(cardAt(found(facts), card)).toMatchObject({ role: 'dgpu', obstacles: [] });
  });

  test('on a server the management controller is the display and the compute card can leave', () => {
    const facts = machine([
      pci('0000:03:00.0', {
        vendorId: 0x1a03,
        vendorName: 'ASPEED Technology, Inc.',
        deviceName: 'ASPEED Graphics Family',
        driver: 'ast',
        bootVga: true,
      }),
      nvidia('0000:41:00.0', { classCode: 0x030200, deviceName: 'GA100 [A100 PCIe 40GB]' }),
    ]);
    expect(roles(facts)).toEqual([
      '0000:03:00.0 igpu: it is the display the machine booted with',
      '0000:41:00.0 dgpu: another card serves the monitors (ASPEED Graphics Family)',
    ]);
  });

  test('beside a card with a monitor, a server’s management controller is no card for VMs', () => {
    const facts = machine([
      intelIgpu({ connectors: lit('DP-1') }),
      nvidia(DGPU),
      pci('0000:05:00.0', {
        vendorId: 0x1a03,
        deviceName: 'ASPEED Graphics Family',
        driver: 'ast',
        bootVga: true,
      }),
    ]);
    expect(roles(facts)[2]).toBe('0000:05:00.0 ignored: it only serves the server’s remote management');
    expect(found(facts).map((card) => card.role)).toEqual(['igpu', 'dgpu', 'ignored']);
  });

  test('one card serves the monitors and says that it is the only one', () => {
    const facts = machine([nvidia(DGPU, { bootVga: true, connectors: lit('DP-1') })]);
    const [card] = found(facts);
    expect(card?.role).toBe('igpu');
    expect(card?.obstacles.map((one) => one.code)).toEqual(['one-card']);
  });

  test('a machine without graphics has no cards', () => {
    expect(found(machine([]))).toEqual([]);
    expect(found(machine([sound('0000:00:1f.3')]))).toEqual([]);
  });
});

describe('what the configuration says goes before what is found', () => {
  const facts = laptop();

  test('another card for the monitors', () => {
    expect(roles(facts, { igpu: DGPU })).toEqual([
      '0000:00:02.0 dgpu: another card serves the monitors (GeForce RTX 4070)',
      '0000:01:00.0 igpu: the configuration says so',
    ]);
  });

  test('only the named cards are for VMs, the rest is left alone', () => {
    const three = machine([...facts.functions, amd('0000:04:00.0')]);
    expect(roles(three, { dgpus: [DGPU] })).toEqual([
      '0000:00:02.0 igpu: it drives a monitor (eDP-1)',
      '0000:01:00.0 dgpu: the configuration says so',
      '0000:04:00.0 ignored: the configuration says so',
    ]);
  });

  test('an ignored card is neither for monitors nor for VMs', () => {
    expect(roles(facts, { ignore: [DGPU] })[1]).toBe('0000:01:00.0 ignored: the configuration says so');
    expect(roles(facts, { ignore: [IGPU] })[1]).toBe(
      '0000:01:00.0 igpu: it is the card that is left for the monitors',
    );
  });

  test('a card that is not there changes nothing', () => {
    expect(roles(facts, { igpu: '0000:99:00.0', ignore: ['0000:98:00.0'] })).toEqual(roles(facts));
  });

  test('all cards for VMs: none serves the monitors', () => {
    expect(found(facts, { dgpus: [IGPU, DGPU] }).map((card) => card.role)).toEqual(['dgpu', 'dgpu']);
  });
});

describe('names', () => {
  const named = (deviceName: string | null, vendorId = 0x10de, vendorName: string | null = 'Some Vendor') => {
    const [card] = found(machine([pci(DGPU, { deviceName, vendorId, vendorName, deviceId: 0x2786 })]));
    return [card?.vendor, card?.name];
  };

  test.each([
    ['AD106M [GeForce RTX 4070 Max-Q / Mobile]', 'GeForce RTX 4070 Max-Q / Mobile'],
    ['Navi 31 [Radeon RX 7900 XT/7900 XTX/7900 GRE/7900M]', 'Radeon RX 7900 XT/7900 XTX/7900 GRE/7900M'],
    ['HD Graphics 530', 'HD Graphics 530'],
    ['GK208B [GeForce GT 710] ', 'GeForce GT 710'],
    ['Baffin [Polaris11] [Radeon RX 460]', 'Radeon RX 460'],
    ['Chip []', 'Chip []'],
    [null, 'Display device 10de:2786'],
    ['', 'Display device 10de:2786'],
  ])('%s is called %s', (full, name) => {
    expect(named(full)[1]).toBe(name);
  });

  test('the makers that everybody knows are called as everybody calls them', () => {
    expect(named('x', 0x10de)[0]).toBe('NVIDIA');
    expect(named('x', 0x1002)[0]).toBe('AMD');
    expect(named('x', 0x8086)[0]).toBe('Intel');
  });

  test('other makers by their name, or by their number where there is none', () => {
    expect(named('x', 0x1a03, 'ASPEED Technology, Inc.')[0]).toBe('ASPEED Technology, Inc.');
    expect(named('x', 0x1a03, null)[0]).toBe('1a03');
    expect(named('x', 0x1a03, '')[0]).toBe('1a03');
  });
});

describe('functions', () => {
  test('a card is its slot: sound and USB belong to it', () => {
    const facts = machine([
      intelIgpu(),
      nvidia(DGPU),
      sound('0000:01:00.1'),
      pci('0000:01:00.2', { classCode: 0x0c0330 }),
      pci('0000:01:00.3', { classCode: 0x0c8000 }),
    ]);
    expect(cardAt(found(facts), DGPU).functions.map((fn) => fn.address)).toEqual(
      [0, 1, 2, 3].map((n) => `0000:01:00.${n}`),
    );
  });

  test('a slot with two display functions is one card, named by the first', () => {
    const facts = machine([intelIgpu(), nvidia(DGPU), pci('0000:01:00.1', { classCode: 0x038000 })]);
    expect(found(facts).map((card) => card.id)).toEqual([IGPU, DGPU]);
  });

  test.each([
    [{ state: 'D3cold', runtime: 'suspended', control: 'auto' }, true],
    [{ state: 'D3hot', runtime: 'suspended', control: 'auto' }, true],
    [{ state: null, runtime: 'suspended', control: 'auto' }, true],
    [{ state: 'D0', runtime: 'active', control: 'auto' }, false],
    [{ state: null, runtime: null, control: null }, false],
    [{ state: 'unknown', runtime: 'unsupported', control: 'on' }, false],
  ])('%j: asleep %s', (power, asleep) => {
    expect(isAsleep(pci(DGPU, { power }))).toBe(asleep);
  });
});

describe('what keeps a card from leaving, and what to do', () => {
  test('the only card', () => {
    const [card] = found(machine([nvidia(DGPU, { connectors: lit('DP-1') })]));
    expect(card && obstacles(card)).toEqual([
      'This machine has only one graphics card (GeForce RTX 4070), and without it the monitors would have none: add a second card, or turn on the processor’s own graphics in the firmware set-up.',
    ]);
  });

  test('no IOMMU', () => {
    const facts = laptop();
    const without = {
      ...facts,
      iommu: false,
      functions: facts.functions.map((fn) => ({ ...fn, iommuGroup: null })),
    };
    expect(obstacles(cardAt(found(without), DGPU))).toEqual([
      'The IOMMU is off, so no VM can be given a card: turn on VT-d or AMD-Vi in the firmware set-up and add intel_iommu=on to the kernel command line where it is an Intel processor.',
    ]);
  });

  test('the card of the monitors', () => {
    expect(obstacles(cardAt(found(laptop()), IGPU))).toEqual([
      'Iris Xe Graphics serves the monitors and stays with the host: choose another card.',
    ]);
  });

  test('a second NVIDIA card, by its name, or by its address where both have one name', () => {
    const two = (deviceName: string) =>
      machine([
        intelIgpu({ connectors: lit('DP-1') }),
        nvidia(DGPU),
        nvidia('0000:05:00.0', { deviceName, iommuGroup: 20 }),
      ]);
    const sentence = (facts: HardwareFacts) => obstacles(cardAt(found(facts), DGPU));
    expect(sentence(two('TU117 [GeForce GTX 1650]'))).toEqual([
      'A second NVIDIA card (GeForce GTX 1650) is in use by the host, and GeForce RTX 4070 can only leave by unloading the driver that both share: give both to the same VM, or keep GeForce GTX 1650 on vfio-pci.',
    ]);
    expect(sentence(two('AD104 [GeForce RTX 4070]'))[0]).toMatch(/^A second NVIDIA card \(0000:05:00\.0\)/);
  });

  test('a second NVIDIA card on vfio-pci is no matter, nor one that leaves as well', () => {
    const second = (driver: string) => nvidia('0000:05:00.0', { driver, iommuGroup: 20 });
    const facts = machine([intelIgpu({ connectors: lit('DP-1') }), nvidia(DGPU), second('vfio-pci')]);
    expect(cardAt(found(facts), DGPU).obstacles).toEqual([]);
    const both = machine([intelIgpu({ connectors: lit('DP-1') }), nvidia(DGPU), second('nvidia')]);
    const cards = found(both);
    const leaving = cards.filter((card) => card.role === 'dgpu');
    expect(leaving.map((card) => obstaclesOf(card, leaving, cards, both))).toEqual([[], []]);
  });

  test('a second NVIDIA card that the configuration ignores still uses the driver', () => {
    const facts = machine([intelIgpu(), nvidia(DGPU), nvidia('0000:05:00.0', { iommuGroup: 20 })]);
    const card = cardAt(found(facts, { ignore: ['0000:05:00.0'] }), DGPU);
    expect(card.obstacles.map((one) => one.code)).toEqual(['second-nvidia']);
  });

  const disk = pci('0000:02:00.0', {
    classCode: 0x010802,
    driver: 'nvme',
    iommuGroup: 15,
    deviceName: 'NVMe Disk',
  });
  const nameless = pci('0000:02:00.1', { classCode: 0x020000, driver: 'r8169', iommuGroup: 15 });
  const crowded = (...strangers: (typeof disk)[]) => machine([...laptop().functions, ...strangers]);

  test('strangers in the IOMMU group, by name and address', () => {
    expect(obstacles(cardAt(found(crowded(disk, nameless)), DGPU))).toEqual([
      'GeForce RTX 4070 shares IOMMU group 15 with devices that would have to leave with it (NVMe Disk at 0000:02:00.0, device at 0000:02:00.1): use another slot, or a firmware setting that separates them (ACS).',
    ]);
  });

  test('a group is named by its number also where it is the sound function’s', () => {
    const facts = machine([
      intelIgpu({ connectors: lit('DP-1') }),
      nvidia(DGPU, { iommuGroup: 14 }),
      sound('0000:01:00.1', { iommuGroup: 15 }),
      disk,
    ]);
    expect(obstacles(cardAt(found(facts), DGPU))[0]).toMatch(/shares IOMMU group 15 with/);
  });

  test('strangers that nobody uses, or that the VM takes as well, are none', () => {
    expect(cardAt(found(crowded({ ...disk, driver: null })), DGPU).obstacles).toEqual([]);
    expect(cardAt(found(crowded({ ...disk, driver: 'vfio-pci' })), DGPU).obstacles).toEqual([]);
    const facts = crowded(disk);
    const card = cardAt(found(facts), DGPU);
    expect(obstaclesOf(card, [card], found(facts), facts, [disk.address])).toEqual([]);
  });

  test('every sentence is complete: no place is left unfilled', () => {
    const facts = machine([nvidia(DGPU, { iommuGroup: null }), disk], { iommu: false });
    for (const card of found(facts)) for (const line of obstacles(card)) expect(line).not.toMatch(/[{}]/);
  });
});

describe('the cards of a VM', () => {
  test('are those of whose slot it takes any function', () => {
    const cards = found(laptop());
    expect(cardsOf(vm([DGPU, '0000:01:00.1']), cards).map((card) => card.id)).toEqual([DGPU]);
    expect(cardsOf(vm(['0000:01:00.1']), cards).map((card) => card.id)).toEqual([DGPU]);
    expect(cardsOf(vm(['0000:02:00.0']), cards)).toEqual([]);
    expect(cardsOf(vm([]), cards)).toEqual([]);
  });

  test('an ignored card is left alone altogether, also in a VM', () => {
    expect(cardsOf(vm([DGPU]), found(laptop(), { ignore: [DGPU] }))).toEqual([]);
  });
});
