import { describe, expect, test } from 'vitest';
import { type Asked, pictureOf, type Section } from '../../core/src/desktop/picture.js';
import { CARD, card, FREE, held, holder, known, operation, published, VM } from './support-desktop.js';

function only(more: Parameters<typeof known>[0] = {}): Section {
  const [section] = pictureOf(known(more)).sections;
  if (section === undefined) throw new Error('no section');
  return section;
}

const CLOSE: Asked = {
  what: 'close',
  card: CARD,
  group: 'app ada org.blender.Blender',
  force: false,
  operation: 'op-1',
  vm: '',
  closes: [],
  refused: '',
};

/** Closing blender failed, for the reason with that key. */
function ending(key: string, more: Record<string, unknown> = {}): ReturnType<typeof operation> {
  const steps = [{ id: '42:1', title: 'End blender', state: 'failed', sentence: 'x', key }];
  return operation({
    kind: 'end-holders',
    state: 'failed',
    error: 'Failed',
    sentence: 'No.',
    steps,
    ...more,
  });
}

const IN_USE = { [CARD]: held(holder()) };

describe('what is not known', () => {
  test('a missing helper is said with what to do, and no card is shown', () => {
    const picture = pictureOf(known({ link: 'absent', published: null }));
    expect(picture.notice?.line).toContain('install it');
    expect(picture).toMatchObject({ glance: 'unavailable', sections: [], quiet: false });
  });

  test('one that does not answer is told with its reason', () => {
    const picture = pictureOf(
      known({ link: 'lost', published: null, why: 'it ends as soon as it was started.' }),
    );
    expect(picture.notice?.line).toContain('it ends as soon as it was started.');
    expect(picture.notice?.retry).toBe('Try Again');
  });

  test('while it is asked, nothing is warned of', () => {
    expect(pictureOf(known({ link: 'asking', published: null }))).toMatchObject({
      quiet: true,
      tone: 'calm',
    });
  });

  test('what was published once is not shown when the link is not live', () => {
    expect(pictureOf(known({ link: 'asking' })).sections).toEqual([]);
  });

  test('a machine with one card has nothing to hand over', () => {
    const picture = pictureOf(known({ published: published([card({ role: 'igpu' })]) }));
    expect(picture).toMatchObject({ quiet: true, label: 'One card only', sections: [] });
  });
});

describe('states', () => {
  test.each([
    ['host', { asleep: true }, 'asleep', true],
    ['host', {}, 'host', true],
    ['vm', { 'vm-name': 'win11', 'vm-uuid': VM }, 'vm', false],
    ['detached', {}, 'detached', false],
    ['stuck', { why: 'it hangs.' }, 'stuck', false],
    ['unknown', { why: 'it could not be seen.' }, 'unavailable', false],
  ])('%s %o is shown as %s', (state, more, glance, quiet) => {
    const picture = pictureOf(
      known({ published: published([card({ state, ...more })]), holders: { [CARD]: FREE } }),
    );
    expect(picture).toMatchObject({ glance, quiet, icon: `gpu-handoff-${glance}-symbolic` });
  });

  test('of several cards the one with the most to say gives the icon', () => {
    const cards = [
      card({ asleep: true }),
      card({ id: '0000:02:00.0', name: 'Radeon', state: 'stuck', why: 'x' }),
    ];
    const picture = pictureOf(known({ published: published(cards) }));
    expect(picture).toMatchObject({ glance: 'stuck', spoken: 'Radeon: Stuck' });
    expect(picture.sections).toHaveLength(2);
  });

  test('a card in a VM can be taken back, and its holders are nobody’s business', () => {
    const section = only({
      published: published([card({ state: 'vm', 'vm-name': 'win11' })]),
      holders: IN_USE,
    });
    expect(section).toMatchObject({ back: 'Take Back from win11', holders: null, destinations: [] });
  });
});

test('why it is stuck is a whole sentence', () => {
  const stuck = published([card({ state: 'stuck', why: 'the step “x” hangs inside the kernel.' })]);
  expect(only({ published: stuck }).line).toBe('Needs a reboot: the step “x” hangs inside the kernel.');
});

