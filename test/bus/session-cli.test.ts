/** `gpu-handoff apps` and `launch` through the per-user service, as people and Plasma's menu call them. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DIST } from './rig/sandbox.js';
import { APPLICATIONS, entry, HOME, OWN, type SessionBus, startSession } from './support-session.js';

const BLENDER = 'blender.desktop';
let session: SessionBus;

beforeAll(async () => {
  session = await startSession({
    files: {
      [`${APPLICATIONS}/${BLENDER}`]: entry('waiting %f'),
      [`${APPLICATIONS}/kde/tool.desktop`]: entry('waiting --tool', 'Tool'),
      [`${HOME}/Desktop/loose.desktop`]: entry('waiting --loose', 'Loose'),
    },
  });
});
afterAll(() => session?.stop());

async function run(...words: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return session.run(['node', `${DIST}/cli/main.js`, ...words]);
}

async function document(...words: string[]): Promise<Record<string, unknown>> {
  const { stdout, stderr } = await run(...words, '--json');
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout);
}

describe('the command', () => {
  it('lists what the service lists', async () => {
    const { source, way, apps } = await document('apps');
    expect({ source, way }).toMatchObject({ source: 'session', way: { name: 'wrapper' } });
    expect(apps).toContainEqual(
      expect.objectContaining({ id: BLENDER, name: 'Blender', choice: 'untouched' }),
    );
    expect(await session.runs()).toBe(true);
  });

  it('makes a choice, tells of it, and gives back what was there', async () => {
    expect(await run('apps', 'set', 'blender', 'always')).toMatchObject({
      code: 0,
      stdout: '● blender: always\n',
    });
    expect(await session.bus.get(`${OWN}/${BLENDER}`)).toContain('gpu-handoff-run');
    expect(await run('apps', 'undo', '--all')).toMatchObject({
      code: 0,
      stdout: '– blender: removed. No choice is made for the app any more.\n',
    });
    expect(await session.bus.exists(`${OWN}/${BLENDER}`)).toBe(false);
  });

  it('fails where an entry cannot be written or taken away', async () => {
    const permit = (mode: string): Promise<unknown> => session.bus.run(['chmod', mode, OWN]);
    await permit('555');
    const refused = { code: 1, stdout: expect.stringContaining('could not be written: ') };
    expect(await run('apps', 'set', 'blender', 'always')).toMatchObject(refused);
    expect(await run('apps', 'sync')).toMatchObject(refused);
    await permit('755');
    expect(await run('apps', 'sync')).toMatchObject({ code: 0 });
    await permit('555');
    expect(await run('apps', 'undo', '--all')).toMatchObject(refused);
    await permit('755');
    // The choice is gone, so the entry follows as soon as it can.
    expect(await run('apps', 'sync')).toMatchObject({ code: 0 });
    expect(await session.bus.exists(`${OWN}/${BLENDER}`)).toBe(false);
  });

  it('says the service’s own sentence when it is refused', async () => {
    const ran = await run('apps', 'set', 'nothing', 'always');
    expect(ran).toMatchObject({ code: 17, stdout: '' });
    expect(ran.stderr).toBe(
      'gpu-handoff: There is no app “nothing.desktop”: “gpu-handoff apps” lists them.\n',
    );
  });
});

describe('launch', () => {
  it.each([
    ['an id', ['blender']],
    ['an entry of the system, as Plasma’s menu names it', ['--file', `${APPLICATIONS}/${BLENDER}`]],
    ['an entry in a subfolder', ['--file', `${APPLICATIONS}/kde/tool.desktop`]],
    ['an entry in no folder of apps', ['--file', `${HOME}/Desktop/loose.desktop`]],
  ])('starts an app on the dGPU by %s', async (_how, words) => {
    const { pid, on } = (await document('launch', ...words)) as { pid: number; on: string };
    expect(on).toBe('dgpu');
    await expect.poll(async () => (await session.argvOf(pid)).join(' ')).toContain('sleep');
    expect(await session.environOf(pid)).toMatchObject({ __NV_PRIME_RENDER_OFFLOAD: '1' });
    await session.bus.run(['kill', String(pid)]);
  });

  it('starts the app itself where the entry that is named is one of ours', async () => {
    await run('apps', 'set', 'blender', 'always');
    const { pid } = (await document('launch', '--igpu', '--file', `${OWN}/${BLENDER}`)) as { pid: number };
    await expect.poll(async () => (await session.argvOf(pid)).join(' ')).toContain('sleep');
    expect(await session.environOf(pid)).not.toHaveProperty('__NV_PRIME_RENDER_OFFLOAD');
    await session.bus.run(['kill', String(pid)]);
    await run('apps', 'undo', '--all');
  });

  it('says nothing when all is well', async () => {
    const ran = await run('launch', 'blender');
    expect(ran).toMatchObject({ code: 0, stdout: '', stderr: '' });
    await session.bus.run(['pkill', '-x', 'sleep']);
  });

  it('of a file that is none says so', async () => {
    const ran = await run('launch', '--file', '/etc/nothing.desktop');
    expect(ran.code).toBe(2);
    expect(ran.stderr).toContain('The entry /etc/nothing.desktop cannot be read');
  });
});
