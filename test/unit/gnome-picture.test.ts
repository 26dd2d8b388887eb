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
  refused: '',
};

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
    const section = only({ holders: { [CARD]: held(shell) } });
    expect(section.destinations[0]).toMatchObject({ first: '' });
    expect(section.destinations[0]?.stays).toContain('gnome-shell');
    expect(section.holders?.[0]?.button).toBe('');
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
    const failed = operation({
      kind: 'end-holders',
      state: 'failed',
      error: 'Held',
      sentence: 'It did not close.',
    });
    const section = only({ holders: IN_USE, asked: [CLOSE], published: published([card()], failed) });
    expect(section.holders).toMatchObject([
      { button: 'force', buttonLabel: 'Force', refused: 'It did not close.' },
    ]);
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
    const failed = operation({ kind: 'end-holders', state: 'failed', error: 'Held', sentence: 'No.' });
    const asked = [{ ...CLOSE, group: '', vm: VM }];
    const section = only({ holders: IN_USE, asked, published: published([card()], failed) });
    expect(section.trouble?.offers).toMatchObject([{ act: 'force-and-hand-off', vm: VM }]);
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
