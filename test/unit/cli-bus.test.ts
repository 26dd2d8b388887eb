import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { decodeCards, decodeHolders, decodeOperation, failureNamed } from '../../cli/src/bus/decode.js';
import { failureOfError } from '../../cli/src/bus/errors.js';
import { QuickBus, socketPath } from '../../cli/src/bus/quick-bus.js';
import { unbox } from '../../cli/src/bus/unbox.js';
import { decodeReply, encodeCall, messageLength } from '../../cli/src/bus/wire.js';

/** dbus-next's own marshalling, to compare with: the helper's side of the wire. */
interface Marshaller {
  Message: new (fields: object) => object;
  marshall(message: object): Buffer;
  unmarshall(bytes: Buffer): Record<string, unknown>;
  Variant: new (signature: string, value: unknown) => object;
}

const require = createRequire(import.meta.url);
const library: Marshaller = {
  Message: require('dbus-next').Message,
  Variant: require('dbus-next').Variant,
  marshall: (message) => require('dbus-next/lib/marshall-compat.js').marshallMessage(message)[0],
  unmarshall: (bytes) => require('dbus-next/lib/message.js').unmarshall(bytes),
};

function reply(signature: string, body: unknown[], more: object = {}): Buffer {
  const message = new library.Message({
    type: 2,
    serial: 9,
    replySerial: 7,
    sender: ':1.5',
    destination: ':1.6',
    signature,
    body,
    ...more,
  });
  return library.marshall(message);
}

const CALL = {
  destination: 'io.github.gpuhandoff.Manager1',
  path: '/io/github/gpuhandoff/Manager1',
  interface: 'io.github.gpuhandoff.Manager1',
  member: 'GetHolders',
};

describe('a call on the wire', () => {
  test('is read by the helper’s library as it was meant', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.string({ unit: 'grapheme' }).filter((s) => !s.includes('\0')),
          { minLength: 1, maxLength: 3 },
        ),
        (strings) => {
          const bytes = encodeCall(3, { ...CALL, strings });
          expect(messageLength(bytes)).toBe(bytes.length);
          const read = library.unmarshall(bytes);
          expect(read).toMatchObject(CALL);
          // It must not start a helper that does not run.
          expect(read.flags).toBe(2);
          expect(read.body).toEqual(strings);
        },
      ),
    );
  });

  test('ends with empty options where the method takes some', () => {
    const read = library.unmarshall(encodeCall(3, { ...CALL, strings: ['0000:01:00.0'], options: true }));
    expect([read.signature, read.body]).toEqual(['sa{sv}', ['0000:01:00.0', []]]);
  });
});

describe('an answer on the wire', () => {
  test('is read without its variants', () => {
    const { Variant } = library;
    const card = { id: new Variant('s', '0000:01:00.0'), asleep: new Variant('b', true) };
    const properties = {
      Version: new Variant('s', '1'),
      Cards: new Variant('aa{sv}', [card, {}]),
      Sizes: new Variant('ad', [1.5]),
      Names: new Variant('as', ['a', 'ü']),
      Empty: new Variant('aa{sv}', []),
      Nested: new Variant('v', new Variant('u', 5)),
      Pair: new Variant('(su)', ['x', 4000000000]),
      Big: new Variant('t', 2n ** 40n),
      Small: new Variant('i', -3),
    };
    const [read] = decodeReply(reply('a{sv}', [properties]))?.body ?? [];
    expect(JSON.parse(JSON.stringify(read))).toEqual({
      Version: '1',
      Cards: [{ id: '0000:01:00.0', asleep: true }, {}],
      Sizes: [1.5],
      Names: ['a', 'ü'],
      Empty: [],
      Nested: 5,
      Pair: ['x', 4000000000],
      Big: 2 ** 40,
      Small: -3,
    });
  });

  test('is known by the call that it answers', () => {
    expect(decodeReply(reply('s', ['x']))).toEqual({ serial: 7, body: ['x'], error: null });
    const error = reply('s', ['It is held.'], { type: 3, errorName: 'io.github.gpuhandoff.Error.Held' });
    expect(decodeReply(error)?.error).toEqual({
      name: 'io.github.gpuhandoff.Error.Held',
      text: 'It is held.',
    });
  });

  test('signals and calls are no answers', () => {
    expect(decodeReply(encodeCall(1, CALL))).toBeNull();
  });

  test('bytes that are no message throw or are read, and never hang', () => {
    const good = reply('a{sv}', [{ Version: new library.Variant('s', 'x'.repeat(40)) }]);
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 12 }), (changes) => {
        const bytes = Buffer.from(good);
        for (const [at, value] of changes) bytes[at] = value;
        try {
          messageLength(bytes);
          decodeReply(bytes);
        } catch (fault) {
          expect(fault).toBeInstanceOf(Error);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

/** A bus that greets, and answers each whole message by what `answer` makes of its serial. */
async function fakeBus(greeting: string, answer: (serial: number) => Buffer | null): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), 'gpu-handoff-bus-'));
  const path = join(dir, 'bus');
  const server: Server = createServer((socket) => {
    let unread = Buffer.alloc(0);
    let greeted = false;
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      unread = Buffer.concat([unread, bytes]);
      const begin = unread.indexOf('BEGIN\r\n');
      if (!greeted && begin >= 0) {
        greeted = true;
        unread = unread.subarray(begin + 7);
        socket.write(greeting);
      }
      for (;;) {
        const length = greeted ? messageLength(unread) : null;
        if (length === null || unread.length < length) return;
        const reply = answer(unread.readUInt32LE(8));
        unread = unread.subarray(length);
        // In pieces, as a socket may give them.
        if (reply !== null)
          for (const piece of [reply.subarray(0, 5), reply.subarray(5)]) socket.write(piece);
      }
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(path, resolve);
  });
  onTestFinished(() => {
    server.close();
    rmSync(dir, { recursive: true, force: true });
  });
  return `unix:path=${path},guid=0123`;
}

