/** What the package does to users' launch entries: they go before the wrapper does, and come back with it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { REPO } from '../rig/repo.js';
import { DIST, openSandbox, type Sandbox } from './rig/sandbox.js';
import { entry } from './support-session.js';

const APP = 'blender.desktop';
const MARK = '/run/gpu-handoff-removing';
let room: Sandbox;

beforeAll(async () => {
  room = await openSandbox();
  await room.put(`/usr/share/applications/${APP}`, entry('waiting %f'));
  await room.put('/usr/bin/gpu-handoff-run', '#!/bin/sh\nexec "$@"\n', '755');
  await room.put('/usr/bin/gpu-handoff', `#!/bin/sh\nexec node ${DIST}/cli/main.js "$@"\n`, '755');
  const release = readFileSync(join(REPO, 'cli/data/gpu-handoff-release'), 'utf8');
  await room.put('/usr/lib/gpu-handoff/release', release, '755');
  for (const user of ['alice', 'tester']) await room.run(['chown', `${user}:`, `/home/${user}`]);
});
afterAll(() => room?.stop());

const own = (user: string): string => `/home/${user}/.local/share/applications/${APP}`;

describe('removing the package', () => {
  it('takes away the entries of every user, and keeps what they had and chose', async () => {
    const mine = entry('mine');
    await room.run(['mkdir', '-p', '/home/tester/.local/share/applications'], { user: 'tester' });
    await room.put(own('tester'), mine, '600', 'tester');
    for (const user of ['alice', 'tester'])
      expect((await room.run(['gpu-handoff', 'apps', 'set', 'blender', 'always'], { user })).code).toBe(0);
    for (const user of ['alice', 'tester'])
      expect(await room.get(own(user))).toContain('Exec=/usr/bin/gpu-handoff-run ');

    await room.run(['touch', MARK]);
    const ran = await room.run(['/usr/lib/gpu-handoff/release']);
    expect([ran.code, ran.stderr]).toEqual([0, '']);
    expect(await room.exists(own('alice'))).toBe(false);
    expect(await room.get(own('tester'))).toBe(mine);
    for (const user of ['alice', 'tester'])
      expect(await room.get(`/home/${user}/.config/gpu-handoff/apps.json`)).toContain('"always"');
  });

  it('lets nothing bring them back meanwhile', async () => {
    await room.run(['gpu-handoff', 'apps', 'sync'], { user: 'alice' });
    expect(await room.exists(own('alice'))).toBe(false);
  });

  it('leaves choices for the next installation', async () => {
    await room.run(['rm', MARK]);
    await room.run(['gpu-handoff', 'apps', 'sync'], { user: 'alice' });
    expect(await room.get(own('alice'))).toContain('Exec=/usr/bin/gpu-handoff-run ');
  });
});

describe('a folder of entries that belongs to somebody else', () => {
  it('is not written to', async () => {
    const folder = '/home/mallory/.local/share/applications';
    await room.run(['mkdir', '-p', folder]);
    await room.run(['chown', 'mallory:', '/home/mallory']);
    const ran = await room.run(['gpu-handoff', 'apps', 'set', 'blender', 'always'], { user: 'mallory' });
    expect(ran).toMatchObject({ code: 7, stdout: '' });
    expect(ran.stderr).toBe(
      `gpu-handoff: The folder ${folder} belongs to another user, so no entry is written there: make it your own.\n`,
    );
    expect((await room.run(['ls', '-A', folder])).stdout).toBe('');
    expect(await room.exists('/home/mallory/.config')).toBe(false);
  });
});

describe('the user units', () => {
  it('are read by systemd without complaint', async () => {
    const units = ['gpu-handoff-session.service', 'gpu-handoff-apps.service', 'gpu-handoff-apps.path'];
    await room.put('/usr/libexec/gpu-handoff-session', '#!/bin/sh\n', '755');
    for (const unit of units)
      await room.put(`/etc/systemd/user/${unit}`, readFileSync(join(REPO, 'cli/data', unit), 'utf8'));
    const found = await room.run(['sh', '-c', 'command -v systemd-analyze']);
    expect(found.code).toBe(0);
    const ran = await room.run(
      [
        ...['systemd-analyze', '--user', '--man=no', 'verify'],
        ...units.map((unit) => `/etc/systemd/user/${unit}`),
      ],
      { user: 'alice' },
    );
    expect([ran.code, ran.stderr]).toEqual([0, '']);
  });
});
