import { describe, expect, test } from 'vitest';
import type { HolderReport } from '../../core/src/holders.js';
import { type CardFacts, holdersLine, present } from '../../core/src/present.js';

const base: CardFacts = {
  name: 'RTX 4070',
  role: 'dgpu',
  state: 'host',
  asleep: false,
  driver: 'nvidia',
  vmName: '',
  why: '',
  obstacle: '',
};
const shown = (more: Partial<CardFacts>, holders = 0) => present({ ...base, ...more }, holders);

describe('a card', () => {
  test.each([
    [{}, 0, 'host', 'calm', 'At home', 'Ready for Linux apps (nvidia).'],
    [
      { asleep: true },
      0,
      'asleep',
      'calm',
      'Asleep',
      'Switched off to save power; wakes when an app uses it.',
    ],
    [{}, 2, 'held', 'calm', 'In use', 'Used by 2 apps or services.'],
    [
      { asleep: true },
      1,
      'asleep',
      'calm',
      'Asleep',
      'Switched off to save power; wakes when an app uses it.',
    ],
    [
      { state: 'vm', vmName: 'win11' },
      0,
      'vm',
      'calm',
      'In win11',
      'The VM “win11” has it; taking it back shuts the VM down.',
    ],
    [
      { state: 'detached', driver: '' },
      0,
      'detached',
      'warning',
      'Detached',
      'Neither the host nor a VM uses it; take it back to use it here.',
    ],
    [
      { state: 'switching', why: 'handing it over' },
      0,
      'switching',
      'busy',
      'Changing',
      'Changing hands: handing it over.',
    ],
    [{ state: 'stuck', why: 'it hangs.' }, 0, 'stuck', 'bad', 'Stuck', 'Needs a reboot: it hangs.'],
    [{ state: 'unknown', why: 'Ask as root.' }, 0, 'unavailable', 'warning', 'Not available', 'Ask as root.'],
  ] as const)('%j with %i holders', (more, holders, glance, tone, label, line) => {
    expect(shown(more, holders)).toMatchObject({
      glance,
      tone,
      label,
      line,
      icon: `gpu-handoff-${glance}-symbolic`,
    });
  });

  test.each([
    [{}, 0, ['launch', 'hand-off']],
    [{ asleep: true }, 0, ['launch', 'hand-off']],
    [{}, 3, ['launch', 'hand-off', 'end-holders']],
    [{ obstacle: 'The IOMMU is off.' }, 0, ['launch']],
    [{ state: 'vm' }, 0, ['take-back', 'force-off']],
    [{ state: 'detached' }, 0, ['take-back']],
    [{ state: 'switching' }, 0, ['cancel']],
    [{ state: 'stuck' }, 0, ['doctor']],
    [{ state: 'unknown' }, 0, ['doctor']],
  ] as const)('%j with %i holders offers %j', (more, holders, actions) => {
    expect(shown(more, holders).actions).toEqual(actions);
  });

  test('that serves the monitors is never handed off, and nothing of the session is ended for it', () => {
    for (const holders of [0, 4]) {
      const { actions } = shown({ role: 'igpu', obstacle: 'It serves the monitors.' }, holders);
      expect(actions).not.toContain('hand-off');
      expect(actions).not.toContain('end-holders');
    }
  });

  test('at the host says what stands in its way, when something does', () => {
    expect(shown({ obstacle: 'The IOMMU is off.' }).line).toBe('The IOMMU is off.');
    expect(shown({ obstacle: 'The IOMMU is off.', state: 'vm', vmName: 'x' }).line).toBe(
      'The VM “x” has it; taking it back shuts the VM down.',
    );
  });

  test('in a VM with a long or hostile name shows it short and safe', () => {
    const { label, line } = shown({ state: 'vm', vmName: `\u001b[31m${'x'.repeat(100)}` });
    expect(label.length).toBeLessThanOrEqual('In '.length + 24);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
    expect(label + line).not.toMatch(/[\u0000-\u001f]/);
  });

  test('is shown in the user’s language', () => {
    const german = (text: string) => (text === 'Asleep' ? 'Schläft' : text);
    expect(present({ ...base, asleep: true }, 0, german).label).toBe('Schläft');
  });
});

describe('the line over the holders', () => {
  const report = (more: Partial<HolderReport>): HolderReport => ({
    verdict: 'unknown',
    passMade: true,
    complete: true,
    holders: [],
    kernel: [],
    unseen: 0,
    ...more,
  });

  test.each([
    [report({ verdict: 'free' }), 'Nobody holds RTX.'],
    [
      report({ unseen: 1 }),
      'Nobody seen, but 1 process could not be looked into: ask as root, or through the helper.',
    ],
    [
      report({ unseen: 4 }),
      'Nobody seen, but 4 processes could not be looked into: ask as root, or through the helper.',
    ],
    [report({ complete: false }), 'The look at the processes was cut short, so there may be more.'],
    [report({ verdict: 'held', kernel: [{ module: 'nvidia', count: 1 }] }), ''],
    [
      report({ verdict: 'held', kernel: [{ module: 'nvidia', count: 1 }], unseen: 2 }),
      '2 processes could not be looked into.',
    ],
    [
      report({ verdict: 'held', kernel: [{ module: 'nvidia', count: 1 }], complete: false }),
      'The look at the processes was cut short, so there may be more.',
    ],
  ])('%j', (what, line) => {
    expect(holdersLine('RTX', what)).toBe(line);
  });
});
