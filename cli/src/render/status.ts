/** What `gpu-handoff status` looks like: one block for each card, and what else is to be known. */

import type { FaultDocument, OperationDocument, ShownCardDocument, StatusDocument } from '../documents.js';
import type { Paper, Style, SymbolName } from './paper.js';
import { HANDOFF_TITLE, sentenceCase } from './sentences.js';

interface Look {
  readonly symbol: SymbolName;
  readonly style: Style;
}

const LOOKS: Readonly<Record<string, Look>> = {
  host: { symbol: 'host', style: 'green' },
  vm: { symbol: 'vm', style: 'cyan' },
  detached: { symbol: 'detached', style: 'yellow' },
  switching: { symbol: 'switching', style: 'cyan' },
  stuck: { symbol: 'stuck', style: 'red' },
  unknown: { symbol: 'unknown', style: 'yellow' },
};
const OTHER: Look = { symbol: 'unavailable', style: 'dim' };
const ASLEEP: Look = { symbol: 'asleep', style: 'dim' };

const ROLES: Readonly<Record<string, string>> = { igpu: 'iGPU', dgpu: 'dGPU' };

function lookOf(card: ShownCardDocument): Look {
  if (card.role !== 'igpu' && card.role !== 'dgpu') return OTHER;
  if (card.state === 'host' && card.asleep && (card.holders?.names.length ?? 0) === 0) return ASLEEP;
  return LOOKS[card.state] ?? OTHER;
}

/** `Used by 2 apps or services.` with their names where they are known. */
function stateLine(card: ShownCardDocument): string {
  const names = card.holders?.names ?? [];
  if (names.length === 0 || card.state !== 'host') return card.line;
  const shown = names.slice(0, 4);
  const more = names.length - shown.length;
  const list = shown.join(', ') + (more > 0 ? ` and ${more} more` : '');
  return `${card.line.replace(/\.$/, '')}: ${list}.`;
}

/** Services that a hand-off stops by itself are no news; a use that nobody explains is. */
function kernelLine(card: ShownCardDocument): string | null {
  const { holders } = card;
  if (holders === null || holders.kernel.length === 0 || card.state !== 'host') return null;
  const modules = holders.kernel.join(', ');
  return `It is in use (${modules}), but no process was found that has it open.`;
}

function cardBlock(paper: Paper, card: ShownCardDocument): string {
  const { symbol, style } = lookOf(card);
  const lead = `${paper.style(style, paper.symbol(symbol))} `;
  const role = ROLES[card.role];
  const dot = ` ${paper.symbol('dot')} `;
  const about = [card.vendor, card.address, ...(card.external ? ['external'] : [])];
  if (role !== undefined) about.push(card.reason === '' ? role : `${role}: ${card.reason}`);
  const lines = [
    paper.sides(
      card.name,
      card.label,
      lead,
      (text) => paper.bold(text),
      (text) => paper.style(style, text),
    ),
    paper.wrap(about.join(dot), 2, '  ', 'dim'),
  ];
  const obstacle = card.obstacles[0]?.sentence;
  const line = stateLine(card);
  if (line !== '' && line !== obstacle) lines.push(paper.wrap(line, 2));
  const kernel = kernelLine(card);
  if (kernel !== null) lines.push(warning(paper, kernel, '!'));
  if (card.holders?.sentence) lines.push(warning(paper, card.holders.sentence, '?'));
  const obstacles =
    card.role === 'igpu' ? card.obstacles.filter((one) => one.code === 'one-card') : card.obstacles;
  for (const one of card.role === 'dgpu' || card.role === 'igpu' ? obstacles : [])
    lines.push(warning(paper, one.sentence, '!'));
  return lines.join('\n');
}

function warning(paper: Paper, sentence: string, mark: '!' | '?'): string {
  return paper.wrap(sentence, 4, `  ${paper.style('yellow', mark)} `);
}

/** The running operation in a line, or how the last one failed. */
export function operationLine(paper: Paper, operation: OperationDocument): string | null {
  const title = sentenceCase(operation.title);
  if (operation.state === 'running') {
    const at = operation.steps.findIndex((step) => step.state === 'running');
    const step = operation.steps[at];
    const where = step === undefined ? '' : ` (step ${at + 1} of ${operation.steps.length}: ${step.title})`;
    const lead = `${paper.style('cyan', paper.symbol('switching'))} `;
    return paper.wrap(`${title}${where}. ${HANDOFF_TITLE.follow}`, 2, lead);
  }
  if (operation.state !== 'failed') return null;
  const lead = `${paper.style('red', paper.symbol('failed'))} `;
  return paper.wrap(`${title} failed: ${operation.sentence ?? ''}`, 2, lead);
}

export function faultLine(paper: Paper, fault: FaultDocument): string {
  const where = fault.line > 0 ? `line ${fault.line}: ` : '';
  return paper.wrap(`Configuration, ${where}${fault.sentence}`, 2, `${paper.style('yellow', '!')} `);
}

export function renderStatus(paper: Paper, status: StatusDocument): string {
  const blocks = status.cards.map((card) => cardBlock(paper, card));
  if (blocks.length === 0) blocks.push(paper.wrap('No graphics card was found on this machine.', 0));
  const operation = status.operation === null ? null : operationLine(paper, status.operation);
  if (operation !== null) blocks.push(operation);
  const rest = [
    ...status.faults.map((fault) => faultLine(paper, fault)),
    ...status.notes.map((note) => paper.wrap(note, 2, `${paper.style('yellow', '!')} `)),
  ];
  if (rest.length > 0) blocks.push(rest.join('\n'));
  return `${blocks.join('\n\n')}\n`;
}