describe('where it can go', () => {
  test('to the VMs that have it among their devices', () => {
    const machines = [
      { uuid: VM, name: 'win11', running: false, cards: [CARD] },
      { uuid: 'other', name: 'plain', running: false, cards: [] },
    ];
    expect(only({ machines }).destinations.map((one) => one.label)).toEqual(['Hand Off to win11']);
  });

  test('a VM that runs without it cannot be chosen, with the reason', () => {
    const machines = [{ uuid: VM, name: 'win11', running: true, cards: [CARD] }];
    expect(only({ machines }).destinations[0]?.reason).toBe('The VM “win11” is running already.');
  });

  test('where no VM has it, that is said once the VMs are known', () => {
    expect(only({ machines: [] }).destinationsLine).toContain('virt-manager');
    expect(only({ machines: null }).destinationsLine).toBe('');
  });

  test('who is in the way is named; what a hand-off restarts is not', () => {
    const service = holder({
      id: '7:1',
      'owner-kind': 'service',
      'owner-name': 'nvidia-powerd.service',
      'stops-by-itself': true,
    });
    const [destination] = only({ holders: { [CARD]: held(holder(), service) } }).destinations;
    expect(destination?.first).toBe('These are closed first: blender.');
  });

  test('what belongs to the session is not closed, and that is said', () => {
    const shell = holder({ 'owner-kind': 'session', process: 'gnome-shell', essential: true });
    const server = holder({
      'owner-name': '',
      'owner-kind': 'session',
      process: 'Xwayland',
      essential: true,
    });
    const section = only({ holders: { [CARD]: held(shell, server) } });
    expect(section.destinations[0]).toMatchObject({
      first: '',
      stays:
        'Part of the session: Xwayland, gnome-shell. The session lets go of the card only at log-out; hide the card from the desktop, so that the next one does not take it again.',
    });
    expect(section.holders?.map(({ button }) => button)).toEqual(['', '']);
  });

  test('nothing is offered while an operation runs', () => {
    expect(only({ published: published([card()], operation()) }).destinations).toEqual([]);
  });
});

test('that holders could not be seen is said with the reason, and nobody is called free', () => {
  expect(only({ holdersWhy: { [CARD]: 'it took too long.' } }).holdersLine).toBe(
    'Who uses it could not be seen: it took too long.',
  );
});

test('what only serves the driver is no use of the card, and not shown while it sleeps', () => {
  const service = holder({
    'owner-kind': 'service',
    'owner-name': 'nvidia-powerd.service',
    'stops-by-itself': true,
  });
  const holders = { [CARD]: held(service) };
  expect(only({ holders }).presentation.glance).toBe('host');
  expect(only({ holders }).holders).toHaveLength(1);
  const asleep = published([card({ asleep: true })]);
  expect(only({ holders, published: asleep })).toMatchObject({ holders: [], holdersLine: '' });
});

test('rows say that it is used; what keeps it here is said in any case', () => {
  expect(only({ holders: IN_USE }).line).toBe('');
  const obstacles = [{ code: 'no-iommu', sentence: 'The IOMMU is off.' }];
  expect(only({ holders: IN_USE, published: published([card({ obstacles })]) }).line).toBe(
    'The IOMMU is off.',
  );
});

