/**
 * Starts the helper's bundle with V8's compiled code of an earlier life, which halves what Node needs until the
 * helper can answer. (`module.enableCompileCache` does the same from Node 22 on.)
 *
 * systemd gives the directory, which only root may enter. V8 itself refuses code of another version, of other flags or
 * of another length than was written; the bundle that it belongs to stands in the file's name. A spoilt byte it does not
 * see (Node 20: it crashes), so the code is kept twice, which is quicker to compare than any sum is to make.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { Script } from 'node:vm';
import { keepSmall } from './keep-small.js';

/** SHA-256 of the bundle, put in by the build. */
declare const GPU_HANDOFF_BUNDLE: string;
/** Node's modules that the bundle needs, put in by the build. */
declare const GPU_HANDOFF_MODULES: readonly string[];

const BUNDLE = join(__dirname, 'helper.cjs');
const PREFIX = 'helper-';

type Start = (
  exports: object,
  require: NodeJS.Require,
  module: object,
  filename: string,
  dirname: string,
) => void;

/** The code that was kept there; null where there is none, or not the same twice. */
function kept(path: string): Buffer | null {
  try {
    const both = readFileSync(path);
    const [one, other] = [both.subarray(0, both.length / 2), both.subarray(both.length / 2)];
    return one.length > 0 && one.equals(other) ? one : null;
  } catch {
    return null;
  }
}

/** Writes beside and renames, so that nobody ever reads half of it; what is of other bundles goes. */
function keep(directory: string, name: string, code: Buffer): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const fresh = join(directory, `${PREFIX}fresh`);
    writeFileSync(fresh, Buffer.concat([code, code]), { mode: 0o600, flush: true });
    renameSync(fresh, join(directory, name));
    for (const other of readdirSync(directory))
      if (other.startsWith(PREFIX) && other !== name) rmSync(join(directory, other), { force: true });
  } catch {
    // It only starts more slowly then.
  }
}

const requireForBundle = createRequire(BUNDLE);
for (const module of GPU_HANDOFF_MODULES) requireForBundle(module);
keepSmall();

const directory = process.env.CACHE_DIRECTORY;
const name = `${PREFIX}${GPU_HANDOFF_BUNDLE.slice(0, 32)}-${process.version}-${process.arch}.v8`;
const known = directory === undefined ? null : kept(join(directory, name));
const parameters = 'exports,require,module,__filename,__dirname';
const source = `(function(${parameters}){${readFileSync(BUNDLE, 'utf8')}\n})`;
const script = new Script(source, { filename: BUNDLE, ...(known !== null && { cachedData: known }) });
const isNew = known === null || script.cachedDataRejected === true;
if (directory !== undefined && isNew)
  // As late as possible: what was not called yet is not compiled yet.
  process.once('exit', () => keep(directory, name, script.createCachedData()));
const start = script.runInThisContext() as Start;
start({}, requireForBundle, {}, BUNDLE, __dirname);
