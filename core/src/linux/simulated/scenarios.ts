/** Named workstations to start from. */
import type { Address } from '../../facts.js';
import { PARTS, type Place, put } from './catalogue.js';
import type { FunctionSpec } from './hardware.js';
import type { GuestModel, ProcessModel, ServiceModel } from './model.js';
import { appScope, blender, compositor, guest, nvidiaServices, wireplumber } from './people.js';

export interface Scenario {
  readonly functions: readonly FunctionSpec[];
  readonly iommu: boolean;
  readonly processes: readonly ProcessModel[];
  readonly services: readonly ServiceModel[];
  readonly machines: readonly GuestModel[];
}

const IGPU: Address = '0000:00:02.0';
const DGPU: Address = '0000:01:00.0';
const DGPU_SOUND: Address = '0000:01:00.1';
const HIDDEN = { seat: 'seat1' } as const;
const PORT: Address = '0000:00:01.0';

function igpu(monitors: Place['monitors'] = { 'eDP-1': 'lit' }, bootVga = true): FunctionSpec {
  return put(PARTS.irisXe, IGPU, { group: 0, bootVga, framebuffer: true, ...(monitors && { monitors }) });
}

function laptopDgpu(place: Partial<Place> = {}): FunctionSpec[] {
  const there: Place = { group: 15, behind: [PORT], power: 'auto', ...place };
  const { monitors, seat, ...sound } = there;
  return [
    put(PARTS.rootPort, PORT, { group: 2 }),
    put(PARTS.rtx4070Laptop, DGPU, { ...HIDDEN, ...there }),
    put(PARTS.ad106Sound, DGPU_SOUND, sound),
  ];
}

const BOTH: readonly Address[] = [DGPU, DGPU_SOUND];

function laptop(): Scenario {
  return {
    functions: [igpu(), ...laptopDgpu()],
    iommu: true,
    processes: [compositor(IGPU), blender(DGPU)],
    services: nvidiaServices([DGPU]),
    machines: [guest('win11', BOTH), guest('linux-no-gpu', [])],
  };
}

function desktopAmd(): Scenario {
  const inner: Address = '0000:13:00.0';
  const dgpu: Address = '0000:03:00.0';
  const sound: Address = '0000:03:00.1';
  const behind = ['0000:00:01.1', '0000:01:00.0', '0000:02:00.0'];
  return {
    functions: [
      put(PARTS.amdRootPort, '0000:00:01.1', { group: 1 }),
      put(PARTS.amdRootPort, '0000:01:00.0', { group: 12, behind: behind.slice(0, 1) }),
      put(PARTS.amdRootPort, '0000:02:00.0', { group: 13, behind: behind.slice(0, 2) }),
      put(PARTS.rx7800xt, dgpu, { group: 14, behind, ...HIDDEN, power: 'auto' }),
      put(PARTS.navi31Sound, sound, { group: 15, behind, power: 'auto' }),
      put(PARTS.amdRootPort, '0000:00:08.1', { group: 5 }),
      put(PARTS.raphael, inner, {
        group: 24,
        behind: ['0000:00:08.1'],
        bootVga: true,
        framebuffer: true,
        monitors: { 'DP-1': 'lit' },
      }),
      put(PARTS.rembrandtSound, '0000:13:00.1', { group: 25, behind: ['0000:00:08.1'] }),
    ],
    iommu: true,
    processes: [compositor(inner)],
    services: [],
    machines: [guest('win11', [dgpu, sound]), guest('linux-no-gpu', [])],
  };
}

