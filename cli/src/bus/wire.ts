/**
 * The part of D-Bus's wire format that one question to the helper needs: calls with strings as arguments, and any
 * answer (D-Bus Specification, “Message Format”). For `status` alone, which has no time to load a library; every
 * other command speaks through dbus-next.
 */

/** A call of a method. Its arguments are strings, and after them, where the method takes options, none of those. */
export interface CallFields {
  readonly destination: string;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly strings?: readonly string[];
  readonly options?: boolean;
}

/** An answer: the values of its body without variants, or the error's name and text. */
export interface Reply {
  readonly serial: number;
  readonly body: readonly unknown[];
  readonly error: { readonly name: string; readonly text: string } | null;
}

const LITTLE = 0x6c;
const CALL = 1;
const RETURN = 2;
const ERROR = 3;
const NO_AUTO_START = 2;
const FIXED_HEADER = 16;
const PROTOCOL = 1;
/** The specification's own limits: 64 MiB for an array, 128 MiB for a message, 64 levels of containers. */
const LONGEST_MESSAGE = 128 * 1024 * 1024;
const DEEPEST = 64;

const FIELD = {
  path: 1,
  interface: 2,
  member: 3,
  errorName: 4,
  replySerial: 5,
  destination: 6,
  signature: 8,
} as const;

/** How many bytes are missing to a multiple of `to`. */
function gap(length: number, to: number): number {
  return (to - (length % to)) % to;
}

/** Collects bytes; alignment counts from the beginning of the message part that it holds. */
class Writer {
  private readonly parts: Buffer[] = [];
  length = 0;

  add(bytes: Buffer): void {
    this.parts.push(bytes);
    this.length += bytes.length;
  }

  align(to: number): void {
    const missing = gap(this.length, to);
    if (missing > 0) this.add(Buffer.alloc(missing));
  }

  word(value: number): void {
    this.align(4);
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    this.add(bytes);
  }

  string(value: string): void {
    const bytes = Buffer.from(`${value}\0`, 'utf8');
    this.word(bytes.length - 1);
    this.add(bytes);
  }

  signature(value: string): void {
    this.add(Buffer.from(`${String.fromCharCode(value.length)}${value}\0`, 'latin1'));
  }

  bytes(): Buffer {
    return Buffer.concat(this.parts, this.length);
  }
}

function bodyOf(call: CallFields): { readonly signature: string; readonly body: Buffer } {
  const writer = new Writer();
  let signature = '';
  for (const value of call.strings ?? []) {
    writer.string(value);
    signature += 's';
  }
  if (call.options === true) {
    signature += 'a{sv}';
    // An empty array: its length, then the padding of its first element, which is written all the same.
    writer.word(0);
    writer.align(8);
  }
  return { signature, body: writer.bytes() };
}

/** A call as bytes. The bus does not start anybody for it. */
export function encodeCall(serial: number, call: CallFields): Buffer {
  const { signature, body } = bodyOf(call);
  const fields = new Writer();
  const field = (code: number, type: string, write: () => void): void => {
    fields.align(8);
    fields.add(Buffer.from([code]));
    fields.signature(type);
    write();
  };
  field(FIELD.path, 'o', () => fields.string(call.path));
  field(FIELD.interface, 's', () => fields.string(call.interface));
  field(FIELD.member, 's', () => fields.string(call.member));
  field(FIELD.destination, 's', () => fields.string(call.destination));
  if (signature !== '') field(FIELD.signature, 'g', () => fields.signature(signature));
  const head = Buffer.alloc(FIXED_HEADER);
  head[0] = LITTLE;
  head[1] = CALL;
  head[2] = NO_AUTO_START;
  head[3] = PROTOCOL;
  head.writeUInt32LE(body.length, 4);
  head.writeUInt32LE(serial, 8);
  head.writeUInt32LE(fields.length, 12);
  const padding = Buffer.alloc(gap(FIXED_HEADER + fields.length, 8));
  return Buffer.concat([head, fields.bytes(), padding, body]);
}

/** Where the type that begins at `at` of a signature ends. */
function endOfType(signature: string, at: number): number {
  let i = at;
  while (signature[i] === 'a') i += 1;
  let open = 0;
  do {
    const character = signature[i];
    if (character === undefined) throw new Error('a signature ends in the middle of a type');
    if (character === '(' || character === '{') open += 1;
    if (character === ')' || character === '}') open -= 1;
    i += 1;
  } while (open > 0);
  return i;
}

const ALIGNMENTS: Readonly<Record<string, number>> = {
  y: 1,
  g: 1,
  v: 1,
  n: 2,
  q: 2,
  x: 8,
  t: 8,
  d: 8,
  '(': 8,
  '{': 8,
};

/** Reads values one after the other, variants as what is in them. Throws where the bytes do not fit the signature. */
class Reader {
  private readonly bytes: Buffer;
  private readonly little: boolean;
  private at: number;
  private depth = 0;

