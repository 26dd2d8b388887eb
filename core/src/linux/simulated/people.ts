/** Processes, services and guests that scenarios use. */
import type { Address } from '../../facts.js';
import type { GuestModel, Opening, ProcessModel, ServiceModel } from './model.js';

const USER_MANAGER = '/user.slice/user-1000.slice/user@1000.service';

/** The cgroup of a graphical application of the user 1000. */
export function appScope(scope: string): string {
  return `${USER_MANAGER}/app.slice/${scope}`;
}

function userService(unit: string): string {
  return `${USER_MANAGER}/session.slice/${unit}`;
}

/** The compositor, on the card that serves the monitors. */
export function compositor(igpu: Address): ProcessModel {
  return {
    pid: 1893,
    startTicks: 2210,
    comm: 'gnome-shell',
    argv: ['/usr/bin/gnome-shell'],
    cgroup: userService('org.gnome.Shell@wayland.service'),
    opens: [
      { card: igpu, kind: 'card' },
      { card: igpu, kind: 'render' },
    ],
  };
}

/** Blender rendering on the card. */
export function blender(card: Address): ProcessModel {
  return {
    pid: 4242,
    startTicks: 186_400,
    comm: 'blender',
    argv: ['/usr/bin/blender', '/home/ada/Documents/kitchen.blend'],
    cgroup: appScope('app-gnome-org.blender.Blender-4242.scope'),
    opens: [{ card }, { card, via: 'map', kind: 'render' }],
    gpuMemoryBytes: 3_435_973_836,
    endsAfterMs: 400,
  };
}

/** WirePlumber, which has the control node of every sound card open. */
export function wireplumber(sound: readonly Address[]): ProcessModel {
  return {
    pid: 1960,
    startTicks: 2304,
    comm: 'wireplumber',
    argv: ['/usr/bin/wireplumber'],
    cgroup: userService('wireplumber.service'),
    opens: sound.map((card): Opening => ({ card, kind: 'sound', idle: true })),
  };
}

/** NVIDIA's persistence daemon and power daemon, both active. */
export function nvidiaServices(cards: readonly Address[]): ServiceModel[] {
  const opens: Opening[] = [
    ...cards.map((card): Opening => ({ card, kind: 'nvidia', idle: true })),
    { path: '/dev/nvidiactl' },
  ];
  const service = (name: string, pid: number, argv: string[], uid: number): ServiceModel => ({
    unit: `${name}.service`,
    active: true,
    needsModule: 'nvidia',
    process: { pid, startTicks: 980 + pid, uid, comm: name, argv, opens },
  });
  return [
    service('nvidia-persistenced', 1011, ['/usr/bin/nvidia-persistenced', '--user', 'nvpd'], 971),
    service('nvidia-powerd', 1012, ['/usr/bin/nvidia-powerd'], 0),
  ];
}

/** A VM that is shut off. Its UUID follows from its name, so that each tree is the same. */
export function guest(name: string, devices: readonly Address[], more: Partial<GuestModel> = {}): GuestModel {
  return {
    uuid: uuidOf(name),
    name,
    devices: devices.map((address) => ({ address, managed: true })),
    running: false,
    ...more,
  };
}

/** A UUID made from a name: the same in every tree. */
export function uuidOf(name: string): string {
  let text = '';
  for (let part = 0; part < 4; part++) {
    let hash = 0x811c9dc5 ^ part;
    for (const character of name) hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193) >>> 0;
    text += hash.toString(16).padStart(8, '0');
  }
  return [
    text.slice(0, 8),
    text.slice(8, 12),
    `4${text.slice(13, 16)}`,
    `a${text.slice(17, 20)}`,
    text.slice(20),
  ].join('-');
}
