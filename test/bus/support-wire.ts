/** Messages as bytes, for what no library would send: any types, any flags, any size. */
import { createConnection, type Socket } from 'node:net';

/** Complete types of a signature: `sa{sv}` is `s` and `a{sv}`. */
export function typesIn(signature: string): string[] {
  const types: string[] = [];
  for (let at = 0; at < signature.length; ) {
    const begin = at;
    while (signature[at] === 'a') at += 1;
    const open = signature[at];
    at += 1;
    for (let depth = open === '(' || open === '{' ? 1 : 0; depth > 0; at += 1) {
      if (signature[at] === '(' || signature[at] === '{') depth += 1;
      if (signature[at] === ')' || signature[at] === '}') depth -= 1;
    }
    types.push(signature.slice(begin, at));
  }
  return types;
}

/** A variant: its type and its value. */
export class Typed {
  readonly type: string;
  readonly value: unknown;
  constructor(type: string, value: unknown) {
    this.type = type;
    this.value = value;
  }
}

const ALIGNMENT: Readonly<Record<string, number>> = {
  ...{ y: 1, g: 1, v: 1, n: 2, q: 2, b: 4, i: 4, u: 4, s: 4, o: 4, h: 4, a: 4 },
  ...{ x: 8, t: 8, d: 8, '(': 8, '{': 8 },
};

class Writer {
  #bytes = Buffer.alloc(1024);
  at = 0;
  readonly #little: boolean;

  constructor(little: boolean) {
    this.#little = little;
  }

  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.at);
  }

  #room(length: number): number {
    const at = this.at;
    this.at += length;
    if (this.at > this.#bytes.length) {
      const larger = Buffer.alloc(this.at * 2);
      this.#bytes.copy(larger);
      this.#bytes = larger;
    }
    return at;
  }

  align(type: string): void {
    const size = ALIGNMENT[type[0] ?? 'y'] ?? 1;
    this.#room((size - (this.at % size)) % size);
  }

  #number(value: number, size: number): void {
    const at = this.#room(size);
    if (this.#little) this.#bytes.writeUIntLE(value, at, size);
    else this.#bytes.writeUIntBE(value, at, size);
  }

  #copy(bytes: Buffer, zeros: number): void {
    const at = this.#room(bytes.length + zeros);
    bytes.copy(this.#bytes, at);
  }

  write(type: string, value: unknown): void {
    this.align(type);
    switch (type[0]) {
      case 'y':
        this.#number(value as number, 1);
        return;
      case 'n':
      case 'q':
        this.#number(value as number, 2);
        return;
      case 'b':
        this.#number(value === true ? 1 : 0, 4);
        return;
      case 'i':
      case 'u':
      case 'h':
        this.#number(value as number, 4);
        return;
      case 'x':
      case 't':
      case 'd':
        this.#number(value as number, 4);
        this.#number(0, 4);
        return;
      case 's':
      case 'o': {
        const text = Buffer.isBuffer(value) ? value : Buffer.from(value as string);
        this.#number(text.length, 4);
        this.#copy(text, 1);
        return;
      }
      case 'g': {
        const text = Buffer.from(value as string);
        this.#number(text.length, 1);
        this.#copy(text, 1);
        return;
      }
      case 'v': {
        const typed = value as Typed;
        this.write('g', typed.type);
        this.write(typed.type, typed.value);
        return;
      }
      case '(':
      case '{':
        this.writeAll(type.slice(1, -1), value as unknown[]);
        return;
      case 'a': {
        const element = type.slice(1);
        const lengthAt = this.at;
        this.#number(0, 4);
        this.align(element);
        const begin = this.at;
        if (Buffer.isBuffer(value)) this.#copy(value, 0);
        else for (const one of value as unknown[]) this.write(element, one);
        if (this.#little) this.#bytes.writeUInt32LE(this.at - begin, lengthAt);
        else this.#bytes.writeUInt32BE(this.at - begin, lengthAt);
        return;
      }
      default:
        throw new Error(`no type ${type}`);
    }
  }

  writeAll(signature: string, values: readonly unknown[]): void {
    typesIn(signature).forEach((type, i) => {
      this.write(type, values[i]);
    });
  }
}

/** A message to send. */
export interface Parts {
  /** 1 call, 2 return, 3 error, 4 signal; 1. */
  readonly type?: number;
  readonly flags?: number;
  readonly destination?: string;
  readonly path?: string;
  readonly interface?: string;
  readonly member?: string;
  readonly errorName?: string;
  readonly replySerial?: number;
  readonly signature?: string;
  /** Values of the signature's types; a Buffer stands for an array of bytes, or of what it holds. */
  readonly body?: readonly unknown[];
  readonly bigEndian?: boolean;
}

export const NO_REPLY = 1;

