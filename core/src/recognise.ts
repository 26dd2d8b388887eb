/**
 * Says what came over the bus in the user's language. The helper and the per-user service word everything in English,
 * errors of calls included, which can carry no key beside it; so a sentence is found again by its text. What is not
 * found, such as another program's complaint, stays as it is.
 */
import { type Sentence, say, type Translate, WORDS, type WordKey } from './words.js';

interface Template {
  readonly key: WordKey;
  /** How many characters are not places, or a holder’s own: the most telling template comes first. */
  readonly weight: number;
  /** The longest piece between two places, for a look that costs little. */
  readonly landmark: string;
  readonly places: readonly string[];
  readonly text: string;
  pattern: RegExp | null;
}

/** Places whose values are sentences or lists of them; names that somebody else chose are left alone. */
const SPOKEN = ['again', 'holder', 'holders', 'names', 'power', 'reason', 'step', 'what', 'why'];
const LISTS = ['holders', 'names'];

/** What stands between the places of a holder's own sentence. */
const HOLDER_LETTERS = WORDS['holder.named'].replace(/\{[a-z]+\}/g, '').length;

/** As deep as sentences stand within one another: a refusal, its reason, the step that is named there. */
const DEEPEST = 3;

/** A template that is nearly all place would fit everything. */
function isTelling(text: string, pieces: readonly string[]): boolean {
  const letters = pieces.join('').replace(/[^A-Za-z]/g, '').length;
  return letters >= 6 || /^[A-Z][a-z]+ /.test(text);
}

function templates(): Template[] {
  const found: Template[] = [];
  for (const key of Object.keys(WORDS) as WordKey[]) {
    const words: string | readonly [string, string] = WORDS[key];
    for (const text of typeof words === 'string' ? [words] : words) {
      const pieces = text.split(/\{[a-z]+\}/);
      const places = (text.match(/\{[a-z]+\}/g) ?? []).map((place) => place.slice(1, -1));
      if (places.length > 0 && !isTelling(text, pieces)) continue;
      const landmark = pieces.reduce((longest, piece) => (piece.length > longest.length ? piece : longest));
      const own = pieces.join('').length;
      // A holder's own sentence, which begins with a place, would take “End blender” for its name.
      const weight = places.indexOf('holder') < 0 ? own : own + HOLDER_LETTERS;
      found.push({ key, weight, landmark, places, text, pattern: null });
    }
  }
  return found.sort((a, b) => b.weight - a.weight || (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
}

let known: readonly Template[] | null = null;

function patternOf(template: Template): RegExp {
  const literal = (piece: string): string => piece.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
  const pieces = template.text.split(/\{[a-z]+\}/).map(literal);
  return new RegExp(`^${pieces.join('([^]*?)')}$`);
}

/** The sentence that an English text says, or null where it is none of ours. */
export function recognise(text: string): Sentence | null {
  if (known === null) known = templates();
  for (const template of known) {
    if (text.indexOf(template.landmark) < 0) continue;
    if (template.pattern === null) template.pattern = patternOf(template);
    const match = template.pattern.exec(text);
    if (match === null) continue;
    const values: Record<string, string> = {};
    template.places.forEach((place, index) => {
      values[place] = match[index + 1] ?? '';
    });
    const sentence: Sentence = { key: template.key, values };
    // A place that stands twice, or a count of the other form, would show here.
    if (say(sentence) === text) return sentence;
  }
  return null;
}

/** How somebody who shows programs calls the one of a sentence `holder.named` or `holder.service`. */
export type Naming = (holder: Sentence) => string;

function spoken(
  place: string,
  value: string,
  translate: Translate | undefined,
  naming: Naming | undefined,
  depth: number,
): string {
  // Commas within parentheses belong to one entry.
  const entries = LISTS.indexOf(place) < 0 ? [value] : value.split(/, (?![^()]*\))/);
  const isWhole = entries.length === 1 || recognise(value)?.key === 'holder.and-more';
  return (
    (isWhole ? [value] : entries)
      .map((entry) => translatedWithin(entry, translate, naming, depth))
      // Several processes may have one name.
      .filter((entry, at, all) => naming === undefined || all.indexOf(entry) === at)
      .join(', ')
  );
}

function translatedWithin(
  text: string,
  translate: Translate | undefined,
  naming: Naming | undefined,
  depth: number,
): string {
  const sentence = depth > DEEPEST ? null : recognise(text);
  return sentence === null ? text : sayWithin(sentence, translate, naming, depth);
}

/** Like `say`, with the English sentences that stand in places of this one. */
export function sayWithin(sentence: Sentence, translate?: Translate, naming?: Naming, depth = 0): string {
  if (naming !== undefined && (sentence.key === 'holder.named' || sentence.key === 'holder.service'))
    return naming(sentence);
  const values: Record<string, string> = {};
  for (const place of Object.keys(sentence.values)) {
    const value = sentence.values[place] ?? '';
    values[place] = SPOKEN.indexOf(place) < 0 ? value : spoken(place, value, translate, naming, depth + 1);
  }
  return say({ key: sentence.key, values }, translate);
}

/** An English text of ours in the language of `translate`, with the sentences inside it; any other text as it is. */
export function translated(text: string, translate?: Translate, naming?: Naming): string {
  return text === '' ? text : translatedWithin(text, translate, naming, 0);
}
