/** How both halves of the extension speak the user's language: gettext for the core's words. */
import { translated } from '../../core/src/recognise.js';
import type { Translate } from '../../core/src/words.js';

/** What an extension and its preferences have alike. */
export interface Gettext {
  gettext(text: string): string;
  ngettext(singular: string, plural: string, count: number): string;
}

/** The translator that the core's `say` and `present` take. */
export function translatorOf(catalogue: Gettext): Translate {
  return (text, plural, count) =>
    plural !== undefined && count !== undefined
      ? catalogue.ngettext(text, plural, count)
      : catalogue.gettext(text);
}

/** Sentences that the helper and the per-user service sent, which are English, in the user's language. */
export function tellerOf(translate: Translate): (sentence: string) => string {
  // Properties come again and again with the same sentences.
  const told = new Map<string, string>();
  return (sentence) => {
    const before = told.get(sentence);
    if (before !== undefined) return before;
    if (told.size >= 200) told.clear();
    const text = translated(sentence, translate);
    told.set(sentence, text);
    return text;
  };
}
