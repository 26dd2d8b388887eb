/** The command line: which commands there are, what they take, and what to do when the words do not fit. */
import { type Argument, Command, CommanderError, Option } from 'commander';
import { runOnDgpu, wordsOfRun } from './commands/run.js';
import { type CommonOptions, type Context, type ExitStatus, makeContext } from './context.js';
import { reportFailure, UsageError } from './failure.js';
import { sentenceCase } from './render/sentences.js';
import { VERSION } from './version.js';

/** What a command does with its own arguments and options; it loads what it needs by itself. */
type Action = (
  context: Context,
  args: readonly string[],
  options: Readonly<Record<string, unknown>>,
) => Promise<ExitStatus>;

interface Example {
  readonly line: string;
  readonly what: string;
}

/** What a terminal has at least, and what commander takes where it cannot know. */
const COLUMNS = 80;

function examples(list: readonly Example[]): string {
  const widest = Math.max(...list.map((one) => one.line.length));
  const beside = list.map(({ line, what }) => `  ${line.padEnd(widest)}  ${what}`);
  const below = list.map(({ line, what }) => `  ${line}\n      ${what}`);
  const lines = beside.every((line) => line.length <= COLUMNS) ? beside : below;
  return `\nExamples:\n${lines.join('\n')}\n`;
}

function argumentTerm(argument: Argument): string {
  const name = argument.name() + (argument.variadic ? '...' : '');
  return argument.required ? `<${name}>` : `[${name}]`;
}

const COMMON_ENDING = `
Exit status: 0 done, 1 failed, 2 wrong usage, 3 not authorized, 4 no such VM,
5 no such card, 6 card held, 7 refused, 8 busy, 9 stuck until a reboot,
10 no helper, 11 cancelled, 12 nothing to cancel, 13 no such holder,
14 configuration, 15 no libvirt, 17 no such app, 18 no per-user service,
130 interrupted.
`;

function commonOptions(program: Command, env: Readonly<Record<string, string | undefined>>): CommonOptions {
  const given = program.opts<{ json?: true; bus?: string; simulate?: string; askPassword: boolean }>();
  return {
    json: given.json === true,
    bus: given.bus ?? (env.GPU_HANDOFF_BUS || null),
    simulate: given.simulate ?? null,
    askPassword: given.askPassword,
  };
}

export interface Program {
  readonly command: Command;
  /** Resolves with the exit status of what was run; 0 where only help was shown. */
  readonly status: () => ExitStatus;
}

