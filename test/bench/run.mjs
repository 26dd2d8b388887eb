// Every figure that the project promises, as ratios measured side by side in one run. Part of them needs the proving
// machine: --no-vm leaves it out.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '../..');
const ROUNDS = 41;
let broken = false;

function run(title, program, args) {
  console.log(`\n${title}`);
  const { status } = spawnSync(program, args, { cwd: root, stdio: 'inherit' });
  if (status !== 0) broken = true;
}

/** Milliseconds of one whole process. */
function timed(args) {
  const begun = process.hrtime.bigint();
  const { status } = spawnSync(process.execPath, args, { stdio: 'ignore' });
  if (status !== 0) throw new Error(`${args.join(' ')} ended with ${status}`);
  return Number(process.hrtime.bigint() - begun) / 1e6;
}

function median(values) {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}

function benchStatus() {
  const command = join(root, 'dist/cli/main.js');
  const ours = [];
  const bare = [];
  const both = () => [timed([command, 'status']), timed(['-e', '0'])];
  both();
  for (let i = 0; i < ROUNDS; i++) {
    const [status, node] = both();
    ours.push(status);
    bare.push(node);
  }
  const ratio = median(ours) / median(bare);
  console.log(
    `\ngpu-handoff status / node -e 0: ${median(ours).toFixed(1)} ms / ${median(bare).toFixed(1)} ms = ${ratio.toFixed(2)} (at most 1.6)`,
  );
  if (ratio > 1.6) broken = true;
}

if (!existsSync(join(root, 'dist/cli/main.js'))) run('Building', 'npm', ['run', '--silent', 'build']);
run('Holders: 400 processes × 60 open files', process.execPath, [join(here, 'holders/bench.mjs')]);
benchStatus();
run('Wrapper: starting an app, beside switcherooctl on a real bus', 'npx', [
  ...['vitest', 'run', '--config', 'test/bench/wrapper/vitest.config.ts'],
]);
run('Launch entries: a sync of 2 000 apps', process.execPath, [join(here, 'launch-sync.mjs')]);
if (!process.argv.includes('--no-vm'))
  for (const args of [
    ['npm', 'run', '--silent', 'package'],
    ['npx', 'vitest', 'run', '--config', 'test/bench/vitest.config.ts'],
  ])
    run(`In the proving machine: ${args.join(' ')}`, args[0], args.slice(1));
process.exitCode = broken ? 1 : 0;
