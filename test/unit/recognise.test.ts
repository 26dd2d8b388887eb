import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { recognise, translated } from '../../core/src/recognise.js';
import { say, sentence, type Translate, WORDS, type WordKey } from '../../core/src/words.js';

const KEYS = Object.keys(WORDS) as WordKey[];
/** A language in which everything stands in guillemets, places left alone. */
const marked: Translate = (text, plural, count) => `‹${plural !== undefined && count !== 1 ? plural : text}›`;

describe('a sentence from the bus', () => {
  test('is said in the user’s language, with its values', () => {
    const text = say(sentence('refuse.other-vm', { card: 'RTX 4090', owner: 'win11' }));
    expect(translated(text, marked)).toBe('‹RTX 4090 is in use by the VM “win11”: shut that VM down first.›');
  });

  test('keeps a name as it is, even when the name is a sentence of ours', () => {
    const vm = WORDS['fail.cancelled'];
    expect(translated(say(sentence('refuse.vm-running', { vm })), marked)).toBe(
      `‹The VM “${vm}” is running already.›`,
    );
  });

  test('brings the sentences inside it along', () => {
    const step = say(sentence('step.unload', { module: 'nvidia' }));
    const why = say(sentence('fail.module-busy', { module: 'nvidia' }));
    expect(translated(say(sentence('fail.step', { step, why })), marked)).toBe(
      '‹The step “‹Unload nvidia›” failed: ‹the module nvidia is in use››',
    );
  });

  test('keeps its verb before a holder that a desktop calls by another name', () => {
    const step = say(sentence('step.end-process', { holder: 'blender (process 12, alice)' }));
    expect(translated(step, marked, () => 'Blender')).toBe('‹End Blender›');
  });

  test('brings each of a list of holders along', () => {
    const holders = 'Xorg (process 12, alice), nvidia-persistenced.service (service)';
    expect(translated(say(sentence('refuse.held', { card: 'RTX', holders })), marked)).toBe(
      '‹RTX is held by ‹Xorg (process 12, alice)›, ‹nvidia-persistenced.service (service)›: close what holds it, or run “gpu-handoff end-holders”.›',
    );
  });

  test('brings a list along that was cut short', () => {
    const names = 'Xorg (process 12, alice), mpv (process 13, bob)';
    const holders = say(sentence('holder.and-more', { names, count: 2 }));
    expect(translated(say(sentence('refuse.held', { card: 'RTX', holders })), marked)).toContain(
      'by ‹‹Xorg (process 12, alice)›, ‹mpv (process 13, bob)› and 2 more›: close',
    );
  });

  test('takes the plural form of its number', () => {
    expect(translated(say(sentence('holders.partly', { count: 1 })), marked)).toMatch(/^‹1 process could/);
    expect(translated(say(sentence('holders.partly', { count: 7 })), marked)).toMatch(/^‹7 processes could/);
  });

  test('that is not ours stays as it is', () => {
    for (const text of ['', 'rmmod: ERROR: Module nvidia is in use', 'GDBus.Error: x', '日本語', '{why}'])
      expect(translated(text, marked)).toBe(text);
  });

  test('that is ours is found, whatever its values are, and never says anything else in English', () => {
    const value = fc.oneof(fc.constantFrom('RTX 4090', 'win “11”', '', 'a: b.', '(x)'), fc.string());
    fc.assert(
      fc.property(fc.constantFrom(...KEYS), value, (key, filler) => {
        const places = String(WORDS[key]).match(/\{([a-z]+)\}/g) ?? [];
        const values = Object.fromEntries(places.map((place) => [place.slice(1, -1), filler]));
        const text = say({ key, values });
        const found = recognise(text);
        if (found !== null) expect(say(found)).toBe(text);
      }),
      { numRuns: 500 },
    );
  });

  test('of every kind that the helper sends is found again', () => {
    const sent = KEYS.filter((key) => /^(refuse|error|fail|step|operation|holders|power)\./.test(key));
    for (const key of sent) {
      const places = String(WORDS[key]).match(/\{([a-z]+)\}/g) ?? [];
      const values = Object.fromEntries(places.map((place, at) => [place.slice(1, -1), `value${at}`]));
      const text = say({ key, values });
      // Two keys may share one text.
      expect(say(recognise(text) ?? sentence('state.host')), key).toBe(text);
    }
  });
});
