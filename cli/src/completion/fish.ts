/** The completion for fish. */
import {
  type ArgumentKind,
  isDynamic,
  optionsWithValue,
  staticWords,
  type Tree,
  type TreeCommand,
  type TreeOption,
} from './tree.js';

function quoted(text: string): string {
  return `'${text.replace(/\\/g, '\\\\').replace(/'/g, "\\'")}'`;
}

/** What can stand there, as options of fish's own `complete`. */
function values(tree: Tree, kinds: readonly ArgumentKind[]): string {
  if (kinds.includes('file')) return ' -F';
  if (isDynamic(kinds)) return ` -f -a '(__gpu_handoff_ask ${kinds.join(',')})'`;
  const words = staticWords(tree, kinds);
  return words.length === 0 ? ' -f' : ` -f -a ${quoted(words.join(' '))}`;
}

function option(tree: Tree, condition: string, one: TreeOption): string {
  const short = one.short === null ? '' : ` -s ${one.short.slice(1)}`;
  const value = one.value === null ? '' : ` -r${values(tree, one.value)}`;
  return `complete -c ${tree.name}${condition} -l ${one.long.slice(2)}${short} -d ${quoted(one.description)}${value}`;
}

function branch(tree: Tree, command: TreeCommand): string[] {
  const lines = command.options.map((one) => option(tree, ` -n '__gpu_handoff_in ${command.name}'`, one));
  command.args.forEach((one, place) => {
    const begin = `complete -c ${tree.name} -n '__gpu_handoff_in ${command.name}`;
    const more = one.variadic ? ' more' : '';
    if (one.kinds.includes('program')) lines.push(`${begin}' -x -a '(__gpu_handoff_program)'`);
    else lines.push(`${begin} ${place}${more}'${values(tree, one.kinds)}`);
  });
  return lines;
}

export function fishScript(tree: Tree): string {
  const { name } = tree;
  const ofCommands = tree.commands.flatMap(optionsWithValue).map((one) => one.long);
  const valued = [...new Set([...tree.hiddenWithValue, ...ofCommands])].join(' ');
  const commands = tree.commands.map(
    (one) => `complete -c ${name} -n '__gpu_handoff_in' -a ${one.name} -d ${quoted(one.description)}`,
  );
  return `# fish completion for ${name}. Written by “${name} completion fish”.

# The words before the cursor that are neither options nor values of options, without the command's own name.
function __gpu_handoff_words
    set -l words (commandline -opc)
    while set -e words[1]; and set -q words[1]
        switch $words[1]
            case ${valued}
                set -e words[1]
            case '-*'
            case '*'
                printf '%s\\n' $words[1]
        end
    end
end

# In no command yet; in COMMAND; or at its argument PLACE (from 0), or at a later one.
function __gpu_handoff_in
    set -l words (__gpu_handoff_words)
    if not set -q argv[1]
        test (count $words) -eq 0
        return
    end
    test "$words[1]" = $argv[1]; or return
    set -q argv[2]; or return 0
    set -l place (math (count $words) - 1)
    test $place -eq $argv[2]; and return
    set -q argv[3]; and test $place -gt $argv[2]
end

# Completes the command line that follows "run" and its options.
function __gpu_handoff_program
    set -l words (commandline -opc)
    set -l command
    while set -e words[1]; and set -q words[1]
        switch $words[1]
            case ${valued}
                set -e words[1]
            case --
                set -e words[1]
                break
            case '-*'
            case '*'
                set -q command[1]; and break
                set command $words[1]
        end
    end
    complete -C (string join ' ' -- (string escape -- $words) (commandline -ct))
end

function __gpu_handoff_ask
    set -l words (__gpu_handoff_words)
    set -l line (commandline -opc)
    $line[1] __complete list $argv[1] "$words[2]" 2>/dev/null
end

complete -c ${name} -f
${tree.options.map((one) => option(tree, '', one)).join('\n')}
${commands.join('\n')}
${tree.commands.flatMap((command) => branch(tree, command)).join('\n')}
`;
}
