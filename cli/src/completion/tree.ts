/** The command line as the completions need it, read from commander's own tree. */
import type { Command, Option } from 'commander';

/** What an argument names; null where the completion knows nothing about it. */
export type ArgumentKind =
  | 'vm'
  | 'card'
  // A card's, where its name would not do.
  | 'address'
  | 'holder'
  | 'shell'
  | 'command'
  | 'apps-act'
  | 'app'
  | 'choice'
  | 'file'
  // The first word of another command line, which is completed as such.
  | 'program';

export interface TreeOption {
  readonly long: string;
  readonly short: string | null;
  readonly description: string;
  /** What its value names, empty where the completion knows nothing about it; null where it takes no value. */
  readonly value: readonly ArgumentKind[] | null;
}

export interface TreeArgument {
  readonly kinds: readonly ArgumentKind[];
  readonly variadic: boolean;
}

export interface TreeCommand {
  readonly name: string;
  readonly description: string;
  readonly options: readonly TreeOption[];
  readonly args: readonly TreeArgument[];
}

export interface Tree {
  readonly name: string;
  /** Options that every command takes. */
  readonly options: readonly TreeOption[];
  /** Options that are not offered, but that take a value which is no command. */
  readonly hiddenWithValue: readonly string[];
  readonly commands: readonly TreeCommand[];
}

export const SHELLS = ['bash', 'zsh', 'fish'] as const;

const KINDS: Readonly<Record<string, ArgumentKind>> = {
  VM: 'vm',
  CARD: 'card',
  ADDRESS: 'address',
  HOLDER: 'holder',
  SHELL: 'shell',
  command: 'command',
  DO: 'apps-act',
  APP: 'app',
  CHOICE: 'choice',
  FILE: 'file',
  PATH: 'file',
  PROGRAM: 'program',
};

/** Of `--card <ADDRESS>`: an address. */
function valueKinds(option: Option): readonly ArgumentKind[] | null {
  if (!option.required) return null;
  const kind = KINDS[/[<[](\w+)/.exec(option.flags)?.[1] ?? ''];
  return kind === undefined ? [] : [kind];
}

function optionsOf(command: Command): TreeOption[] {
  return command.options
    .filter((option) => !option.hidden && option.long)
    .map((option) => ({
      long: option.long ?? '',
      short: option.short ?? null,
      description: option.description,
      value: valueKinds(option),
    }));
}

function argsOf(command: Command): TreeArgument[] {
  const args = command.registeredArguments;
  return args.map((argument, i): TreeArgument => {
    const kind = KINDS[argument.name()];
    const kinds: ArgumentKind[] = kind === undefined ? [] : [kind];
    // Where the first of two kinds may be left out, its place may hold the second.
    const next = args[i + 1];
    const nextKind = next === undefined ? undefined : KINDS[next.name()];
    if (!argument.required && kind === 'card' && nextKind !== undefined) kinds.push(nextKind);
    return { kinds, variadic: argument.variadic };
  });
}

/** Commander makes these two only when it needs them. */
const HELP_OPTION: TreeOption = {
  long: '--help',
  short: '-h',
  description: 'show this help',
  value: null,
};
const HELP_COMMAND: TreeCommand = {
  name: 'help',
  description: 'show the help of a command',
  options: [],
  args: [{ kinds: ['command'], variadic: false }],
};

export function treeOf(program: Command): Tree {
  const commands = program.commands
    .filter((command) => !command.name().startsWith('_'))
    .map((command) => ({
      name: command.name(),
      description: command.description(),
      options: optionsOf(command),
      args: argsOf(command),
    }));
  return {
    name: program.name(),
    options: [...optionsOf(program), HELP_OPTION],
    hiddenWithValue: program.options
      .filter((option) => option.hidden && option.required)
      .map((option) => option.long ?? ''),
    commands: [...commands, HELP_COMMAND],
  };
}

/** The options of a command that are followed by a value. */
export function optionsWithValue(command: TreeCommand): TreeOption[] {
  return command.options.filter((option) => option.value !== null);
}

/** The kinds of the argument at a place (from 0) of a command. */
export function kindsAt(command: TreeCommand, place: number): readonly ArgumentKind[] {
  const last = command.args[command.args.length - 1];
  const argument = command.args[place] ?? (last?.variadic ? last : undefined);
  return argument?.kinds ?? [];
}

/** What a command's argument can be where that is known without asking anybody. */
export function staticWords(tree: Tree, kinds: readonly ArgumentKind[]): readonly string[] {
  if (kinds.includes('shell')) return SHELLS;
  return kinds.includes('command') ? tree.commands.map((command) => command.name) : [];
}

/** What depends on the machine, or on the words before it. */
const DYNAMIC: readonly ArgumentKind[] = ['vm', 'card', 'address', 'holder', 'apps-act', 'app', 'choice'];

/** Whether an argument's values have to be asked for. */
export function isDynamic(kinds: readonly ArgumentKind[]): boolean {
  return kinds.some((kind) => DYNAMIC.includes(kind));
}
