import { describe, expect, test } from 'vitest';
import type { OperationDocument, StepDocument } from '../../cli/src/documents.js';
import { progressOn } from '../../cli/src/progress.js';
import { newLines, outcome, stepLines } from '../../cli/src/render/operation.js';
import { outlet, paper } from './support-cli.js';

function step(id: string, state: string, sentence: string | null = null): StepDocument {
  return { id, title: `Do ${id}`, state, sentence };
}

function operation(steps: readonly StepDocument[], more: Partial<OperationDocument> = {}): OperationDocument {
  return {
    id: 'x-1',
    kind: 'hand-off',
    title: 'handing GeForce to the VM “win11”',
    cards: ['0000:01:00.0'],
    vm: { uuid: 'u', name: 'win11' },
    state: 'running',
    cancellable: true,
    steps,
    error: null,
    sentence: null,
    user: 'anna',
    ...more,
  };
}

describe('on a terminal', () => {
  test('each step is one line with its mark', () => {
    const steps = [step('a', 'done'), step('b', 'failed'), step('c', 'running'), step('d', 'waiting')];
    expect(stepLines(paper(40), steps, 0, 3500, 20)).toEqual([
      '  ✓ Do a',
      '  ✗ Do b',
      '  ⠋ Do c  3 s',
      '  · Do d',
    ]);
  });

  test('more steps than the terminal has lines are folded around the running one', () => {
    const steps = Array.from({ length: 30 }, (_, i) =>
      step(String(i), i < 20 ? 'done' : i === 20 ? 'running' : 'waiting'),
    );
    const lines = stepLines(paper(40), steps, 0, 0, 8);
    expect(lines.length).toBeLessThanOrEqual(8);
    expect(lines.some((line) => line.includes('Do 20'))).toBe(true);
    expect(lines[0]).toContain('20 steps before');
  });

  test('what is drawn is drawn over, and the cursor comes back', () => {
    const out = outlet(paper(40), true);
    const progress = progressOn(out, false, () => 0);
    progress.show(operation([step('a', 'running')]));
    progress.end(operation([step('a', 'done')], { state: 'done' }));
    const text = out.text();
    expect(text.startsWith('\u001b[?25l')).toBe(true);
    expect(text.endsWith('\u001b[?25h')).toBe(true);
    // Title and one step were drawn, so two lines are taken back.
    expect(text).toContain('\u001b[2A\u001b[J');
    expect(text.slice(text.lastIndexOf('\u001b[J') + 3)).toContain('✓ Do a');
  });
});

describe('in a pipe', () => {
  test('each thing is said once', () => {
    const out = outlet();
    const progress = progressOn(out, false);
    progress.show(operation([step('a', 'running'), step('b', 'waiting')]));
    progress.show(operation([step('a', 'done'), step('b', 'running')]));
    progress.show(operation([step('a', 'done'), step('b', 'running')]));
    progress.end(operation([step('a', 'undone'), step('b', 'failed', 'It was busy.')], { state: 'failed' }));
    expect(out.text()).toBe(
      [
        'Handing GeForce to the VM “win11”',
        '  done: Do a',
        '  undone: Do a',
        '  failed: Do b: It was busy.',
        '',
      ].join('\n'),
    );
  });

  test('steps of the way back with the id of a step before are told apart', () => {
    const before = operation([step('a', 'done')]);
    expect(newLines(before, operation([step('a', 'done'), step('a', 'done')]))).toEqual(['  done: Do a']);
  });

  test('nothing is said where only JSON is wanted', () => {
    const out = outlet();
    progressOn(out, true).show(operation([step('a', 'done')]));
    expect(out.text()).toBe('');
  });
});

test('how it ended is one sentence', () => {
  expect(outcome(operation([], { state: 'done' }), 'GeForce')).toBe('The VM “win11” has GeForce now.');
  const failed = operation([], { state: 'failed', sentence: 'It is held.' });
  expect(outcome(failed, 'GeForce')).toBe('It is held.');
  const back = operation([], { state: 'done', kind: 'take-back' });
  expect(outcome(back, 'GeForce')).toBe('GeForce is at home again.');
});
