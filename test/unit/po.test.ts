import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { XMLParser } from 'fast-xml-parser';
import { afterAll, describe, expect, test } from 'vitest';
import { say, sentence } from '../../core/src/words.js';
import { translatorOf } from '../../gnome-extension/shared/translate.js';

interface Message {
  readonly context: string | null;
  readonly id: string;
  readonly plural: string | null;
  readonly texts: readonly string[];
  readonly comments: readonly string[];
  readonly flags: readonly string[];
}
interface Catalogue {
  readonly header: ReadonlyMap<string, string>;
  readonly messages: readonly Message[];
  readonly obsolete: number;
}
interface Tools {
  readPo(text: string): Catalogue;
  writePo(catalogue: Catalogue, title: string): string;
  check(root: string): Promise<string[]>;
  faultsOf(message: Message, forms: number, quotes: readonly string[]): string[];
  extractCalls(source: string, file: string): Message[];
  installTranslations(root: string, folder: string): void;
  translatedPolicy(root: string): string;
  locales(root: string): string[];
}

const ROOT = join(import.meta.dirname, '../..');
const modules = ['po', 'po-catalogues', 'po-extract', 'po-install'];
const tools = Object.assign(
  {},
  ...(await Promise.all(modules.map((name) => import(join(ROOT, `build/${name}.mjs`))))),
) as Tools;

