/** What the helper publishes. */
import { type Dict, text } from '../../../core/src/dict.js';
import type { CardDocument, FaultDocument, OperationDocument } from '../documents.js';
import { decodeCards, decodeFaults, decodeOperation } from './decode.js';

export interface State {
  readonly version: string;
  readonly cards: readonly CardDocument[];
  readonly operation: OperationDocument | null;
  readonly faults: readonly FaultDocument[];
}

/** The helper's properties by name, without variants, as documents. */
export function stateOf(properties: Dict): State {
  return {
    version: text(properties, 'Version'),
    cards: decodeCards(properties.Cards),
    operation: decodeOperation(properties.Operation),
    faults: decodeFaults(properties.Faults),
  };
}
