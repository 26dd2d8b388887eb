/** `gpu-handoff launch`: starts an app now, on the dGPU or the iGPU. */
import { existsSync, realpathSync } from 'node:fs';
import { isAbsolute, resolve } from 'node:path';
import { asDict, count, text } from '../../../core/src/dict.js';
import { idOfPath } from '../../../core/src/launch/app-id.js';
import { isFileArgument } from '../../../core/src/launch/exec.js';
import { launchFolders } from '../../../core/src/linux/launch/folders.js';
import type { StartResult } from '../../../core/src/linux/launch/start-app.js';
import { printable } from '../../../core/src/words.js';
import { wholeAddress } from '../choose.js';
import { type Context, type ExitStatus, writeJson } from '../context.js';
import { DOCUMENT_VERSION, type LaunchDocument } from '../documents.js';
import { UsageError } from '../failure.js';
import type { LaunchWish, Session } from '../session/apps.js';
import { appId, ownApps, withSession } from './apps.js';

export interface LaunchOptions {
  /** A .desktop file instead of an app's id. */
  readonly file: string | null;
  readonly igpu: boolean;
  readonly card: string | null;
  readonly action: string | null;
}

/** Started by the command itself, in the environment that it has. */
const ALONE: Session = {
  environment: () => Promise.resolve(null),
  adopt: () => Promise.resolve(false),
  inherit: false,
};

/** The id of an entry in one of the folders of apps; null where it lies elsewhere. */
function idOfFile(context: Context, path: string): string | null {
  const { own, others } = launchFolders(context.env);
  const paths = [path];
  try {
    paths.push(realpathSync(path));
  } catch {
    // Whoever reads it will say why it cannot be read.
  }
  for (const folder of [own, ...others])
    for (const one of paths) if (one.startsWith(`${folder}/`)) return idOfPath(one.slice(folder.length + 1));
  return null;
}

/** A file or an address as the app is to get it. A file may be called like an address: `Alien: Covenant.mkv`. */
function argumentOf(word: string): string {
  if (isAbsolute(word)) return word;
  const path = resolve(word);
  return isFileArgument(word) && !existsSync(path) ? word : path;
}

function documentOf(id: string, { pid, on, warning }: StartResult): LaunchDocument {
  return { version: DOCUMENT_VERSION, id, pid, on, warning: warning || null };
}

function launchById(context: Context, id: string, wish: LaunchWish): Promise<LaunchDocument> {
  const { on, card, action, files, activationToken } = wish;
  return withSession<LaunchDocument>(
    context,
    async (client) => {
      const options = { on, card, action, files, 'activation-token': activationToken };
      const dict = asDict(await client.call('Launch', [id], options));
      const really = text(dict, 'on') === 'igpu' ? 'igpu' : 'dgpu';
      return documentOf(id, { pid: count(dict, 'pid'), on: really, warning: text(dict, 'warning') });
    },
    async (own) => documentOf(id, await own.launch(id, wish, ALONE)),
  );
}

export async function launch(
  context: Context,
  words: readonly string[],
  options: LaunchOptions,
): Promise<ExitStatus> {
  const given = options.file === null ? null : resolve(options.file);
  const [word] = words;
  if (given === null && word === undefined)
    throw new UsageError('Say which app, or --file and a .desktop file: see “gpu-handoff launch --help”.');
  const wish: LaunchWish = {
    on: options.igpu ? 'igpu' : 'dgpu',
    card: options.card === null ? null : wholeAddress(options.card),
    action: options.action,
    files: (given === null ? words.slice(1) : words).map(argumentOf),
    activationToken: context.env.XDG_ACTIVATION_TOKEN || context.env.DESKTOP_STARTUP_ID || '',
  };
  const id = given === null ? appId(word ?? '') : idOfFile(context, given);
  const document =
    id === null
      ? documentOf(given ?? '', await ownApps(context).launchFile(given ?? '', wish, ALONE))
      : await launchById(context, id, wish);
  if (context.options.json) writeJson(context, document);
  else if (document.warning !== null) {
    const { err } = context;
    err.write(`${err.paper.wrap(printable(document.warning, 500), 2, 'gpu-handoff: ')}\n`);
  }
  return 0;
}
