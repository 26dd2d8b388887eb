/** The completion for bash. Commands and options stand in the script; names are asked for. */
import { isDynamic, optionsWithValue, staticWords, type Tree, type TreeCommand } from './tree.js';

function flags(options: Tree['options']): string {
  return options
    .flatMap((option) => [option.long, ...(option.short === null ? [] : [option.short])])
    .join(' ');
}

function branch(tree: Tree, command: TreeCommand): string {
  const kinds = command.args.flatMap((argument) => argument.kinds);
  const words = staticWords(tree, kinds).join(' ');
  const lines = [`options='${flags([...command.options, ...tree.options])}'`];
  const valued = optionsWithValue(command);
  const paths = valued.filter((option) => option.value?.includes('file'));
  if (valued.length > 0) lines.push(`valued=' ${valued.map((option) => option.long).join(' ')} '`);
  if (paths.length > 0) lines.push(`paths=' ${paths.map((option) => option.long).join(' ')} '`);
  if (words !== '') lines.push(`words='${words}'`);
  if (isDynamic(kinds)) lines.push('ask=yes');
  if (kinds.includes('file')) lines.push('files=yes');
  if (kinds.includes('program')) lines.push('program=yes');
  return `    ${command.name})\n${lines.map((line) => `      ${line}\n`).join('')}      ;;`;
}

export function bashScript(tree: Tree): string {
  const { name } = tree;
  const fn = `_${name.replace(/-/g, '_')}`;
  return `# bash completion for ${name}. Written by “${name} completion bash”.
${fn}() {
  local current=\${COMP_WORDS[COMP_CWORD]} command= options= words= ask= files= program= i
  # Options with a value, those whose value names a file, and the one whose value is at the cursor.
  local valued= paths= option=
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case \${COMP_WORDS[i]} in
      ${tree.hiddenWithValue.join(' | ')}) i=$((i + 1)) ;;
      -*) ;;
      *)
        command=\${COMP_WORDS[i]}
        break
        ;;
    esac
  done
  case $command in
    '')
      options='${flags(tree.options)}'
      words='${tree.commands.map((command) => command.name).join(' ')}'
      ;;
${tree.commands.map((command) => branch(tree, command)).join('\n')}
  esac
  for ((i++; i < COMP_CWORD; i++)); do
    if [[ $valued == *" \${COMP_WORDS[i]} "* ]]; then
      option=\${COMP_WORDS[i]}
      # Bash takes values apart, too: at the equals sign before them, and at colons.
      [[ \${COMP_WORDS[i + 1]} != = ]] || i=$((i + 1))
      i=$((i + 1))
      while [[ \${COMP_WORDS[i + 1]} == :* ]]; do i=$((i + 2)); done
      ((i >= COMP_CWORD)) || option=
    elif [[ \${COMP_WORDS[i]} == -- ]]; then
      i=$((i + 1))
      break
    elif [[ -n $program && \${COMP_WORDS[i]} != -* ]]; then
      break
    fi
  done
  if [[ -n $option ]]; then
    words= program= ask=yes files=
    [[ $paths != *" $option "* ]] || files=yes
    [[ $current != = ]] || current=
  fi
  if [[ -n $program ]]; then
    if ((i < COMP_CWORD)) && declare -F _command_offset > /dev/null; then
      _command_offset "$i"
      return
    fi
    [[ $current == -* ]] || mapfile -t COMPREPLY < <(compgen -c -- "$current")
  fi
  if [[ $current == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
  elif [[ -n $words ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  elif [[ -n $ask ]]; then
    # It is given the line itself, since bash takes words apart at colons and does not undo quotes.
    mapfile -t COMPREPLY < <("$1" __complete bash "\${COMP_LINE:0:COMP_POINT}" "$COMP_WORDBREAKS" 2> /dev/null)
  fi
  if [[ -n $files$program && $current != -* && \${#COMPREPLY[@]} -eq 0 ]]; then
    compopt -o filenames 2> /dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
  fi
}
complete -F ${fn} ${name}
`;
}
