import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { ModuleFacts } from '../facts.js';
import { namesIn, readNumber } from './read.js';

/**
 * The loaded modules of these names and, in turn, all that hold them (`/sys/module/NAME/holders`), by name.
 * `refcnt` counts holders and users together; it is absent for what is built in and then null.
 */
export function moduleFacts(root: string, names: Iterable<string>): ModuleFacts[] {
  const facts = new Map<string, ModuleFacts>();
  const visit = (name: string): void => {
    const directory = join(root, 'sys/module', name);
    if (facts.has(name) || !existsSync(directory)) return;
    const holders = namesIn(join(directory, 'holders'));
    facts.set(name, { name, useCount: readNumber(join(directory, 'refcnt')), holders });
    for (const holder of holders) visit(holder);
  };
  for (const name of names) visit(name);
  return [...facts.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}
