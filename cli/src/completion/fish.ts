/** The completion for fish. */
import { isDynamic, staticWords, type Tree, type TreeCommand, type TreeOption } from './tree.js';

function quoted(text: string): string {
  return `'${text.replace(/\\/g, '\\\\').replace(/'/g, "\\'")}'`;
}

function option(tree: Tree, condition: string, one: TreeOption): string {
  const short = one.short === null ? '' : ` -s ${one.short.slice(1)}`;
  return `complete -c ${tree.name}${condition} -l ${one.long.slice(2)}${short} -d ${quoted(one.description)}`;
}

function branch(tree: Tree, command: TreeCommand): string[] {
  const lines = command.options.map((one) => option(tree, ` -n '__gpu_handoff_in ${command.name}'`, one));
  command.args.forEach((one, place) => {
    const words = staticWords(tree, one.kinds);
    const values = isDynamic(one.kinds)
      ? `'(__gpu_handoff_ask ${one.kinds.join(',')})'`
      : quoted(words.join(' '));
    const more = one.variadic ? ' more' : '';
    if (one.kinds.includes('program')) {
      const rest = "'(__fish_complete_subcommand --fcs-skip=2)'";
      lines.push(`complete -c ${tree.name} -n '__gpu_handoff_in ${command.name}' -x -a ${rest}`);
      return;
    }
    if (one.kinds.includes('file')) {
      lines.push(`complete -c ${tree.name} -n '__gpu_handoff_in ${command.name} ${place}${more}' -F`);
      return;
    }
    lines.push(`complete -c ${tree.name} -n '__gpu_handoff_in ${command.name} ${place}${more}' -a ${values}`);
  });
  return lines;
}

export function fishScript(tree: Tree): string {
  const { name } = tree;
  const commands = tree.commands.map(
    (one) => `complete -c ${name} -n '__gpu_handoff_in' -a ${one.name} -d ${quoted(one.description)}`,
  );
  return `# fish completion for ${name}. Written by “${name} completion fish”.

# The words before the cursor that are no options, without the command's own name.
function __gpu_handoff_words
    set -l words (commandline -opc)
    string match -v -- '-*' $words[2..]
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
