import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    name: 'bus',
    root: fileURLToPath(new URL('../..', import.meta.url)),
    include: ['test/bus/**/*.test.ts', 'test/engines/**/*.test.ts'],
    // Builds the Debian tree and dist/ once, before any test’s clock runs.
    globalSetup: ['rig/setup.ts', 'support-build.ts'].map((name) =>
      fileURLToPath(new URL(name, import.meta.url)),
    ),
    pool: 'forks',
    // Each file has daemons of its own; two at a time keep two cores busy.
    maxWorkers: 2,
    retry: 0,
    testTimeout: 20_000,
    hookTimeout: 30_000,
    teardownTimeout: 10_000,
  },
});
