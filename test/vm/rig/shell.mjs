#!/usr/bin/env node
/**
 * Boots the proving machine and gives a root shell in it; leaving the shell turns the machine off and
 * forgets its disk.
 *
 *   node test/vm/rig/shell.mjs [OPTIONS] [COMMAND]
 *     --cards nvidia+sound,amd,bochs   the dGPUs, one after the other
 *     --fresh                          boot the kernel instead of continuing the saved state
 *     --user NAME                      as alice or mallory instead of root
 *     --login                          in a login session of that user, active on seat0
 *     --put FOLDER=PATH                copy a folder of the host into the machine first
 */
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const outfile = join(here, '../../../.cache/vm/shell/rig.mjs');
mkdirSync(dirname(outfile), { recursive: true });
await build({
  entryPoints: [join(here, 'index.ts')],
  outfile,
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'esm',
  // The bundle lies elsewhere than the sources, which find their files by their own place.
  define: { 'import.meta.url': JSON.stringify(pathToFileURL(join(here, 'index.ts')).href) },
});
const { ensureImage, Machine } = await import(pathToFileURL(outfile).href);

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    cards: { type: 'string', default: 'nvidia+sound' },
    fresh: { type: 'boolean', default: false },
    login: { type: 'boolean', default: false },
    put: { type: 'string', multiple: true, default: [] },
    user: { type: 'string', default: 'root' },
  },
});
const cards = values.cards
  .split(',')
  .filter((text) => text !== '')
  .map((text) => ({ kind: text.split('+')[0], sound: text.endsWith('+sound') }));

const started = Date.now();
const image = await ensureImage();
const machine = await Machine.boot(image, { cards, fresh: values.fresh, name: 'shell' });
process.stderr.write(
  `machine up after ${((Date.now() - started) / 1000).toFixed(1)} s; console: ${machine.consoleLog}\n`,
);
try {
  for (const pair of values.put) {
    const [folder, path] = pair.split('=');
    await machine.putTree(folder, path);
  }
  const shell = values.login ? await machine.login(values.user) : machine;
  if (positionals.length > 0) {
    const options = { user: values.login ? undefined : values.user, timeoutMs: Number.POSITIVE_INFINITY };
    const result = await shell.run(positionals.join(' '), options);
    process.stdout.write(result.stdout);
    process.stderr.write(result.stderr);
    process.exitCode = result.code;
  } else {
    const options = {
      user: values.login ? undefined : values.user,
      pty: true,
      env: { TERM: process.env.TERM ?? 'dumb' },
    };
    const child = await shell.spawn(['/bin/bash', '-i'], options);
    let shown = 0;
    child.watch(() => {
      const { stdout } = child.output();
      process.stdout.write(stdout.slice(shown));
      shown = stdout.length;
    });
    if (process.stdin.isTTY) {
      process.stdin.setRawMode(true);
    }
    process.stdin.on('data', (data) => child.write(data));
    process.stdin.on('end', () => child.write('\x04'));
    process.exitCode = (await child.exited).code;
  }
} finally {
  if (process.stdin.isTTY) {
    process.stdin.setRawMode(false);
  }
  await machine.stop();
}
process.exit();
