import { printable, type Sentence, say, sentence, type ValueArguments, type WordKey } from './words.js';

/**
 * The kinds of failure a caller can tell apart: the last part of the D-Bus error name, and the exit status of the
 * command. Statuses 1 and 2 are a plain failure and wrong usage, as everywhere.
 */
export const FAILURES = {
  Failed: 1,
  InvalidArgument: 2,
  NotAuthorized: 3,
  NoSuchVm: 4,
  NoSuchCard: 5,
  Held: 6,
  Refused: 7,
  Busy: 8,
  Stuck: 9,
  HelperAbsent: 10,
  Cancelled: 11,
  NoSuchOperation: 12,
  NoSuchHolder: 13,
  Config: 14,
  LibvirtAbsent: 15,
  UnknownMethod: 16,
  NoSuchApp: 17,
  SessionAbsent: 18,
} as const;

export type FailureName = keyof typeof FAILURES;

export const ERROR_PREFIX = 'io.github.gpuhandoff.Error.';

/** A failure with one sentence for the user. Its message is that sentence in English. */
export class HandoffError extends Error {
  readonly failure: FailureName;
  readonly sentence: Sentence;

  constructor(failure: FailureName, what: Sentence) {
    super(say(what));
    this.name = 'HandoffError';
    this.failure = failure;
    this.sentence = what;
  }

  /** The name on the bus. */
  get dbusName(): string {
    return ERROR_PREFIX + this.failure;
  }
}

/** Short for throwing sites. */
export function failure<Key extends WordKey>(
  name: FailureName,
  key: Key,
  ...values: ValueArguments<Key>
): HandoffError {
  return new HandoffError(name, sentence(key, ...values));
}

/** A value that a caller gave cannot be used; `why` ends the sentence. */
export function invalidArgument(argument: string, why: string): HandoffError {
  return failure('InvalidArgument', 'error.invalid-argument', { argument, why });
}

/** What a fault says in one line that can be printed, whatever was thrown: other programs' words are in it. */
export function reasonOf(fault: unknown): string {
  const text = fault instanceof Error ? fault.message : String(fault);
  const first = text.split('\n').filter((line) => line.trim() !== '')[0] ?? '';
  return printable(first.trim(), 500);
}