const scratch = mkdtempSync(join(tmpdir(), 'gpu-handoff-po-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

test('every text is translated into every language, with its places, forms and quotation marks', async () => {
  expect(await tools.check(ROOT)).toEqual([]);
});

describe('what the check finds', () => {
  const message = (more: Partial<Message>): Message => ({
    context: null,
    id: 'The VM “{vm}” has it.',
    plural: null,
    texts: ['Die VM „{vm}“ hat sie.'],
    comments: [],
    flags: [],
    ...more,
  });
  const faults = (more: Partial<Message>): string => tools.faultsOf(message(more), 2, ['„', '“']).join('; ');

  test.each<[string, Partial<Message>, RegExp]>([
    ['nothing, where all is well', {}, /^$/],
    ['a text without a translation', { texts: [''] }, /not translated/],
    ['a guess that nobody looked at', { flags: ['fuzzy'] }, /fuzzy/],
    ['a place that was lost', { texts: ['Die VM „win“ hat sie.'] }, /places/],
    ['a place that was renamed', { texts: ['Die VM „{name}“ hat sie.'] }, /places/],
    ['English quotation marks', { texts: ['Die VM “{vm}” hat sie.'] }, /quotation marks/],
    ['a sentence without its full stop', { texts: ['Die VM „{vm}“ hat sie'] }, /end/],
    ['too few plural forms', { plural: 'The VMs “{vm}” have it.' }, /1 forms instead of 2/],
  ])('%s', (_name, more, expected) => {
    expect(faults(more)).toMatch(expected);
  });
});

describe('what is taken out of TypeScript', () => {
  const taken = (source: string): unknown[] =>
    tools
      .extractCalls(source, 'x.ts')
      .map(({ context, id, plural, comments }) => [context, id, plural, ...comments]);

  test('texts, plurals, contexts, and the comment for translators', () => {
    const source = [
      "const a = _('One'); // _('in a comment')",
      '// Translators: a word on a button',
      "const b = this.gettext('Two');",
      "ngettext('{count} app', '{count} apps', count);",
      "pgettext('button', `It’s open`);",
    ].join('\n');
    expect(taken(source)).toEqual([
      [null, 'One', null],
      [null, 'Two', null, 'a word on a button'],
      [null, '{count} app', '{count} apps', '{count}: a number'],
      ['button', 'It’s open', null],
    ]);
  });

  test('a text that is put together is a fault, since nobody could translate it', () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: source code is what is looked at
    expect(() => taken('_(`Hello ${name}`)')).toThrow(/x\.ts:1/);
    expect(() => taken("_('Hello ' + name)")).toThrow(/one literal/);
  });
});

test('what is written is read again as it was, escapes included', () => {
  const text = ['msgctxt "a"', 'msgid "tab\\t \\"quoted\\" \\\\"', 'msgstr "line\\n"'].join('\n');
  const { messages } = tools.readPo(text);
  expect(messages[0]?.id).toBe('tab\t "quoted" \\');
  const again = tools.readPo(tools.writePo({ header: new Map(), messages, obsolete: 0 }, 'x'));
  expect(again.messages).toEqual(messages);
});

/** Asks Python’s gettext, which reads the compiled files by itself. */
function ask(locale: string, questions: readonly (readonly [string, string, number] | readonly [string])[]) {
  const program = [
    'import gettext, json, sys',
    't = gettext.translation("gpu-handoff", sys.argv[1], [sys.argv[2]])',
    'q = json.loads(sys.argv[3])',
    'print(json.dumps([t.gettext(*x) if len(x) == 1 else t.ngettext(*x) for x in q]))',
  ].join('\n');
  const said = execFileSync('python3', ['-c', program, scratch, locale, JSON.stringify(questions)], {
    encoding: 'utf8',
  });
  return JSON.parse(said) as string[];
}

describe('compiled', () => {
  tools.installTranslations(ROOT, scratch);

  test.each(tools.locales(ROOT))('%s: another program reads every translation out of it', (locale) => {
    const { messages } = tools.readPo(readFileSync(join(ROOT, `po/${locale}.po`), 'utf8'));
    const plain = messages.filter(
      ({ plural, context, texts }) => plural === null && context === null && texts[0] !== '',
    );
    expect(
      ask(
        locale,
        plain.map(({ id }) => [id] as const),
      ),
    ).toEqual(plain.map(({ texts }) => texts[0]));
  });

  test('each language takes the plural form of its number', () => {
    const forms = (locale: string, counts: readonly number[]): string[] =>
      ask(
        locale,
        counts.map(
          (count) => ['Used by {count} app or service.', 'Used by {count} apps or services.', count] as const,
        ),
      );
    expect(forms('pl', [1, 2, 4, 5, 12, 22, 25, 0, 112])).toEqual(
      [0, 1, 1, 2, 2, 1, 2, 2, 2].map(
        (form) =>
          [
            'Używana przez {count} aplikację lub usługę.',
            'Używana przez {count} aplikacje lub usługi.',
            'Używana przez {count} aplikacji lub usług.',
          ][form],
      ),
    );
    expect(forms('fr', [0, 1, 2]).map((text) => /applications/.test(text))).toEqual([false, false, true]);
    expect(forms('de', [0, 1, 2]).map((text) => /Apps/.test(text))).toEqual([true, false, true]);
    expect(new Set(forms('zh_CN', [0, 1, 2, 5])).size).toBe(1);
  });

  test('the extension says the core’s sentences through it', () => {
    const translate = translatorOf({
      gettext: (text) => ask('de', [[text]])[0] ?? '',
      ngettext: (one, many, count) => ask('de', [[one, many, count]])[0] ?? '',
    });
    expect(say(sentence('state.vm.line', { vm: 'win11' }), translate)).toBe(
      'Die VM „win11“ hat sie; beim Zurückholen fährt die VM herunter.',
    );
    expect(say(sentence('state.held.line', { count: 1 }), translate)).toBe('Von 1 App oder Dienst benutzt.');
  });
});

test('polkit’s policy asks in every language, and is otherwise what it was', () => {
  const source = readFileSync(join(ROOT, 'polkit/data/io.github.gpuhandoff.policy'), 'utf8');
  const translated = tools.translatedPolicy(ROOT);
  expect(translated.replace(/^.* xml:lang=.*\n/gm, '')).toBe(source);
  const policy = new XMLParser({ ignoreAttributes: false }).parse(translated) as {
    policyconfig: { action: { message: unknown[]; description: unknown[] }[] };
  };
  for (const action of policy.policyconfig.action) {
    expect(action.message).toHaveLength(1 + tools.locales(ROOT).length);
    expect(action.description).toHaveLength(1 + tools.locales(ROOT).length);
  }
  expect(translated).toContain(
    '<message xml:lang="de">Legitimierung ist erforderlich, um $(card) an die virtuelle Maschine „$(vm)“ zu übergeben</message>',
  );
});
