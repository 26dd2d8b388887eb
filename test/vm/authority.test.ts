import { afterAll, beforeAll, expect, test } from 'vitest';
import { app, gpuHandoff, picture, workstation } from './product.js';
import { DGPU, Guest, hold, type Machine, type Session } from './rig/index.js';

let machine: Machine;
let home: string;

beforeAll(async () => {
  machine = await workstation('authority');
  await Guest.define(machine, { name: 'win' });
  home = await picture(machine);
});

afterAll(async () => {
  await machine?.stop();
});

const CALLS: readonly [string, readonly string[], RegExp][] = [
  ['hand-off', ['hand-off', 'win'], /not authorized to hand a graphics card to a VM/],
  ['take-back', ['take-back', DGPU], /not authorized to take a graphics card back/],
  ['force-off', ['take-back', DGPU, '--force'], /not authorized to force a VM off/],
];

test.each(CALLS)('%s is refused to a user whom nobody authorized', async (_power, args, sentence) => {
  const result = await gpuHandoff(machine, args, 'mallory');
  expect(result.code).toBe(3);
  expect(result.stderr).toMatch(sentence);
  expect(await picture(machine)).toBe(home);
});

test('stopping services is refused to a user whom nobody authorized', async () => {
  const holder = (await machine.check('pgrep -x nvidia-powerd')).trim();
  const start = (await machine.check(`cut -d' ' -f22 /proc/${holder}/stat`)).trim();
  const result = await gpuHandoff(machine, ['end-holders', DGPU, `${holder}:${start}`], 'mallory');
  expect(result.code).toBe(3);
  expect(result.stderr).toMatch(/not authorized to stop services/);
});

test('ending somebody else’s process is refused to a user whom nobody authorized', async () => {
  const holder = await app(machine, 'fd', ['/dev/nvidia0'], { user: 'alice' });
  const result = await gpuHandoff(machine, ['end-holders'], 'mallory');
  expect(result.code).toBe(3);
  expect(result.stderr).toMatch(/not authorized to end other users’ processes/);
  await holder.release();
});

test('everybody may read the state, but not other users’ command lines', async () => {
  const holder = await app(machine, 'fd', ['/dev/nvidia0'], { user: 'alice', comm: 'painter' });
  const status = await gpuHandoff(machine, ['status'], 'mallory');
  expect(status.code).toBe(0);
  expect(status.stdout).toMatch(/GeForce RTX 4090/);
  const seen = await gpuHandoff(machine, ['holders', '--json'], 'mallory');
  expect(seen.stdout).toMatch(/painter/);
  expect(seen.stdout).not.toMatch(/rig-hold/);
  const own = await gpuHandoff(machine, ['holders', '--json'], 'alice');
  expect(own.stdout).toMatch(/rig-hold/);
  await holder.release();
});

test('at the seat a user may end processes of his own without being asked', async () => {
  const session: Session = await machine.login('mallory');
  const holder = await hold(session, 'fd', ['/dev/nvidia0']);
  const result = await session.run(['gpu-handoff', 'end-holders']);
  expect(result).toMatchObject({ code: 0, stderr: '' });
  await holder.process.exited;
  await session.logout();
});
