/**
 * Makes the wrapper gpu-handoff-run out of its template, so that the tables of the core are written once. Words of the
 * template between `@…@` are replaced; see `PARTS`.
 */
import { KEEPERS, MANAGEMENT_VENDORS } from '../detect.js';
import { say, type WordKey } from '../words.js';
import { type Conditional, RECIPES, type Recipe } from './drivers.js';

export interface WrapperOptions {
  readonly version: string;
  /** Put before every path that the wrapper looks at; empty in the product. */
  readonly root: string;
}

/** A text as one word of the shell. */
function quoted(text: string): string {
  return `'${text.replace(/'/g, "'\\''")}'`;
}

/** The values of sentences, and the shell's variables that have them. */
const VARIABLES: Readonly<Record<string, string>> = {
  card: 'gpuh_card',
  why: 'gpuh_why',
  option: 'gpuh_option',
  name: 'gpuh_name',
  command: 'gpuh_shown',
};

/** The wrapper speaks to logs and terminals of every kind: ASCII alone. */
function plain(text: string): string {
  return text.replace(/[“”]/g, '"').replace(/’/g, "'");
}

const SAID: readonly WordKey[] = [
  'run.kept',
  'run.no-driver',
  'run.no-access',
  'run.gone',
  'run.no-dgpu',
  'run.instead',
  'run.required',
  'run.unknown-option',
  'run.no-command',
  'run.no-address',
  'run.not-found',
  'run.not-executable',
  'run.unprintable',
];

/** A sentence as one word of the shell, its places filled from the shell's variables. */
function shellSentence(key: WordKey): string {
  const parts = plain(say({ key, values: {} })).split(/\{([a-z]+)\}/);
  return parts
    .map((part, i) => (i % 2 === 0 ? (part === '' ? '' : quoted(part)) : `"$${VARIABLES[part]}"`))
    .join('');
}

/** A value of a recipe as one word of the shell. */
function shellValue(value: string): string {
  const place: Readonly<Record<string, string>> = {
    tag: '$gpuh_tag',
    vendor: '$gpuh_vendor',
    device: '$gpuh_device',
  };
  const filled = value.replace(/\{([a-z]+)\}/g, (whole, name: string) => place[name] ?? whole);
  return filled === value ? quoted(value) : `"${filled}"`;
}

/** Names that every recipe takes out; a recipe that sets one of them does so after that. */
function commonNames(recipes: readonly Recipe[]): string[] {
  const [first] = recipes;
  if (first === undefined) return [];
  return first.unset.filter((name) => recipes.every((recipe) => recipe.unset.indexOf(name) >= 0));
}

function unsetLines(names: readonly string[], indent: string): string[] {
  const lines: string[] = [];
  for (let i = 0; i < names.length; i += 4)
    lines.push(`${indent}unset -v ${names.slice(i, i + 4).join(' ')}`);
  return lines;
}

function exportLine(values: Readonly<Record<string, string>>): string {
  const words = Object.keys(values).map((name) => `${name}=${shellValue(values[name] ?? '')}`);
  return words.length === 0 ? ':' : `export ${words.join(' ')}`;
}

function whereLines({ name, value, files }: Conditional, root: string): string[] {
  return [
    `      for gpuh_file in ${files.join(' ')}; do`,
    `        [ -e "${root}$gpuh_file" ] || continue`,
    `        export ${name}=${value === '' ? '"$gpuh_file"' : quoted(value)}`,
    '        break',
    '      done',
  ];
}

/** Branches of a `case` over the drivers; drivers for which the same is to be done share one. */
function branches(linesOf: (recipe: Recipe) => readonly string[]): string {
  const drivers = new Map<string, string[]>();
  for (const driver of Object.keys(RECIPES)) {
    const body = linesOf(RECIPES[driver] as Recipe).join('\n');
    drivers.set(body, (drivers.get(body) ?? []).concat(driver));
  }
  return Array.from(drivers)
    .map(([body, names]) => `    ${names.join(' | ')})\n${body}\n      ;;`)
    .join('\n');
}

/** The comments after the first lines are for who reads the template; the shell would read them at every start. */
function withoutComments(template: string): string {
  const lines = template.split('\n');
  const head = lines.indexOf('');
  return lines.filter((line, i) => i < head || !/^\s*# /.test(line)).join('\n');
}

/** The whole script. Throws where the template names something that is not known, or the root is no plain path. */
export function wrapperScript(template: string, options: WrapperOptions): string {
  const { root, version } = options;
  if (!/^[A-Za-z0-9/._-]*$/.test(root)) throw new Error('the root of a wrapper is a plain path');
  const drivers = Object.keys(RECIPES);
  const recipes = drivers.map((driver) => RECIPES[driver] as Recipe);
  const common = commonNames(recipes);
  const parts: Readonly<Record<string, string>> = {
    ROOT: root,
    VERSION: version,
    KEEPER_CASES: KEEPERS.join(' | '),
    MANAGEMENT: MANAGEMENT_VENDORS.map((vendor) => `0x${vendor.toString(16).padStart(4, '0')}`).join(' | '),
    // The drivers of iGPUs first: what is found there saves looking further.
    KNOWN_DRIVERS: drivers.slice().reverse().concat(KEEPERS).join(' '),
    LEADS_ELSEWHERE: unsetLines(common, '  ').join('\n'),
    SETTINGS: branches((recipe) =>
      unsetLines(
        recipe.unset.filter((name) => common.indexOf(name) < 0),
        '      ',
      ).concat(`      ${exportLine(recipe.set)}`),
    ),
    BY_IDS: branches((recipe) => [`      ${exportLine(recipe.setUnlessTwin)}`]),
    WHERE_FILES_ARE: branches((recipe) =>
      ([] as string[]).concat(...recipe.setWhere.map((one) => whereLines(one, root))),
    ),
  };
  return withoutComments(template).replace(
    /@([A-Z_]+)(?:\(([a-z.-]+)\))?@/g,
    (whole, name: string, key: string | undefined) => {
      const word = SAID.filter((one) => one === key)[0];
      if (name === 'WORD' && word !== undefined) return shellSentence(word);
      const part = key === undefined ? parts[name] : undefined;
      if (part === undefined) throw new Error(`the wrapper's template names ${whole}, which is not known`);
      return part;
    },
  );
}
