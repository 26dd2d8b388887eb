/** The per-user service on a session bus: what it lists, keeps, tells, and when it leaves. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { refusal } from './support-helper.js';
import {
  APPLICATIONS,
  entry,
  HOME,
  OWN,
  type SessionBus,
  type SessionCaller,
  startSession,
} from './support-session.js';

let session: SessionBus;
let alice: SessionCaller;

const BLENDER = 'blender.desktop';

beforeAll(async () => {
  session = await startSession({
    files: {
      [`${APPLICATIONS}/${BLENDER}`]: entry('waiting %f'),
      [`${APPLICATIONS}/hidden.desktop`]: entry('waiting', 'Hidden', 'NoDisplay=true\n'),
      [`${APPLICATIONS}/activated.desktop`]: entry('waiting', 'Activated', 'DBusActivatable=true\n'),
      [`${APPLICATIONS}/broken.desktop`]: entry('"', 'Broken'),
      [`${APPLICATIONS}/second.desktop`]: entry('waiting --second', 'Second'),
    },
    env: { XDG_CURRENT_DESKTOP: 'GNOME' },
  });
  alice = await session.caller();
});
afterAll(() => session?.stop());

describe('the list of apps', () => {
  it('has names in the language that is asked for', async () => {
    expect(await alice.app(BLENDER, 'de_DE.UTF-8')).toMatchObject({ name: 'Blender (de)', icon: 'icon' });
    expect(await alice.app(BLENDER, 'fr')).toMatchObject({ name: 'Blender' });
  });

  it('says what is special, what is hidden, and what cannot be changed', async () => {
    expect(await alice.app('activated.desktop')).toMatchObject({ special: ['dbus-activated'], shown: true });
    expect(await alice.app('hidden.desktop')).toMatchObject({ shown: false });
    expect((await alice.app('broken.desktop')).problem).toMatch(/\S/);
    expect(await alice.app(BLENDER)).toMatchObject({ choice: 'untouched', state: '', problem: '' });
  });
});

describe('a choice', () => {
  it('is kept, and the entry follows at once', async () => {
    expect(await alice.call('SetChoice', [BLENDER, 'always'])).toEqual({
      state: 'in-place',
      sentence: '',
      warning: '',
      failed: false,
    });
    expect(await session.bus.get(`${OWN}/${BLENDER}`)).toContain(
      'Exec=/usr/bin/gpu-handoff-run waiting %f\n',
    );
    expect(await alice.app(BLENDER)).toMatchObject({ choice: 'always', state: 'in-place' });
    const { stdout } = await session.run(['stat', '-c', '%U', `${OWN}/${BLENDER}`]);
    expect(stdout).toBe('alice\n');
  });

  it('is taken back', async () => {
    await alice.call('SetChoice', [BLENDER, 'always']);
    expect(await alice.call('SetChoice', [BLENDER, 'untouched'])).toMatchObject({ state: '' });
    expect(await session.bus.exists(`${OWN}/${BLENDER}`)).toBe(false);
  });

  it('for an app of which no entry can be made is refused', async () => {
    const fault = await refusal(alice.call('SetChoice', ['broken.desktop', 'always']));
    expect(fault.error).toBe('io.github.gpuhandoff.Error.Refused');
  });

  it('is made for many at the same time', async () => {
    await Promise.all([
      alice.call('SetChoice', [BLENDER, 'offer']),
      alice.call('SetChoice', ['second.desktop', 'always']),
      alice.call('SetChoice', ['activated.desktop', 'offer']),
    ]);
    const kept = JSON.parse(await session.bus.get(`${HOME}/.config/gpu-handoff/apps.json`));
    expect(kept.choices).toEqual({
      'activated.desktop': 'offer',
      [BLENDER]: 'offer',
      'second.desktop': 'always',
    });
    const report = await alice.call('Undo', [], { all: true });
    expect(report).toMatchObject({
      changes: expect.arrayContaining([expect.objectContaining({ what: 'removed' })]),
    });
    expect((await session.run(['ls', OWN])).stdout).toBe('');
  });
});

describe('changes', () => {
  it('of what is installed make entries follow, and the revision goes up with its value', async () => {
    await alice.call('SetChoice', ['second.desktop', 'always']);
    await alice.hear();
    const before = (await alice.get('Revision')) as number;
    await session.bus.put(`${APPLICATIONS}/second.desktop`, entry('waiting --changed', 'Second'));
    await expect
      .poll(() => session.bus.get(`${OWN}/second.desktop`), { timeout: 8000 })
      .toContain('Exec=/usr/bin/gpu-handoff-run waiting --changed\n');
    await expect.poll(() => alice.revisions.some((one) => one > before), { timeout: 8000 }).toBe(true);
    await alice.call('Undo', [], { id: 'second.desktop' });
  });

  it('are heard of where there was no folder before', async () => {
    const before = (await alice.get('Revision')) as number;
    await session.bus.put('/usr/local/share/applications/sub/local.desktop', entry('waiting', 'Local'));
    await expect.poll(() => alice.revisions.some((one) => one > before), { timeout: 8000 }).toBe(true);
    expect(await alice.app('sub-local.desktop')).toMatchObject({ name: 'Local' });
    const again = (await alice.get('Revision')) as number;
    await session.bus.put('/usr/local/share/applications/sub/local.desktop', entry('waiting', 'Renamed'));
    await expect.poll(() => alice.revisions.some((one) => one > again), { timeout: 8000 }).toBe(true);
    expect(await alice.app('sub-local.desktop')).toMatchObject({ name: 'Renamed' });
  });

  it('that change nothing in the list leave the revision as it is', async () => {
    const before = await alice.get('Revision');
    expect(await alice.call('Sync')).toEqual({ changes: [], problems: [], notes: [], failed: false });
    expect(await alice.get('Revision')).toBe(before);
  });
});

describe('the way', () => {
  it('is named with its reason', async () => {
    expect(await alice.get('Way')).toBe('wrapper');
    expect(await alice.get('WayReason')).toMatch(/\.$/);
  });
});

describe('an entry that the user edited', () => {
  it('is shown as such, left alone by a sync, and undone at his word', async () => {
    await alice.call('SetChoice', [BLENDER, 'always']);
    await session.run(['sed', '-i', '$ a # mine', `${OWN}/${BLENDER}`]);
    const edited = await session.bus.get(`${OWN}/${BLENDER}`);
    expect(edited).toContain('# mine');
    expect(await alice.app(BLENDER)).toMatchObject({ state: 'edited' });
    const { problems } = (await alice.call('Sync')) as { problems: { id: string; sentence: string }[] };
    expect(problems).toEqual([{ id: BLENDER, sentence: expect.stringContaining('was edited by hand') }]);
    expect(await session.bus.get(`${OWN}/${BLENDER}`)).toBe(edited);
    await alice.call('Undo', [], { id: BLENDER });
    expect(await session.bus.exists(`${OWN}/${BLENDER}`)).toBe(false);
  });
});

describe('hostile arguments', () => {
  it.each([
    ['../../../etc/passwd'],
    ['a/b.desktop'],
    ['..'],
    [''],
    ['.desktop'],
    ['line\nbreak.desktop'],
    ['\u001b[31mred.desktop'],
    [`${'x'.repeat(300)}.desktop`],
    ['not-there.desktop'],
    ['constructor'],
    ['__proto__'],
  ])('the id %j is refused by name and in one sentence', async (id) => {
    const calls = [
      () => alice.call('SetChoice', [id, 'always']),
      () => alice.call('Launch', [id]),
      () => alice.call('Undo', [], { id: id === '' ? '-' : id }),
    ];
    for (const call of calls) {
      const fault = await refusal(call());
      expect(fault.error).toBe('io.github.gpuhandoff.Error.NoSuchApp');
      expect(fault.message).toMatch(/^There is no app “[^\n]*”: “gpu-handoff apps” lists them\.$/);
    }
  });

  it.each([
    ['a choice that is none', () => alice.call('SetChoice', [BLENDER, 'sometimes'])],
    ['a GPU that is none', () => alice.call('Launch', [BLENDER], { on: 'tpu' })],
    ['a file without a folder', () => alice.call('Launch', [BLENDER], { files: ['--evil'] })],
    ['an action that there is not', () => alice.call('Launch', [BLENDER], { action: '../x' })],
    ['an option of a wrong type', () => alice.call('Launch', [BLENDER], { files: 'a' })],
    ['undoing nothing', () => alice.call('Undo')],
    ['undoing one and all', () => alice.call('Undo', [], { id: BLENDER, all: true })],
    ['wrong types', () => alice.raw('io.github.gpuhandoff.Session1', 'SetChoice', 'u', [1])],
  ])('are refused as such: %s', async (_what, call) => {
    const fault = await refusal(call());
    expect(fault.error).toBe('io.github.gpuhandoff.Error.InvalidArgument');
    expect(fault.message.split('\n')).toHaveLength(1);
  });

  it('never show a stack', () => {
    expect(session.log()).not.toMatch(/^ +at |Unhandled/m);
  });
});

describe('a broken file of choices', () => {
  it('is named, changes nothing, and is moved aside by the next choice', async () => {
    const path = `${HOME}/.config/gpu-handoff/apps.json`;
    await alice.call('SetChoice', [BLENDER, 'always']);
    await session.bus.put(path, '{"version":1,', '600', 'alice');
    const fault = await refusal(alice.call('Sync'));
    expect(fault.error).toBe('io.github.gpuhandoff.Error.Config');
    expect(await session.bus.exists(`${OWN}/${BLENDER}`)).toBe(true);
    expect(await alice.app(BLENDER)).toMatchObject({ choice: 'always' });
    expect(await alice.call('SetChoice', ['second.desktop', 'always'])).toMatchObject({
      sentence: `The unreadable file of choices is now ${path}.broken.`,
    });
    expect(Object.keys(JSON.parse(await session.bus.get(path)).choices)).toEqual([BLENDER, 'second.desktop']);
    await alice.call('Undo', [], { all: true });
  });
});

describe('when nobody needs it', () => {
  it('the service leaves, and the next call starts it again', async () => {
    const short = await startSession({
      idle: 1,
      files: { [`${APPLICATIONS}/${BLENDER}`]: entry('waiting') },
    });
    try {
      const caller = await short.caller();
      await caller.get('Version');
      expect(await short.runs()).toBe(true);
      await expect.poll(() => short.runs(), { timeout: 10_000 }).toBe(false);
      expect(await caller.app(BLENDER)).toMatchObject({ name: 'Blender' });
    } finally {
      await short.stop();
    }
  });

  it('but not while somebody who asked it to stay is there', async () => {
    const short = await startSession({
      idle: 1,
      files: { [`${APPLICATIONS}/${BLENDER}`]: entry('waiting') },
    });
    try {
      const caller = await short.caller();
      await caller.call('ListApps', [], { stay: true });
      await caller.hear();
      const begun = Date.now();
      await expect.poll(() => Date.now() - begun > 2500, { timeout: 5000 }).toBe(true);
      expect(await short.runs()).toBe(true);
      caller.client.disconnect();
      await expect.poll(() => short.runs(), { timeout: 10_000 }).toBe(false);
    } finally {
      await short.stop();
    }
  });
});
