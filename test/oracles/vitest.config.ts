import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    name: 'oracles',
    root: fileURLToPath(new URL('../..', import.meta.url)),
    include: ['test/oracles/**/*.test.ts'],
    // Builds the Debian tree once, before any test’s clock runs.
    globalSetup: [fileURLToPath(new URL('rig/setup.ts', import.meta.url))],
    pool: 'forks',
    retry: 0,
    testTimeout: 30_000,
    hookTimeout: 180_000,
  },
});
