/** Shows an operation while it runs. */
import type { OperationDocument } from './documents.js';
import { newLines, stepLines } from './render/operation.js';
import { sentenceCase } from './render/sentences.js';
import type { Outlet } from './terminal.js';

export interface Progress {
  show(operation: OperationDocument): void;
  /** Draws the end, and leaves the terminal as it was. */
  end(operation: OperationDocument): void;
  /** Leaves the terminal as it was, with what stands there. */
  leave(): void;
}

const FRAME_MS = 100;
const HIDE_CURSOR = '\x1b[?25l';
const SHOW_CURSOR = '\x1b[?25h';

/** Redraws the steps in place. */
class DrawnProgress implements Progress {
  private readonly out: Outlet;
  private readonly now: () => number;
  private operation: OperationDocument | null = null;
  private drawn = 0;
  private last = '';
  private frame = 0;
  private running = '';
  private since = 0;
  private timer: NodeJS.Timeout | null = null;

  constructor(out: Outlet, now: () => number) {
    this.out = out;
    this.now = now;
  }

  /** However the command ends, the cursor is to be seen again. */
  private readonly atExit = (): void => this.leave();

  show(operation: OperationDocument): void {
    this.operation = operation;
    const running = operation.steps.findIndex((step) => step.state === 'running');
    const id = `${running} ${operation.steps[running]?.id ?? ''}`;
    if (id !== this.running) this.since = this.now();
    this.running = id;
    if (this.timer === null) {
      this.out.write(HIDE_CURSOR);
      process.once('exit', this.atExit);
      this.timer = setInterval(() => {
        this.frame += 1;
        this.draw();
      }, FRAME_MS);
    }
    this.draw();
  }

  private draw(): void {
    const { operation, out } = this;
    if (operation === null) return;
    const { paper } = out;
    const title = paper.bold(paper.fit(sentenceCase(operation.title), paper.columns ?? 80));
    // A line of its own for the title, one below for the cursor, and one to spare.
    const most = Math.max(3, out.rows() - 3);
    const lines = [title, ...stepLines(paper, operation.steps, this.frame, this.now() - this.since, most)];
    const text = `${lines.join('\n')}\n`;
    if (text === this.last) return;
    out.write(`${this.back()}${text}`);
    this.last = text;
    this.drawn = lines.length;
  }

  /** To the beginning of what was drawn, wiping it. */
  private back(): string {
    return this.drawn === 0 ? '' : `\x1b[${this.drawn}A\x1b[J`;
  }

  end(operation: OperationDocument): void {
    this.operation = operation;
    this.draw();
    this.leave();
  }

  leave(): void {
    if (this.timer === null) return;
    clearInterval(this.timer);
    this.timer = null;
    process.off('exit', this.atExit);
    this.out.write(SHOW_CURSOR);
  }
}

/** A line for each thing that has happened. */
class LoggedProgress implements Progress {
  private readonly out: Outlet;
  private before: OperationDocument | null = null;

  constructor(out: Outlet) {
    this.out = out;
  }

  show(operation: OperationDocument): void {
    const { paper } = this.out;
    for (const line of newLines(this.before, operation)) this.out.write(`${paper.plain(line)}\n`);
    this.before = operation;
  }

  end(operation: OperationDocument): void {
    this.show(operation);
  }

  leave(): void {}
}

const SILENT: Progress = { show: () => {}, end: () => {}, leave: () => {} };

export function progressOn(out: Outlet, silent: boolean, now: () => number = Date.now): Progress {
  if (silent) return SILENT;
  return out.draws ? new DrawnProgress(out, now) : new LoggedProgress(out);
}