describe('one row', () => {
  test('is busy from the click on, before the helper has answered', () => {
    const section = only({ holders: IN_USE, asked: [{ ...CLOSE, operation: '' }] });
    expect(section.holders?.[0]).toMatchObject({ busy: 'Closing.', button: '' });
  });

  test('stays busy between the answer and what is published', () => {
    const asked = [{ ...CLOSE, operation: 'op-2' }];
    expect(
      only({ holders: IN_USE, asked, published: published([card()], operation({ state: 'done' })) }).holders,
    ).toMatchObject([{ busy: 'Closing.' }]);
  });

  test('offers force once it would not close, with the sentence in that row alone', () => {
    const failed = ending('fail.refused-to-close', { sentence: 'It did not close.' });
    const section = only({ holders: IN_USE, asked: [CLOSE], published: published([card()], failed) });
    expect(section.holders).toMatchObject([
      { button: 'force', buttonLabel: 'Force', refused: 'It did not close.' },
    ]);
    expect(section.trouble).toBeNull();
  });

  test.each([
    ['its signal could not be sent', ending('fail.step')],
    ['the call was refused', ending('', { steps: [], error: 'Refused' })],
  ])('does not offer force where %s', (_why, failed) => {
    const section = only({ holders: IN_USE, asked: [CLOSE], published: published([card()], failed) });
    expect(section.holders).toMatchObject([{ button: 'close', refused: 'No.' }]);
  });

  test('offers force by the sentence alone where an older helper gave no key', () => {
    const sentence =
      'blender (process 42, ada) did not close within 20 s: save your work there, or force it.';
    const failed = ending('', { steps: [{ id: '42:1', title: '', state: 'failed', sentence }] });
    const section = only({ holders: IN_USE, asked: [CLOSE], published: published([card()], failed) });
    expect(section.holders).toMatchObject([{ button: 'force' }]);
  });

  test('says nothing of an app that had gone before it was closed', () => {
    const failed = ending('', { steps: [], error: 'NoSuchHolder' });
    const section = only({ holders: IN_USE, asked: [CLOSE], published: published([card()], failed) });
    expect(section.holders).toMatchObject([{ button: 'close', refused: '' }]);
    expect(section.trouble).toBeNull();
  });

  test('does not offer force where the helper refused at once', () => {
    const asked = [{ ...CLOSE, operation: '', refused: 'You are not authorized.' }];
    expect(only({ holders: IN_USE, asked }).holders).toMatchObject([
      { button: 'close', refused: 'You are not authorized.' },
    ]);
  });

  test('closing all makes those busy that are closed, not what is restarted', () => {
    const service = holder({
      id: '7:1',
      'owner-kind': 'service',
      'owner-name': 'x.service',
      'stops-by-itself': true,
    });
    const asked = [{ ...CLOSE, group: '', operation: '', vm: VM }];
    const rows = only({ holders: { [CARD]: held(holder(), service) }, asked }).holders;
    expect(rows?.map((row) => row.busy)).toEqual(['Closing.', '']);
  });
});

describe('an operation', () => {
  test('is shown step by step, with Cancel where it can be', () => {
    const { progress } = only({ published: published([card({ state: 'switching' })], operation()) });
    expect(progress).toMatchObject({
      cancellable: true,
      title: 'Handing GeForce RTX 4070 to the VM “win11”',
    });
    expect(progress?.steps.map((step) => step.word)).toEqual(['done', 'running']);
  });

  test('that failed says so until it was read', () => {
    const failed = published([card()], operation({ state: 'failed', error: 'Failed', sentence: 'No.' }));
    expect(only({ published: failed }).trouble).toMatchObject({
      title: 'The hand-off failed',
      sentence: 'No.',
      offers: [{ act: 'hand-off', vm: VM }],
    });
    expect(only({ published: failed, dismissed: ['op-1'] }).trouble).toBeNull();
  });

  test('that failed is not shown any more when the card went its way since', () => {
    const failed = operation({ state: 'failed', sentence: 'No.' });
    expect(
      only({ published: published([card({ state: 'vm', 'vm-name': 'win11' })], failed) }).trouble,
    ).toBeNull();
  });

  test('that was cancelled is no trouble', () => {
    expect(
      only({ published: published([card()], operation({ state: 'cancelled', sentence: 'x' })) }).trouble,
    ).toBeNull();
  });

  test('a VM that would not shut down can be forced off', () => {
    const failed = operation({ kind: 'take-back', state: 'failed', sentence: 'It did not shut down.' });
    const section = only({ published: published([card({ state: 'vm', 'vm-name': 'win11' })], failed) });
    expect(section.trouble?.offers.map((offer) => offer.act)).toEqual(['take-back', 'force-off']);
  });

  test('closing before a hand-off that failed offers to force and go on', () => {
    const failed = ending('fail.refused-to-close');
    const asked = [{ ...CLOSE, group: '', vm: VM }];
    const section = only({ holders: IN_USE, asked, published: published([card()], failed) });
    expect(section.trouble?.offers).toMatchObject([{ act: 'force-and-hand-off', vm: VM }]);
  });

  test('closing before a hand-off that failed for another reason offers no force', () => {
    const asked = [{ ...CLOSE, group: '', vm: VM }];
    const section = only({ holders: IN_USE, asked, published: published([card()], ending('fail.step')) });
    expect(section.trouble).toMatchObject({ sentence: 'No.', offers: [] });
  });
});

