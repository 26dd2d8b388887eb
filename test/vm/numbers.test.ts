import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest';
import { app, helperLog, picture, workstation } from './product.js';
import { DGPU, guestXml, type Machine, until } from './rig/index.js';

/** The load that the figures are for. */
const PROCESSES = 200;
const FILES = 40;
const ROUNDS = 3;

const GUIDE = fileURLToPath(new URL('guide/qemu', import.meta.url));
const HOOK = '/etc/libvirt/hooks/qemu.d/gpu-handoff';

let machine: Machine;
let home: string;

beforeAll(async () => {
  machine = await workstation('numbers');
  await machine.put('/root/guide', readFileSync(join(GUIDE)), 0o755);
  await machine.put('/etc/gpu-guide.conf', `GUEST=win\nCARD=${DGPU}\n`);
  await machine.put('/run/win.xml', guestXml({ name: 'win', uuid: '11111111-2222-4333-8444-555555555555' }));
  await app(machine, 'crowd', [PROCESSES, FILES]);
  home = await picture(machine);
});

afterAll(async () => {
  await machine?.stop();
});

/** Milliseconds that a program takes, which must succeed, measured inside the machine. */
async function timed(command: string): Promise<number> {
  const script = `s=$(date +%s%N); ${command} < /run/win.xml || exit 9; e=$(date +%s%N); echo $(( (e - s) / 1000 ))`;
  return Number(await machine.check(script)) / 1000;
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
  const client = await machine.spawn(['gpu-handoff', 'watch']);
  const pid = (await machine.check('systemctl show -p MainPID --value gpu-handoff')).trim();
  await client.waitFor(/GeForce/);
  const ticks = async (): Promise<number> => {
    const stat = (await machine.check(['cat', `/proc/${pid}/stat`])).replace(/^.*\) /, '').split(' ');
    return Number(stat[11]) + Number(stat[12]);
  };
  // What the start itself costs is over after a moment.
  await new Promise((resolve) => setTimeout(resolve, 5000));
  const before = await ticks();
  await new Promise((resolve) => setTimeout(resolve, 30_000));
  const used = ((await ticks()) - before) / 100;
  const resident = Number(/VmRSS:\s+(\d+) kB/.exec(await machine.check(['cat', `/proc/${pid}/status`]))?.[1]);
  console.log(
    `idle helper: ${((used / 30) * 100).toFixed(2)} % of an emulated core, ${(resident / 1024).toFixed(1)} MiB`,
  );
  await client.kill();
  expect(resident / 1024).toBeLessThanOrEqual(60);
}, 120_000);
