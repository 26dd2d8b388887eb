/** Finds every text that has to be translated, where it stands: the core's words, the desktops' calls, polkit's policy. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

/** What stands in a place, for translators. */
const PLACES = {
  action: 'what is done, a word',
  again: 'a program or service, and its process number',
  app: 'an app’s name',
  argument: 'the name of an argument',
  card: 'the graphics card’s name, or several with commas',
  cards: 'names of graphics cards, with commas',
  command: 'a command line',
  connectors: 'monitor connectors, such as DP-1',
  count: 'a number',
  driver: 'a kernel driver, such as nvidia',
  file: 'a file’s path',
  functions: 'PCI addresses, with commas',
  group: 'a number',
  holder: 'a program or service, and its process number',
  holders: 'programs and services, with commas',
  line: 'a line number',
  method: 'a D-Bus method',
  missing: 'PCI addresses, with commas',
  module: 'a kernel module',
  modules: 'kernel modules, with commas',
  name: 'a name',
  names: 'names, with commas',
  operation: 'an operation’s id',
  other: 'another graphics card’s name',
  owner: 'a VM’s name',
  path: 'a file’s path',
  pid: 'a process number',
  power: 'one of the messages power.*',
  reason: 'a whole sentence',
  seconds: 'a number',
  step: 'a step’s title, one of the messages step.*',
  strangers: 'PCI devices, with commas',
  unit: 'a systemd unit',
  units: 'systemd units, with commas',
  user: 'a user’s name',
  version: 'a version number',
  vm: 'a VM’s name',
  what: 'an operation, one of the messages operation.*, or a step',
  why: 'a reason, often a whole sentence, sometimes another program’s English words',
};

/** The places of a text: `{name}` in ours, `$(name)` in polkit's messages. */
export const placesIn = (text) => [...text.matchAll(/\{[a-z]+\}|\$\([a-z]+\)/g)].map((match) => match[0]);

function describePlaces(text) {
  const known = [...new Set(placesIn(text))].filter((place) => place.slice(1, -1) in PLACES);
  return known.map((place) => `${place}: ${PLACES[place.slice(1, -1)]}`).join('; ');
}

function message(id, plural, comments, reference, context = null) {
  return {
    context,
    id,
    plural,
    texts: [],
    comments: comments.filter((one) => one !== ''),
    references: [reference],
    flags: [],
  };
}

async function coreExports(root, entry) {
  const result = await build({
    entryPoints: [join(root, entry)],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'neutral',
    logLevel: 'warning',
  });
  const source = Buffer.from(result.outputFiles[0].contents).toString('base64');
  return import(`data:text/javascript;base64,${source}`);
}

const WORDS_FILE = 'core/src/words.ts';
const LABELS_FILE = 'core/src/launch/labels.ts';
export const POLICY_FILE = 'polkit/data/io.github.gpuhandoff.policy';

async function fromWords(root) {
  const { WORDS } = await coreExports(root, WORDS_FILE);
  return Object.entries(WORDS).map(([key, text]) => {
    const [id, plural] = typeof text === 'string' ? [text, null] : text;
    return message(id, plural, [key, describePlaces(`${id} ${plural ?? ''}`)], WORDS_FILE);
  });
}

/** The labels of launch entries, by locale; `''` is English. Absent where that file is. */
export async function launchLabels(root) {
  if (!existsSync(join(root, LABELS_FILE))) return null;
  const { RUN_ON_DGPU } = await coreExports(root, LABELS_FILE);
  return RUN_ON_DGPU;
}

async function fromLabels(root) {
  const labels = await launchLabels(root);
  if (labels === null) return [];
  return [message(labels[''], null, ['An action in an app’s menu'], LABELS_FILE)];
}

const unescapeXml = (text) =>
  text
    .replace(/&lt;/g, '<')
    .replace(/&gt;/g, '>')
    .replace(/&quot;/g, '"')
    .replace(/&amp;/g, '&');

/** The texts of polkit's policy: `[tag, text]` for each description and message. */
export function policyTexts(xml) {
  return [...xml.matchAll(/<(description|message)>([^<]*)<\//g)].map(([, tag, text]) => [
    tag,
    unescapeXml(text),
  ]);
}

function fromPolicy(root) {
  return policyTexts(readFileSync(join(root, POLICY_FILE), 'utf8')).map(([tag, text]) => {
    const about =
      tag === 'message' ? 'Asked in a password dialog' : 'What a power allows, in a list of powers';
    const places = describePlaces(text);
    const rule = places === '' ? '' : 'Values are put into the parentheses; leave those names as they are.';
    return message(text, null, [about, rule, places], POLICY_FILE);
  });
}

