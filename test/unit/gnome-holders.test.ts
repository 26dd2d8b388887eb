import { describe, expect, test } from 'vitest';
import { groupHolders, sayMemory, toClose } from '../../core/src/desktop/holder-groups.js';
import { holdersFrom } from '../../core/src/desktop/published.js';
import { held, holder } from './support-desktop.js';

/** Spaces at which no line breaks, written as underscores. */
const kept = (line: string): string => line.replace(/_/g, '\u00a0');

describe('holders in groups', () => {
  test('processes of one app are one row with their memory together', () => {
    const groups = groupHolders(
      held(
        holder({ 'gpu-memory': 1024 ** 3 }),
        holder({ id: '43:1', pid: 43, process: 'blender-render', 'gpu-memory': 1024 ** 3 }),
      ),
      'ada',
    );
    expect(groups).toMatchObject([
      { name: 'blender', ids: ['42:1', '43:1'], line: kept('2.0_GiB_· draws_with_it_· 2_processes') },
    ]);
  });

  test('the same app of two people is two rows, and the other’s is marked', () => {
    const groups = groupHolders(held(holder(), holder({ id: '9:1', user: 'eve' })), 'ada');
    expect(groups.map((group) => group.line)).toEqual(['Draws_with_it', 'Draws_with_it_· of_eve'].map(kept));
  });

  test('apps come before services, and the session’s own parts last', () => {
    const groups = groupHolders(
      held(
        holder({
          id: '1:1',
          'owner-kind': 'session',
          process: 'gnome-shell',
          'owner-name': '',
          essential: true,
        }),
        holder({ id: '2:1', 'owner-kind': 'service', 'owner-name': 'ollama.service' }),
        holder(),
      ),
      'ada',
    );
    expect(groups.map((group) => group.name)).toEqual(['blender', 'ollama', 'gnome-shell']);
    expect(groups.map((group) => group.endLabel)).toEqual(['Close', 'Stop', '']);
  });

  test.each([
    [['/dev/nvidia0', '/dev/nvidia-uvm'], 'Computes on it'],
    [['/dev/dri/renderD129'], 'Draws with it'],
    [['/dev/dri/card1'], 'Drives its monitors'],
    [['/dev/snd/controlC1'], 'Plays sound through its monitors'],
    [['dma-buf'], 'Shows pictures that it made'],
    [['/dev/nvidiactl'], 'Asks its driver'],
  ])('%o: %s', (nodes, line) => {
    expect(groupHolders(held(holder({ nodes })), 'ada')[0]?.line.replace(/\u00a0/g, ' ')).toBe(line);
  });

  test('a sound server is not to be stopped, since it lets go by itself', () => {
    const server = { 'owner-kind': 'user-service', 'owner-name': 'wireplumber.service' };
    const [group] = groupHolders(
      held(holder({ ...server, nodes: ['/dev/snd/controlC1'], 'stops-by-itself': true })),
      'ada',
    );
    expect(group).toMatchObject({ name: 'wireplumber', stopsByItself: true, endLabel: '' });
    expect(group?.line.replace(/\u00a0/g, ' ')).toBe(
      'Background service · plays sound through its monitors · lets go for a hand-off',
    );
  });

  test('the desktop’s name of an app counts, and that it has no window', () => {
    const groups = groupHolders(held(holder()), 'ada', undefined, () => ({
      app: 'org.blender.Blender',
      name: 'Blender',
      background: true,
    }));
    expect(groups).toMatchObject([{ name: 'Blender', line: kept('In the background_· draws_with_it') }]);
  });

  test('the kernel is shown and cannot be closed', () => {
    const report = holdersFrom({ verdict: 'held', complete: true, kernel: [{ module: 'nvidia', count: 1 }] });
    const groups = groupHolders(report, 'ada');
    expect(groups).toMatchObject([{ name: 'nvidia', line: 'Part of the kernel', endLabel: '' }]);
    expect(toClose(groups)).toEqual([]);
  });

  test.each([
    [1, '1 MiB'],
    [812 * 1024 ** 2, '812 MiB'],
    [1536 * 1024 ** 2, '1.5 GiB'],
    [1024 ** 3 * 23.98, '24.0 GiB'],
  ])('%i bytes are %s', (bytes, text) => {
    expect(sayMemory(bytes)).toBe(text);
  });
});
