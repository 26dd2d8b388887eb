/** Parts of the helper whose worst moments no bus brings about on request. */
import { EventEmitter } from 'node:events';
import dbus from 'dbus-next';
import { describe, expect, it } from 'vitest';
import { POWERS, type Power } from '../../core/src/contract.js';
import type { Engine } from '../../core/src/engine/engine.js';
import { NOBODY } from '../../core/src/holders.js';
import type { Bus, Message } from '../../core/src/linux/bus/dbus.js';
import { Polkit } from '../../polkit/src/authority.js';
import { Clients } from '../../polkit/src/clients.js';
import { Gate } from '../../polkit/src/gate.js';
import { methodsOf } from '../../polkit/src/methods.js';
import { Fuzz } from './support-fuzz.js';
import { bytesOf, type Parts } from './support-wire.js';

/** A bus whose answers are given by the test. */
class FakeBus extends EventEmitter {
  readonly asked: { readonly message: Message; readonly answer: (body: unknown[]) => void }[] = [];

  call(message: Message): Promise<unknown> {
    return new Promise((resolve) => {
      this.asked.push({ message, answer: (body) => resolve({ body }) });
    });
  }

  get bus(): Bus {
    return this as unknown as Bus;
  }

  leaves(name: string, sender = 'org.freedesktop.DBus'): void {
    const type = dbus.MessageType.SIGNAL;
    const names = { interface: 'org.freedesktop.DBus', member: 'NameOwnerChanged' };
    this.emit('message', { type, sender, ...names, body: [name, name, ''] });
  }
}

/** Clients that listen already. */
function listening(bus: FakeBus, left: (name: string) => void = () => {}): Clients {
  const clients = new Clients(bus.bus, left);
  void clients.listen();
  // What the bus says to the match rule is of no interest.
  bus.asked.shift();
  return clients;
}

describe('the helper’s clients', () => {
  it('watch until they leave', async () => {
    const bus = new FakeBus();
    const left: string[] = [];
    const clients = listening(bus, (name) => left.push(name));
    const uid = clients.userOf(':1.7');
    bus.asked[0]?.answer([1000]);
    expect(clients.watch(':1.7', await uid)).toBe(true);
    expect(clients.watching).toBe(1);
    bus.leaves(':1.7');
    expect(clients.watching).toBe(0);
    expect(left).toEqual([':1.7']);
  });

  it('leave no trace when they are gone before their user is known', async () => {
    const bus = new FakeBus();
    const clients = listening(bus);
    const uid = clients.userOf(':1.7');
    // Both messages are read from the socket at once.
    bus.asked[0]?.answer([1000]);
    bus.leaves(':1.7');
    clients.watch(':1.7', await uid);
    expect(clients.watching).toBe(0);
  });

  it('are not sent away by each other', async () => {
    const bus = new FakeBus();
    const clients = listening(bus);
    const uid = clients.userOf(':1.7');
    bus.asked[0]?.answer([1000]);
    clients.watch(':1.7', await uid);
    bus.leaves(':1.7', ':1.8');
    expect(clients.watching).toBe(1);
  });

  it('are asked for their user once', async () => {
    const bus = new FakeBus();
    const clients = listening(bus);
    const all = [clients.userOf(':1.7'), clients.userOf(':1.7')];
    expect(bus.asked).toHaveLength(1);
    bus.asked[0]?.answer([1000]);
    expect(await Promise.all(all)).toEqual([1000, 1000]);
  });
});

describe('the authority', () => {
  it('closes the dialogs of a caller that leaves, and of no other', async () => {
    const bus = new FakeBus();
    const polkit = new Polkit(bus.bus);
    const asked = [':1.7', ':1.7', ':1.8'].map((caller) => polkit.require(caller, 'hand-off', {}, true));
    const cookies = bus.asked.map(({ message }) => message.body[4]);
    expect(new Set(cookies).size).toBe(3);
    polkit.callerLeft(':1.7');
    const cancelled = bus.asked.slice(3).map(({ message }) => [message.member, message.body[0]]);
    expect(cancelled).toEqual(cookies.slice(0, 2).map((cookie) => ['CancelCheckAuthorization', cookie]));
    for (const { answer } of bus.asked) answer([[true, false, {}]]);
    await Promise.all(asked);
    polkit.callerLeft(':1.8');
    expect(bus.asked).toHaveLength(5);
  });

  it.each([[[]], [[[]]], [[['true', false, {}]]], [[[1, false, {}]]], [[[false, true, {}]]]])(
    'takes only a yes for a yes: %j is none',
    async (body) => {
      const bus = new FakeBus();
      const asked = new Polkit(bus.bus).require(':1.7', 'hand-off', {}, false);
      bus.asked[0]?.answer(body);
      await expect(asked).rejects.toMatchObject({ failure: 'NotAuthorized' });
    },
  );
});

