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
import {
  type ArgumentKind,
  kindsAt,
  optionsWithValue,
  type Tree,
  type TreeCommand,
  type TreeOption,
  treeOf,
} from '../completion/tree.js';
import type { Context, ExitStatus } from '../context.js';

interface Place {
  readonly command: TreeCommand | null;
  /** Those of the command before the cursor. */
  readonly args: readonly string[];
  /** The option whose value is at the cursor. */
  readonly option: TreeOption | null;
}

function withValue(command: TreeCommand | null, long: string): TreeOption | null {
  return (command === null ? [] : optionsWithValue(command)).find((option) => option.long === long) ?? null;
}

/** What the words before the cursor lead to. An option's value is no argument. */
function placeAfter(tree: Tree, words: readonly string[]): Place {
  let command: TreeCommand | null = null;
  const args: string[] = [];
  for (let i = 1; i < words.length; i += 1) {
    const word = words[i] ?? '';
    const option = withValue(command, word);
    if (option !== null && i === words.length - 1) return { command, args, option };
    if (option !== null || tree.hiddenWithValue.includes(word)) i += 1;
    else if (word.startsWith('-')) continue;
    else if (command !== null) args.push(word);
    else {
      command = tree.commands.find((one) => one.name === word) ?? null;
      if (command === null) break;
    }
  }
  return { command, args, option: null };
}

/** Names that begin like what is typed; the other names of a thing only once something is typed. */
function offered(list: readonly Candidate[], typed: string): string[] {
  return [...new Set(list.filter((one) => !one.other || typed !== '').map((one) => one.value))];
}

async function forBash(context: Context, tree: Tree, line: string, breaks: string): Promise<string[]> {
  const cursor = atCursor(line, breaks);
  const { command, args, option } = placeAfter(tree, cursor.before);
  if (command === null) return [];
  // `--card=ADDRESS` is one word, of which readline completes what follows the equals sign.
  const [long = '', typed] = cursor.value.split(/=(.*)/s);
  const joined = typed === undefined || option !== null ? null : withValue(command, long);
  const kinds = (option ?? joined)?.value ?? kindsAt(command, args.length);
  const begin = joined === null ? '' : `${long}=`;
  const list = await candidates(context, kinds, args[0] ?? '');
  const names = offered(list, cursor.value.slice(begin.length)).map((name) => begin + name);
  return replacements(names, cursor);
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
