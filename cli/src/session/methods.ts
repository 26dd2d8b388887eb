/** The methods of the contract, over the apps. */
import { invalidArgument } from '../../../core/src/errors.js';
import { as, type Boxes, b, dicts, s, u, Variant } from '../../../core/src/linux/bus/dbus.js';
import type { MethodsOf } from '../../../core/src/linux/bus/door.js';
import type { ListedApp } from '../../../core/src/linux/launch/list.js';
import type { SyncReport } from '../../../core/src/linux/launch/sync.js';
import type { SessionMethodName } from '../../../core/src/session-contract.js';
import type { Apps, Session } from './apps.js';

/** More files than this are no wish of a user's. */
const MOST_FILES = 4096;

/** One option of a call's `a{sv}`, of this type. Throws where it has another one. */
function option(options: unknown, name: string, type: string): unknown {
  if (typeof options !== 'object' || options === null || !Object.hasOwn(options, name)) return undefined;
  const value = (options as Record<string, unknown>)[name];
  if (!(value instanceof Variant) || value.signature !== type)
    throw invalidArgument(name, `its type is “${type}”.`);
  return value.value;
}

function textOption(options: unknown, name: string): string {
  const value = option(options, name, 's');
  return typeof value === 'string' ? value : '';
}

function encodeApp(app: ListedApp): Boxes {
  return {
    id: s(app.id),
    name: s(app.name),
    icon: s(app.icon),
    choice: s(app.choice),
    shown: b(app.shown),
    special: as(app.special),
    problem: s(app.problem),
    warning: s(app.warning),
    state: s(app.state),
  };
}

function encodeReport(report: SyncReport): Boxes {
  return {
    changes: dicts(
      report.changes.map((one) => ({ id: s(one.id), what: s(one.what), sentence: s(one.sentence) })),
    ),
    problems: dicts(report.problems.map((one) => ({ id: s(one.id), sentence: s(one.sentence) }))),
    notes: as(report.notes),
    failed: b(report.failed),
  };
}

export interface MethodsOptions {
  readonly apps: Apps;
  readonly session: Session;
  /** Does one change after the other. */
  readonly inTurn: <T>(work: () => Promise<T>) => Promise<T>;
  /** Told after each change of ours. */
  readonly changed: () => void;
  /** Keeps the service running for as long as the caller is on the bus. */
  readonly stay: (caller: string) => void;
}

export function methodsOf({
  apps,
  session,
  inTurn,
  changed,
  stay,
}: MethodsOptions): MethodsOf<SessionMethodName> {
  async function change<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await inTurn(work);
    } finally {
      changed();
    }
  }

  return {
    async ListApps({ caller, body }) {
      const [options] = body;
      if (option(options, 'stay', 'b') === true) stay(caller);
      return [apps.list(textOption(options, 'locale')).apps.map(encodeApp)];
    },

    async SetChoice({ body }) {
      const [id, choice] = body as [string, string];
      const result = await change(() => apps.setChoice(id, choice));
      const { state, sentence, warning, failed } = result;
      return [{ state: s(state), sentence: s(sentence), warning: s(warning), failed: b(failed) }];
    },

    async Launch({ body }) {
      const [id, options] = body as [string, unknown];
      const on = textOption(options, 'on') || 'dgpu';
      if (on !== 'dgpu' && on !== 'igpu') throw invalidArgument('on', 'it is dgpu or igpu.');
      const files = option(options, 'files', 'as') ?? [];
      if (!Array.isArray(files) || files.length > MOST_FILES)
        throw invalidArgument('files', `there are at most ${MOST_FILES}.`);
      const result = await apps.launch(
        id,
        {
          on,
          card: textOption(options, 'card') || null,
          action: textOption(options, 'action') || null,
          files: files.filter((one): one is string => typeof one === 'string'),
          activationToken: textOption(options, 'activation-token'),
        },
        session,
      );
      return [{ pid: u(result.pid), on: s(result.on), warning: s(result.warning) }];
    },

    async Sync() {
      return [encodeReport(await change(() => apps.sync()))];
    },

    async Undo({ body }) {
      const [options] = body;
      const id = textOption(options, 'id');
      const all = option(options, 'all', 'b') === true;
      if (all === (id !== '')) throw invalidArgument('options', 'give either the id of an app, or all.');
      return [encodeReport(await change(() => apps.undo(all ? null : id)))];
    },
  };
}
