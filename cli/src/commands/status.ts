/** `gpu-handoff status`: every card at a glance. Starts nothing. */
import { type Context, type ExitStatus, writeJson } from '../context.js';
import { gatherStatus } from '../gather.js';
import { renderStatus } from '../render/status.js';

export async function status(context: Context): Promise<ExitStatus> {
  const document = await gatherStatus(context);
  if (context.options.json) writeJson(context, document);
  else context.out.write(renderStatus(context.out.paper, document));
  return 0;
}
