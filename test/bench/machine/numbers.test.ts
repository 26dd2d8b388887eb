import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest';
import { app, helperLog, picture, workstation } from '../../vm/product.js';
import { DGPU, guestXml, type Machine, until } from '../../vm/rig/index.js';

/** The load that the figures are for. */
const PROCESSES = 200;
const FILES = 40;
const ROUNDS = 3;

const GUIDE = fileURLToPath(new URL('../../vm/guide/qemu', import.meta.url));
const HOOK = '/etc/libvirt/hooks/qemu.d/gpu-handoff';

let machine: Machine;
let home: string;

beforeAll(async () => {
  machine = await workstation('numbers', { parallel: true });
  await machine.put('/root/guide', readFileSync(join(GUIDE)), 0o755);
  await machine.put('/etc/gpu-guide.conf', `GUEST=win\nCARD=${DGPU}\n`);
  await machine.put('/run/win.xml', guestXml({ name: 'win', uuid: '11111111-2222-4333-8444-555555555555' }));
  await app(machine, 'crowd', [PROCESSES, FILES]);
  home = await picture(machine);
});

afterAll(async () => {
  await machine?.stop();
});

/** Calls Watch and stays on the bus, as a desktop does. By hand: nothing in the image speaks D-Bus and waits. */
const IDLE_CLIENT = `
import socket, struct, time
NAME, PATH = 'io.github.gpuhandoff.Manager1', '/io/github/gpuhandoff/Manager1'
BUS, BUS_PATH = 'org.freedesktop.DBus', '/org/freedesktop/DBus'
def field(code, kind, text):
    data = text.encode()
    head = struct.pack('<BBsB', code, 1, kind.encode(), 0)
    return head + (struct.pack('<I', len(data)) + data + b'\\0' if kind != 'g' else struct.pack('<B', len(data)) + data + b'\\0')
def call(serial, name, path, member, signature='', body=b''):
    fields = b''
    for one in [(1, 'o', path), (2, 's', name), (3, 's', member), (6, 's', name)] + ([(8, 'g', signature)] if signature else []):
        fields += b'\\0' * (-len(fields) % 8) + field(*one)
    head = struct.pack('<cBBBII', b'l', 1, 0, 1, len(body), serial) + struct.pack('<I', len(fields)) + fields
    return head + b'\\0' * (-len(head) % 8) + body
bus = socket.socket(socket.AF_UNIX)
bus.connect('/run/dbus/system_bus_socket')
bus.sendall(b'\\0AUTH EXTERNAL 30\\r\\n')
assert bus.recv(100).startswith(b'OK')
bus.sendall(b'BEGIN\\r\\n' + call(1, BUS, BUS_PATH, 'Hello'))
bus.sendall(call(2, NAME, PATH, 'Watch', 'a{sv}', struct.pack('<II', 0, 0)))
time.sleep(3)
print('watching')
while bus.recv(65536): pass
`;

/** Milliseconds that a program takes, which must succeed, measured inside the machine. */
async function timed(command: string): Promise<number> {
  const script = `s=$(date +%s%N); ${command} < /run/win.xml || exit 9; e=$(date +%s%N); echo $(( (e - s) / 1000 ))`;
  return Number(await machine.check(script)) / 1000;
}

/** Prints user and system time, in seconds, of ten starts of Node. */
const TEN_STARTS = `TIMEFORMAT='%U %S'; { time for i in 1 2 3 4 5 6 7 8 9 10; do node -e 0; done; } 2>&1`;

/** How many times as much processor time a start of Node takes in the machine as outside. */
async function slowness(): Promise<number> {
  const spent = (times: string): number => times.split(' ').reduce((all, one) => all + Number(one), 0);
  const inside = spent(await machine.check(['bash', '-c', TEN_STARTS]));
  return inside / spent(execFileSync('bash', ['-c', TEN_STARTS], { encoding: 'utf8' }));
}

