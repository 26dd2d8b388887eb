/** The project's one translation domain: where its files lie, how they are brought up to date, and what is wrong with them. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { keyOf, pluralFormsOf, readPo, writePo } from './po.mjs';
import { extract, launchLabels, placesIn } from './po-extract.mjs';

export const DOMAIN = 'gpu-handoff';
export const TEMPLATE = `po/${DOMAIN}.pot`;

/** For each language: its name, its plural forms, and its quotation marks. */
const LANGUAGES = {
  de: { name: 'German', plural: 'nplurals=2; plural=(n != 1);', quotes: ['„', '“'] },
  es: { name: 'Spanish', plural: 'nplurals=2; plural=(n != 1);', quotes: ['«', '»'] },
  fr: { name: 'French', plural: 'nplurals=2; plural=(n > 1);', quotes: ['«\u00a0', '\u00a0»'] },
  pl: {
    name: 'Polish',
    plural: 'nplurals=3; plural=(n==1 ? 0 : n%10>=2 && n%10<=4 && (n%100<12 || n%100>14) ? 1 : 2);',
    quotes: ['„', '”'],
  },
  pt_BR: { name: 'Brazilian Portuguese', plural: 'nplurals=2; plural=(n > 1);', quotes: ['“', '”'] },
  zh_CN: { name: 'Simplified Chinese', plural: 'nplurals=1; plural=0;', quotes: ['“', '”'] },
};

const title = (name) => `${name === '' ? 'Template' : name} for GPU Handoff. GPL-3.0-or-later.`;

function headerOf(locale) {
  return new Map([
    ['Project-Id-Version', DOMAIN],
    ['Report-Msgid-Bugs-To', 'https://github.com/gpuhandoff/gpu-handoff/issues'],
    ['Language', locale],
    ['MIME-Version', '1.0'],
    ['Content-Type', 'text/plain; charset=UTF-8'],
    ['Content-Transfer-Encoding', '8bit'],
    ...(locale === '' ? [] : [['Plural-Forms', LANGUAGES[locale].plural]]),
  ]);
}

/** The locales that have a file, sorted. */
export function locales(root) {
  return readdirSync(join(root, 'po'))
    .filter((name) => name.endsWith('.po'))
    .map((name) => name.slice(0, -3))
    .sort();
}

export function readCatalogue(root, locale) {
  const file = `po/${locale}.po`;
  return readPo(readFileSync(join(root, file), 'utf8'), file);
}

function templateText(messages) {
  const empty = messages.map((one) => ({ ...one, texts: one.plural === null ? [''] : ['', ''] }));
  return writePo({ header: headerOf(''), messages: empty }, title(''));
}

/** A language's file for these messages: what it had is kept, what is new is empty, what is gone goes. */
function merged(locale, messages, earlier) {
  const known = new Map(earlier.messages.map((one) => [keyOf(one), one.texts]));
  const forms = pluralFormsOf(headerOf(locale));
  const filled = messages.map((one) => {
    const before = known.get(keyOf(one)) ?? [];
    const count = one.plural === null ? 1 : forms;
    return { ...one, texts: Array.from({ length: count }, (_, form) => before[form] ?? '') };
  });
  return writePo({ header: headerOf(locale), messages: filled }, title(LANGUAGES[locale].name));
}

/** Every file under po/ as it has to be, by path: the template, each language, the list of languages. */
export async function upToDate(root) {
  const messages = await extract(root);
  const files = new Map([[TEMPLATE, templateText(messages)]]);
  for (const locale of Object.keys(LANGUAGES)) {
    let earlier = { messages: [] };
    try {
      earlier = readCatalogue(root, locale);
    } catch (fault) {
      if (fault.code !== 'ENOENT') throw fault;
    }
    files.set(`po/${locale}.po`, merged(locale, messages, earlier));
  }
  files.set('po/LINGUAS', `${Object.keys(LANGUAGES).join('\n')}\n`);
  return files;
}

const sorted = (list) => [...list].sort().join(' ');

const ENDS = { '.': /[.。]$/, ':': /[:：]$/, '…': /…$/, '?': /[?？]$/, '!': /[!！]$/ };

/** What is wrong with one text of a translation. */
function faultsOfText(text, source, quotes) {
  if (text === '') return ['is not translated'];
  const faults = [];
  if (sorted(placesIn(text)) !== sorted(placesIn(source)))
    faults.push(`has the places ${sorted(placesIn(text))} instead of ${sorted(placesIn(source))}`);
  if (/[{}]/.test(text.replace(/\{[a-z]+\}/g, ''))) faults.push('has a brace that is no place');
  if (text !== text.trim()) faults.push('begins or ends with a space');
  const count = (mark) => text.split(mark).length - 1;
  if (source.includes('“') && (count(quotes[0]) === 0 || count(quotes[0]) !== count(quotes[1])))
    faults.push(`lacks the quotation marks ${quotes.join('…')}`);
  const end = source.slice(-1);
  if (end in ENDS && !ENDS[end].test(text)) faults.push(`does not end with “${end}”`);
  if (!(end in ENDS) && /[.。]$/.test(text)) faults.push('ends like a sentence and the source does not');
  return faults;
}

/** What is wrong with one translated message, a line each. */
export function faultsOf(message, forms, quotes) {
  const faults = message.flags.includes('fuzzy') ? ['is marked as fuzzy'] : [];
  const wanted = message.plural === null ? 1 : forms;
  if (message.texts.length !== wanted) faults.push(`has ${message.texts.length} forms instead of ${wanted}`);
  message.texts.forEach((text, form) => {
    const source = form > 0 && message.plural !== null ? message.plural : message.id;
    faults.push(...faultsOfText(text, source, quotes));
  });
  return faults;
}

/** Everything that is wrong with the translations, a line each; empty when all is well. */
export async function check(root) {
  const faults = [];
  for (const [file, text] of await upToDate(root)) {
    let now = '';
    try {
      now = readFileSync(join(root, file), 'utf8');
    } catch {
      // An absent file differs from every text.
    }
    if (now !== text) faults.push(`${file}: is not up to date: run “npm run translations”`);
  }
  const labels = await launchLabels(root);
  const listed = Object.keys(LANGUAGES);
  for (const locale of locales(root)) {
    if (!listed.includes(locale)) {
      faults.push(`po/${locale}.po: is no language of build/po-catalogues.mjs`);
      continue;
    }
    const { header, messages, obsolete } = readCatalogue(root, locale);
    if (obsolete > 0) faults.push(`po/${locale}.po: has ${obsolete} obsolete lines`);
    for (const message of messages)
      for (const fault of faultsOf(message, pluralFormsOf(header), LANGUAGES[locale].quotes))
        faults.push(`po/${locale}.po: “${message.id}” ${fault}`);
    if (labels === null) continue;
    const label = messages.find((one) => one.id === labels['']);
    if (label?.texts[0] !== labels[locale])
      faults.push(`po/${locale}.po: “${labels['']}” is “${label?.texts[0]}” here, “${labels[locale]}” there`);
  }
  return faults;
}
