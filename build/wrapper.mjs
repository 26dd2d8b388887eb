// Writes the wrapper gpu-handoff-run from its template and the core's tables.
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** Writes it to a path; `below` stands before every path that it looks at, empty for a real machine. */
export async function writeWrapper(path, version, below = '') {
  const { outputFiles } = await build({
    bundle: true,
    format: 'esm',
    platform: 'neutral',
    write: false,
    logLevel: 'warning',
    entryPoints: [join(root, 'core/src/launch/wrapper.ts')],
  });
  const source = Buffer.from(outputFiles[0].contents).toString('base64');
  const { wrapperScript } = await import(`data:text/javascript;base64,${source}`);
  const template = readFileSync(join(root, 'wrapper/gpu-handoff-run.in'), 'utf8');
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, wrapperScript(template, { version, root: below }));
  chmodSync(path, 0o755);
}
