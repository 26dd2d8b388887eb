/**
 * The D-Bus contract of the helper, written once: the helper's dispatcher, the clients, the introspection XML and
 * docs/dbus.md all come from this table, and a test compares them with the live service.
 *
 * Inputs are only `s b u as a{sv}` (Plasma's D-Bus module cannot send structs); outputs may be arrays of `a{sv}`.
 */

export const MANAGER = {
  bus: 'system',
  name: 'io.github.gpuhandoff.Manager1',
  path: '/io/github/gpuhandoff/Manager1',
  interface: 'io.github.gpuhandoff.Manager1',
} as const;

export interface ArgumentSpec {
  readonly name: string;
  readonly type: string;
}

export interface MethodSpec {
  readonly in: readonly ArgumentSpec[];
  readonly out: readonly ArgumentSpec[];
  readonly doc: string;
}

export interface PropertySpec {
  readonly type: string;
  readonly doc: string;
}

/** A service with one object that has one interface of ours. */
export interface ServiceContract<M extends string, P extends string> {
  readonly path: string;
  readonly interface: string;
  readonly methods: Readonly<Record<M, MethodSpec>>;
  readonly properties: Readonly<Record<P, PropertySpec>>;
}

export const METHODS = {
  ListVirtualMachines: {
    in: [{ name: 'options', type: 'a{sv}' }],
    out: [{ name: 'machines', type: 'aa{sv}' }],
    doc: 'The VMs of qemu:///system: uuid s, name s, running b, cards as (the graphics cards among its devices).',
  },
  GetHolders: {
    in: [
      { name: 'card', type: 's' },
      { name: 'options', type: 'a{sv}' },
    ],
    out: [{ name: 'report', type: 'a{sv}' }],
    doc: 'Who holds the card: verdict s (free, held, unknown), complete b, holders aa{sv}, kernel aa{sv}, unseen u, sentence s. Command lines of other users’ processes are left out unless the caller is root.',
  },
  Preflight: {
    in: [
      { name: 'vm', type: 's' },
      { name: 'options', type: 'a{sv}' },
    ],
    out: [{ name: 'report', type: 'a{sv}' }],
    doc: 'What a hand-off to the VM (name or UUID) would do, touching nothing: ok b, cards as, refusals aa{sv} (code s, sentence s), steps aa{sv} (id s, title s), holders aa{sv}.',
  },
  HandOff: {
    in: [
      { name: 'vm', type: 's' },
      { name: 'options', type: 'a{sv}' },
    ],
    out: [{ name: 'operation', type: 's' }],
    doc: 'Hands the VM’s graphics cards over and starts it. Returns the operation’s id at once. Options: interactive b (polkit may ask). Action: hand-off.',
  },
  TakeBack: {
    in: [
      { name: 'card', type: 's' },
      { name: 'options', type: 'a{sv}' },
    ],
    out: [{ name: 'operation', type: 's' }],
    doc: 'Asks the guest to shut down and brings the card back. Options: force b (turn the VM off; action force-off), interactive b. Action: take-back.',
  },
  EndHolders: {
    in: [
      { name: 'card', type: 's' },
      { name: 'holders', type: 'as' },
      { name: 'options', type: 'a{sv}' },
    ],
    out: [{ name: 'operation', type: 's' }],
    doc: 'Ends holders by the ids that GetHolders gave (an empty list: all of them), politely; option force b ends after the time limit by force. Who has let go of the card meanwhile is passed over; where that is everybody, NoSuchHolder. Actions: end-own, end-others, stop-services, by what is named.',
  },
  Cancel: {
    in: [
      { name: 'operation', type: 's' },
      { name: 'options', type: 'a{sv}' },
    ],
    out: [],
    doc: 'Cancels the operation where that is still possible; what was done is undone. Action: cancel, unless the caller’s user started it.',
  },
  Watch: {
    in: [{ name: 'options', type: 'a{sv}' }],
    out: [],
    doc: 'Keeps the helper running for as long as the caller stays on the bus, and its properties fresh.',
  },
  Hook: {
    in: [
      { name: 'operation', type: 's' },
      { name: 'suboperation', type: 's' },
      { name: 'extra', type: 's' },
      { name: 'domain', type: 's' },
    ],
    out: [],
    doc: 'For libvirt’s hook alone (root): what libvirt does with a domain (its XML). Returns when the card is ready for it.',
  },
} as const satisfies Record<string, MethodSpec>;

export type MethodName = keyof typeof METHODS;

export const PROPERTIES = {
  Version: { type: 's', doc: 'Version of the helper.' },
  Cards: {
    type: 'aa{sv}',
    doc: 'Every graphics card: id s (PCI address), name s, vendor s, role s (igpu, dgpu, ignored), reason s, state s (host, vm, detached, switching, stuck, unknown), asleep b, external b, driver s, nodes as, group s, vm-uuid s, vm-name s, why s, obstacles aa{sv} (code s, sentence s).',
  },
  Guests: { type: 'aa{sv}', doc: 'VMs that have a card now: uuid s, name s, cards as.' },
  Operation: {
    type: 'a{sv}',
    doc: 'The running operation, or the last one: id s, kind s (hand-off, take-back, end-holders, recover), title s, cards as, vm-uuid s, vm-name s, state s (running, done, failed, cancelled), cancellable b, steps aa{sv} (id s, title s, state s (waiting, running, done, failed, undone), sentence s), error s, sentence s, user s, started d, ended d. Times are milliseconds since 1970, 0 while it runs. Empty before the first.',
  },
  Faults: { type: 'aa{sv}', doc: 'Faults of the configuration: line u, sentence s.' },
} as const satisfies Record<string, PropertySpec>;

export type PropertyName = keyof typeof PROPERTIES;

/** polkit actions, one per power. The words stand in WORDS as `power.NAME`. */
export const POWERS = [
  'hand-off',
  'take-back',
  'force-off',
  'end-own',
  'end-others',
  'stop-services',
  'cancel',
] as const;
export type Power = (typeof POWERS)[number];

export function polkitAction(power: Power): string {
  return `io.github.gpuhandoff.${power}`;
}

function escapeXml(text: string): string {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/"/g, '&quot;');
}

/** The introspection XML of the helper's interface, as it answers it. */
export function introspectionXml(): string {
  return interfaceXml(MANAGER.interface, METHODS, PROPERTIES);
}

/** The introspection XML of an object with one interface of ours. */
export function interfaceXml(
  name: string,
  methods: Readonly<Record<string, MethodSpec>>,
  properties: Readonly<Record<string, PropertySpec>>,
): string {
  const lines = [
    '<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">',
    '<node>',
    `  <interface name="${name}">`,
  ];
  for (const [name, spec] of Object.entries(methods)) {
    lines.push(`    <method name="${name}">`);
    lines.push(
      `      <annotation name="org.gtk.GDBus.DocString" value="${escapeXml(spec.doc)}"/>`,
      ...spec.in.map((a) => `      <arg direction="in" name="${a.name}" type="${a.type}"/>`),
      ...spec.out.map((a) => `      <arg direction="out" name="${a.name}" type="${a.type}"/>`),
      '    </method>',
    );
  }
  for (const [name, spec] of Object.entries(properties)) {
    lines.push(
      `    <property access="read" name="${name}" type="${spec.type}">`,
      `      <annotation name="org.gtk.GDBus.DocString" value="${escapeXml(spec.doc)}"/>`,
      '    </property>',
    );
  }
  lines.push('  </interface>', '</node>');
  return `${lines.join('\n')}\n`;
}
