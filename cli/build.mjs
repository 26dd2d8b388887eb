/**
 * Bundles the command. What answers `status` is one file, since loading each further module costs about a
 * millisecond, and so is what syncs entries; everything else is split into parts that are loaded when they are needed.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const source = fileURLToPath(new URL('./src/', import.meta.url));

/** Parts that main.ts and what it imports load on demand. They are entry points of a build of their own. */
const PARTS = {
  program: join(source, 'program.ts'),
  start: join(source, 'start.ts'),
  eyes: join(source, 'eyes.ts'),
  toml: 'toml-eslint-parser',
};

/** What is imported, as it is written, and the part that has it. */
const IMPORTED = {
  './program.js': 'program',
  './eyes.js': 'eyes',
  './quick-sync.js': 'quick-sync',
  'toml-eslint-parser': 'toml',
};

/** Leaves the imports of those parts in place, so that they meet the other build's files. */
const apart = {
  name: 'apart',
  setup(one) {
    one.onResolve({ filter: /^(\.\/(program|eyes|quick-sync)\.js|toml-eslint-parser)$/ }, ({ path, kind }) =>
      kind === 'dynamic-import' ? { path: `./${IMPORTED[path]}.js`, external: true } : undefined,
    );
  },
};

/**
 * Takes Node's own modules without import: an import of `node:fs` reads every name that it exports, and one of them
 * loads all of Node's streams.
 */
const unimported = {
  name: 'unimported',
  setup(one) {
    one.onResolve({ filter: /^node:/ }, ({ path }) => ({
      path,
      namespace: 'unimported',
      sideEffects: false,
    }));
    one.onLoad({ filter: /.*/, namespace: 'unimported' }, ({ path }) => ({
      contents: `module.exports = process.getBuiltinModule('${path}');`,
      loader: 'js',
    }));
  },
};

/** `common` are esbuild's options for Node programs of this project; `outdir` gets main.js and its parts. */
export async function buildCommand(common, outdir) {
  const options = { ...common, format: 'esm', minify: true };
  await build({ ...options, splitting: true, entryPoints: PARTS, outdir });
  for (const name of ['main', 'quick-sync'])
    await build({
      ...options,
      plugins: [apart, ...(common.plugins ?? []), unimported],
      entryPoints: [join(source, `${name}.ts`)],
      outfile: join(outdir, `${name}.js`),
    });
}