function twoDgpus(): Scenario {
  const amdPort: Address = '0000:00:1c.0';
  const amdCard: Address = '0000:04:00.0';
  const amdSound: Address = '0000:04:00.1';
  return {
    functions: [
      put(PARTS.uhd770, IGPU, { group: 0, bootVga: true, framebuffer: true, monitors: { 'DP-1': 'lit' } }),
      put(PARTS.rootPort, PORT, { group: 1 }),
      put(PARTS.rtx4080, DGPU, { group: 1, behind: [PORT], ...HIDDEN }),
      put(PARTS.ad103Sound, DGPU_SOUND, { group: 1, behind: [PORT] }),
      put(PARTS.rootPort, amdPort, { group: 17 }),
      put(PARTS.rx6600, amdCard, { group: 18, behind: [amdPort], ...HIDDEN }),
      put(PARTS.navi21Sound, amdSound, { group: 18, behind: [amdPort] }),
    ],
    iommu: true,
    processes: [compositor(IGPU)],
    services: nvidiaServices([DGPU]),
    machines: [guest('win11', BOTH), guest('macos', [amdCard, amdSound]), guest('linux-no-gpu', [])],
  };
}

function oneCard(): Scenario {
  return {
    functions: [
      put(PARTS.rootPort, PORT, { group: 1 }),
      put(PARTS.rtx3060, DGPU, {
        group: 1,
        behind: [PORT],
        bootVga: true,
        monitors: { 'DP-1': 'lit' },
      }),
      put(PARTS.ga106Sound, DGPU_SOUND, { group: 1, behind: [PORT] }),
    ],
    iommu: true,
    processes: [compositor(DGPU)],
    services: nvidiaServices([DGPU]),
    machines: [guest('win11', BOTH)],
  };
}

function noIommu(): Scenario {
  const base = laptop();
  return { ...base, iommu: false, functions: base.functions.map((fn) => ({ ...fn, group: null })) };
}

function twoNvidia(): Scenario {
  const port: Address = '0000:00:1c.4';
  const second: Address = '0000:05:00.0';
  const secondSound: Address = '0000:05:00.1';
  const first = [0, 1, 2, 3].map((n) => `0000:01:00.${n}`);
  return {
    functions: [
      put(PARTS.uhd770, IGPU, { group: 0, bootVga: true, framebuffer: true, monitors: { 'DP-1': 'lit' } }),
      put(PARTS.rootPort, PORT, { group: 2 }),
      put(PARTS.rtx2080ti, DGPU, { group: 15, behind: [PORT], ...HIDDEN }),
      put(PARTS.tu102Sound, DGPU_SOUND, { group: 15, behind: [PORT] }),
      put(PARTS.tu102Usb, '0000:01:00.2', { group: 15, behind: [PORT] }),
      put(PARTS.tu102Ucsi, '0000:01:00.3', { group: 15, behind: [PORT] }),
      put(PARTS.rootPort, port, { group: 19 }),
      put(PARTS.gtx1650, second, { group: 20, behind: [port], ...HIDDEN }),
      put(PARTS.tu117Sound, secondSound, { group: 20, behind: [port] }),
    ],
    iommu: true,
    processes: [compositor(IGPU)],
    services: nvidiaServices([DGPU, second]),
    machines: [guest('win11', first), guest('both-cards', [...first, second, secondSound])],
  };
}

function monitorOnDgpu(): Scenario {
  const monitors = { 'HDMI-A-1': 'lit' } as const;
  return {
    ...laptop(),
    functions: [igpu(), ...laptopDgpu({ monitors, seat: 'seat0' })],
    processes: [
      { ...compositor(IGPU), opens: [IGPU, DGPU].map((card) => ({ card, kind: 'card' as const })) },
    ],
  };
}

function sharedGroup(): Scenario {
  const base = laptop();
  const disk = put(PARTS.nvme, '0000:02:00.0', { group: 15, behind: ['0000:00:1d.0'] });
  return {
    ...base,
    functions: [...base.functions, put(PARTS.rootPort, '0000:00:1d.0', { group: 15 }), disk],
  };
}

