import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

/** Figures that need the proving machine; a missed one fails, but no change waits for them. */
export default defineConfig({
  root: fileURLToPath(new URL('../..', import.meta.url)),
  test: {
    name: 'bench',
    include: ['test/bench/machine/*.test.ts'],
    fileParallelism: false,
    retry: 0,
    testTimeout: 600_000,
    hookTimeout: 900_000,
  },
});