/** Builds the whole tree. `make` gives the context to run in; tests give their own. */
export function buildProgram(
  env: Readonly<Record<string, string | undefined>> = process.env,
  make: (options: CommonOptions) => Context = (options) => makeContext(options, env),
): Program {
  let result: ExitStatus = 0;
  const program = new Command('gpu-handoff');

  /** Adds a command; its action gets all arguments as a flat list. */
  function add(usage: string, description: string, list: readonly Example[], action: Action): Command {
    const command = program.command(usage).description(description);
    if (list.length > 0) command.addHelpText('after', examples(list));
    command.action(async (...all: unknown[]) => {
      const args = all
        .slice(0, -2)
        .flat()
        .filter((one) => typeof one === 'string');
      const context = make(commonOptions(program, env));
      try {
        result = await action(context, args, command.opts());
      } catch (fault) {
        result = reportFailure(context, fault);
      }
    });
    return command;
  }

  program
    .description('One strong graphics card for Linux apps and a virtual machine, without a reboot.')
    .version(VERSION, '-V, --version', 'show the version')
    .helpOption('-h, --help', 'show this help')
    .helpCommand('help [command]', 'show the help of a command')
    .option('--json', 'write one JSON document instead of text')
    .option('--no-ask-password', 'never ask for a password')
    .addOption(new Option('--bus <ADDRESS>', 'talk to another bus than the system bus').hideHelp())
    .addOption(new Option('--simulate <DIR>', 'read a simulated workstation').hideHelp())
    .configureHelp({
      showGlobalOptions: true,
      subcommandTerm: (one) => [one.name(), ...one.registeredArguments.map(argumentTerm)].join(' '),
      commandDescription: (one) => `${sentenceCase(one.description().replace(/\.$/, ''))}.`,
    })
    .addHelpText(
      'after',
      examples([
        { line: 'gpu-handoff', what: 'the cards at a glance' },
        { line: 'gpu-handoff hand-off win11', what: 'give the VM “win11” its card and start it' },
        { line: 'gpu-handoff take-back', what: 'shut the VM down and bring the card home' },
        { line: 'gpu-handoff holders', what: 'who keeps the card from leaving' },
      ]) + COMMON_ENDING,
    );

  add(
    'status',
    'show every graphics card at a glance',
    [
      { line: 'gpu-handoff status', what: 'where each card is and who uses it' },
      { line: 'gpu-handoff status --json', what: 'the same for a program' },
    ],
    async (context) => (await import('./commands/status.js')).status(context),
  );

  add(
    'holders [CARD]',
    'show who keeps a card from leaving',
    [
      { line: 'gpu-handoff holders', what: 'of the only dGPU, or of all' },
      { line: 'gpu-handoff holders 01:00.0', what: 'of the card at this address' },
      { line: 'gpu-handoff holders "RTX 4070"', what: 'of the card with this name' },
    ],
    async (context, [card]) => (await import('./commands/holders.js')).holders(context, card ?? null),
  );

  add(
    'vms',
    'list the VMs and their cards',
    [{ line: 'gpu-handoff vms', what: 'which VM can have which card' }],
    async (context) => (await import('./commands/vms.js')).vms(context),
  );

  add(
    'hand-off <VM>',
    'give a VM its graphics cards and start it',
    [
      { line: 'gpu-handoff hand-off win11', what: 'by name (or UUID)' },
      { line: 'gpu-handoff hand-off win11 --dry-run', what: 'only show what would be done' },
    ],
    async (context, [vm], options) =>
      (await import('./commands/hand-off.js')).handOff(context, vm ?? '', {
        dryRun: options.dryRun === true,
      }),
  ).option('--dry-run', 'show the steps and touch nothing');

  add(
    'take-back [CARD]',
    'shut the VM down and bring its card back',
    [
      { line: 'gpu-handoff take-back', what: 'the card that a VM has' },
      { line: 'gpu-handoff take-back --force', what: 'turn the VM off as by its power switch' },
    ],
    async (context, [card], options) =>
      (await import('./commands/take-back.js')).takeBack(context, card ?? null, {
        force: options.force === true,
        dryRun: options.dryRun === true,
      }),
  )
    .option('--force', 'turn the VM off; what was not saved in it is lost')
    .option('--dry-run', 'show the steps and touch nothing');

  add(
    'end-holders [CARD] [HOLDER...]',
    'end what keeps a card from leaving',
    [
      { line: 'gpu-handoff end-holders', what: 'ask all that is in the way to end' },
      { line: 'gpu-handoff end-holders blender', what: 'only this one' },
      { line: 'gpu-handoff end-holders 01:00.0 4123', what: 'only this process, on this card' },
    ],
    async (context, words, options) =>
      (await import('./commands/end-holders.js')).endHolders(context, words, {
        force: options.force === true,
        dryRun: options.dryRun === true,
      }),
  )
    .option('--force', 'kill what does not end by itself')
    .option('--dry-run', 'show what would be ended and touch nothing');

  // The words after it belong to the app: `run` below takes them before anybody reads them.
  add(
    'run [PROGRAM...]',
    'run a program on the dGPU',
    [
      { line: 'gpu-handoff run blender scene.blend', what: 'on the iGPU when the dGPU is away' },
      { line: 'gpu-handoff run --require -- ./train.py', what: 'or not at all' },
      { line: 'gpu-handoff-run %command%', what: 'a game’s launch option in Steam' },
    ],
    async (_context, args) => runOnDgpu(args),
  )
    .option('--require', 'fail instead of running on the iGPU')
    .option('--card <ADDRESS>', 'run on the card at this PCI address')
    .allowUnknownOption();

  add(
    'apps [DO] [APP] [CHOICE]',
    'show and choose which apps run on the dGPU',
    [
      { line: 'gpu-handoff apps', what: 'apps of the menus with their choices' },
      { line: 'gpu-handoff apps set blender always', what: 'from every menu on the dGPU' },
      { line: 'gpu-handoff apps set firefox offer', what: 'an action in its own menu' },
      { line: 'gpu-handoff apps set steam never', what: 'though its entry asks for the dGPU' },
      { line: 'gpu-handoff apps set blender untouched', what: 'as it was' },
      { line: 'gpu-handoff apps sync', what: 'make entries follow what is installed' },
      { line: 'gpu-handoff apps undo --all', what: 'give back everything as it was' },
    ],
    async (context, words, options) =>
      (await import('./commands/apps.js')).apps(context, words, { all: options.all === true }),
  ).option('--all', 'with undo: of all apps; without: also those that no menu shows');

  add(
    'launch [APP] [FILE...]',
    'start an app on the dGPU',
    [
      { line: 'gpu-handoff launch blender scene.blend', what: 'on the iGPU when the dGPU is away' },
      { line: 'gpu-handoff launch --igpu steam', what: 'though its entry asks for the dGPU' },
      { line: 'gpu-handoff launch --action new-window firefox', what: 'an action of its menu' },
    ],
    async (context, words, options) =>
      (await import('./commands/launch.js')).launch(context, words, {
        file: typeof options.file === 'string' ? options.file : null,
        igpu: options.igpu === true,
        card: typeof options.card === 'string' ? options.card : null,
        action: typeof options.action === 'string' ? options.action : null,
      }),
  )
    .option('--igpu', 'start it on the iGPU')
    .option('--card <ADDRESS>', 'on the card at this PCI address')
    .option('--action <NAME>', 'one of the actions in its entry')
    .option('--file <PATH>', 'the app of a .desktop file');

  add(
    'watch',
    'follow what happens to the cards',
    [
      { line: 'gpu-handoff watch', what: 'until Ctrl-C' },
      { line: 'gpu-handoff watch --json', what: 'one JSON document in each line' },
    ],
    async (context) => (await import('./commands/watch.js')).watch(context),
  );

  add(
    'doctor',
    'check what a hand-off needs',
    [{ line: 'gpu-handoff doctor', what: 'cards, IOMMU, VMs, libvirt, helper' }],
    async (context) => (await import('./commands/doctor.js')).doctor(context),
  );

  add(
    'cancel',
    'cancel and undo the running operation',
    [{ line: 'gpu-handoff cancel', what: 'as long as that is possible' }],
    async (context) => (await import('./commands/cancel.js')).cancel(context),
  );

  add(
    'completion <SHELL>',
    'write the completion for bash, zsh or fish',
    [
      { line: 'source <(gpu-handoff completion bash)', what: 'for this shell' },
      {
        line: 'gpu-handoff completion fish > ~/.config/fish/completions/gpu-handoff.fish',
        what: 'for good',
      },
    ],
    async (context, [shell]) =>
      (await import('./commands/completion.js')).completion(context, program, shell ?? ''),
  );

  const complete = new Command('__complete').argument('<words...>').allowUnknownOption();
  complete.action(async (words: string[]) => {
    const context = make(commonOptions(program, env));
    result = await (await import('./commands/complete.js')).complete(context, program, words);
  });
  program.addCommand(complete, { hidden: true });

  // Without a command it is the glance; a word that is no command is commander's to complain about.
  program.allowExcessArguments().action(async () => {
    if (program.args.length > 0) (program as unknown as { unknownCommand(): never }).unknownCommand();
    const context = make(commonOptions(program, env));
    try {
      result = await (await import('./commands/status.js')).status(context);
    } catch (fault) {
      result = reportFailure(context, fault);
    }
  });
  return { command: program, status: () => result };
}

