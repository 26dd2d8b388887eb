/** What the helper publishes, made up for the tests of what desktops show. */
import { type Known, NOTHING_KNOWN } from '../../core/src/desktop/picture.js';
import { type HoldersPublished, holdersFrom, publishedFrom } from '../../core/src/desktop/published.js';

export const CARD = '0000:01:00.0';
export const VM = '11111111-2222-3333-4444-555555555555';

type Plain = Readonly<Record<string, unknown>>;

export function card(more: Plain = {}): Plain {
  return {
    id: CARD,
    name: 'GeForce RTX 4070',
    role: 'dgpu',
    state: 'host',
    asleep: false,
    driver: 'nvidia',
    'vm-uuid': '',
    'vm-name': '',
    why: '',
    obstacles: [],
    ...more,
  };
}

export function operation(more: Plain = {}): Plain {
  return {
    id: 'op-1',
    kind: 'hand-off',
    title: 'handing GeForce RTX 4070 to the VM “win11”',
    cards: [CARD],
    'vm-uuid': VM,
    'vm-name': 'win11',
    state: 'running',
    cancellable: true,
    steps: [
      { id: 'preflight', title: 'Check that the card can leave', state: 'done', sentence: '' },
      { id: 'unload', title: 'Unload nvidia', state: 'running', sentence: '' },
    ],
    error: '',
    sentence: '',
    started: 1000,
    ...more,
  };
}

export function published(cards: readonly Plain[], running: Plain = {}): ReturnType<typeof publishedFrom> {
  return publishedFrom({ Version: '1', Cards: cards, Operation: running });
}

export function holder(more: Plain = {}): Plain {
  return {
    id: '42:1',
    pid: 42,
    user: 'ada',
    process: 'blender',
    'owner-kind': 'app',
    'owner-name': 'org.blender.Blender',
    nodes: ['/dev/nvidia0'],
    'gpu-memory': 0,
    essential: false,
    'stops-by-itself': false,
    ...more,
  };
}

export function held(...holders: readonly Plain[]): HoldersPublished {
  return holdersFrom({ verdict: 'held', complete: true, unseen: 0, sentence: '', holders, kernel: [] });
}

export const FREE: HoldersPublished = holdersFrom({ verdict: 'free', complete: true, sentence: '' });

export function known(more: Partial<Known> = {}): Known {
  return {
    ...NOTHING_KNOWN,
    link: 'live',
    published: published([card()]),
    machines: [{ uuid: VM, name: 'win11', running: false, cards: [CARD] }],
    me: 'ada',
    ...more,
  };
}
