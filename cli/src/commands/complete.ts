/**
 * The hidden `__complete`, which the completion scripts call:
 *
 *   __complete list KIND[,KIND…] [FIRST-ARGUMENT]   VALUE TAB DESCRIPTION, one a line; for zsh and fish, which quote
 *   __complete bash LINE COMP_WORDBREAKS            what is to be put in, one a line, quoted as the line needs it
 */
import type { Command } from 'commander';
import { printable } from '../../../core/src/words.js';
import { type Candidate, candidates } from '../completion/candidates.js';
import { atCursor, replacements } from '../completion/shell-words.js';
import { type ArgumentKind, kindsAt, type Tree, treeOf } from '../completion/tree.js';
import type { Context, ExitStatus } from '../context.js';

/** The arguments before the cursor: the command's name, then those of the command. */
function argumentsIn(tree: Tree, words: readonly string[]): string[] {
  const found: string[] = [];
  for (let i = 1; i < words.length; i += 1) {
    const word = words[i] ?? '';
    if (tree.hiddenWithValue.includes(word)) i += 1;
    else if (!word.startsWith('-')) found.push(word);
  }
  return found;
}

/** Names that begin like what is typed; the other names of a thing only once something is typed. */
function offered(list: readonly Candidate[], typed: string): string[] {
  return [...new Set(list.filter((one) => !one.other || typed !== '').map((one) => one.value))];
}

async function forBash(context: Context, tree: Tree, line: string, breaks: string): Promise<string[]> {
  const cursor = atCursor(line, breaks);
  const [name, ...args] = argumentsIn(tree, cursor.before);
  const command = tree.commands.find((one) => one.name === name);
  if (command === undefined) return [];
  const list = await candidates(context, kindsAt(command, args.length), args[0] ?? '');
  return replacements(offered(list, cursor.value), cursor);
}

export async function complete(
  context: Context,
  program: Command,
  words: readonly string[],
): Promise<ExitStatus> {
  const [how, first = '', second = ''] = words;
  let lines: string[];
  if (how === 'bash') lines = await forBash(context, treeOf(program), first, second);
  else {
    const list = await candidates(context, first.split(',') as ArgumentKind[], second);
    lines = list.map((one) => `${one.value}\t${printable(one.description)}`);
  }
  context.out.write(lines.map((line) => `${line}\n`).join(''));
  return 0;
}
