import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

/** What the wrapper costs, beside switcherooctl with the real switcheroo-control on a real bus. */
export default defineConfig({
  root: fileURLToPath(new URL('../../..', import.meta.url)),
  test: {
    name: 'bench',
    include: ['test/bench/wrapper/*.test.ts'],
    disableConsoleIntercept: true,
    retry: 0,
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
});