async function goneHome(): Promise<void> {
  await until('the card is at home', async () => (await picture(machine)) === home, 60_000, 300);
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

interface Figures {
  readonly prepare: number[];
  readonly release: number[];
}

test('prepare and release against the guide’s hook, side by side', async () => {
  onTestFailed(async () => console.log(await helperLog(machine)));
  const guide: Figures = { prepare: [], release: [] };
  const warm: Figures = { prepare: [], release: [] };
  const cold: Figures = { prepare: [], release: [] };
  const round = async (hook: string, figures: Figures): Promise<void> => {
    figures.prepare.push(await timed(`${hook} win prepare begin -`));
    expect((await machine.check(`cut -d' ' -f1 /proc/modules | grep -c ^nvidia; true`)).trim()).toBe('0');
    figures.release.push(await timed(`${hook} win release end -`));
    await goneHome();
  };
  await round(HOOK, { prepare: [], release: [] });
  for (let i = 0; i < ROUNDS; i++) {
    await round('/root/guide', guide);
    await round(HOOK, warm);
    await machine.check('systemctl stop gpu-handoff');
    await round(HOOK, cold);
  }
  const ratio = (ours: number[], theirs: number[]): number => median(ours) / median(theirs);
  const line = (name: string, ours: number[], theirs: number[], target: number): string =>
    `${name.padEnd(34)} ${(median(ours) / 1000).toFixed(2)} s / ${(median(theirs) / 1000).toFixed(2)} s = ${ratio(ours, theirs).toFixed(3)} (at most ${target})`;
  console.log(
    [
      `${PROCESSES} processes × ${FILES} open files, emulated processor, median of ${ROUNDS}; ours / the guide’s hook`,
      line('prepare, helper running', warm.prepare, guide.prepare, 0.2),
      line('prepare, helper started for it', cold.prepare, guide.prepare, 0.5),
      line('release', warm.release, guide.release, 1.2),
    ].join('\n'),
  );
  expect.soft(ratio(warm.prepare, guide.prepare)).toBeLessThanOrEqual(0.2);
  expect.soft(ratio(cold.prepare, guide.prepare)).toBeLessThanOrEqual(0.5);
  expect.soft(ratio(warm.release, guide.release)).toBeLessThanOrEqual(1.2);
}, 600_000);

test('the helper with one idle client is small and quiet', async () => {
  await machine.check('systemctl restart gpu-handoff');
  await machine.put('/run/idle-client.py', IDLE_CLIENT);
  const client = await machine.spawn(['python3', '-u', '/run/idle-client.py']);
  await client.waitFor(/watching/);
  const pid = (await machine.check('systemctl show -p MainPID --value gpu-handoff')).trim();
  const ticks = async (): Promise<number> => {
    const stat = (await machine.check(['cat', `/proc/${pid}/stat`])).replace(/^.*\) /, '').split(' ');
    return Number(stat[11]) + Number(stat[12]);
  };
  // What the start itself costs is over after a moment.
  await new Promise((resolve) => setTimeout(resolve, 5000));
  const before = await ticks();
  await new Promise((resolve) => setTimeout(resolve, 30_000));
  const share = ((await ticks()) - before) / 100 / 30;
  const resident = Number(/VmRSS:\s+(\d+) kB/.exec(await machine.check(['cat', `/proc/${pid}/status`]))?.[1]);
  await client.kill();
  const times = await slowness();
  const percent = (part: number): string => (part * 100).toFixed(3);
  console.log(
    `idle helper: ${percent(share)} % of an emulated core that is ${times.toFixed(0)} times as slow as this one: ` +
      `${percent(share / times)} % (less than 0.1), ${(resident / 1024).toFixed(1)} MiB (at most 60)`,
  );
  expect(resident / 1024).toBeLessThanOrEqual(60);
  expect(share / times).toBeLessThan(0.001);
}, 120_000);
