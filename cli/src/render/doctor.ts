/** What `gpu-handoff doctor` looks like: the checks in groups, each with its answer, and advice where it is needed. */
import type { CheckDocument, CheckResult, DoctorDocument } from '../documents.js';
import type { Paper, Style, SymbolName } from './paper.js';

const MARKS: Readonly<Record<CheckResult, readonly [SymbolName, Style]>> = {
  ok: ['done', 'green'],
  missing: ['failed', 'red'],
  differs: ['note', 'yellow'],
  'cannot-tell': ['unknown', 'yellow'],
};

function checkBlock(paper: Paper, check: CheckDocument): string {
  const [symbol, style] = MARKS[check.result];
  const lead = `  ${paper.style(style, paper.symbol(symbol))} `;
  const lines = [paper.wrap(`${check.title}: ${check.sentence}`, 4, lead)];
  if (check.advice !== null) lines.push(paper.wrap(check.advice, 6, `    ${paper.symbol('arrow')} `, 'bold'));
  return lines.join('\n');
}

function summary(paper: Paper, document: DoctorDocument): string {
  const checks = document.groups.flatMap((group) => group.checks);
  const open = checks.filter((check) => check.result === 'missing' || check.result === 'differs').length;
  const unclear = checks.filter((check) => check.result === 'cannot-tell').length;
  if (open === 0 && unclear === 0) return paper.style('green', paper.plain('Everything is in order.'));
  const parts: string[] = [];
  if (open > 0) parts.push(open === 1 ? '1 thing to do' : `${open} things to do`);
  if (unclear > 0) parts.push(unclear === 1 ? '1 could not be told' : `${unclear} could not be told`);
  return paper.wrap(`${parts.join(', ')}.`, 0);
}

export function renderDoctor(paper: Paper, document: DoctorDocument): string {
  const groups = document.groups.map((group) =>
    [paper.bold(paper.plain(group.title)), ...group.checks.map((check) => checkBlock(paper, check))].join(
      '\n',
    ),
  );
  return `${[...groups, summary(paper, document)].join('\n\n')}\n`;
}
