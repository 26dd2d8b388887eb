/** How the command fails: one sentence on standard error or one document, and a status that tells failures apart. */
import { FAILURES, type FailureName, HandoffError, reasonOf } from '../../core/src/errors.js';
import type { Context, ExitStatus } from './context.js';
import { writeJson } from './context.js';
import { DOCUMENT_VERSION, type ErrorDocument } from './documents.js';

/** A fault of the command line itself; its status is 2, as everywhere. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UsageError';
  }
}

/** Name and sentence of whatever was thrown. */
export function describe(fault: unknown): { readonly name: FailureName; readonly sentence: string } {
  if (fault instanceof UsageError) return { name: 'InvalidArgument', sentence: fault.message };
  if (fault instanceof HandoffError) return { name: fault.failure, sentence: fault.message };
  return { name: 'Failed', sentence: `This should not have happened: ${reasonOf(fault)}` };
}

/** Says what went wrong and returns the status to end with. */
export function reportFailure(context: Context, fault: unknown): ExitStatus {
  const { name, sentence } = describe(fault);
  const status = FAILURES[name];
  if (context.options.json) {
    const document: ErrorDocument = { version: DOCUMENT_VERSION, error: { name, status, sentence } };
    writeJson(context, document);
  } else {
    const { err } = context;
    err.write(`${err.paper.wrap(sentence, 2, 'gpu-handoff: ')}\n`);
  }
  return status;
}
