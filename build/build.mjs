// Bundles the parts into dist/: the core for the desktops, the helper, the command.
import { createHash } from 'node:crypto';
import { chmodSync, copyFileSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { buildCommand } from '../cli/build.mjs';
import { slimDbusNext } from './dbus-next.mjs';
import { buildGnomeExtension } from './gnome.mjs';
import { kickerActions } from './kickeractions.mjs';
import { writeWrapper } from './wrapper.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
// Built beside and moved into place: tests that run meanwhile find a whole build, the old one or the new.
const out = join(root, `.cache/build-${process.pid}`);
const dist = join(root, 'dist');

const node = {
  bundle: true,
  platform: 'node',
  target: 'node20',
  legalComments: 'none',
  logLevel: 'warning',
  define: { GPU_HANDOFF_VERSION: JSON.stringify(version) },
  plugins: [slimDbusNext()],
};

/** The helper's bundle, and the small script that starts it with its compiled code. */
async function buildHelper() {
  const bundle = join(out, 'helper/helper.cjs');
  const helper = { ...node, format: 'cjs', minify: true };
  const { metafile } = await build({
    ...helper,
    entryPoints: [join(root, 'polkit/src/main.ts')],
    outfile: bundle,
    metafile: true,
    banner: { js: "const bundleUrl=require('node:url').pathToFileURL(__filename).href;" },
    define: { ...node.define, 'import.meta.url': 'bundleUrl' },
  });
  const imports = Object.values(metafile.outputs).flatMap((output) => output.imports);
  const modules = [...new Set(imports.filter((one) => one.external).map((one) => one.path))];
  const digest = createHash('sha256').update(readFileSync(bundle)).digest('hex');
  await build({
    ...helper,
    entryPoints: [join(root, 'polkit/src/start.ts')],
    outfile: join(out, 'helper/start.cjs'),
    define: { GPU_HANDOFF_BUNDLE: JSON.stringify(digest), GPU_HANDOFF_MODULES: JSON.stringify(modules) },
  });
}

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
  buildHelper(),
  buildCommand(node, join(out, 'cli')),
  build({
    ...node,
    format: 'esm',
    minify: true,
    entryPoints: [join(root, 'cli/src/session/main.ts')],
    outfile: join(out, 'session/session.js'),
  }),
  writeWrapper(join(out, 'wrapper/gpu-handoff-run'), version),
]);
// The signal sender stands beside each bundle that may use it.
for (const part of ['helper', 'cli']) {
  mkdirSync(join(out, part), { recursive: true });
  copyFileSync(join(root, 'core/src/linux/pidfd-signal.py'), join(out, part, 'pidfd-signal.py'));
}
const command = join(out, 'cli/main.js');
writeFileSync(command, `#!/usr/bin/node\n${readFileSync(command, 'utf8')}`);
chmodSync(command, 0o755);

mkdirSync(join(out, 'kickeractions'), { recursive: true });
writeFileSync(join(out, 'kickeractions/gpu-handoff.desktop'), await kickerActions(root));

const uuid = buildGnomeExtension(join(out, 'gnome-extension'), version);
renameSync(
  join(out, `gnome-extension/${uuid}.shell-extension.zip`),
  join(out, `${uuid}.shell-extension.zip`),
);

mkdirSync(dist, { recursive: true });
for (const part of [
  'core',
  'helper',
  'cli',
  'session',
  'kickeractions',
  'wrapper',
  'gnome-extension',
  `${uuid}.shell-extension.zip`,
]) {
  const old = join(out, `${part}.old`);
  try {
    renameSync(join(dist, part), old);
  } catch (fault) {
    if (fault.code !== 'ENOENT') throw fault;
  }
  renameSync(join(out, part), join(dist, part));
}
rmSync(out, { recursive: true, force: true });
