import { describe, expect, test } from 'vitest';
import { newsOf } from '../../core/src/desktop/news.js';
import { type Asked, pictureOf, type Section } from '../../core/src/desktop/picture.js';
import { CARD, card, held, holder, known, operation, published, VM } from './support-desktop.js';

const NAME = 'GeForce RTX 4070 Max-Q / Mobile';
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

function only(more: Parameters<typeof known>[0], ...look: Parameters<typeof pictureOf>[2][]): Section {
  const [section] = pictureOf(known(more), undefined, look[0]).sections;
  if (section === undefined) throw new Error('no section');
  return section;
}

/** An operation that failed with a sentence as the helper sends it: the text, its key and its values. */
function failure(kind: string, sentence: string, key: string, values: Readonly<Record<string, string>>) {
  const sent = Object.entries(values).map(([name, value]) => [`value-${name}`, value]);
  return operation({ kind, state: 'failed', error: 'Held', sentence, key, ...Object.fromEntries(sent) });
}

describe('who holds the card is called in sentences', () => {
  const holders = { [CARD]: held(holder(), holder({ id: '43:1', pid: 43 })) };
  const named = 'org.blender.Blender (process 42, ada)';
  const refused = failure('end-holders', `${named} did not close.`, 'fail.refused-to-close', {
    holder: named,
    seconds: '10',
  });

  test('as in its row', () => {
    const section = only({ holders, asked: [CLOSE], published: published([card()], refused) });
    expect(section.holders?.[0]?.refused).toBe(
      'blender did not close within 10 s: save your work there, or force it.',
    );
  });

  test('by the app’s own name where the desktop knows it, once for all its processes', () => {
    const list = `${named}, org.blender.Blender (process 43, ada), nvidia-powerd.service (service)`;
    const text = `${NAME} is held by ${list}: close what holds it, or run “gpu-handoff end-holders”.`;
    const look = () => ({ app: 'org.blender.Blender', name: 'Blender', background: false });
    const failed = operation({ state: 'failed', error: 'Held', sentence: text });
    const section = only({ holders, published: published([card({ name: NAME })], failed) }, look);
    expect(section.trouble?.sentence).toMatch(/^GeForce RTX 4070 is held by Blender, nvidia-powerd: close/);
  });

  test('without advice for who types commands: buttons stand beneath', () => {
    const list = `${named}, nvidia-powerd.service (service)`;
    const failed = failure('hand-off', `${NAME} is held by ${list}: close it.`, 'refuse.held', {
      card: NAME,
      holders: list,
    });
    const service = { 'owner-kind': 'service', 'owner-name': 'nvidia-powerd.service' };
    const both = { [CARD]: held(holder(), holder({ id: '44:1', pid: 44, ...service })) };
    const section = only({ holders: both, published: published([card({ name: NAME })], failed) });
    expect(section.trouble?.sentence).toBe('GeForce RTX 4070 is held by blender, nvidia-powerd.');
    const [news] = newsOf(published([card({ name: NAME })]), published([card({ name: NAME })], failed));
    expect(news?.body).toMatch(/^GeForce RTX 4070 is held by [^:]*$/);
  });

  test('by its id where nothing else is known of it', () => {
    const gone = published([card()], refused);
    const asked = [{ ...CLOSE, group: '', vm: VM }];
    expect(only({ asked, published: gone }).trouble?.sentence).toMatch(
      /^org\.blender\.Blender did not close/,
    );
  });
});

describe('the card', () => {
  const title = (name: string): string => `Keep ${name} awake`;
  const steps = (...names: string[]): readonly string[] => {
    const cards = names.map((name, at) => card({ id: `0000:0${at + 1}:00.0`, name, state: 'switching' }));
    const sent = names.map((name) => ({ id: 'power', title: title(name), state: 'running', sentence: '' }));
    return (
      only({ published: published(cards, operation({ steps: sent })) }).progress?.steps.map(
        (one) => one.title,
      ) ?? []
    );
  };

  test.each([
    [NAME, 'GeForce RTX 4070'],
    ['Arc A770', 'Arc A770'],
    ['Radeon RX 6600/6600 XT', 'Radeon RX 6600/6600 XT'],
    ['Radeon RX 7900 XT/7900 XTX/7900 GRE', 'Radeon RX 7900 XT…'],
  ])('%s is called %s in steps, below its whole name', (name, brief) => {
    expect(steps(name)).toEqual([title(brief)]);
    expect(only({ published: published([card({ name })]) }).name).toBe(name);
  });

  test('keeps its whole name where another would have the same', () => {
    expect(steps(NAME, 'GeForce RTX 4070')).toEqual([title(NAME), title('GeForce RTX 4070')]);
  });
});
