// Bundles the parts into dist/: the core for the desktops, the helper, the command.
import { chmodSync, copyFileSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { slimDbusNext } from './dbus-next.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const out = join(root, 'dist');

const node = {
  bundle: true,
  platform: 'node',
  target: 'node20',
  legalComments: 'none',
  logLevel: 'warning',
  define: { GPU_HANDOFF_VERSION: JSON.stringify(version) },
  plugins: [slimDbusNext()],
};

rmSync(out, { recursive: true, force: true });
await Promise.all([
  // Qt's engine knows ES2016; gjs takes the same file.
  build({
    bundle: true,
    format: 'esm',
    target: 'es2016',
    platform: 'neutral',
    logLevel: 'warning',
    entryPoints: [join(root, 'core/src/index.ts')],
    outfile: join(out, 'core/core.mjs'),
  }),
  build({
    ...node,
    format: 'esm',
    minify: true,
    entryPoints: [join(root, 'polkit/src/main.ts')],
    outfile: join(out, 'helper/helper.js'),
  }),
  build({
    ...node,
    format: 'esm',
    splitting: true,
    minify: true,
    entryPoints: [join(root, 'cli/src/main.ts')],
    outdir: join(out, 'cli'),
  }),
]);
// The signal sender stands beside each bundle that may use it.
for (const part of ['helper', 'cli']) {
  mkdirSync(join(out, part), { recursive: true });
  copyFileSync(join(root, 'core/src/linux/pidfd-signal.py'), join(out, part, 'pidfd-signal.py'));
}
chmodSync(join(out, 'cli/main.js'), 0o755);
