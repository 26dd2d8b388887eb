/**
 * What the command writes on: how wide it is, whether it takes colour and which characters it knows. All text from
 * elsewhere passes through here, so no name can send a control sequence to the terminal.
 */
import type { Tone } from '../../../core/src/present.js';
import { printable } from '../../../core/src/words.js';
import { headOf, widthOf } from './width.js';

export interface PaperKind {
  /** Null where nothing has to fit: a pipe or a file. */
  readonly columns: number | null;
  readonly colour: boolean;
  /** False where the locale is not UTF-8: everything is then written in ASCII. */
  readonly unicode: boolean;
}

export type SymbolName =
  | 'host'
  | 'asleep'
  | 'vm'
  | 'detached'
  | 'switching'
  | 'stuck'
  | 'unavailable'
  | 'done'
  | 'failed'
  | 'undone'
  | 'waiting'
  | 'note'
  | 'unknown'
  | 'dot'
  | 'arrow'
  | 'ellipsis';

const SYMBOLS: Readonly<Record<SymbolName, readonly [unicode: string, ascii: string]>> = {
  host: ['●', '*'],
  asleep: ['○', 'o'],
  vm: ['▶', '>'],
  detached: ['◇', '-'],
  switching: ['◐', '~'],
  stuck: ['✗', 'x'],
  unavailable: ['–', '-'],
  done: ['✓', '+'],
  failed: ['✗', 'x'],
  undone: ['↺', '<'],
  waiting: ['·', '.'],
  note: ['!', '!'],
  unknown: ['?', '?'],
  dot: ['·', '-'],
  arrow: ['→', '->'],
  ellipsis: ['…', '...'],
};

/** The typography of the core's sentences, for a terminal that knows only ASCII. */
const ASCII_FOR: Readonly<Record<string, string>> = {
  '“': '"',
  '”': '"',
  '‘': "'",
  '’': "'",
  '…': '...',
  '–': '-',
  '—': '-',
  '·': '-',
  '→': '->',
  ' ': ' ',
};

/** Select Graphic Rendition: how to begin it, and how to end just that. */
const STYLES = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  blue: [34, 39],
  cyan: [36, 39],
} as const;

const ESCAPE = '\x1b';
const STYLING = new RegExp(`${ESCAPE}\\[\\d+m`, 'g');

export type Style = keyof typeof STYLES;

const TONE_STYLES: Readonly<Record<Tone, Style>> = {
  calm: 'green',
  busy: 'cyan',
  warning: 'yellow',
  bad: 'red',
};

/** Longer lines are hard to read, however wide the terminal is. */
const WIDEST = 92;
const NARROWEST = 20;

export class Paper {
  readonly kind: PaperKind;
  /** Columns to fill; null where lines are as long as they are. */
  readonly columns: number | null;

  constructor(kind: PaperKind) {
    this.kind = kind;
    this.columns = kind.columns === null ? null : Math.max(NARROWEST, Math.min(kind.columns, WIDEST));
  }

  /** Text as it may be written here: no control characters, and no character that the locale lacks. */
  plain(text: string): string {
    const shown = printable(text, Number.POSITIVE_INFINITY);
    if (this.kind.unicode) return shown;
    return shown.replace(/[^\x20-\x7e]/gu, (character) => ASCII_FOR[character] ?? '?');
  }

  /** The same for a text of several lines of our own. */
  plainLines(text: string): string {
    return text
      .split('\n')
      .map((line) => this.plain(line))
      .join('\n');
  }

  symbol(name: SymbolName): string {
    return SYMBOLS[name][this.kind.unicode ? 0 : 1];
  }

  /** Colours are for those who see them; the text must say everything without. */
  style(style: Style, text: string): string {
    if (!this.kind.colour || text === '') return text;
    const [begin, end] = STYLES[style];
    return `${ESCAPE}[${begin}m${text}${ESCAPE}[${end}m`;
  }

  bold(text: string): string {
    return this.style('bold', text);
  }

  dim(text: string): string {
    return this.style('dim', text);
  }

  tone(tone: Tone, text: string): string {
    return this.style(TONE_STYLES[tone], text);
  }

  /** A text in so many columns at most, with an ellipsis where it was cut. */
  fit(text: string, columns: number): string {
    const plain = this.plain(text);
    if (this.columns === null || widthOf(plain) <= columns) return plain;
    const ellipsis = this.symbol('ellipsis');
    return headOf(plain, Math.max(0, columns - ellipsis.length)) + ellipsis;
  }

  /** A text in exactly so many columns. */
  pad(text: string, columns: number): string {
    const fitted = this.fit(text, columns);
    return fitted + ' '.repeat(Math.max(0, columns - widthOf(fitted)));
  }

  /**
   * A text broken into lines, each indented; `first` stands before the first line in place of its indentation. A word
   * that does not fit on a line of its own is cut.
   */
  wrap(text: string, indent: number, first = ' '.repeat(indent), style?: Style): string {
    const plain = this.plain(text);
    const { columns } = this;
    const lines =
      columns === null ? [plain] : this.lines(plain, columns - widthOf(this.bare(first)), columns - indent);
    const styled = style === undefined ? lines : lines.map((line) => this.style(style, line));
    return styled.map((line, i) => (i === 0 ? first : ' '.repeat(indent)) + line).join('\n');
  }

  /** A text without the styles of this paper. */
  private bare(text: string): string {
    return this.kind.colour ? text.replace(STYLING, '') : text;
  }

  private lines(plain: string, firstRoom: number, room: number): string[] {
    const lines: string[] = [];
    let line = '';
    let left = firstRoom;
    for (const word of plain.split(' ')) {
      const longer = line === '' ? word : `${line} ${word}`;
      if (widthOf(longer) <= left) {
        line = longer;
        continue;
      }
      if (line !== '') {
        lines.push(line);
        left = room;
      }
      line = this.fit(word, left);
    }
    return [...lines, line];
  }

  /** Two texts at the two ends of a line; without ends to a line, the second follows the first. */
  sides(
    left: string,
    right: string,
    lead: string,
    leftStyle: (text: string) => string,
    rightStyle: (text: string) => string,
  ): string {
    if (this.columns === null)
      return `${lead}${leftStyle(this.plain(left))}: ${rightStyle(this.plain(right))}`;
    const room = this.columns - widthOf(this.bare(lead));
    const end = this.fit(right, Math.floor(room * 0.6));
    const begin = this.fit(left, room - widthOf(end) - 2);
    const gap = Math.max(2, room - widthOf(begin) - widthOf(end));
    return lead + leftStyle(begin) + ' '.repeat(gap) + rightStyle(end);
  }
}
