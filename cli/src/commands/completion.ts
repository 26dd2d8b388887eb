/** `gpu-handoff completion SHELL`: the script for a shell, made from the command tree. */
import type { Command } from 'commander';
import { bashScript } from '../completion/bash.js';
import { fishScript } from '../completion/fish.js';
import { SHELLS, type Tree, treeOf } from '../completion/tree.js';
import { zshScript } from '../completion/zsh.js';
import type { Context, ExitStatus } from '../context.js';
import { UsageError } from '../failure.js';

const SCRIPTS: Readonly<Record<string, (tree: Tree) => string>> = {
  bash: bashScript,
  zsh: zshScript,
  fish: fishScript,
};

export async function completion(context: Context, program: Command, shell: string): Promise<ExitStatus> {
  const script = SCRIPTS[shell];
  if (script === undefined)
    throw new UsageError(`There is no completion for “${shell}”: choose one of ${SHELLS.join(', ')}.`);
  context.out.write(script(treeOf(program)));
  return 0;
}
