/** What `gpu-handoff apps` and the changes of entries look like. */
import type { AppDocument, AppsDocument, ChoiceDocument, EntriesDocument } from '../documents.js';
import type { Paper, Style, SymbolName } from './paper.js';
import { widthOf } from './width.js';

/** What is special, in a word or two. */
const SPECIAL: Readonly<Record<string, string>> = {
  'single-instance': 'one instance',
  'dbus-activated': 'D-Bus',
  flatpak: 'flatpak',
  snap: 'snap',
  appimage: 'AppImage',
  'steam-client': 'Steam',
  'steam-game': 'Steam game',
  terminal: 'terminal',
  'prefers-dgpu': 'asks for dGPU',
  'substitutes-user': 'other user',
};

const CHOICE: Readonly<Record<string, readonly [SymbolName, Style]>> = {
  always: ['host', 'green'],
  offer: ['detached', 'cyan'],
  never: ['unavailable', 'yellow'],
};

const SUFFIX = '.desktop';

function shortId(id: string): string {
  return id.endsWith(SUFFIX) ? id.slice(0, -SUFFIX.length) : id;
}

interface Columns {
  readonly choice: number;
  readonly name: number;
  readonly special: number;
  readonly id: number;
}

const CHOICE_WIDTH = 'untouched'.length;
const GAP = '  ';

function longest(texts: readonly string[], most: number): number {
  return Math.min(most, Math.max(4, ...texts.map(widthOf)));
}

function specialOf(app: AppDocument): string {
  return app.special.map((one) => SPECIAL[one] ?? one).join(', ');
}

/** The widths of the columns: names first, then what is special, and the ids take what is left. */
function columnsFor(paper: Paper, apps: readonly AppDocument[]): Columns {
  const room = paper.columns ?? Number.POSITIVE_INFINITY;
  const name = longest(
    apps.map((app) => paper.plain(app.name)),
    room === Number.POSITIVE_INFINITY ? room : 26,
  );
  const special = longest(apps.map(specialOf), room === Number.POSITIVE_INFINITY ? room : 16);
  const id = room - 2 - CHOICE_WIDTH - name - special - 3 * GAP.length;
  return { choice: CHOICE_WIDTH, name, special, id };
}

function row(paper: Paper, columns: Columns, app: AppDocument): string {
  const [symbol, style] = CHOICE[app.choice] ?? ['asleep', 'dim'];
  const chosen = app.choice !== 'untouched';
  const mark = chosen ? paper.style(style, paper.symbol(symbol)) : ' ';
  const choice = paper.pad(chosen ? app.choice : '', columns.choice);
  const name = paper.pad(app.name, columns.name);
  const special = paper.pad(specialOf(app), columns.special);
  const id = paper.fit(shortId(app.id), columns.id);
  const cells = [
    `${mark} ${paper.style(style, choice)}`,
    chosen ? paper.bold(name) : name,
    paper.dim(special),
    id,
  ];
  return cells.join(GAP).trimEnd();
}

/** What has to be said of an app beside its row. */
function remarks(paper: Paper, app: AppDocument): string[] {
  const lines: string[] = [];
  const say = (symbol: SymbolName, style: Style, text: string): void => {
    lines.push(paper.wrap(text, 4, `  ${paper.style(style, paper.symbol(symbol))} `));
  };
  if (app.entry === 'edited')
    say(
      'note',
      'yellow',
      'Its entry was edited by hand and is left alone: “gpu-handoff apps undo” takes it back.',
    );
  if (app.entry === 'stale')
    say(
      'note',
      'yellow',
      'Its entry was edited by hand and is older than the app: “gpu-handoff apps undo” takes it back.',
    );
  if (app.choice === 'untouched') return lines;
  if (app.problem !== null) say('failed', 'red', app.problem);
  if (app.warning !== null) say('note', 'yellow', app.warning);
  return lines;
}

const NONE = 'No app has a choice yet: “gpu-handoff apps set APP always” makes one run on the dGPU.';

export function renderApps(paper: Paper, document: AppsDocument, all: boolean): string {
  const listed = document.apps
    .filter((app) => all || app.shown || app.choice !== 'untouched' || app.entry !== null)
    .map((app) => ({ app, key: app.name.toLowerCase() }))
    .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : a.app.id < b.app.id ? -1 : 1))
    .map(({ app }) => app);
  const columns = columnsFor(paper, listed);
  const lines = listed.flatMap((app) => [row(paper, columns, app), ...remarks(paper, app)]);
  const title = [
    paper.pad('  CHOICE', columns.choice + 2),
    paper.pad('APP', columns.name),
    paper.pad('SPECIAL', columns.special),
    'ID',
  ].join(GAP);
  const end: string[] = [];
  if (!listed.some((app) => app.choice !== 'untouched')) end.push(paper.wrap(NONE, 0));
  else end.push(paper.wrap(document.way.reason, 0, '', 'dim'));
  if (document.fault !== null)
    end.push(paper.wrap(document.fault, 2, `${paper.style('red', paper.symbol('failed'))} `));
  if (listed.length === 0) return `${end.join('\n')}\n`;
  return `${[paper.bold(title), ...lines, '', ...end].join('\n')}\n`;
}

export function renderChoice(paper: Paper, document: ChoiceDocument): string {
  const { id, choice, entry, sentence, warning } = document;
  const [symbol, style] = CHOICE[choice] ?? ['done', 'green'];
  const lines = [paper.wrap(`${shortId(id)}: ${choice}`, 2, `${paper.style(style, paper.symbol(symbol))} `)];
  if (choice !== 'untouched' && entry === null && sentence === null)
    lines.push(paper.wrap('No entry is made for it now.', 2, '  ', 'dim'));
  for (const text of [sentence, warning])
    if (text !== null) lines.push(paper.wrap(text, 4, `  ${paper.style('yellow', paper.symbol('note'))} `));
  return `${lines.join('\n')}\n`;
}

const WHAT: Readonly<Record<string, SymbolName>> = {
  written: 'done',
  removed: 'unavailable',
  restored: 'undone',
};

export function renderEntries(paper: Paper, document: EntriesDocument): string {
  const { changes, problems, notes } = document;
  const lines = changes.map(({ id, what, sentence }) =>
    paper.wrap(`${shortId(id)}: ${what}. ${sentence}`, 2, `${paper.symbol(WHAT[what] ?? 'done')} `),
  );
  for (const { id, sentence } of problems)
    lines.push(
      paper.wrap(`${shortId(id)}: ${sentence}`, 2, `${paper.style('yellow', paper.symbol('note'))} `),
    );
  for (const note of notes) lines.push(paper.wrap(note, 2, `${paper.symbol('note')} `));
  if (lines.length === 0) lines.push(paper.wrap('Every entry is in order.', 0));
  return `${lines.join('\n')}\n`;
}
