/** How many columns a text takes on a terminal, and cutting a text to a number of columns. */

/** East Asian Wide and Fullwidth (UAX #11) beside what Emoji_Presentation covers already. */
const WIDE_RANGES: readonly (readonly [number, number])[] = [
  [0x1100, 0x115f],
  [0x2e80, 0x303e],
  [0x3041, 0x33ff],
  [0x3400, 0x4dbf],
  [0x4e00, 0x9fff],
  [0xa000, 0xa4cf],
  [0xa960, 0xa97c],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe10, 0xfe19],
  [0xfe30, 0xfe6f],
  [0xff01, 0xff60],
  [0xffe0, 0xffe6],
  [0x16fe0, 0x18cff],
  [0x1aff0, 0x1b2ff],
  [0x1f200, 0x1f2ff],
  [0x20000, 0x3fffd],
];

const ASCII = /^[\x20-\x7e]*$/;
const EMOJI = /\p{Emoji_Presentation}/u;
const NOTHING = /^[\p{Mark}\p{Cf}]*$/u;

let segmenter: Intl.Segmenter | null = null;

/** What a reader sees as one character each. Control characters must be gone by now. */
function characters(text: string): string[] {
  if (ASCII.test(text)) return Array.from(text);
  segmenter ??= new Intl.Segmenter('en', { granularity: 'grapheme' });
  return Array.from(segmenter.segment(text), (part) => part.segment);
}

function isWide(code: number): boolean {
  return WIDE_RANGES.some(([from, to]) => code >= from && code <= to);
}

function columnsOf(character: string): number {
  if (NOTHING.test(character)) return 0;
  if (EMOJI.test(character) || character.includes('\ufe0f')) return 2;
  for (const part of character) if (isWide(part.codePointAt(0) ?? 0)) return 2;
  return 1;
}

/** Columns that a text without control characters takes. */
export function widthOf(text: string): number {
  if (ASCII.test(text)) return text.length;
  return characters(text).reduce((sum, character) => sum + columnsOf(character), 0);
}

/** The longest beginning of a text that fits into so many columns. */
export function headOf(text: string, columns: number): string {
  let head = '';
  let used = 0;
  for (const character of characters(text)) {
    used += columnsOf(character);
    if (used > columns) break;
    head += character;
  }
  return head;
}