  constructor(bytes: Buffer, little: boolean, at: number) {
    this.bytes = bytes;
    this.little = little;
    this.at = at;
  }

  values(signature: string): unknown[] {
    const found: unknown[] = [];
    for (let i = 0; i < signature.length; i = endOfType(signature, i)) found.push(this.value(signature, i));
    return found;
  }

  align(to: number): void {
    this.at += gap(this.at, to);
  }

  get position(): number {
    return this.at;
  }

  private step(bytes: number): number {
    const from = this.at;
    this.at += bytes;
    if (this.at > this.bytes.length) throw new Error('a message is shorter than it says');
    return from;
  }

  private word(): number {
    this.align(4);
    const from = this.step(4);
    return this.little ? this.bytes.readUInt32LE(from) : this.bytes.readUInt32BE(from);
  }

  private text(length: number): string {
    const from = this.step(length + 1);
    return this.bytes.toString('utf8', from, from + length);
  }

  private value(signature: string, at: number): unknown {
    const type = signature[at];
    switch (type) {
      case 's':
      case 'o':
        return this.text(this.word());
      case 'g':
        return this.text(this.bytes[this.step(1)] ?? 0);
      case 'y':
        return this.bytes[this.step(1)];
      case 'b':
        return this.word() !== 0;
      case 'u':
        return this.word();
      case 'i':
        return this.word() | 0;
      case 'v':
        return this.nested(() => this.value(this.text(this.bytes[this.step(1)] ?? 0), 0));
      case 'a':
        return this.nested(() => this.array(signature, at + 1));
      case '(':
        this.align(8);
        return this.nested(() => this.values(signature.slice(at + 1, endOfType(signature, at) - 1)));
      default:
        return this.number(type);
    }
  }

  private number(type: string | undefined): number {
    const { bytes, little } = this;
    if (type === 'n' || type === 'q') {
      this.align(2);
      const from = this.step(2);
      const value = little ? bytes.readUInt16LE(from) : bytes.readUInt16BE(from);
      return type === 'q' ? value : (value << 16) >> 16;
    }
    if (type !== 'd' && type !== 'x' && type !== 't') throw new Error(`a signature has the type ${type}`);
    this.align(8);
    const from = this.step(8);
    if (type === 'd') return little ? bytes.readDoubleLE(from) : bytes.readDoubleBE(from);
    if (type === 'x') return Number(little ? bytes.readBigInt64LE(from) : bytes.readBigInt64BE(from));
    return Number(little ? bytes.readBigUInt64LE(from) : bytes.readBigUInt64BE(from));
  }

  private array(signature: string, at: number): unknown {
    const length = this.word();
    this.align(ALIGNMENTS[signature[at] ?? ''] ?? 4);
    const end = this.at + length;
    if (signature[at] === '{') return this.dictionary(signature, at + 1, end);
    const items: unknown[] = [];
    while (this.at < end) items.push(this.value(signature, at));
    return items;
  }

  private dictionary(signature: string, at: number, end: number): Record<string, unknown> {
    // Without a prototype no key means anything by itself.
    const dict: Record<string, unknown> = Object.create(null);
    while (this.at < end) {
      this.align(8);
      const key = String(this.value(signature, at));
      dict[key] = this.value(signature, endOfType(signature, at));
    }
    return dict;
  }

  private nested<T>(read: () => T): T {
    this.depth += 1;
    if (this.depth > DEEPEST) throw new Error('a message is nested too deeply');
    const value = read();
    this.depth -= 1;
    return value;
  }
}

/** How long the message is that begins with these bytes; null where too few are there to tell. */
export function messageLength(bytes: Buffer): number | null {
  if (bytes.length < FIXED_HEADER) return null;
  const little = bytes[0] === LITTLE;
  const body = little ? bytes.readUInt32LE(4) : bytes.readUInt32BE(4);
  const fields = little ? bytes.readUInt32LE(12) : bytes.readUInt32BE(12);
  const length = FIXED_HEADER + fields + gap(fields, 8) + body;
  if (length > LONGEST_MESSAGE) throw new Error('a message is too long');
  return length;
}

/** Reads one whole message; null where it is no answer. */
export function decodeReply(message: Buffer): Reply | null {
  const type = message[1];
  if (type !== RETURN && type !== ERROR) return null;
  const little = message[0] === LITTLE;
  // The header's array of fields begins with its length, four bytes before its first field.
  const header = new Reader(message, little, FIXED_HEADER - 4);
  const fields = new Map(header.values('a(yv)')[0] as [number, unknown][]);
  header.align(8);
  const signature = String(fields.get(FIELD.signature) ?? '');
  const serial = Number(fields.get(FIELD.replySerial) ?? 0);
  const body = new Reader(message.subarray(header.position), little, 0).values(signature);
  if (type === RETURN) return { serial, body, error: null };
  const text = typeof body[0] === 'string' ? body[0] : '';
  return { serial, body, error: { name: String(fields.get(FIELD.errorName) ?? ''), text } };
}
