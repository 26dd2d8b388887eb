// The extension for GNOME Shell: readable modules as tsc makes them, one for each source, and the zip that
// `gnome-extensions install` takes.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { installTranslations } from './po-install.mjs';
import { zipFolder } from './zip.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const source = join(root, 'gnome-extension');

/** extensions.gnome.org wants lines that a reviewer can read. */
const LONGEST_LINE = 160;

/** A line that is one long text is broken at spaces into pieces that are added up. */
function breakLine(line) {
  const literal = /^( *)([^']*)'((?:[^'\\]|\\.)*)'([^']*)$/.exec(line);
  if (line.length <= LONGEST_LINE || literal === null) return line;
  const [, indent, before, text, after] = literal;
  const pieces = [];
  let rest = text;
  while (rest.length > LONGEST_LINE - indent.length - 8) {
    const space = rest.lastIndexOf(' ', LONGEST_LINE - indent.length - 8);
    if (space <= 0) break;
    pieces.push(rest.slice(0, space + 1));
    rest = rest.slice(space + 1);
  }
  const lines = [...pieces, rest].map((piece) => `'${piece}'`).join(` +\n${indent}  `);
  return before === ''
    ? `${indent}${lines}${after}`
    : `${indent}${before.trimEnd()}\n${indent}  ${lines}${after}`;
}

/** The core lies beside the extension's own folders there. */
function placed(text) {
  return text.replace(/'((?:\.\.\/)*)\.\.\/core\/src\//g, (_all, up) => `'${up === '' ? './' : up}core/`);
}

/** tsc drops what stands over a file whose first import is of types alone. */
function withHeader(text, typescript) {
  const header = /^\/\*\*[\s\S]*?\*\/\n/.exec(typescript)?.[0] ?? '';
  return text.startsWith('/**') ? text : header + text;
}

function modules(from, sources, to) {
  for (const name of readdirSync(from, { recursive: true })) {
    if (!name.endsWith('.js')) continue;
    const target = join(to, name);
    mkdirSync(dirname(target), { recursive: true });
    const typescript = readFileSync(join(sources, name.replace(/\.js$/, '.ts')), 'utf8');
    writeFileSync(target, withHeader(placed(readFileSync(join(from, name), 'utf8')), typescript));
  }
}

/** tsc also makes modules of what is imported for its types alone; those go. */
function removeUnused(folder) {
  const used = new Set();
  const visit = (name) => {
    if (used.has(name)) return;
    used.add(name);
    const text = readFileSync(join(folder, name), 'utf8');
    for (const [, from] of text.matchAll(/from '(\.[^']+)'/g)) visit(join(dirname(name), from));
  };
  visit('extension.js');
  visit('prefs.js');
  for (const name of readdirSync(folder, { recursive: true }))
    if (name.endsWith('.js') && !used.has(name)) rmSync(join(folder, name));
}

/** Laid out as the sources are: tsc puts what was broken into lines on one. */
function layOut(folder) {
  const files = readdirSync(folder, { recursive: true })
    .filter((name) => name.endsWith('.js'))
    .map((name) => join(folder, name));
  const biome = join(root, 'node_modules/@biomejs/biome/bin/biome');
  execFileSync(
    process.execPath,
    [biome, 'format', '--write', '--vcs-enabled=false', '--config-path', root, ...files],
    { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] },
  );
  for (const file of files)
    writeFileSync(file, readFileSync(file, 'utf8').split('\n').map(breakLine).join('\n'));
}

/** Builds into the folder `out`; returns its UUID. */
export function buildGnomeExtension(out, version) {
  const metadata = JSON.parse(readFileSync(join(source, 'metadata.json'), 'utf8'));
  const { uuid } = metadata;
  const compiled = join(out, '.tsc');
  const folder = join(out, uuid);
  rmSync(folder, { recursive: true, force: true });
  execFileSync(
    process.execPath,
    [
      join(root, 'node_modules/typescript/bin/tsc'),
      // Types are checked by `npm run typecheck`.
      ...['-p', source, '--noEmit', 'false', '--noCheck', '--outDir', compiled],
    ],
    { stdio: ['ignore', 'inherit', 'inherit'] },
  );
  modules(join(compiled, 'gnome-extension'), source, folder);
  modules(join(compiled, 'core/src'), join(root, 'core/src'), join(folder, 'core'));
  removeUnused(folder);
  layOut(folder);
  rmSync(compiled, { recursive: true, force: true });
  writeFileSync(
    join(folder, 'metadata.json'),
    `${JSON.stringify({ ...metadata, 'version-name': version }, null, 2)}\n`,
  );
  for (const part of ['icons', 'schemas', 'stylesheet.css'])
    cpSync(join(source, part), join(folder, part), { recursive: true });
  cpSync(join(root, 'LICENSE'), join(folder, 'LICENSE'));
  installTranslations(root, join(folder, 'locale'));
  zipFolder(folder, join(out, `${uuid}.shell-extension.zip`));
  return uuid;
}