function external(): Scenario {
  const card: Address = '0000:3f:00.0';
  const sound: Address = '0000:3f:00.1';
  const behind = ['0000:00:07.0', '0000:3d:00.0', '0000:3e:01.0'];
  const outside: Place = { group: 21, behind, external: true, power: 'auto' };
  return {
    functions: [
      igpu(),
      put(PARTS.rootPort, '0000:00:07.0', { group: 6 }),
      put(PARTS.thunderboltBridge, '0000:3d:00.0', { group: 19, behind: behind.slice(0, 1), external: true }),
      put(PARTS.thunderboltBridge, '0000:3e:01.0', { group: 20, behind: behind.slice(0, 2), external: true }),
      put(PARTS.rtx3060, card, { ...outside, ...HIDDEN }),
      put(PARTS.ga106Sound, sound, outside),
    ],
    iommu: true,
    processes: [compositor(IGPU)],
    services: nvidiaServices([card]),
    machines: [guest('win11', [card, sound]), guest('linux-no-gpu', [])],
  };
}

function longNames(): Scenario {
  const base = laptop();
  const long = 'GeForce RTX 4070 Max-Q / Mobile Founders Anniversary Edition with a Name that Never Ends';
  const vm = 'windows-11-professional-for-workstations-with-graphics-card-and-a-name-of-eighty-letters';
  const app = 'com.example.VeryLongApplicationNameThatDoesNotFitIntoAnyPanelOrPopupOfAnyDesktop';
  return {
    ...base,
    functions: base.functions.map((fn) =>
      fn.address === DGPU ? { ...fn, deviceName: `AD106M [${long}]` } : fn,
    ),
    processes: [
      compositor(IGPU),
      {
        ...blender(DGPU),
        comm: 'very-long-process-name',
        argv: [`/opt/${app}/bin/${app}`, ...Array.from({ length: 40 }, (_, i) => `--option-number-${i}=on`)],
        cgroup: appScope(`app-flatpak-${app}-4242.scope`),
      },
    ],
    machines: [
      guest(vm, BOTH),
      guest('Ein Gerät mit Umlauten und 日本語の名前', BOTH),
      guest('linux-no-gpu', []),
    ],
  };
}

const MANY: readonly (readonly [comm: string, scope: string])[] = [
  ['firefox', 'app-gnome-firefox-%.scope'],
  ['chrome', 'app-gnome-google\\x2dchrome-%.scope'],
  ['code', 'app-gnome-code-%.scope'],
  ['obs', 'app-flatpak-com.obsproject.Studio-%.scope'],
  ['mpv', 'app-gnome-mpv-%.scope'],
  ['steam', 'app-flatpak-com.valvesoftware.Steam-%.scope'],
  ['nautilus', 'app-gnome-org.gnome.Nautilus-%.scope'],
  ['spotify', 'snap.spotify.spotify-%.scope'],
];

function manyHolders(): Scenario {
  const base = laptop();
  const holders = Array.from({ length: 27 }, (_, i): ProcessModel => {
    const [comm, scope] = MANY[i % MANY.length] ?? ['app', 'app-app-%.scope'];
    const pid = 6000 + i * 13;
    return {
      pid,
      startTicks: 200_000 + i * 700,
      comm,
      argv: [`/usr/bin/${comm}`, `--instance=${i}`],
      uid: i % 9 === 8 ? 1001 : 1000,
      cgroup: appScope(scope.replace('%', String(pid))),
      opens: [{ card: DGPU, kind: i % 2 === 0 ? 'render' : 'nvidia' }],
      gpuMemoryBytes: i % 3 === 0 ? 50_000_000 * (i + 1) : null,
      ...(i === 5 && { onTerm: 'ignores' as const }),
    };
  });
  return {
    ...base,
    processes: [compositor(IGPU), blender(DGPU), wireplumber([DGPU_SOUND]), ...holders.slice(0, 26)],
  };
}

export const SCENARIOS = {
  laptop,
  'desktop-amd': desktopAmd,
  'two-dgpus': twoDgpus,
  'one-card': oneCard,
  'no-iommu': noIommu,
  'two-nvidia': twoNvidia,
  'monitor-on-dgpu': monitorOnDgpu,
  'shared-group': sharedGroup,
  external,
  'long-names': longNames,
  'many-holders': manyHolders,
} satisfies Record<string, () => Scenario>;

export type ScenarioName = keyof typeof SCENARIOS;

export const SCENARIO_NAMES = Object.keys(SCENARIOS) as ScenarioName[];
