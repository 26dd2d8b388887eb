/** A line of bash taken apart as readline and bash do, and names written so that they can be put into it. */

export type Quote = '' | "'" | '"';

export interface Cursor {
  /** The whole words before the one at the cursor, without their quotes. */
  readonly before: readonly string[];
  /** The word at the cursor as far as it is typed, without its quotes. */
  readonly value: string;
  /** How much of `value` readline leaves alone: it completes only what follows the last break or open quote. */
  readonly kept: number;
  /** The quote that is open at the cursor. */
  readonly quote: Quote;
}

/** Characters that `"…\x"` takes the backslash away from. */
const ESCAPED_IN_DOUBLE = '$`"\\\n';

/** Takes apart a line up to the cursor. `breaks` is COMP_WORDBREAKS. */
export function atCursor(line: string, breaks: string): Cursor {
  const before: string[] = [];
  let value = '';
  let kept = 0;
  let quote: Quote = '';
  let inWord = false;
  for (let i = 0; i < line.length; i += 1) {
    const character = line.charAt(i);
    if (quote !== '') {
      if (character === quote) quote = '';
      else if (quote === '"' && character === '\\' && ESCAPED_IN_DOUBLE.includes(line.charAt(i + 1))) {
        i += 1;
        value += line.charAt(i);
      } else value += character;
    } else if (character === "'" || character === '"') {
      quote = character;
      kept = value.length;
      inWord = true;
    } else if (character === '\\') {
      i += 1;
      value += line.charAt(i);
      inWord = true;
    } else if (character === ' ' || character === '\t') {
      if (inWord) before.push(value);
      value = '';
      kept = 0;
      inWord = false;
    } else {
      value += character;
      inWord = true;
      if (breaks.includes(character)) kept = value.length;
    }
  }
  return { before, value, kept, quote };
}

/** A text as it has to stand on the line within this kind of quote. */
function escaped(text: string, quote: Quote): string {
  if (quote === "'") return text.replace(/'/g, `'\\''`);
  if (quote === '"') return text.replace(/[$`"\\]/g, '\\$&');
  return text.replace(/[^\p{L}\p{N}\p{M}_./:@%+,=-]/gu, '\\$&');
}

/**
 * What readline is to put in the place of the word at the cursor for those names that begin like it. A name that
 * differs in case is taken only where nothing else could be meant: readline puts in what all have in common.
 */
export function replacements(names: readonly string[], { value, kept, quote }: Cursor): string[] {
  const exact = names.filter((name) => name.startsWith(value));
  const wanted = value.toLowerCase();
  const alike = names.filter((name) => name.toLowerCase().startsWith(wanted));
  const found = exact.length === 0 && alike.length === 1 ? alike : exact;
  return found.map((name) => escaped(name.slice(kept), quote));
}
