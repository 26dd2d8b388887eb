/** `gpu-handoff cancel`: cancels the running operation. */

import { withAgent } from '../agent.js';
import { HelperError } from '../bus/errors.js';
import { type Context, type ExitStatus, writeJson } from '../context.js';
import { DOCUMENT_VERSION } from '../documents.js';
import { withHelper } from '../helper.js';
import { authorityOptions } from '../operate.js';

const NOTHING_RUNS = 'Nothing is running that could be cancelled.';

export function cancel(context: Context): Promise<ExitStatus> {
  return withHelper(context, async (client) => {
    const { operation } = await client.state();
    if (operation?.state !== 'running') throw new HelperError('NoSuchOperation', NOTHING_RUNS);
    const given = authorityOptions(context);
    await withAgent(context, () => client.call('Cancel', [operation.id, given], { limitMs: null }));
    if (context.options.json)
      writeJson(context, { version: DOCUMENT_VERSION, cancelled: true, operation: operation.id });
    else {
      const { out } = context;
      out.write(`${out.paper.wrap(`Cancelling: ${operation.title}. What was done is undone.`, 0)}\n`);
    }
    return 0;
  });
}
