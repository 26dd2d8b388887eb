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

const TITLES: Readonly<Record<ArgumentKind, string>> = {
  vm: 'VM',
  card: 'card',
  address: 'address',
  holder: 'holder',
  shell: 'shell',
  command: 'command',
  'apps-act': 'what to do',
  app: 'app',
  choice: 'choice',
  file: 'file',
  program: 'program',
};

/** What can stand there, as `TITLE:ACTION`. */
function values(tree: Tree, kinds: readonly ArgumentKind[], otherwise: string): string {
  const title = kinds.map((kind) => TITLES[kind]).join(' or ') || otherwise;
  const words = staticWords(tree, kinds);
  if (isDynamic(kinds)) return `${title}:_gpu_handoff_ask ${kinds.join(',')}`;
  if (words.length > 0) return `${title}:(${words.join(' ')})`;
  return `${title}:${kinds.includes('file') ? '_files' : ''}`;
}

function spec(tree: Tree, { long, short, description, value }: TreeOption): string[] {
  const shown = `[${description.replace(/[[\]:]/g, '')}]`;
  // With the equals sign the value may be in the same word or in the next.
  if (value !== null) return [quoted(`${long}=${shown}:${values(tree, value, 'value')}`)];
  return [long, ...(short === null ? [] : [short])].map((flag) => quoted(`${flag}${shown}`));
}

function argument(tree: Tree, one: TreeArgument, place: number): string {
  if (one.kinds.includes('program')) return "'(-)1:program: _command_names -e' '*::argument: _normal'";
  return quoted(`${one.variadic ? '*' : place + 1}:${values(tree, one.kinds, 'argument')}`);
}

function branch(tree: Tree, command: TreeCommand): string {
  const parts = [
    '$common',
    ...command.options.flatMap((one) => spec(tree, one)),
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
  local -a common=(${tree.options.flatMap((one) => spec(tree, one)).join(' ')})
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
