import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { VERSIONS } from './rig/versions.js';

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/** Every test runs in each version of GNOME: `--project gnome-51` takes one of them. */
export default defineConfig({
  test: {
    root: here('../..'),
    // Builds the trees and dist/ once, before any test’s clock runs.
    globalSetup: [here('rig/setup.ts')],
    // A session keeps about one core busy.
    maxWorkers: 2,
    retry: 0,
    teardownTimeout: 10_000,
    projects: VERSIONS.map((version) => ({
      test: {
        name: `gnome-${version}`,
        root: here('../..'),
        include: ['test/desktop/**/*.test.ts'],
        env: { GNOME: `${version}` },
        pool: 'forks' as const,
        testTimeout: 60_000,
        hookTimeout: 60_000,
      },
    })),
  },
});
