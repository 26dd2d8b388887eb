/** How `gpu-handoff watch` shows a state and the next one: redrawn in place, in lines, or as JSON lines. */
import type { Context } from './context.js';
import { DOCUMENT_VERSION, type StatusDocument, type WatchDocument } from './documents.js';
import { newLines, stepLines } from './render/operation.js';
import { sentenceCase } from './render/sentences.js';
import { renderStatus } from './render/status.js';
import type { Outlet } from './terminal.js';

export interface WatchView {
  show(status: StatusDocument): void;
  /** Leaves the terminal as it was. */
  leave(): void;
}

const HIDE_CURSOR = '\x1b[?25l';
const SHOW_CURSOR = '\x1b[?25h';

/** Redraws the cards and the running operation in place. */
class DrawnView implements WatchView {
  private readonly out: Outlet;
  private drawn = 0;
  private last = '';

  constructor(out: Outlet) {
    this.out = out;
  }

  show(status: StatusDocument): void {
    const { out } = this;
    const operation = status.operation?.state === 'running' ? status.operation : null;
    const shown = operation === null ? status : { ...status, operation: null };
    const lines = renderStatus(out.paper, shown).trimEnd().split('\n');
    // What is taller than the terminal could not be drawn over.
    const room = Math.max(3, out.rows() - 1);
    if (operation !== null) {
      lines.push('', out.paper.bold(out.paper.fit(sentenceCase(operation.title), out.paper.columns ?? 80)));
      lines.push(...stepLines(out.paper, operation.steps, 0, 0, room - lines.length));
    }
    const text = `${lines.slice(0, room).join('\n')}\n`;
    if (text === this.last) return;
    const begin = this.drawn === 0 ? HIDE_CURSOR : `\x1b[${this.drawn}A\x1b[J`;
    out.write(begin + text);
    this.drawn = Math.min(lines.length, room);
    this.last = text;
  }

  leave(): void {
    if (this.drawn > 0) this.out.write(SHOW_CURSOR);
  }
}

/** A line for each change. */
class LoggedView implements WatchView {
  private readonly out: Outlet;
  private readonly now: () => Date;
  private readonly said = new Map<string, string>();
  private before: StatusDocument | null = null;

  constructor(out: Outlet, now: () => Date) {
    this.out = out;
    this.now = now;
  }

  show(status: StatusDocument): void {
    const time = this.now().toTimeString().slice(0, 8);
    const say = (text: string): void => this.out.write(`${time} ${this.out.paper.plain(text)}\n`);
    for (const card of status.cards) {
      const line = `${card.name}: ${card.label}${card.line === '' ? '' : `. ${card.line}`}`;
      if (this.said.get(card.address) !== line) say(line);
      this.said.set(card.address, line);
    }
    for (const address of this.said.keys()) {
      if (status.cards.some((card) => card.address === address)) continue;
      say(`${address}: gone`);
      this.said.delete(address);
    }
    const { operation } = status;
    if (operation !== null && (this.before !== null || operation.state === 'running')) {
      const last = this.before?.operation ?? null;
      const known = last?.id === operation.id ? last : null;
      for (const line of newLines(known, operation)) say(line);
      const over = operation.state !== 'running' && known?.state === 'running';
      if (over) say(operation.sentence ?? `${operation.title}: ${operation.state}`);
    }
    for (const note of status.notes) if (!this.before?.notes.includes(note)) say(note);
    this.before = status;
  }

  leave(): void {}
}

/** A JSON document in a line for each change. */
class JsonView implements WatchView {
  private readonly out: Outlet;
  private readonly now: () => Date;
  private last = '';

  constructor(out: Outlet, now: () => Date) {
    this.out = out;
    this.now = now;
  }

  show({ source, cards, operation }: StatusDocument): void {
    const text = JSON.stringify({ source, cards, operation });
    if (text === this.last) return;
    this.last = text;
    const time = this.now().toISOString();
    const document: WatchDocument = { version: DOCUMENT_VERSION, time, source, cards, operation };
    this.out.write(`${JSON.stringify(document)}\n`);
  }

  leave(): void {}
}

export function watchView({ options, out }: Context, now: () => Date = () => new Date()): WatchView {
  if (options.json) return new JsonView(out, now);
  return out.draws ? new DrawnView(out) : new LoggedView(out, now);
}
