/** “Open with” and default apps, as GLib reads them, with entries of ours in place. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DIST, openSandbox, type Sandbox } from './rig/sandbox.js';
import { entry } from './support-session.js';

const SYSTEM = '/usr/share/applications';
const OWN = '/home/alice/.local/share/applications';
const TYPES = ['image/x-one', 'image/x-two', 'text/x-three'];
let room: Sandbox;

beforeAll(async () => {
  room = await openSandbox();
  const app = (name: string, types: string): string => entry('true %f', name, `MimeType=${types}\n`);
  await room.put(`${SYSTEM}/viewer.desktop`, app('Viewer', 'image/x-one;image/x-two;'));
  await room.put(`${SYSTEM}/editor.desktop`, app('Editor', 'image/x-one;text/x-three;'));
  await room.put(`${SYSTEM}/pad.desktop`, app('Pad', 'text/x-three;'));
  await room.put(
    `${SYSTEM}/mimeinfo.cache`,
    '[MIME Cache]\nimage/x-one=viewer.desktop;editor.desktop;\nimage/x-two=viewer.desktop;\ntext/x-three=editor.desktop;pad.desktop;\n',
  );
  await room.put('/usr/bin/gpu-handoff-run', '#!/bin/sh\nexec "$@"\n', '755');
  await room.run(['chown', 'alice:', '/home/alice']);
});
afterAll(() => room?.stop());

async function command(...words: string[]): Promise<void> {
  const ran = await room.run(['node', `${DIST}/cli/main.js`, ...words], { user: 'alice' });
  expect([ran.code, ran.stderr]).toEqual([0, '']);
}

/** For each type the default and all apps, as names and as files. */
async function asked(): Promise<{ names: unknown; files: string[] }> {
  const script = `
    const { Gio } = imports.gi;
    const types = ${JSON.stringify(TYPES)};
    const apps = (type) => Gio.AppInfo.get_all_for_type(type);
    const first = (type) => Gio.AppInfo.get_default_for_type(type, false);
    print(JSON.stringify({
      names: types.map((type) => [first(type)?.get_name() ?? null, apps(type).map((app) => app.get_name())]),
      files: types.flatMap((type) => apps(type).map((app) => app.get_filename())),
    }));
  `;
  const { stdout, stderr } = await room.run(['gjs', '-c', script], { user: 'alice' });
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout);
}

describe('apps by type of file', () => {
  it('are the same, in the same order, and lead to the entries of ours', async () => {
    const before = await asked();
    expect(before.names).toEqual([
      ['Viewer', ['Viewer', 'Editor']],
      ['Viewer', ['Viewer']],
      ['Editor', ['Editor', 'Pad']],
    ]);
    await command('apps', 'set', 'editor', 'always');
    const during = await asked();
    expect(during.names).toEqual(before.names);
    expect(during.files.filter((path) => path === `${OWN}/editor.desktop`)).toHaveLength(2);
    expect(during.files).not.toContain(`${SYSTEM}/editor.desktop`);
    await command('apps', 'undo', '--all');
    expect(await asked()).toEqual(before);
    expect((await room.run(['ls', '-A', OWN])).stdout).toBe('');
  });

  it('stay when a program lists the entries in the user’s folder anew, and are the same after an undo', async () => {
    const before = await asked();
    await command('apps', 'set', 'editor', 'always');
    // As update-desktop-database writes it.
    const anew = '[MIME Cache]\nimage/x-one=editor.desktop;\ntext/x-three=editor.desktop;\n';
    await room.put(`${OWN}/mimeinfo.cache`, anew, '644', 'alice');
    await command('apps', 'sync');
    expect((await asked()).names).toEqual(before.names);
    await command('apps', 'undo', '--all');
    expect(await asked()).toEqual(before);
    expect((await room.run(['ls', '-A', OWN])).stdout).toBe('');
  });

  it('come back to the user’s own list as it was', async () => {
    const own = '[MIME Cache]\ntext/x-three=pad.desktop;\n';
    await room.put(`${OWN}/mimeinfo.cache`, own, '600', 'alice');
    const before = await asked();
    await command('apps', 'set', 'editor', 'offer');
    expect((await asked()).names).toEqual(before.names);
    await command('apps', 'set', 'editor', 'untouched');
    expect(await room.get(`${OWN}/mimeinfo.cache`)).toBe(own);
    expect((await room.run(['stat', '-c', '%a', `${OWN}/mimeinfo.cache`])).stdout).toBe('600\n');
  });
});
