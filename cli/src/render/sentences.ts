/** Sentences that only the command says. What both desktops say as well stands in the core. */

/** A phrase from the middle of a sentence at the beginning of one. */
export function sentenceCase(phrase: string): string {
  return phrase.charAt(0).toUpperCase() + phrase.slice(1);
}

export const HANDOFF_TITLE = {
  follow: 'Follow it with “gpu-handoff watch”.',
} as const;
