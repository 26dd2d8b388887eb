/** `gpu-handoff apps`: the apps with their choices, and what changes them. */

import { asDict, asDicts, flag, text, textOrNull, texts } from '../../../core/src/dict.js';
import { HandoffError } from '../../../core/src/errors.js';
import { shortAppId } from '../../../core/src/launch/app-id.js';
import { SessionClient, sessionAddress } from '../bus/session-client.js';
import { type Context, type ExitStatus, writeJson } from '../context.js';
import {
  type AppDocument,
  type AppsDocument,
  type ChoiceDocument,
  DOCUMENT_VERSION,
  type EntriesDocument,
} from '../documents.js';
import { UsageError } from '../failure.js';
import { renderApps, renderChoice, renderEntries } from '../render/apps.js';
import { Apps } from '../session/apps.js';
import { entriesOf } from '../session/report.js';

/** The same that the service does, in this process. */
export function ownApps({ env, options }: Context): Apps {
  return new Apps(env, options.bus);
}

/**
 * Asks the per-user service, or does the same by itself where there is no session bus or no service: over ssh, in a
 * script at start-up, in a rescue shell.
 */
export async function withSession<T>(
  context: Context,
  ask: (client: SessionClient) => Promise<T>,
  alone: (apps: Apps) => Promise<T>,
): Promise<T> {
  const address = sessionAddress(context.env);
  const alike = (): Promise<T> => alone(ownApps(context));
  if (address === null) return alike();
  let client: SessionClient;
  try {
    client = await SessionClient.connect(address);
  } catch {
    return alike();
  }
  try {
    return await ask(client);
  } catch (fault) {
    if (fault instanceof HandoffError && fault.failure === 'SessionAbsent') return alike();
    throw fault;
  } finally {
    client.close();
  }
}

/** Where the names of apps are wanted in, as in LC_MESSAGES. */
function localeOf({ env }: Context): string {
  return env.LC_ALL || env.LC_MESSAGES || env.LANG || '';
}

function appOf(value: unknown): AppDocument {
  const dict = asDict(value);
  return {
    id: text(dict, 'id'),
    name: text(dict, 'name'),
    icon: text(dict, 'icon'),
    choice: text(dict, 'choice'),
    shown: flag(dict, 'shown'),
    special: texts(dict, 'special'),
    problem: textOrNull(dict, 'problem'),
    warning: textOrNull(dict, 'warning'),
    entry: textOrNull(dict, 'state'),
  };
}

export function gatherApps(context: Context): Promise<AppsDocument> {
  const locale = localeOf(context);
  return withSession<AppsDocument>(
    context,
    async (client) => {
      const apps = asDicts(await client.call('ListApps', [], { locale })).map(appOf);
      const properties = await client.properties();
      const way = { name: text(properties, 'Way'), reason: text(properties, 'WayReason') };
      const fault = ownApps(context).fault();
      return { version: DOCUMENT_VERSION, source: 'session', way, fault, apps };
    },
    async (own) => {
      const { way, reason } = await own.way();
      const { apps, fault } = own.list(locale);
      return {
        version: DOCUMENT_VERSION,
        source: 'own-look',
        way: { name: way, reason },
        fault: fault || null,
        apps: apps.map(({ state, problem, warning, ...app }) => ({
          ...app,
          problem: problem || null,
          warning: warning || null,
          entry: state || null,
        })),
      };
    },
  );
}

/** People leave `.desktop` out. */
export function appId(word: string): string {
  return word.endsWith('.desktop') ? word : `${word}.desktop`;
}

async function list(context: Context, all: boolean): Promise<ExitStatus> {
  const document = await gatherApps(context);
  if (context.options.json) writeJson(context, document);
  else context.out.write(renderApps(context.out.paper, document, all));
  return 0;
}

async function set(context: Context, word: string, choice: string): Promise<ExitStatus> {
  const id = appId(word);
  const document = await withSession<ChoiceDocument>(
    context,
    async (client) => {
      const dict = asDict(await client.call('SetChoice', [id, choice]));
      const told = { sentence: textOrNull(dict, 'sentence'), warning: textOrNull(dict, 'warning') };
      const failed = flag(dict, 'failed');
      return { version: DOCUMENT_VERSION, id, choice, entry: textOrNull(dict, 'state'), ...told, failed };
    },
    async (own) => {
      const { state, sentence, warning, failed } = await own.setChoice(id, choice);
      const told = { sentence: sentence || null, warning: warning || null };
      return { version: DOCUMENT_VERSION, id, choice, entry: state || null, ...told, failed };
    },
  );
  if (context.options.json) writeJson(context, document);
  else context.out.write(renderChoice(context.out.paper, document));
  return document.failed ? 1 : 0;
}

function reportOf(value: unknown): EntriesDocument {
  const dict = asDict(value);
  return {
    version: DOCUMENT_VERSION,
    changes: asDicts(dict.changes).map((one) => ({
      id: text(one, 'id'),
      what: text(one, 'what'),
      sentence: text(one, 'sentence'),
    })),
    problems: asDicts(dict.problems).map((one) => ({ id: text(one, 'id'), sentence: text(one, 'sentence') })),
    notes: texts(dict, 'notes'),
    failed: flag(dict, 'failed'),
  };
}

async function undo(context: Context, word: string | null): Promise<ExitStatus> {
  const id = word === null ? null : appId(word);
  const document = await withSession(
    context,
    async (client) => reportOf(await client.call('Undo', [], id === null ? { all: true } : { id })),
    async (own) => entriesOf(await own.undo(id)),
  );
  if (context.options.json) writeJson(context, document);
  else context.out.write(renderEntries(context.out.paper, document));
  return document.failed ? 1 : 0;
}

const TRY = 'see “gpu-handoff apps --help”.';

/** `words`: what is to be done, and to what. */
export async function apps(
  context: Context,
  words: readonly string[],
  options: { readonly all: boolean },
): Promise<ExitStatus> {
  const [verb, first, second, ...more] = words;
  const { all } = options;
  if (more.length > 0) throw new UsageError(`There are words too many (${more.join(' ')}): ${TRY}`);
  switch (verb) {
    case undefined:
      return list(context, all);
    case 'set':
      if (first === undefined || second === undefined)
        throw new UsageError(`Say which app, and offer, always, never or untouched: ${TRY}`);
      return set(context, first, second);
    case 'sync':
      if (first !== undefined) throw new UsageError(`A sync is of all apps: ${TRY}`);
      return (await import('../quick-sync.js')).sync(context);
    case 'undo':
      if (second !== undefined || all === (first !== undefined))
        throw new UsageError(`Say which app, or --all: ${TRY}`);
      return undo(context, first ?? null);
    default:
      throw new UsageError(`There is nothing that “apps ${verb}” does: ${TRY}`);
  }
}

/** For completions: apps with their ids as people type them. */
export async function appCandidates(
  context: Context,
): Promise<readonly { readonly id: string; readonly name: string }[]> {
  const { apps: listed } = await gatherApps(context);
  return listed
    .filter((app) => app.shown || app.choice !== 'untouched')
    .map((app) => ({ id: shortAppId(app.id), name: app.name }));
}
