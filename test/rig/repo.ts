import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository's root folder. */
export const REPO = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

/** Where the rigs keep what they build, each in a folder of its own; ignored by git, safe to delete. */
export const CACHE = join(REPO, '.cache');
