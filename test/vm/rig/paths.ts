import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Folder of the rig's sources (this one). */
export const RIG_DIR = fileURLToPath(new URL('.', import.meta.url));

/** Everything that the rig builds or writes; git ignores it. */
export const CACHE_DIR = fileURLToPath(new URL('../../../.cache/vm/', import.meta.url));

/** Serial consoles and build logs, the newest kept. */
export const LOG_DIR = join(CACHE_DIR, 'logs');

/** SHA-256 of texts and of whole folders (names and contents), shortened to 16 hexadecimal digits. */
export function hashOf(inputs: {
  readonly texts: readonly string[];
  readonly folders: readonly string[];
}): string {
  const hash = createHash('sha256');
  for (const text of inputs.texts) {
    hash.update(`text ${text.length}\n${text}`);
  }
  for (const folder of inputs.folders) {
    const files = readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .sort();
    for (const file of files) {
      hash.update(`file ${relative(folder, file)} ${statSync(file).size}\n`);
      hash.update(readFileSync(file));
    }
  }
  return hash.digest('hex').slice(0, 16);
}
