/**
 * `gpu-handoff apps sync`: runs at each login and after each change of what is installed, so nothing is loaded that it
 * does not need, and nobody is started for it. A service that runs hears of the changes by itself.
 */
import { type Context, type ExitStatus, writeJson } from './context.js';
import { renderEntries } from './render/apps.js';
import { Apps } from './session/apps.js';
import { entriesOf } from './session/report.js';

export async function sync(context: Context): Promise<ExitStatus> {
  const document = entriesOf(await new Apps(context.env, context.options.bus).sync());
  if (context.options.json) writeJson(context, document);
  else context.out.write(renderEntries(context.out.paper, document));
  return document.failed ? 1 : 0;
}