export function bytesOf(parts: Parts, serial: number): Buffer {
  const little = parts.bigEndian !== true;
  const body = new Writer(little);
  body.writeAll(parts.signature ?? '', parts.body ?? []);
  const header = new Writer(little);
  const fields: [number, Typed][] = [];
  const add = (code: number, type: string, value: unknown): void => {
    if (value !== undefined) fields.push([code, new Typed(type, value)]);
  };
  add(1, 'o', parts.path);
  add(2, 's', parts.interface);
  add(3, 's', parts.member);
  add(4, 's', parts.errorName);
  add(5, 'u', parts.replySerial);
  add(6, 's', parts.destination);
  if (parts.signature !== undefined && parts.signature !== '') add(8, 'g', parts.signature);
  header.writeAll('yyyyuua(yv)', [
    ...[little ? 0x6c : 0x42, parts.type ?? 1, parts.flags ?? 0, 1],
    ...[body.at, serial, fields],
  ]);
  header.align('(');
  return Buffer.concat([header.bytes, body.bytes]);
}

/** What came back for one call: `''` for an answer, else the error's name and its text. */
export interface Answer {
  readonly error: string;
  readonly text: string;
}

/** A connection that speaks bytes. */
export class WireClient {
  readonly #socket: Socket;
  #serial = 0;
  #input: Buffer = Buffer.alloc(0);
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  readonly #room: (() => void)[] = [];
  /** Set when the bus has closed the connection. */
  closed = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('close', () => {
      this.closed = true;
      for (const answer of this.#waiting.values()) answer({ error: 'closed', text: '' });
      this.#waiting.clear();
      for (const go of this.#room.splice(0)) go();
    });
  }

  /** Connects to an address of the rig. */
  static async connect(address: string): Promise<WireClient> {
    const socket = createConnection(address.replace('unix:path=', ''));
    socket.on('error', () => {});
    socket.write(`\0AUTH EXTERNAL ${Buffer.from('0').toString('hex')}\r\n`);
    await new Promise<void>((resolve, reject) => {
      socket.once('close', () => reject(new Error('the bus closed the connection')));
      socket.once('data', () => {
        socket.removeAllListeners('close');
        resolve();
      });
    });
    socket.write('BEGIN\r\n');
    const client = new WireClient(socket);
    socket.on('data', (chunk) => client.#read(chunk));
    const bus = 'org.freedesktop.DBus';
    const hello = { destination: bus, path: '/org/freedesktop/DBus', interface: bus, member: 'Hello' };
    const { error } = await client.call(hello);
    if (error !== '') throw new Error(`the bus refused the connection: ${error}`);
    return client;
  }

  /** Sends without waiting for anything. */
  send(parts: Parts): number {
    this.#serial += 1;
    this.#socket.write(bytesOf(parts, this.#serial));
    return this.#serial;
  }

  /** Sends and resolves with the answer. */
  call(parts: Parts): Promise<Answer> {
    return new Promise((resolve) => {
      if (this.closed) resolve({ error: 'closed', text: '' });
      else this.#waiting.set(this.send(parts), resolve);
    });
  }

  /** Resolves when fewer than `most` calls wait for their answers and what was sent has left. */
  async room(most: number): Promise<void> {
    while (!this.closed && this.#socket.writableNeedDrain)
      await new Promise<void>((resolve) => {
        this.#socket.once('drain', resolve).once('close', resolve);
      });
    while (!this.closed && this.#waiting.size >= most) await new Promise<void>((go) => this.#room.push(go));
  }

  /** Reads no more: what the bus has for us stays there. */
  stopReading(): void {
    this.#socket.pause();
  }

  close(): void {
    this.#socket.destroy();
  }

  #read(chunk: Buffer): void {
    this.#input = this.#input.length === 0 ? chunk : Buffer.concat([this.#input, chunk]);
    for (;;) {
      const input = this.#input;
      if (input.length < 16) return;
      const little = input[0] === 0x6c;
      const word = (at: number): number => (little ? input.readUInt32LE(at) : input.readUInt32BE(at));
      const fieldsEnd = 16 + word(12);
      const begin = (fieldsEnd + 7) & ~7;
      const end = begin + word(4);
      if (input.length < end) return;
      this.#input = input.subarray(end);
      this.#take(input.readUInt8(1), input.subarray(0, end), fieldsEnd, begin, word);
    }
  }

  #take(type: number, bytes: Buffer, fieldsEnd: number, begin: number, word: (at: number) => number): void {
    if (type !== 2 && type !== 3) return;
    let error = '';
    let serial = 0;
    for (let at = 16; at < fieldsEnd; ) {
      at = (at + 7) & ~7;
      const code = bytes.readUInt8(at);
      const kind = String.fromCharCode(bytes.readUInt8(at + 2));
      at += 4;
      if (kind === 'u') {
        if (code === 5) serial = word(at);
        at += 4;
        continue;
      }
      const size = kind === 'g' ? bytes.readUInt8(at) : word(at);
      at += kind === 'g' ? 1 : 4;
      if (code === 4) error = bytes.toString('utf8', at, at + size);
      at += size + 1;
    }
    const text =
      type === 3 && bytes.length > begin + 4 ? bytes.toString('utf8', begin + 4, bytes.length - 1) : '';
    this.#waiting.get(serial)?.({ error, text });
    this.#waiting.delete(serial);
    this.#room.shift()?.();
  }
}
