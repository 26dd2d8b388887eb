import { setFlagsFromString } from 'node:v8';

/**
 * A small young generation and no optimizing compiler keep the helper small: it waits most of its life. On the command
 * line these flags would make V8 refuse the compiled code that Node has for its own modules, which costs more than all
 * of ours; so this is to be called when those modules are there.
 */
export function keepSmall(): void {
  for (const flag of ['--semi-space-growth-factor=1', '--optimize-for-size', '--no-opt'])
    setFlagsFromString(flag);
}
