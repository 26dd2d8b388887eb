/** What can go wrong between the command and the helper, as failures with one sentence. */
import { ERROR_PREFIX, type FailureName, failure, HandoffError } from '../../../core/src/errors.js';
import { sentence } from '../../../core/src/words.js';
import { failureNamed } from './decode.js';

/** A failure that the helper named. Its message is the helper's own sentence. */
export class HelperError extends HandoffError {
  constructor(name: FailureName, message: string) {
    super(name, sentence('error.internal', { why: message }));
    this.message = message;
  }
}

/** The helper cannot be had: not installed, not to be started, or no bus. */
export function helperAbsent(why: string): HandoffError {
  return failure('HelperAbsent', 'error.helper-absent', { why });
}

/** Errors of the bus itself that mean that nobody was there to answer. */
function absenceOf(name: string, text: string): string | null {
  const short = name.replace('org.freedesktop.DBus.Error.', '');
  if (short === 'ServiceUnknown' || short === 'NameHasNoOwner') return 'it is not installed';
  if (short.startsWith('Spawn.') || name.startsWith('org.freedesktop.systemd1.'))
    return `it could not be started: ${text}`;
  if (short === 'NoReply' || short === 'Disconnected' || short === 'TimedOut')
    return 'it ended before it answered';
  return null;
}

/** An error that came over the bus, as a failure. */
export function failureOfError(name: string, text: string): HandoffError {
  if (name.startsWith(ERROR_PREFIX))
    return new HelperError(failureNamed(name.slice(ERROR_PREFIX.length)), text);
  const absence = absenceOf(name, text);
  if (absence !== null) return helperAbsent(absence);
  if (name === 'org.freedesktop.DBus.Error.AccessDenied')
    return new HelperError('NotAuthorized', `The bus does not let this user call the helper: ${text}`);
  return new HelperError('Failed', text);
}
