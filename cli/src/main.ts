/** The command `gpu-handoff`. The commonest question and the sync are done without loading the rest. */
import { status } from './commands/status.js';
import { type Context, makeContext } from './context.js';
import { describe, reportFailure } from './failure.js';
import { writeAll } from './terminal.js';

const words = process.argv.slice(2);

function isPlainStatus(): boolean {
  const [first, second, third] = words;
  if (third !== undefined || (first !== undefined && first !== 'status')) return false;
  return second === undefined || second === '--json';
}

/** Run at each login and after each change of what is installed. */
function isPlainSync(): boolean {
  const [first, second, third, fourth] = words;
  if (first !== 'apps' || second !== 'sync' || fourth !== undefined) return false;
  return third === undefined || third === '--json';
}

async function plain(command: (context: Context) => Promise<number>): Promise<number> {
  const bus = process.env.GPU_HANDOFF_BUS || null;
  const json = words[words.length - 1] === '--json';
  const context = makeContext({ json, bus, simulate: null, askPassword: true });
  try {
    return await command(context);
  } catch (fault) {
    return reportFailure(context, fault);
  }
}

// A message on the bus that cannot be read would otherwise end the command with a stack.
process.on('uncaughtException', (fault) => {
  writeAll(2, `gpu-handoff: ${describe(fault).sentence}\n`);
  process.exit(1);
});

function begin(): Promise<number> {
  if (isPlainStatus()) return plain(status);
  if (isPlainSync()) return import('./quick-sync.js').then(({ sync }) => plain(sync));
  return import('./program.js').then(({ run }) => run(words));
}

// Whatever is still open (a connection, a look at processes that came too late) is of no use any more.
begin().then((code) => process.exit(code));
