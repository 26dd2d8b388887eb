/** Starts the helper. Its command line is for developers: in service it has no arguments. */
import { parseArgs } from 'node:util';
import { reasonOf } from '../../core/src/errors.js';
import { configFrom, loadConfig } from '../../core/src/linux/config-file.js';
import { parseDomain } from '../../core/src/linux/domain-xml.js';
import { realMachine } from '../../core/src/linux/machine.js';
import { type SimulatedMachine, simulatedMachine } from '../../core/src/linux/simulated/machine.js';
import type { Log, Machine } from '../../core/src/machine.js';
import { FixedAuthority, Polkit } from './authority.js';
import { connect } from './bus.js';
import { Service } from './service.js';

declare const GPU_HANDOFF_VERSION: string;

const USAGE = `Usage: gpu-handoff-helper [--bus ADDRESS] [--idle SECONDS] [--simulate DIR [--pace SCALE]
                          [--authority polkit|allow|deny]]

The privileged helper of GPU Handoff. The bus starts it by itself.

  --bus ADDRESS      a D-Bus address instead of the system bus
  --idle SECONDS     leave after so long without a client
  --simulate DIR     work on a simulated workstation instead of this machine
  --pace SCALE       with --simulate: how long its steps take; 1, the default, is about as on a real machine
  --authority WHO    with --simulate: who is asked for authorization (default: polkit)
`;

/** How long a running operation may go on after the helper was asked to stop. */
const GRACE_MS = 80_000;

interface Arguments {
  readonly bus: string | undefined;
  readonly idle: number | undefined;
  readonly simulate: string | undefined;
  readonly pace: number;
  readonly authority: 'polkit' | 'allow' | 'deny';
}

/** A helper on a simulated workstation has nothing to say to the machine's own journal. */
const stderrLog: Log = {
  line: (level, text, fields = {}) => {
    process.stderr.write(`${level}: ${text} ${JSON.stringify(fields)}\n`);
  },
};

function readArguments(argv: readonly string[]): Arguments {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      bus: { type: 'string' },
      idle: { type: 'string' },
      simulate: { type: 'string' },
      pace: { type: 'string', default: '1' },
      authority: { type: 'string', default: 'polkit' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    process.exit(0);
  }
  const { authority } = values;
  if (authority !== 'polkit' && authority !== 'allow' && authority !== 'deny')
    throw new Error('--authority is polkit, allow or deny');
  if (authority !== 'polkit' && values.simulate === undefined)
    throw new Error('--authority is for --simulate only; a real machine asks polkit');
  const idle = values.idle === undefined ? undefined : Number(values.idle);
  if (idle !== undefined && !(idle > 0)) throw new Error('--idle is a number of seconds');
  const pace = Number(values.pace);
  if (!(pace > 0)) throw new Error('--pace is a positive number');
  return { bus: values.bus, idle, simulate: values.simulate, pace, authority };
}

interface Workplace {
  readonly machine: Machine;
  readonly simulated: SimulatedMachine | null;
  /** Resolves when every line of the log has been handed over. */
  readonly flush: () => Promise<void>;
}

function workplace(simulate: string | undefined, pace: number): Workplace {
  if (simulate !== undefined) {
    const simulated = simulatedMachine(simulate, { attends: true, log: stderrLog, delays: pace });
    return { machine: simulated, simulated, flush: () => Promise.resolve() };
  }
  const machine = realMachine();
  return { machine, simulated: null, flush: () => machine.log.flush() };
}

async function main(): Promise<void> {
  const wanted = readArguments(process.argv.slice(2));
  const { config, faults } = wanted.simulate === undefined ? await loadConfig() : await configFrom('');
  const { machine, simulated, flush } = workplace(wanted.simulate, wanted.pace);
  const leave = (status: number): void => {
    flush().finally(() => process.exit(status));
  };
  for (const fault of faults) machine.log.line('warning', `Configuration, line ${fault.line}: ${fault.why}`);

  let service: Service | null = null;
  let gone = false;
  const complain = (why: unknown): void => {
    if (!gone) machine.log.line('warning', `A message was dropped: ${reasonOf(why)}`);
  };
  const lost = (why: unknown): void => {
    if (gone) return;
    gone = true;
    machine.log.line('error', `The bus is gone: ${reasonOf(why)}`);
    setTimeout(() => leave(1), GRACE_MS).unref();
    // A card half on its way is first brought to one of its two ends.
    (service?.finish() ?? Promise.resolve()).finally(() => leave(1));
  };
  const bus = await connect(wanted.bus, lost, complain);
  const serving = new Service({
    bus,
    machine,
    config: wanted.idle === undefined ? config : { ...config, idleSeconds: wanted.idle },
    faults,
    authority: (on) =>
      wanted.authority === 'polkit' ? new Polkit(on) : new FixedAuthority(wanted.authority === 'allow'),
    parseDomain,
    version: GPU_HANDOFF_VERSION,
    leave: () => leave(0),
  });
  service = serving;
  if (simulated !== null)
    simulated.onHook = (operation, suboperation, extra, vm) =>
      serving.hook(operation, suboperation, extra, vm);
  process.on('SIGTERM', () => {
    setTimeout(() => leave(1), GRACE_MS).unref();
    serving.stop().then(
      () => leave(0),
      () => leave(1),
    );
  });
  await serving.start();
}

main().catch((fault) => {
  process.stderr.write(`gpu-handoff-helper: ${reasonOf(fault)}\n`);
  process.exit(2);
});
