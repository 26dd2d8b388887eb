/** What a sync has done, as a document. */
import type { SyncReport } from '../../../core/src/linux/launch/sync.js';
import { DOCUMENT_VERSION, type EntriesDocument } from '../documents.js';

export function entriesOf({ changes, problems, notes, failed }: SyncReport): EntriesDocument {
  return { version: DOCUMENT_VERSION, changes, problems, notes, failed };
}
