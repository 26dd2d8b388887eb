// The sync of 2 000 launch entries: the first one, and one with nothing to do, each as a whole process beside bare Node.
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { slimDbusNext } from '../../build/dbus-next.mjs';
import { buildCommand } from '../../cli/build.mjs';

const APPS = 2000;
const ROUNDS = 21;
const FIRST_ROUNDS = 5;
const MOST_FIRST_MS = 2000;
const MOST_UNCHANGED_MS = 150;

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const top = mkdtempSync(join(tmpdir(), 'gpu-handoff-bench-'));
if (!process.env.KEEP) process.on('exit', () => rmSync(top, { recursive: true, force: true }));
const wrapper = join(top, 'usr/bin/gpu-handoff-run');
const home = join(top, 'home');
const env = { PATH: process.env.PATH, HOME: home, XDG_DATA_DIRS: join(top, 'usr/share') };

function write(path, text) {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

/** Entries as long as those of usual apps, with translations and actions. */
function entry(i) {
  const names = [
    'de',
    'fr',
    'es',
    'pl',
    'pt_BR',
    'zh_CN',
    'it',
    'nl',
    'ru',
    'ja',
    'ko',
    'cs',
    'sv',
    'tr',
    'uk',
  ];
  const translated = (key) => names.map((name) => `${key}[${name}]=${key} ${i} in ${name}\n`).join('');
  return `[Desktop Entry]
Version=1.5
Type=Application
Name=App ${i}
${translated('Name')}Comment=What app ${i} is for
${translated('Comment')}Exec=/usr/bin/app-${i} --profile "the usual one" %U
Icon=org.example.App${i}
Terminal=false
Categories=Utility;
MimeType=text/plain;
Actions=new-window;

[Desktop Action new-window]
Name=New window
${translated('Name')}Exec=/usr/bin/app-${i} --new-window
`;
}

/** Milliseconds of one whole process. */
function timed(args) {
  const begun = process.hrtime.bigint();
  const { status, stderr } = spawnSync(process.execPath, args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
  if (status !== 0) throw new Error(`${args.join(' ')} ended with ${status}: ${stderr}`);
  return Number(process.hrtime.bigint() - begun) / 1e6;
}

function median(values) {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}

write(wrapper, '#!/bin/sh\nexec "$@"\n');
chmodSync(wrapper, 0o755);
const choices = {};
for (let i = 0; i < APPS; i++) {
  const id = `org.example.App${i}.desktop`;
  write(join(top, 'usr/share/applications', id), entry(i));
  choices[id] = i % 2 === 0 ? 'always' : 'offer';
}
write(join(home, '.config/gpu-handoff/apps.json'), JSON.stringify({ version: 1, choices }));

const built = join(root, `.cache/bench-${process.pid}`);
if (!process.env.KEEP) process.on('exit', () => rmSync(built, { recursive: true, force: true }));
const define = { GPU_HANDOFF_VERSION: '"bench"', GPU_HANDOFF_WRAPPER: JSON.stringify(wrapper) };
await buildCommand(
  {
    bundle: true,
    platform: 'node',
    target: 'node20',
    define,
    plugins: [slimDbusNext()],
    logLevel: 'warning',
  },
  built,
);
const sync = [join(built, 'main.js'), 'apps', 'sync'];

const own = join(home, '.local/share/applications');
const first = [];
for (let i = 0; i < FIRST_ROUNDS; i++) {
  for (const folder of ['.local', '.cache']) rmSync(join(home, folder), { recursive: true, force: true });
  first.push(timed(sync));
  const written = readdirSync(own).length;
  if (written !== APPS) throw new Error(`${written} entries were written`);
}
// Once more, so that nothing is too new for its times to be trusted.
timed(sync);
const unchanged = [];
const bare = [];
for (let i = 0; i < ROUNDS; i++) {
  unchanged.push(timed(sync));
  bare.push(timed(['-e', '0']));
}
const over = median(unchanged) - median(bare);
console.log(`First sync of ${APPS} apps: ${median(first).toFixed(0)} ms (at most ${MOST_FIRST_MS})`);
console.log(
  `Sync with nothing to do: ${median(unchanged).toFixed(1)} ms, ${over.toFixed(1)} ms over node -e 0 (at most ${MOST_UNCHANGED_MS})`,
);
if (median(first) > MOST_FIRST_MS || over > MOST_UNCHANGED_MS) process.exitCode = 1;
