import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

export default defineConfig({
  test: {
    name: 'desktop',
    root: here('../..'),
    include: ['test/desktop/**/*.test.ts'],
    // Builds the trees and dist/ once, before any test’s clock runs.
    globalSetup: [here('rig/setup.ts')],
    pool: 'forks',
    // A session keeps about one core busy.
    maxWorkers: 2,
    retry: 0,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    teardownTimeout: 10_000,
  },
});
