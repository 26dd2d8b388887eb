import { describe, expect, test } from 'vitest';
import { pictureOf } from '../../core/src/desktop/picture.js';
import { offersToRun } from '../../core/src/desktop/run-offer.js';
import { card, known, published, VM } from './support-desktop.js';

const APP = { running: false, special: [], problem: '' };
const picture = (...cards: Parameters<typeof published>[0]): ReturnType<typeof pictureOf> =>
  pictureOf(known({ published: published(cards) }));

describe('“Run on dGPU”', () => {
  test('can be chosen while the card is at home, asleep or not', () => {
    for (const asleep of [true, false])
      expect(offersToRun(picture(card({ asleep })), APP, true)).toMatchObject([
        { label: 'Run on dGPU', reason: '' },
      ]);
  });

  test('says why not while a VM has it', () => {
    const away = picture(card({ state: 'vm', 'vm-name': 'win11', 'vm-uuid': VM }));
    expect(offersToRun(away, APP, true)[0]?.reason).toBe(
      'The VM “win11” has it; taking it back shuts the VM down.',
    );
  });

  test('says that the package is missing', () => {
    expect(offersToRun(picture(card()), APP, false)[0]?.reason).toContain('not installed');
  });

  test('an app of one instance that runs already is told apart', () => {
    const single = { running: true, special: ['single-instance'], problem: '' };
    expect(offersToRun(picture(card()), single, true)[0]?.reason).toContain('running already');
    expect(offersToRun(picture(card()), { ...single, running: false }, true)[0]?.reason).toBe('');
    expect(offersToRun(picture(card()), { ...single, special: [] }, true)[0]?.reason).toBe('');
  });

  test('several cards are named', () => {
    const two = picture(card(), card({ id: '0000:02:00.0', name: 'Radeon', state: 'detached' }));
    const offers = offersToRun(two, APP, true);
    expect(offers.map((offer) => offer.label)).toEqual(['Run on GeForce RTX 4070', 'Run on Radeon']);
    expect(offers.map((offer) => offer.reason === '')).toEqual([true, false]);
  });

  test('there is none on a machine without a second card', () => {
    expect(offersToRun(picture(card({ role: 'igpu' })), APP, true)).toEqual([]);
  });
});