const CALLS = { _: 0, gettext: 0, ngettext: 1, pgettext: 0 };
const PATTERN = new RegExp(
  [
    String.raw`(?<comment>\/\/[^\n]*|\/\*[\s\S]*?\*\/)`,
    String.raw`(?<text>'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|\`(?:[^\`\\]|\\.)*\`)`,
    String.raw`(?<word>[A-Za-z_$][\w$]*)`,
    String.raw`(?<mark>[^\s])`,
  ].join('|'),
  'g',
);

function tokensOf(source) {
  const tokens = [];
  for (const found of source.matchAll(PATTERN)) {
    const [kind, text] = Object.entries(found.groups).find(([, value]) => value !== undefined);
    tokens.push({ kind, text, line: source.slice(0, found.index).split('\n').length });
  }
  return tokens;
}

function literalOf(token) {
  if (token?.kind !== 'text' || (token.text.startsWith('`') && token.text.includes('${'))) return null;
  return token.text
    .slice(1, -1)
    .replace(/\\u\{([0-9a-f]+)\}|\\u([0-9a-f]{4})|\\(.)/gi, (_, long, short, one) =>
      one === undefined
        ? String.fromCodePoint(Number.parseInt(long ?? short, 16))
        : ({ n: '\n', t: '\t' }[one] ?? one),
    );
}

/**
 * The texts that TypeScript hands to `_`, `gettext`, `ngettext` and `pgettext`. A comment `Translators: …` just before
 * goes along. Throws where `_` gets anything but a literal, since nobody could translate that.
 */
export function extractCalls(source, file) {
  const tokens = tokensOf(source);
  const messages = [];
  let after = 0;
  tokens.forEach((token, index) => {
    if (token.kind !== 'word' || !(token.text in CALLS) || tokens[index + 1]?.text !== '(') return;
    const first = literalOf(tokens[index + 2]);
    const second = tokens[index + 3]?.text === ',' ? literalOf(tokens[index + 4]) : null;
    const ends = (at) => /^[,)]$/.test(tokens[at]?.text ?? '');
    if (first === null || !ends(index + 3)) {
      if (token.text !== '_' && first === null) return;
      throw new Error(`${file}:${token.line}: ${token.text}() needs one literal text`);
    }
    const before = tokens.slice(after, index).filter(({ kind }) => kind === 'comment');
    after = index;
    const said = before
      .filter(({ line }) => token.line - line <= 2)
      .map(({ text }) => /Translators:\s*(.*?)\s*(?:\*\/)?$/s.exec(text)?.[1] ?? '')
      .map((text) => text.replace(/\s*\n\s*(?:\*|\/\/)?\s*/g, ' '));
    if (token.text === 'pgettext') {
      if (second === null) throw new Error(`${file}:${token.line}: pgettext() needs a context and a text`);
      messages.push(message(second, null, [...said, describePlaces(second)], file, first));
    } else if (token.text === 'ngettext') {
      if (second === null) throw new Error(`${file}:${token.line}: ngettext() needs two texts`);
      messages.push(message(first, second, [...said, describePlaces(`${first} ${second}`)], file));
    } else messages.push(message(first, null, [...said, describePlaces(first)], file));
  });
  return messages;
}

function filesBelow(root, folder) {
  const at = join(root, folder);
  if (!existsSync(at)) return [];
  return readdirSync(at, { recursive: true, encoding: 'utf8' })
    .filter((name) => /(?<!\.d)\.ts$/.test(name) && !/node_modules/.test(name))
    .map((name) => join(folder, name))
    .sort();
}

/** All messages of the project, each once; where one text stands in several places they are all named. */
export async function extract(root) {
  const found = [
    ...(await fromWords(root)),
    ...(await fromLabels(root)),
    ...fromPolicy(root),
    ...filesBelow(root, 'gnome-extension').flatMap((file) =>
      extractCalls(readFileSync(join(root, file), 'utf8'), file),
    ),
  ];
  const messages = new Map();
  for (const one of found) {
    const key = `${one.context ?? ''}\u0004${one.id}`;
    const earlier = messages.get(key);
    if (earlier === undefined) messages.set(key, one);
    else {
      if (earlier.plural !== null && one.plural !== null && earlier.plural !== one.plural)
        throw new Error(`“${one.id}” has two plurals: “${earlier.plural}” and “${one.plural}”`);
      earlier.plural ??= one.plural;
      for (const part of ['comments', 'references'])
        for (const value of one[part]) if (!earlier[part].includes(value)) earlier[part].push(value);
    }
  }
  return [...messages.values()];
}
