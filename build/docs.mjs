// Writes docs/dbus.md from the contract, so that the page cannot say anything else than the code.
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { contractPage } from './contract-page.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
writeFileSync(join(root, 'docs/dbus.md'), await contractPage(root));
