/** The completion for zsh. */
import {
  type ArgumentKind,
  isDynamic,
  staticWords,
  type Tree,
  type TreeArgument,
  type TreeCommand,
  type TreeOption,
} from './tree.js';

/** In single quotes, and without what _arguments takes for its own. */
function quoted(text: string): string {
  return `'${text.replace(/'/g, `'\\''`)}'`;
}

function spec(option: TreeOption): string[] {
  const description = option.description.replace(/[[\]:]/g, '');
  return [option.long, ...(option.short === null ? [] : [option.short])].map((flag) =>
    quoted(`${flag}[${description}]`),
  );
}

const TITLES: Readonly<Record<ArgumentKind, string>> = {
  vm: 'VM',
  card: 'card',
  holder: 'holder',
  shell: 'shell',
  command: 'command',
  'apps-act': 'what to do',
  app: 'app',
  choice: 'choice',
  file: 'file',
  program: 'program',
};

function argument(tree: Tree, one: TreeArgument, place: number): string {
  if (one.kinds.includes('program')) return "'(-)1:program: _command_names -e' '*::argument: _normal'";
  const title = one.kinds.map((kind) => TITLES[kind]).join(' or ') || 'argument';
  const words = staticWords(tree, one.kinds);
  const action = isDynamic(one.kinds)
    ? `_gpu_handoff_ask ${one.kinds.join(',')}`
    : words.length > 0
      ? `(${words.join(' ')})`
      : one.kinds.includes('file')
        ? '_files'
        : '';
  return quoted(`${one.variadic ? '*' : place + 1}:${title}:${action}`);
}

function branch(tree: Tree, command: TreeCommand): string {
  const parts = [
    '$common',
    ...command.options.flatMap(spec),
    ...command.args.map((one, i) => argument(tree, one, i)),
  ];
  return `        ${command.name}) _arguments -S ${parts.join(' ')} ;;`;
}

export function zshScript(tree: Tree): string {
  const commands = tree.commands.map((one) => `        ${quoted(`${one.name}:${one.description}`)}`);
  return `#compdef ${tree.name}
# zsh completion for ${tree.name}. Written by “${tree.name} completion zsh”.

# Asks for the names of a kind (the last argument; _arguments puts those for compadd before it) that can stand
# here. compadd quotes them as it must.
_gpu_handoff_ask() {
  local line
  local -a values shown
  while IFS= read -r line; do
    values+=("\${line%%$'\\t'*}")
    shown+=("\${line/$'\\t'/  }")
  done < <("$program" __complete list "$argv[-1]" "\${(Q)words[2]}" 2> /dev/null)
  (( $#values )) && compadd "\${(@)argv[1,-2]}" -l -d shown -a values
}

_${tree.name}() {
  local program=\${(Q)words[1]} curcontext=$curcontext state line
  typeset -A opt_args
  local -a common=(${tree.options.flatMap(spec).join(' ')})
  _arguments -C -S $common '1:command:->command' '*::argument:->argument'
  case $state in
    command)
      local -a commands=(
${commands.join('\n')}
      )
      _describe command commands
      ;;
    argument)
      case $words[1] in
${tree.commands.map((command) => branch(tree, command)).join('\n')}
      esac
      ;;
  esac
}

if [[ $funcstack[1] == _${tree.name} ]]; then
  _${tree.name} "$@"
else
  compdef _${tree.name} ${tree.name}
fi
`;
}
