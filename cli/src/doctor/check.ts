/** Short ways to write down what a check found. */
import type { CheckDocument } from '../documents.js';

export function ok(id: string, title: string, sentence: string): CheckDocument {
  return { id, title, result: 'ok', sentence, advice: null };
}

export function missing(id: string, title: string, sentence: string, advice: string | null): CheckDocument {
  return { id, title, result: 'missing', sentence, advice };
}

/** It could not be measured, which is neither yes nor no. */
export function cannotTell(
  id: string,
  title: string,
  sentence: string,
  advice: string | null = null,
): CheckDocument {
  return { id, title, result: 'cannot-tell', sentence, advice };
}
