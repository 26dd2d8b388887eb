/**
 * Weighs messages before anything is made of them: dbus-next turns each value of a body into objects many times
 * its size, so a message of a few megabytes, which any user may send, would take all the memory there is. What is
 * too large, or of types that no method has, comes in without its body; what nobody here listens to does not come
 * in at all.
 */
import { METHODS, type MethodSpec } from '../../core/src/contract.js';

/** Bytes before the header's fields. */
const FIXED = 16;
/** Names have at most 255 bytes; only a path can be longer, and none that means anything is. */
const MOST_FIELDS = 8 * 1024;
/** Longest body, in KiB. */
export const MOST_BODY_KIB = 64;
/** libvirt's own limit for a domain's XML, and the other arguments of its hook. */
const MOST_HOOK_BODY = 4 * 1024 * 1024 + 4096;

const CALL = 1;
const ANSWERS = [2, 3];
const SIGNAL = 4;
const BUS = 'org.freedesktop.DBus';

/** Types of the contract's methods, and of the bus's own interfaces. */
const SIGNATURES = new Set(['', 's', 'ss', 'ssv', ...Object.values(METHODS).map(typesOf)]);

function typesOf(spec: MethodSpec): string {
  return spec.in.map((argument) => argument.type).join('');
}

interface Fields {
  readonly sender: string;
  readonly member: string;
  readonly signature: string;
  /** Where the code of the signature's field stands, or -1. */
  readonly signatureAt: number;
}

const MEMBER = 3;
const SENDER = 7;
const SIGNATURE = 8;
/** A code that no field has. */
const NO_FIELD = 127;

/** Reads the header's fields, an array of (yv). Null where one is of a type that no known field has. */
function readFields(buffer: Buffer, length: number, little: boolean): Fields | null {
  const found = { sender: '', member: '', signature: '', signatureAt: -1 };
  const word = (at: number): number => (little ? buffer.readUInt32LE(at) : buffer.readUInt32BE(at));
  let at = 0;
  while (at < length) {
    at = (at + 7) & ~7;
    const code = buffer.readUInt8(at);
    // The length of the variant's signature, one type, and a NUL.
    if (buffer.readUInt8(at + 1) !== 1) return null;
    const type = String.fromCharCode(buffer.readUInt8(at + 2));
    const start = at;
    at += 4;
    if (type === 'u') {
      at += 4;
      continue;
    }
    if (type !== 's' && type !== 'o' && type !== 'g') return null;
    const size = type === 'g' ? buffer.readUInt8(at) : word(at);
    at += type === 'g' ? 1 : 4;
    const text = buffer.toString('utf8', at, at + size);
    at += size + 1;
    if (code === MEMBER) found.member = text;
    if (code === SENDER) found.sender = text;
    if (code === SIGNATURE) Object.assign(found, { signature: text, signatureAt: start });
  }
  return found;
}

type Verdict = 'whole' | 'without body' | 'not at all';

function weigh(type: number, fields: Fields, bodyLength: number): Verdict {
  const most =
    fields.member === 'Hook' && fields.signature === 'ssss' ? MOST_HOOK_BODY : MOST_BODY_KIB * 1024;
  if (type === CALL) return bodyLength <= most && SIGNATURES.has(fields.signature) ? 'whole' : 'without body';
  if (ANSWERS.includes(type)) return bodyLength <= most ? 'whole' : 'not at all';
  return type === SIGNAL && fields.sender === BUS ? 'whole' : 'not at all';
}

/** Takes the bytes of a connection as they come, and delivers the messages that may come in. */
export class Gate {
  /** Called with the first 16 bytes of a message and its rest. May throw where the body cannot be read. */
  private readonly deliver: (fixed: Buffer, rest: Buffer) => void;
  private readonly complain: (why: unknown) => void;
  private parts: Buffer[] = [];
  private missing = FIXED;
  /** Bytes that are thrown away before the next message. */
  private skipped = 0;
  /** What is done with the next `missing` bytes. */
  private next: (bytes: Buffer) => void;

  constructor(deliver: (fixed: Buffer, rest: Buffer) => void, complain: (why: unknown) => void) {
    this.deliver = deliver;
    this.complain = complain;
    this.next = (bytes) => this.begin(bytes);
  }

  push(chunk: Buffer): void {
    let rest = chunk;
    while (rest.length > 0) {
      const wanted = this.skipped > 0 ? this.skipped : this.missing;
      const taken = rest.subarray(0, wanted);
      rest = rest.subarray(taken.length);
      if (this.skipped > 0) {
        this.skipped -= taken.length;
        continue;
      }
      this.parts.push(taken);
      this.missing -= taken.length;
      if (this.missing > 0) continue;
      // A copy, since it is changed, and since a short message must not keep a large chunk.
      const bytes = Buffer.concat(this.parts);
      this.parts = [];
      this.next(bytes);
    }
  }

  private want(length: number, next: (bytes: Buffer) => void): void {
    this.missing = length;
    this.next = next;
    if (length === 0) next(Buffer.alloc(0));
  }

  private begin(fixed: Buffer): void {
    const little = fixed[0] === 0x6c;
    const word = (at: number): number => (little ? fixed.readUInt32LE(at) : fixed.readUInt32BE(at));
    const bodyLength = word(4);
    const fieldsLength = word(12);
    const padded = (fieldsLength + 7) & ~7;
    if (padded <= MOST_FIELDS) {
      this.want(padded, (bytes) => this.decide(fixed, bytes, fieldsLength, bodyLength));
      return;
    }
    this.skipped = padded + bodyLength;
    this.over();
  }

  private decide(fixed: Buffer, bytes: Buffer, fieldsLength: number, bodyLength: number): void {
    const little = fixed[0] === 0x6c;
    const fields = readFields(bytes, fieldsLength, little);
    const verdict = fields === null ? 'not at all' : weigh(fixed.readUInt8(1), fields, bodyLength);
    if (fields !== null && verdict === 'whole') {
      this.want(bodyLength, (body) => {
        this.over();
        try {
          this.deliver(fixed, Buffer.concat([bytes, body]));
        } catch {
          // A file descriptor's index in a variant, say: there are no descriptors here.
          this.deliverBare(fixed, bytes, fields);
        }
      });
      return;
    }
    this.skipped = bodyLength;
    this.over();
    if (fields !== null && verdict === 'without body') this.deliverBare(fixed, bytes, fields);
  }

  private deliverBare(fixed: Buffer, bytes: Buffer, fields: Fields): void {
    fixed.writeUInt32LE(0, 4);
    if (fields.signatureAt >= 0) bytes[fields.signatureAt] = NO_FIELD;
    try {
      this.deliver(fixed, bytes);
    } catch (fault) {
      this.complain(fault);
    }
  }

  private over(): void {
    this.missing = FIXED;
    this.next = (bytes) => this.begin(bytes);
  }
}
