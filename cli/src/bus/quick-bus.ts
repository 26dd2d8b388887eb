/**
 * A connection for a glance: no handshake is waited for, so that a question and its answer are one round trip. Nobody
 * is started, nothing is followed, and the process ends with it.
 */
import { createConnection, type Socket } from 'node:net';
import { reasonOf } from '../../../core/src/errors.js';
import { failureOfError, helperAbsent } from './errors.js';
import { type CallFields, decodeReply, encodeCall, messageLength, type Reply } from './wire.js';

const DAEMON = {
  destination: 'org.freedesktop.DBus',
  path: '/org/freedesktop/DBus',
  interface: 'org.freedesktop.DBus',
} as const;

/** The socket of the first unix address in a list of D-Bus addresses, as Node connects to it; null where there is none. */
export function socketPath(addresses: string): string | null {
  for (const address of addresses.split(';')) {
    const found = /^unix:(?:[^;]*,)?(path|abstract)=([^,;]+)/.exec(address);
    if (found?.[2] === undefined) continue;
    const path = found[2].replace(/%([0-9a-f]{2})/gi, (_, code: string) =>
      String.fromCharCode(Number.parseInt(code, 16)),
    );
    return found[1] === 'abstract' ? `\0${path}` : path;
  }
  return null;
}

interface Waiting {
  resolve(body: readonly unknown[]): void;
  reject(fault: unknown): void;
}

export class QuickBus {
  private readonly socket: Socket;
  private readonly waiting = new Map<number, Waiting>();
  private serial = 0;
  private unread: Buffer = Buffer.alloc(0);
  private greeted = false;

  constructor(address: string) {
    const path = socketPath(address);
    if (path === null) throw helperAbsent('the address of the bus is of no kind that is known');
    this.socket = createConnection({ path });
    // Whoever waits for an answer waits with a time limit, which keeps the process; the connection need not.
    this.socket.unref();
    this.socket.on('error', (fault) => this.fail(reasonOf(fault)));
    this.socket.on('close', () => this.fail('the bus closed the connection'));
    this.socket.on('data', (bytes) => this.heard(bytes));
    const user = Buffer.from(String(process.getuid?.() ?? 0)).toString('hex');
    // The answer OK is not waited for: a bus that refuses closes the connection.
    this.socket.write(`\0AUTH EXTERNAL ${user}\r\nBEGIN\r\n`);
    this.call({ ...DAEMON, member: 'Hello' }).catch(() => {});
  }

  /** Resolves with the body of the answer without variants. Rejects with a HandoffError. */
  call(fields: CallFields): Promise<readonly unknown[]> {
    this.serial += 1;
    const { serial } = this;
    return new Promise((resolve, reject) => {
      this.waiting.set(serial, { resolve, reject });
      this.socket.write(encodeCall(serial, fields));
    });
  }

  /** Ends the connection, for who lives longer than the question. */
  close(): void {
    this.socket.destroy();
  }

  private fail(why: string): void {
    const waiting = [...this.waiting.values()];
    this.waiting.clear();
    for (const one of waiting) one.reject(helperAbsent(why));
  }

  private heard(bytes: Buffer): void {
    this.unread = this.unread.length === 0 ? bytes : Buffer.concat([this.unread, bytes]);
    try {
      if (!this.greeted) this.readGreeting();
      if (this.greeted) this.readMessages();
    } catch (fault) {
      this.fail(reasonOf(fault));
      this.socket.destroy();
    }
  }

  private readGreeting(): void {
    const end = this.unread.indexOf('\r\n');
    if (end < 0) return;
    const line = this.unread.toString('latin1', 0, end);
    if (!line.startsWith('OK ')) throw new Error('the bus does not know this user');
    this.unread = this.unread.subarray(end + 2);
    this.greeted = true;
  }

  private readMessages(): void {
    for (;;) {
      const length = messageLength(this.unread);
      if (length === null || this.unread.length < length) return;
      const message = this.unread.subarray(0, length);
      this.unread = this.unread.subarray(length);
      const reply = decodeReply(message);
      if (reply !== null) this.answered(reply);
    }
  }

  private answered({ serial, body, error }: Reply): void {
    const waiting = this.waiting.get(serial);
    this.waiting.delete(serial);
    if (error === null) waiting?.resolve(body);
    else waiting?.reject(failureOfError(error.name, error.text));
  }
}