describe('the methods', () => {
  it('share one look at the holders among all who ask meanwhile', async () => {
    let passes = 0;
    const answers: (() => void)[] = [];
    const engine = {
      holders: () => {
        passes += 1;
        return new Promise((resolve) => answers.push(() => resolve(NOBODY)));
      },
      card: () => ({ name: 'Card' }),
    } as unknown as Engine;
    const unused = {} as never;
    const methods = methodsOf({ engine, authority: unused, clients: unused, parseDomain: unused });
    const ask = (card: string): Promise<readonly unknown[]> =>
      methods.GetHolders({ caller: ':1.7', uid: 1000, body: [card, {}] });
    const first = Array.from({ length: 200 }, () => ask('0000:01:00.0'));
    const other = ask('0000:02:00.0');
    expect(passes).toBe(2);
    for (const answer of answers) answer();
    await Promise.all([...first, other]);
    // Who asks afterwards is given a new one.
    const later = ask('0000:01:00.0');
    expect(passes).toBe(3);
    answers.at(-1)?.();
    await later;
  });

  it('ask for every power that an ending takes, before anything is begun', async () => {
    const asked: Power[] = [];
    let begun = 0;
    const owner = (kind: string): unknown => ({
      kind,
      name: kind,
      unit: kind === 'service' ? 'x.service' : null,
    });
    const holders = [
      { id: '1:1', uid: 1000, owner: owner('app') },
      { id: '2:2', uid: 1001, owner: owner('app') },
      { id: '3:3', uid: 0, owner: owner('service') },
    ];
    const engine = {
      refuseWhenBusy: () => {},
      holders: async () => ({ ...NOBODY, holders }),
      card: () => ({ name: 'Card' }),
      endHolders: async (_card: string, _ids: string[], options: { granted: Power[] }) => {
        begun += 1;
        expect([...options.granted].sort()).toEqual([...asked].sort());
        return 'id';
      },
    } as unknown as Engine;
    const authority = {
      require: async (_caller: string, power: Power) => {
        expect(begun).toBe(0);
        expect(POWERS).toContain(power);
        asked.push(power);
      },
      callerLeft: () => {},
    };
    const unused = {} as never;
    const methods = methodsOf({ engine, authority, clients: unused, parseDomain: unused });
    const call = { caller: ':1.7', uid: 1000, body: ['0000:01:00.0', ['1:1', '2:2', '3:3'], {}] };
    expect(await methods.EndHolders(call)).toEqual(['id']);
    expect(asked.sort()).toEqual(['end-others', 'end-own', 'stop-services']);
  });
});

describe('the gate', () => {
  const call = (more: Parts): Parts => ({ path: '/a', interface: 'a.b', member: 'HandOff', ...more });

  /** What comes through of some bytes, given in pieces of a size. */
  function pass(bytes: Buffer, size: number): Buffer[] {
    const through: Buffer[] = [];
    const gate = new Gate(
      (fixed, rest) => through.push(Buffer.concat([fixed, rest])),
      (why) => {
        throw why;
      },
    );
    for (let at = 0; at < bytes.length; at += size) gate.push(bytes.subarray(at, at + size));
    return through;
  }

  it('gives whole messages on as they are, in whatever pieces they come', () => {
    const fuzz = new Fuzz(7);
    const messages = Array.from({ length: 40 }, (_, i) =>
      bytesOf(call({ signature: 'sa{sv}', body: fuzz.values('sa{sv}'), bigEndian: i % 3 === 0 }), i + 1),
    );
    const all = Buffer.concat(messages);
    for (const size of [1, 7, 16, 17, 100, 65_536]) expect(pass(all, size)).toEqual(messages);
  });

  it('goes on right after what it left out', () => {
    const small = bytesOf(call({ signature: 's', body: ['x'] }), 2);
    for (const bigEndian of [false, true]) {
      const left = [
        bytesOf(call({ signature: 'av', body: [Buffer.alloc(200_000)], bigEndian }), 1),
        bytesOf(call({ path: `/${'a'.repeat(100_000)}`, bigEndian }), 1),
        bytesOf(call({ type: 4, signature: 's', body: ['x'], bigEndian }), 1),
        bytesOf({ type: 9, path: '/a', bigEndian }, 1),
      ];
      for (const size of [16, 1000, 65_536]) {
        const through = pass(Buffer.concat(left.flatMap((one) => [one, small])), size);
        expect(through.filter((one) => one.equals(small))).toHaveLength(left.length);
        // The first comes in without its body: it has to be answered.
        expect(through).toHaveLength(left.length + 1);
        expect(through[0]?.readUInt32LE(4)).toBe(0);
      }
    }
  });

  it('gives a message that cannot be read once more, without its body', () => {
    const tried: Buffer[] = [];
    const gate = new Gate(
      (_fixed, rest) => {
        tried.push(rest);
        if (tried.length === 1) throw new Error('no descriptors');
      },
      () => {},
    );
    const bytes = bytesOf(call({ signature: 'sa{sv}', body: ['x', []] }), 1);
    gate.push(Buffer.concat([bytes, bytes]));
    expect(tried).toHaveLength(3);
    expect(tried[1]?.length).toBeLessThan(tried[0]?.length ?? 0);
    expect(tried[2]).toEqual(tried[0]);
  });
});