describe('a hand-off that was refused because the card is held', () => {
  const refused = operation({
    state: 'failed',
    error: 'Held',
    sentence: 'GeForce RTX 4070 is held by blender: close what holds it, or run “gpu-handoff end-holders”.',
    key: 'refuse.held',
    'value-card': 'GeForce RTX 4070',
    'value-holders': 'blender',
  });
  const failing = published([card()], refused);
  const asking: Asked = { ...CLOSE, what: 'hand-off', group: '', vm: VM, closes: [CLOSE.group] };

  test.each([
    ['', 'before the helper has answered'],
    ['op-1', 'after that'],
  ])('is no trouble of a request that goes on (operation “%s”), %s', (id) => {
    const asked = [{ ...asking, operation: id }];
    expect(only({ holders: IN_USE, asked, published: failing }).trouble).toBeNull();
  });

  test('shows those as being closed who are about to be', () => {
    const ffmpeg = holder({ id: '43:1', pid: 43, process: 'ffmpeg', 'owner-name': 'ffmpeg' });
    const holders = { [CARD]: held(holder(), ffmpeg) };
    const rows = only({ holders, asked: [asking], published: failing }).holders;
    expect(rows?.map(({ busy }) => busy)).toEqual(['Closing.', '']);
  });

  test('is shown where nobody may be closed for it', () => {
    const asked = [{ ...asking, closes: [] }];
    expect(only({ holders: IN_USE, asked, published: failing }).trouble).toMatchObject({
      sentence: 'GeForce RTX 4070 is held by blender.',
      offers: [{ act: 'close-and-hand-off' }],
    });
  });

  test('names those who hold the card now, whom its button closes', () => {
    const ffmpeg = holder({ id: '43:1', pid: 43, process: 'ffmpeg', 'owner-name': 'ffmpeg' });
    const section = only({ holders: { [CARD]: held(ffmpeg) }, published: failing });
    expect(section.trouble?.sentence).toBe('GeForce RTX 4070 is held by ffmpeg.');
  });

  test('gives way to the question about who is in the way', () => {
    const question = { card: CARD, vm: VM };
    const section = only({ holders: IN_USE, question, published: failing });
    expect(section.trouble).toBeNull();
    expect(section.destinations).toMatchObject([{ asks: true, first: 'These are closed first: blender.' }]);
  });

  test('is shown where that question cannot be asked, because the VM runs', () => {
    const machines = [{ uuid: VM, name: 'win11', running: true, cards: [CARD] }];
    const section = only({ holders: IN_USE, machines, question: { card: CARD, vm: VM }, published: failing });
    expect(section.trouble).not.toBeNull();
  });
});

test('sentences of the helper are said in the user’s language', () => {
  const german = (text: string): string =>
    text === 'The VM “{vm}” is running already.' ? 'Die VM „{vm}“ läuft schon.' : text;
  const failed = operation({
    state: 'failed',
    error: 'Refused',
    sentence: 'The VM “win11” is running already.',
  });
  const picture = pictureOf(known({ published: published([card()], failed) }), german);
  expect(picture.sections[0]?.trouble?.sentence).toBe('Die VM „win11“ läuft schon.');
});