describe('a quick question', () => {
  const answered = (serial: number): Buffer =>
    serial === 1
      ? reply('s', [':1.9'], { replySerial: 1 })
      : reply('s', [`answer ${serial}`], { replySerial: serial });

  test('is asked before the bus has greeted, and answered in its turn', async () => {
    const bus = new QuickBus(await fakeBus('OK 0123\r\n', answered));
    expect(await Promise.all([bus.call(CALL), bus.call(CALL)])).toEqual([['answer 2'], ['answer 3']]);
  });

  test.each([
    ['a bus that refuses this user', 'REJECTED EXTERNAL\r\n'],
    ['a bus that speaks otherwise', 'HTTP/1.1 400 Bad Request\r\n'],
  ])('%s is no helper', async (_, greeting) => {
    const bus = new QuickBus(await fakeBus(greeting, () => null));
    await expect(bus.call(CALL)).rejects.toMatchObject({ failure: 'HelperAbsent' });
  });

  test('a bus that is not there is no helper', async () => {
    const bus = new QuickBus('unix:path=/nonexistent/bus');
    await expect(bus.call(CALL)).rejects.toMatchObject({ failure: 'HelperAbsent' });
    expect(() => new QuickBus('tcp:host=example')).toThrow('The helper did not answer');
  });

  test.each([
    ['unix:path=/run/dbus/system_bus_socket', '/run/dbus/system_bus_socket'],
    ['unix:guid=1,path=/a%20b', '/a b'],
    ['tcp:host=x;unix:abstract=/tmp/x', '\0/tmp/x'],
    ['unixexec:path=/bin/x', null],
  ])('the address %s', (address, path) => {
    expect(socketPath(address)).toBe(path);
  });
});

describe('what the helper says', () => {
  test('a verdict that is not known is never free', () => {
    for (const value of [undefined, {}, { verdict: '' }, { verdict: 'FREE' }, [], 'free'])
      expect(decodeHolders(value).verdict).toBe('unknown');
  });

  test('anything at all is read without a fault', () => {
    fc.assert(
      fc.property(fc.anything(), (value) => {
        decodeCards(value);
        decodeCards([value]);
        decodeHolders(value);
        decodeOperation(value);
        unbox(value);
      }),
    );
  });

  test('errors become failures by their name', () => {
    expect(failureOfError('io.github.gpuhandoff.Error.Held', 'It is held.')).toMatchObject({
      failure: 'Held',
      message: 'It is held.',
    });
    expect(failureOfError('io.github.gpuhandoff.Error.Unheard', 'x').failure).toBe('Failed');
    expect(failureOfError('org.freedesktop.DBus.Error.ServiceUnknown', 'x').failure).toBe('HelperAbsent');
    expect(failureOfError('org.freedesktop.DBus.Error.Spawn.ChildExited', 'x').failure).toBe('HelperAbsent');
    expect(failureOfError('org.freedesktop.DBus.Error.AccessDenied', 'x').failure).toBe('NotAuthorized');
    expect(failureNamed('constructor')).toBe('Failed');
  });
});
