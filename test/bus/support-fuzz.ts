/** Random messages for the helper: reproducible from a seed, each acceptable to dbus-daemon. */
import { MANAGER, METHODS, type MethodSpec, PROPERTIES } from '../../core/src/contract.js';
import { NO_REPLY, type Parts, Typed, typesIn } from './support-wire.js';

/** Numbers from 0 up to 1, always the same for a seed (mulberry32). */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

const HOSTILE = [
  '',
  ' ',
  '__proto__',
  'constructor',
  'hasOwnProperty',
  'toString',
  '../../../etc/shadow',
  '/dev/nvidia0',
  '$(reboot)',
  '`id`',
  "'; DROP TABLE vms; --",
  '%s%s%s%n',
  '{card}',
  '\u202e\u2066',
  'a\nb\r\n\u001b[2J',
  '🖥'.repeat(40),
  'x'.repeat(4000),
  '0000:01:00.1',
  '0000:01:00.0\n',
  '1:1',
  '4242:186400 ',
  '<domain/>',
  'null',
  'undefined',
  'NaN',
  '-1',
];
const KEYS = ['__proto__', 'constructor', 'interactive', 'force', 'toString', 'length', 'then', ''];
const BASIC = 'ybnqiuxtdsogh';
const KEYS_OF_DICTS = 'ybnqiuxtdsog';
const METHOD_NAMES = Object.keys(METHODS);

export class Fuzz {
  readonly #next: () => number;

  constructor(seed: number) {
    this.#next = random(seed);
  }

  below(limit: number): number {
    return Math.floor(this.#next() * limit);
  }

  chance(share: number): boolean {
    return this.#next() < share;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }

  type(depth: number): string {
    const kind = depth > 5 ? 0 : this.below(10);
    if (kind === 6) return 'v';
    if (kind === 7) return `a${this.type(depth + 1)}`;
    if (kind === 8) return `(${this.types(1 + this.below(4), depth + 1)})`;
    if (kind === 9) return `a{${this.pick([...KEYS_OF_DICTS])}${this.type(depth + 1)}}`;
    return this.pick([...BASIC]);
  }

  types(count: number, depth: number): string {
    return Array.from({ length: count }, () => this.type(depth)).join('');
  }

  text(): string {
    return this.chance(0.7)
      ? this.pick(HOSTILE)
      : String.fromCodePoint(33 + this.below(0xd000)).repeat(this.below(60));
  }

  value(type: string, depth = 0): unknown {
    const whole = 2 ** this.below(33) - 1;
    switch (type[0]) {
      case 'b':
        return this.chance(0.5);
      case 'y':
        return this.below(256);
      case 'n':
      case 'q':
        return this.below(32768);
      case 'i':
        return Math.min(whole, 2 ** 31 - 1);
      case 's':
        return this.text();
      case 'o':
        return this.pick(['/', '/a', MANAGER.path, `/${'a'.repeat(300)}`]);
      case 'g':
        return this.types(this.below(3), 3).slice(0, 200);
      case 'v': {
        const inner = depth > 6 ? 'u' : this.type(depth);
        return new Typed(inner, this.value(inner, depth + 1));
      }
      case '(':
        return typesIn(type.slice(1, -1)).map((one) => this.value(one, depth + 1));
      case 'a': {
        const element = type.slice(1);
        const length = this.below(depth > 3 ? 2 : 5);
        if (element[0] !== '{') return Array.from({ length }, () => this.value(element, depth + 1));
        const [key = 's', value = 'v'] = typesIn(element.slice(1, -1));
        return Array.from({ length }, () => [
          key === 's' ? this.pick(KEYS) : this.value(key, depth + 1),
          this.value(value, depth + 1),
        ]);
      }
      default:
        return whole;
    }
  }

  values(signature: string): unknown[] {
    return typesIn(signature).map((type) => this.value(type));
  }

  /** Variants in variants, as deep as the bus lets through. */
  deep(): Typed {
    let value = new Typed('u', 1);
    // The bus counts at most 64 levels, of which an a{sv} takes three.
    for (let left = 1 + this.below(55); left > 3; ) {
      const dict = this.chance(0.2);
      value = dict ? new Typed('a{sv}', [[this.pick(KEYS), value]]) : new Typed('v', value);
      left -= dict ? 3 : 1;
    }
    return value;
  }

  /** A call that names a method of the contract, with arguments that cannot succeed. */
  #almost(): Parts {
    const member = this.pick(METHOD_NAMES);
    const spec: MethodSpec = (METHODS as Record<string, MethodSpec>)[member] as MethodSpec;
    const right = spec.in.map((argument) => argument.type).join('');
    const wrong = this.chance(0.5);
    const signature = wrong ? this.types(this.below(4), 0) : right;
    const body = this.values(signature);
    if (!wrong && right.endsWith('a{sv}') && this.chance(0.3))
      body[body.length - 1] = [['interactive', this.deep()]];
    return { path: MANAGER.path, interface: MANAGER.interface, member, signature, body };
  }

  #properties(): Parts {
    const [member, signature] = this.pick([
      ['Get', 'ss'],
      ['GetAll', 's'],
      ['Set', 'ssv'],
      ['Get', this.types(2, 0)],
      ['Explode', 's'],
    ] as const);
    const body = this.values(signature);
    if (this.chance(0.5) && signature.startsWith('s')) body[0] = MANAGER.interface;
    if (this.chance(0.3) && signature.startsWith('ss')) body[1] = this.pick(Object.keys(PROPERTIES));
    return { path: MANAGER.path, interface: 'org.freedesktop.DBus.Properties', member, signature, body };
  }

