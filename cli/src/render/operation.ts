/** An operation's steps: drawn in place on a terminal, line by line in a pipe. */
import type { OperationDocument, StepDocument } from '../documents.js';
import type { Paper, Style, SymbolName } from './paper.js';
import { sentenceCase } from './sentences.js';

const SPINNER = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const ASCII_SPINNER = ['|', '/', '-', '\\'];

const MARKS: Readonly<Record<string, readonly [SymbolName, Style]>> = {
  done: ['done', 'green'],
  failed: ['failed', 'red'],
  undone: ['undone', 'yellow'],
  waiting: ['waiting', 'dim'],
};

/** Seconds that a step has been running for, worth saying from the second on. */
const WORTH_SAYING_MS = 2000;

function spinner(paper: Paper, frame: number): string {
  const frames = paper.kind.unicode ? SPINNER : ASCII_SPINNER;
  return frames[frame % frames.length] ?? '';
}

/** One step in exactly one line, so that a redraw knows how many lines there are. */
export function stepLine(paper: Paper, step: StepDocument, frame: number, runningMs: number): string {
  const [symbol, style] = MARKS[step.state] ?? (['waiting', 'cyan'] as const);
  const mark = step.state === 'running' ? spinner(paper, frame) : paper.symbol(symbol);
  const seconds = Math.floor(runningMs / 1000);
  const since = step.state === 'running' && runningMs >= WORTH_SAYING_MS ? `  ${seconds} s` : '';
  const room = (paper.columns ?? 80) - 4 - since.length;
  const title = paper.fit(step.title, room);
  const shown = step.state === 'waiting' || step.state === 'undone' ? paper.dim(title) : title;
  return `  ${paper.style(step.state === 'running' ? 'cyan' : style, mark)} ${shown}${paper.dim(since)}`;
}

/**
 * The steps in at most so many lines. Where there are more, those that are over become one line, and then those that
 * are to come.
 */
export function stepLines(
  paper: Paper,
  steps: readonly StepDocument[],
  frame: number,
  runningMs: number,
  most: number,
): string[] {
  const lines = steps.map((step) => stepLine(paper, step, frame, runningMs));
  if (lines.length <= most) return lines;
  const firstOpen = steps.findIndex((step) => step.state === 'running' || step.state === 'waiting');
  const over = firstOpen < 0 ? steps.length : firstOpen;
  const room = Math.max(1, most - 2);
  const from = Math.max(0, Math.min(over, lines.length - room));
  const shown = lines.slice(from, from + room);
  const before = from > 0 ? [`    ${paper.dim(`${from} steps before`)}`] : [];
  const left = lines.length - from - shown.length;
  const after = left > 0 ? [`    ${paper.dim(`${left} more steps`)}`] : [];
  return [...before, ...shown, ...after];
}

/** How an operation ended, in a sentence. */
export function outcome(operation: OperationDocument, cardNames: string): string {
  if (operation.state !== 'done')
    return operation.sentence ?? `${sentenceCase(operation.title)} did not end well.`;
  switch (operation.kind) {
    case 'hand-off':
      return `The VM “${operation.vm?.name ?? ''}” has ${cardNames} now.`;
    case 'take-back':
      return `${cardNames} is at home again.`;
    case 'end-holders':
      return operation.sentence ?? `What was to end does not hold ${cardNames} any more.`;
    default:
      return `Done: ${operation.title}.`;
  }
}

/** The last line of an operation. */
export function outcomeLine(paper: Paper, operation: OperationDocument, cardNames: string): string {
  const good = operation.state === 'done';
  const symbol = good ? 'done' : 'failed';
  const lead = `${paper.style(good ? 'green' : 'red', paper.symbol(symbol))} `;
  return paper.wrap(outcome(operation, cardNames), 2, lead);
}

const SAID: Readonly<Record<string, string>> = { done: 'done', failed: 'failed', undone: 'undone' };

/** What has changed between two looks at an operation, as lines for a log. */
export function newLines(last: OperationDocument | null, now: OperationDocument): string[] {
  const before = last?.id === now.id ? last : null;
  const lines: string[] = [];
  if (before === null || before.title !== now.title) lines.push(sentenceCase(now.title));
  // Steps of the way back may have the id of a step before, so they are compared by their place.
  now.steps.forEach((step, i) => {
    const said = SAID[step.state];
    if (said === undefined || before?.steps[i]?.state === step.state) return;
    const why = step.sentence === null ? '' : `: ${step.sentence}`;
    lines.push(`  ${said}: ${step.title}${why}`);
  });
  return lines;
}
