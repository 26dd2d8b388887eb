// Says what is wrong with the translations, a line each; status 1 where anything is.
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { check } from './po-catalogues.mjs';

const faults = await check(join(dirname(fileURLToPath(import.meta.url)), '..'));
for (const fault of faults) process.stdout.write(`${fault}\n`);
process.exitCode = faults.length === 0 ? 0 : 1;
