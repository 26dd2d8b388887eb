import { expect, test } from 'vitest';
import { DEFAULT_CONFIG } from '../../core/src/config.js';
import { configFrom, loadConfig } from '../../core/src/linux/config-file.js';
import { Tree } from './support-tree.js';

test('no file: the defaults, and no fault', async () => {
  expect(await loadConfig('/nonexistent/config.toml')).toEqual({ config: DEFAULT_CONFIG, faults: [] });
});

test('a file that cannot be read is a fault', async () => {
  const tree = new Tree();
  tree.directory('config.toml');
  const { config, faults } = await loadConfig(tree.path('config.toml'));
  expect(config).toEqual(DEFAULT_CONFIG);
  expect(faults).toMatchObject([{ line: 0 }]);
});

test('every form of a key', async () => {
  const tree = new Tree();
  tree.file(
    'config.toml',
    [
      '# comment',
      'helper.idle-seconds = 90',
      'take-back = { guest-shutdown-seconds = 300 }',
      '[cards]',
      'igpu = "0000:00:02.0"',
      "dgpu = [ '0000:01:00.0', # one",
      '  "0000:02:00.0" ]',
      '[hand-off]',
      '"step-seconds" = 60',
      'services = []',
    ].join('\n'),
  );
  expect(await loadConfig(tree.path('config.toml'))).toEqual({
    config: {
      ...DEFAULT_CONFIG,
      idleSeconds: 90,
      guestShutdownSeconds: 300,
      igpu: '0000:00:02.0',
      dgpus: ['0000:01:00.0', '0000:02:00.0'],
      stepSeconds: 60,
      services: [],
    },
    faults: [],
  });
});

test('each fault has its line, and the rest counts', async () => {
  const { config, faults } = await configFrom(
    [
      'cards = { igpu = "card0" }', // 1
      '', //
      '[hand-off]', // 3
      'step-seconds = "60"', // 4
      'services = [', // 5
      '  "rm -rf /",',
      ']',
      'unknown = 1', // 8
      '[helper]',
      'idle-seconds = 120', // 10
      '[[extra]]',
      'x = 1', // 12
      '[take-back]',
      'guest-shutdown-seconds = 1979-05-27', // 14
    ].join('\n'),
  );
  expect(faults.map((fault) => fault.line)).toEqual([1, 4, 5, 8, 12, 14]);
  expect(faults[0]?.why).toContain('cards.igpu');
  expect(config).toEqual({ ...DEFAULT_CONFIG, idleSeconds: 120 });
});

test.each([
  ['[cards]\nigpu = \n', 2],
  ['[cards]\nx = 1\nx = 2\n', 3],
  ['[cards]\nigpu =\n\n[x]\n', 2],
  ['a\n\nb = 1', 1],
  ['\n\n[cards', 3],
  ['a = "\\q"', 1],
])('what is no TOML is a fault: %j', async (text, line) => {
  const { config, faults } = await configFrom(text);
  expect(config).toEqual(DEFAULT_CONFIG);
  expect(faults).toHaveLength(1);
  expect(faults[0]?.line).toBe(line);
});

test('names that mean something to JavaScript are only unknown', async () => {
  const { faults } = await configFrom('__proto__ = 1\nconstructor.prototype = 2\n');
  expect(faults.map((fault) => fault.line)).toEqual([1, 2]);
});
