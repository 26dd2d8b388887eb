/** Completion as people meet it: what a line in a real shell becomes by a press of Tab. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createWorkstation } from '../../core/src/linux/simulated/create.js';
import { NO_BUS } from './support-cli.js';
import { entry } from './support-launch-home.js';

const ROOT = join(import.meta.dirname, '../..');
const CARD = '0000:01:00.0';

/** What is typed, and what the line is after Tab. */
const LINES: readonly (readonly [typed: string, line: string])[] = [
  ['launch fire', 'launch firefox'],
  ['launch --action new-window fire', 'launch --action new-window firefox'],
  [`launch --card ${CARD} fire`, `launch --card ${CARD} firefox`],
  [`launch --card=${CARD} fire`, `launch --card=${CARD} firefox`],
  ['launch --card ', `launch --card ${CARD}`],
  ['launch --card 0000:0', `launch --card ${CARD}`],
  ['launch --card=', `launch --card=${CARD}`],
  ['launch --action fi', 'launch --action fi'],
  ['launch --file fi', 'launch --file film.desktop'],
  ['launch firefox fi', 'launch firefox film.desktop'],
  ['run --card ', `run --card ${CARD}`],
  ['run handoff-d', 'run handoff-demo'],
  [`run --card ${CARD} handoff-d`, `run --card ${CARD} handoff-demo`],
  [`run --card ${CARD} handoff-demo fi`, `run --card ${CARD} handoff-demo film.desktop`],
  ['run --require -- handoff-demo fi', 'run --require -- handoff-demo film.desktop'],
];

let top = '';
const path = (name: string): string => join(top, name);

/** A program on the PATH of the shells. */
function program(name: string, text: string): void {
  writeFileSync(path(`bin/${name}`), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
}

/** The command itself over a simulated laptop, one app, one file in the current folder, and the three scripts. */
async function prepare(): Promise<void> {
  top = mkdtempSync(join(tmpdir(), 'gpu-handoff-shells-'));
  for (const name of ['bin', 'here', 'home', 'laptop', 'share/applications'])
    mkdirSync(path(name), { recursive: true });
  createWorkstation(path('laptop'), 'laptop');
  writeFileSync(path('share/applications/firefox.desktop'), entry({ name: 'Firefox', exec: 'firefox %U' }));
  writeFileSync(path('here/film.desktop'), entry());
  const { slimDbusNext } = await import(join(ROOT, 'build/dbus-next.mjs'));
  await build({
    stdin: {
      contents: `import { run } from ${JSON.stringify(join(ROOT, 'cli/src/program.ts'))};
        run(process.argv.slice(2)).then((status) => process.exit(status));`,
      resolveDir: top,
    },
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    outfile: path('main.mjs'),
    define: { GPU_HANDOFF_VERSION: '"9.9.9"' },
    plugins: [slimDbusNext()],
  });
  program(
    'gpu-handoff',
    `exec '${process.execPath}' '${path('main.mjs')}' --simulate '${path('laptop')}' "$@"`,
  );
  program('handoff-demo', '');
  for (const shell of ['bash', 'zsh', 'fish'])
    writeFileSync(path(shell), start(path('bin/gpu-handoff'), ['completion', shell]));
}

function start(file: string, args: readonly string[], input = ''): string {
  const env = {
    PATH: `${path('bin')}:/usr/bin:/bin`,
    HOME: path('home'),
    XDG_DATA_DIRS: path('share'),
    GPU_HANDOFF_BUS: NO_BUS,
    LC_ALL: 'C.UTF-8',
    TERM: 'dumb',
  };
  const options = { env, input, cwd: path('here'), encoding: 'utf8', timeout: 60_000 } as const;
  const { stdout, error } = spawnSync(file, args, options);
  if (error !== undefined) throw error;
  return stdout;
}

/** In bash and zsh the line is run after Tab, and this notes what it was. */
const NOTE = (file: string): string =>
  `gpu-handoff() {
    if [[ $1 == __complete ]]; then command gpu-handoff "$@"; else echo "$*" >> '${file}'; echo 'no''ted'; fi
  }`;

const COMPLETED: Readonly<Record<string, () => string[]>> = {
  bash: () => {
    writeFileSync(
      path('rc'),
      `source '${path('bash')}'
      ${NOTE(path('lines'))}
      # Of bash-completion: completes the command line that begins at this word.
      _command_offset() { [[ \${COMP_WORDS[$1]} != handoff-demo ]] || COMPREPLY=(film.desktop); }`,
    );
    const keys = LINES.map(([typed]) => `gpu-handoff ${typed}\t\n`);
    // In a session of its own, since an interactive bash takes the terminal that the tests may have.
    start(
      '/usr/bin/setsid',
      ['--wait', '/bin/bash', '--norc', '-i'],
      `source '${path('rc')}'\n${keys.join('')}exit\n`,
    );
    return readFileSync(path('lines'), 'utf8').split('\n');
  },
  zsh: () => {
    writeFileSync(
      path('rc'),
      `autoload -Uz compinit && compinit -u -D
      source '${path('zsh')}'
      ${NOTE(path('lines'))}
      echo 're''ady'`,
    );
    const typed = LINES.map(([line]) => `type $'gpu-handoff ${line}\\t' noted`);
    const keys = `zmodload zsh/zpty && zpty shell zsh -f -i
      type() { zpty -w shell $1 && zpty -r -m shell seen "*$2*" }
      type 'source ${path('rc')}' ready
      ${typed.join('\n')}
      zpty -d shell`;
    start('/usr/bin/zsh', ['-f', '-c', keys]);
    return readFileSync(path('lines'), 'utf8').split('\n');
  },
  fish: () => {
    const asked = LINES.map(([line]) => `ask 'gpu-handoff ${line}'`);
    const script = `source '${path('fish')}'
      function ask
          set -l found (complete -C $argv[1] | string replace -r '\\t.*' '')
          string join ' ' -- $found ''
      end
      ${asked.join('\n')}`;
    const answers = start('/usr/bin/fish', ['--no-config', '-c', script]).split('\n');
    return LINES.map(([typed], i) => {
      const [only, another] = (answers[i] ?? '').split(' ').filter((one) => one !== '');
      return (only === undefined || another !== undefined ? typed : typed.replace(/\S*$/, only)).trim();
    });
  },
};

beforeAll(prepare, 60_000);
afterAll(() => rmSync(top, { recursive: true, force: true }));

describe.each(Object.keys(COMPLETED))('in %s', (shell) => {
  const installed = ['/bin', '/usr/bin'].some((folder) => existsSync(`${folder}/${shell}`));
  let lines: readonly string[] = [];

  beforeAll(() => {
    rmSync(path('lines'), { force: true });
    if (installed) lines = COMPLETED[shell]?.() ?? [];
  }, 60_000);

  const each = LINES.map(([typed, line], i) => [typed, line, i] as const);
  test.skipIf(!installed).each(each)('“%s” becomes “%s”', (_, line, i) => {
    expect(lines[i]).toBe(line);
  });
});
