// Brings po/ up to date with the texts of the sources: `npm run translations`. New messages are empty until translated.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { upToDate } from './po-catalogues.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
mkdirSync(join(root, 'po'), { recursive: true });
for (const [file, text] of await upToDate(root)) writeFileSync(join(root, file), text);
