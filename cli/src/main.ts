/** The command `gpu-handoff`. The commonest question is answered without loading the rest. */
import { status } from './commands/status.js';
import { makeContext } from './context.js';
import { describe, reportFailure } from './failure.js';
import { writeAll } from './terminal.js';

const words = process.argv.slice(2);

function isPlainStatus(): boolean {
  const [first, second, third] = words;
  if (third !== undefined || (first !== undefined && first !== 'status')) return false;
  return second === undefined || second === '--json';
}

async function plainStatus(): Promise<number> {
  const bus = process.env.GPU_HANDOFF_BUS || null;
  const context = makeContext({ json: words[1] === '--json', bus, simulate: null, askPassword: true });
  try {
    return await status(context);
  } catch (fault) {
    return reportFailure(context, fault);
  }
}

// A message on the bus that cannot be read would otherwise end the command with a stack.
process.on('uncaughtException', (fault) => {
  writeAll(2, `gpu-handoff: ${describe(fault).sentence}\n`);
  process.exit(1);
});

const end = isPlainStatus() ? plainStatus() : import('./program.js').then(({ run }) => run(words));
// Whatever is still open (a connection, a look at processes that came too late) is of no use any more.
end.then((code) => process.exit(code));
