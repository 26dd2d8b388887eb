/** What `gpu-handoff holders` looks like: each holder with what it is, since when, and through what it holds. */
import type { CardHoldersDocument, HolderDocument, HoldersListDocument } from '../documents.js';
import { shortName } from '../short-name.js';
import type { Paper } from './paper.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** A span of time in its two coarsest units that say something: `3 days`, `2 h`, `5 min`, `12 s`. */
export function span(milliseconds: number): string {
  if (milliseconds >= 2 * DAY) return `${Math.floor(milliseconds / DAY)} days`;
  if (milliseconds >= HOUR) return `${Math.floor(milliseconds / HOUR)} h`;
  if (milliseconds >= MINUTE) return `${Math.floor(milliseconds / MINUTE)} min`;
  return `${Math.max(0, Math.floor(milliseconds / 1000))} s`;
}

/** An amount of memory: `812 MiB`, `1.5 GiB`. */
export function memory(bytes: number): string {
  const mebibytes = bytes / 1024 ** 2;
  if (mebibytes >= 1024) return `${(mebibytes / 1024).toFixed(1)} GiB`;
  return `${Math.max(1, Math.round(mebibytes))} MiB`;
}

const KINDS: Readonly<Record<string, string>> = {
  service: 'service',
  'user-service': 'service of the user',
  session: 'session',
  container: 'container',
  vm: 'VM',
};

function whose(holder: HolderDocument): string {
  const kind = KINDS[holder.ownerKind];
  const process = `process ${holder.pid} of ${holder.user ?? holder.uid}`;
  return kind === undefined ? process : `${kind}, ${process}`;
}

function through(holder: HolderDocument, now: number): string {
  const parts = [`for ${span(now - Date.parse(holder.since))}`];
  if (holder.gpuMemoryBytes !== null) parts.push(`${memory(holder.gpuMemoryBytes)} of its memory`);
  const nodes = holder.nodes.map((node) => node.replace(/^\/dev\/(dri\/|snd\/)?/, ''));
  if (holder.mapped) nodes.push('mapped');
  return [...parts, ...nodes].join(', ');
}

function holderBlock(paper: Paper, holder: HolderDocument, now: number): string {
  const name = shortName(holder);
  const lines = [
    paper.sides(
      name,
      whose(holder),
      '  ',
      (text) => paper.bold(text),
      (text) => text,
    ),
  ];
  const dim = (text: string): void => {
    lines.push(paper.wrap(text, 4, '    ', 'dim'));
  };
  const command = holder.command?.join(' ') ?? '';
  if (command !== '' && command !== name)
    dim(paper.fit(command, (paper.columns ?? Number.POSITIVE_INFINITY) - 4));
  dim(through(holder, now));
  if (holder.stopsByItself)
    dim(
      holder.ownerKind === 'service'
        ? 'A hand-off stops it and starts it again afterwards.'
        : 'It lets go by itself for a hand-off, and runs on.',
    );
  if (holder.essential) dim('Part of the session: ending it logs its user out.');
  return lines.join('\n');
}

function heading(card: CardHoldersDocument): string {
  const count = card.holders.length + card.kernel.length;
  if (card.verdict === 'free') return 'Nobody holds it';
  if (count === 0) return 'Cannot tell';
  return `Held by ${count}`;
}

function cardBlock(paper: Paper, card: CardHoldersDocument, now: number): string {
  const style = card.verdict === 'free' ? 'green' : card.verdict === 'held' ? 'yellow' : 'red';
  const blocks = [
    paper.sides(
      card.card.name,
      heading(card),
      '',
      (text) => paper.bold(text),
      (text) => paper.style(style, text),
    ),
    ...card.holders.map((holder) => holderBlock(paper, holder, now)),
  ];
  for (const { module, count } of card.kernel) {
    const uses = count === 1 ? '1 use' : `${count} uses`;
    blocks.push(
      [
        paper.sides(
          'The kernel',
          `${module}, ${uses}`,
          '  ',
          (text) => paper.bold(text),
          (text) => text,
        ),
        paper.wrap('No process was found for it.', 4, '    ', 'dim'),
      ].join('\n'),
    );
  }
  if (card.sentence !== '' && card.verdict !== 'free')
    blocks.push(paper.wrap(card.sentence, 4, `  ${paper.style('yellow', paper.symbol('unknown'))} `));
  return blocks.join('\n');
}

export function renderHolders(paper: Paper, list: HoldersListDocument, now: number): string {
  return `${list.cards.map((card) => cardBlock(paper, card, now)).join('\n\n')}\n`;
}