const TRY_HELP = 'see “gpu-handoff --help”.';

/** Commander's complaint as one sentence. */
function complaint(fault: CommanderError): string {
  const text = fault.message
    .replace(/^error: /, '')
    .replace(/\s*\n\s*/g, ' ')
    .replace(/\.$/, '');
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}: ${TRY_HELP}`;
}

/** Runs the words of a command line. Never rejects; resolves with the status to end with. */
export async function run(
  words: readonly string[],
  env: Readonly<Record<string, string | undefined>> = process.env,
  make: (options: CommonOptions) => Context = (options) => makeContext(options, env),
): Promise<ExitStatus> {
  const app = wordsOfRun(words);
  if (app !== null) {
    try {
      return await runOnDgpu(app);
    } catch (fault) {
      return reportFailure(make({ json: false, bus: null, simulate: null, askPassword: true }), fault);
    }
  }
  const { command: program, status } = buildProgram(env, make);
  const quiet = make({ json: words.includes('--json'), bus: null, simulate: null, askPassword: true });
  const configure = (one: Command): void => {
    one.exitOverride().configureOutput({
      writeOut: (text) => quiet.out.write(quiet.out.paper.plainLines(text)),
      writeErr: (text) => quiet.err.write(quiet.err.paper.plainLines(text)),
      // The complaint is made into one sentence below.
      outputError: () => {},
    });
    for (const sub of one.commands) configure(sub);
  };
  configure(program);
  const [first, about] = words;
  // Commander shows the whole help for a command that it does not know, and for its own.
  if (first === 'help' && about !== undefined && about !== 'help') {
    const known = program.commands.some((one) => one.name() === about);
    if (!known) return reportFailure(quiet, new UsageError(`Unknown command '${about}': ${TRY_HELP}`));
  }
  try {
    await program.parseAsync(about === 'help' && first === 'help' ? ['help'] : words, { from: 'user' });
    return status();
  } catch (fault) {
    if (!(fault instanceof CommanderError)) return reportFailure(quiet, fault);
    if (fault.exitCode === 0 || fault.code === 'commander.help') return 0;
    return reportFailure(quiet, new UsageError(complaint(fault)));
  }
}
