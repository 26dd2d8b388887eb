/** What `gpu-handoff end-holders` takes its words for, over a helper that only answers questions. */
import { afterEach, describe, expect, test, vi } from 'vitest';
import { ManagerClient } from '../../cli/src/bus/client.js';
import { stateOf } from '../../cli/src/bus/state.js';
import { command } from './support-cli.js';

const GEFORCE = '0000:01:00.0';
const RADEON = '0000:04:00.0';

interface Process {
  readonly pid: number;
  readonly process: string;
}

const BLENDER: Process = { pid: 4123, process: 'blender' };
const MPV: Process = { pid: 512, process: 'mpv' };

/** A helper with two cards for VMs, of which the second is with one; and the processes that hold the first. */
function helper(...holders: readonly Process[]): void {
  const card = (id: string, name: string, role: string, state: string) => ({ id, name, role, state });
  const cards = [
    card('0000:00:02.0', 'Iris Xe', 'igpu', 'host'),
    card(GEFORCE, 'GeForce RTX 4070 Max-Q / Mobile', 'dgpu', 'host'),
    card(RADEON, 'Radeon RX 6600', 'dgpu', 'vm'),
  ];
  const held = holders.map(({ pid, process }) => {
    const name = `${process} (process ${pid}, anna)`;
    return { id: `${pid}:7`, pid, process, name, since: 0, 'owner-kind': 'process', 'owner-name': '' };
  });
  const client = {
    state: async () => stateOf({ Cards: cards }),
    call: async (method: string, [address]: readonly unknown[]) => {
      if (method !== 'GetHolders') throw new Error(`${method} was called`);
      return { verdict: 'held', complete: true, holders: address === GEFORCE ? held : [] };
    },
    close: () => {},
  };
  vi.spyOn(ManagerClient, 'connect').mockResolvedValue(client as unknown as ManagerClient);
}

afterEach(() => {
  vi.restoreAllMocks();
});

/** The card that is meant, and the processes on it that would be ended. */
async function meant(...words: string[]): Promise<{ card: string; pids: number[] }> {
  const { out } = await command(['end-holders', '--force', '--dry-run', '--json', ...words]);
  const document = JSON.parse(out);
  if (document.cards === undefined) throw new Error(document.sentence ?? out);
  const { cards, steps } = document as { cards: { address: string }[]; steps: { id: string }[] };
  return { card: cards[0]?.address ?? '', pids: steps.map(({ id }) => Number.parseInt(id, 10)) };
}

describe('a number is a process', () => {
  test('though a card’s name has it', async () => {
    helper(BLENDER, { pid: 4070, process: 'ollama' });
    expect(await meant('4070')).toEqual({ card: GEFORCE, pids: [4070] });
  });

  test('though no such process holds the card, and then nothing is ended', async () => {
    helper(BLENDER);
    const ran = await command(['end-holders', '--force', '--dry-run', '4070']);
    expect([ran.status, ran.out]).toEqual([13, '']);
    expect(ran.err).toContain('What “4070” names does not hold the card');
  });
});

describe('a part of a card’s name', () => {
  test('is the card where no holder is called so', async () => {
    helper(BLENDER, MPV);
    expect(await meant('rtx 4070')).toEqual({ card: GEFORCE, pids: [4123, 512] });
    expect(await meant('GeForce', 'mpv')).toEqual({ card: GEFORCE, pids: [512] });
  });

  test('is the holder that is called so', async () => {
    helper(BLENDER, { pid: 77, process: 'radeon' });
    expect(await meant('radeon')).toEqual({ card: GEFORCE, pids: [77] });
  });

  test.each(['force', 'e', '/'])('is no card where it is not whole words of the name: %s', async (word) => {
    helper(BLENDER);
    expect((await command(['end-holders', '--force', '--dry-run', word])).status).toBe(13);
  });
});

describe('a card comes before its holders', () => {
  test.each(['01:00.0', GEFORCE, 'geforce rtx 4070 max-q / mobile'])('by %s', async (word) => {
    helper(BLENDER, MPV);
    expect(await meant(word, '512')).toEqual({ card: GEFORCE, pids: [512] });
    expect(await meant(word)).toEqual({ card: GEFORCE, pids: [4123, 512] });
  });
});

test('an empty word, as of a variable that is not set, ends nothing', async () => {
  helper(BLENDER, MPV);
  for (const words of [[''], [GEFORCE, '']])
    expect((await command(['end-holders', '--force', '--dry-run', ...words])).status).toBe(13);
});
