/** Starts the per-user service. Its command line is for developers: in service it has no arguments. */
import { parseArgs } from 'node:util';
import { reasonOf } from '../../../core/src/errors.js';
import { connectTo } from '../../../core/src/linux/bus/dbus.js';
import { keepReading } from '../../../core/src/linux/bus/keep-reading.js';
import { VERSION } from '../version.js';
import { Apps } from './apps.js';
import { Service } from './service.js';

const USAGE = `Usage: gpu-handoff-session [--idle SECONDS]

The per-user service of GPU Handoff: launch entries, and launching. The session bus starts it by itself.

  --idle SECONDS     leave after so long without a call
`;

const IDLE_SECONDS = 60;

function complain(text: string): void {
  process.stderr.write(`gpu-handoff-session: ${text}\n`);
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { idle: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return;
  }
  const idleSeconds = values.idle === undefined ? IDLE_SECONDS : Number(values.idle);
  if (!(idleSeconds > 0)) throw new Error('--idle is a number of seconds');
  const { env } = process;
  // A service of the bus has its address; a service of systemd finds it where the runtime folder is.
  const address =
    env.DBUS_SESSION_BUS_ADDRESS ||
    (env.XDG_RUNTIME_DIR ? `unix:path=${env.XDG_RUNTIME_DIR}/bus` : undefined);
  if (address === undefined) throw new Error('there is no session bus');
  const bus = await connectTo({
    address,
    guard: keepReading,
    lost: (why) => {
      complain(`the bus is gone: ${reasonOf(why)}`);
      process.exit(1);
    },
    // Any program may send such a message; nothing of it is ours.
    complain: () => {},
  });
  const apps = new Apps({ ...env }, null);
  const service = new Service({
    bus,
    apps,
    version: VERSION,
    idleSeconds,
    complain,
    leave: () => process.exit(0),
  });
  process.on('SIGTERM', () => {
    service.finish().finally(() => process.exit(0));
  });
  await service.start();
}

main().catch((fault) => {
  complain(reasonOf(fault));
  process.exit(2);
});