  #stray(): Parts {
    const signature = this.types(this.below(4), 0);
    return {
      path: this.pick([
        '/',
        '/io',
        '/io/github/gpuhandoff',
        `${MANAGER.path}/x`,
        MANAGER.path,
        `/${'a/'.repeat(500)}a`,
      ]),
      interface: this.pick([
        'a.b',
        'org.freedesktop.DBus',
        'org.freedesktop.DBus.Introspectable',
        MANAGER.interface,
      ]),
      member: this.pick(['a', 'constructor', '__proto__', 'Introspect', 'Ping', 'HandOff', 'x'.repeat(255)]),
      signature,
      body: this.values(signature),
    };
  }

  /** Not a call: the helper has asked for none of these. */
  #unasked(): Parts {
    const signature = this.types(this.below(3), 0);
    return {
      type: 4,
      flags: NO_REPLY,
      path: '/org/freedesktop/DBus',
      interface: this.pick(['org.freedesktop.DBus', MANAGER.interface]),
      member: this.pick(['NameOwnerChanged', 'NameLost', 'PropertiesChanged']),
      signature,
      body: this.values(signature),
    };
  }

  message(): Parts {
    const kind = this.below(10);
    const parts =
      kind < 5 ? this.#almost() : kind < 7 ? this.#properties() : kind < 9 ? this.#stray() : this.#unasked();
    return {
      destination: MANAGER.name,
      bigEndian: this.chance(0.1),
      // Besides NO_REPLY: NO_AUTO_START, ALLOW_INTERACTIVE_AUTHORIZATION, and some that nobody knows.
      flags: (this.chance(0.1) ? NO_REPLY : 0) | (this.chance(0.2) ? this.below(128) << 1 : 0),
      ...parts,
    };
  }

  /** A large message: up to `most` bytes of body. */
  large(most: number): Parts {
    const size = Math.floor(most * (0.2 + 0.8 * this.#next()));
    const bytes = (type: string): Buffer => {
      const element = type === 'av' ? Buffer.from([1, 0x79, 0, 7]) : Buffer.alloc(8);
      return Buffer.alloc(size - (size % element.length), element);
    };
    const kind = this.below(6);
    const whole = Buffer.alloc(size, 'a');
    const call = { destination: MANAGER.name, path: MANAGER.path, interface: MANAGER.interface };
    if (kind === 0) return { ...call, member: 'HandOff', signature: 'sa{sv}', body: [whole, []] };
    if (kind === 1)
      return { ...call, member: 'Hook', signature: 'ssss', body: ['prepare', 'begin', '-', whole] };
    if (kind === 2) return { ...call, member: 'HandOff', signature: 'av', body: [bytes('av')] };
    if (kind === 3) return { ...call, member: 'Watch', signature: 'an', body: [bytes('an')] };
    if (kind === 4)
      return { ...call, member: 'Watch', signature: 'a{sv}', body: [[['x', new Typed('av', bytes('av'))]]] };
    return { ...call, type: 4, member: 'HandOff', signature: 'av', body: [bytes('av')] };
  }
}
