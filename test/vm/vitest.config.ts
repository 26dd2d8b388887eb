import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

/** Tests against a real machine: one file at a time, each with a machine of its own; never a second try. */
export default defineConfig({
  root: fileURLToPath(new URL('../..', import.meta.url)),
  test: {
    name: 'vm',
    include: ['test/vm/**/*.test.ts'],
    fileParallelism: false,
    pool: 'forks',
    retry: 0,
    testTimeout: 240_000,
    hookTimeout: 900_000,
    teardownTimeout: 60_000,
  },
});
