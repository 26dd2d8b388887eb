/** Holders for a list that people read: one row for each app or service, and words for what it does with the card. */
import { printable, say, sentence, type Translate, type WordKey } from '../words.js';
import type { HolderPublished, HoldersPublished } from './published.js';

export interface HolderGroup {
  /** Stays the same while the app holds the card, whatever its processes. */
  readonly key: string;
  readonly kind: string;
  /** Id of the app's .desktop file without its ending, for its icon and name; empty where it is no app. */
  readonly app: string;
  /** To show where nothing better is known of the app. */
  readonly name: string;
  /** What EndHolders takes; empty for the kernel. */
  readonly ids: readonly string[];
  readonly memoryBytes: number;
  /** Ending it logs its user out. */
  readonly essential: boolean;
  /** A hand-off stops it by itself. */
  readonly stopsByItself: boolean;
  /** What it is, how much memory it has there and why it is likely there, in one line. */
  readonly line: string;
  /** `Close` or, for a service, `Stop`; empty where it cannot be ended. */
  readonly endLabel: string;
}

/**
 * What the desktop knows of the app that holders belong to: its name, and whether it has no window. Null where it
 * knows nothing.
 */
export type AppLook = (
  holders: readonly HolderPublished[],
) => { readonly app: string; readonly name: string; readonly background: boolean } | null;

const MEBIBYTE = 1048576;

/** An amount of memory for people. */
export function sayMemory(bytes: number, translate?: Translate): string {
  const mebibytes = Math.round(bytes / MEBIBYTE);
  if (mebibytes < 1024) return say(sentence('size.mebibytes', { whole: Math.max(1, mebibytes) }), translate);
  const tenths = Math.round(mebibytes / 102.4);
  return say(sentence('size.gibibytes', { whole: Math.floor(tenths / 10), tenth: tenths % 10 }), translate);
}

/** Ways of using a card, the most telling first, by the nodes through which they go. */
const USES: readonly (readonly [RegExp, WordKey])[] = [
  [/^\/dev\/(vfio\/|vfio$)/, 'holds.guest'],
  [/^\/dev\/(nvidia-uvm|kfd)/, 'holds.computes'],
  [/^\/dev\/(dri\/renderD|nvidia[0-9])/, 'holds.draws'],
  [/^\/dev\/dri\/card/, 'holds.displays'],
  [/^\/dev\/snd\//, 'holds.sound'],
  [/^dma-buf$/, 'holds.shows'],
  [/^\/dev\/nvidia/, 'holds.driver'],
];

function useOf(holders: readonly HolderPublished[], translate?: Translate): string {
  if (holders.every(isDriverService)) return say(sentence('holds.serves'), translate);
  // Whoever computes with CUDA has the nodes for drawing open, too, and an API for video has all of them.
  for (const [pattern, key] of USES)
    if (holders.some((holder) => holder.nodes.some((node) => pattern.test(node))))
      return say({ key, values: {} }, translate);
  return '';
}

/** A service of the driver, which a hand-off stops; a sound server lets go of the card and runs on. */
function isDriverService(holder: HolderPublished): boolean {
  return holder.stopsByItself && holder.ownerKind === 'service';
}

const MARKS: Readonly<Record<string, WordKey>> = {
  service: 'mark.service',
  'user-service': 'mark.user-service',
  container: 'mark.container',
  vm: 'mark.vm',
};

function keyOf(holder: HolderPublished): string {
  const owner = holder.ownerName === '' ? holder.process : holder.ownerName;
  return `${holder.ownerKind} ${holder.user} ${owner}`;
}

/** `nvidia-persistenced` of `nvidia-persistenced.service`. */
function plainName(holder: HolderPublished): string {
  const name = holder.ownerName === '' ? holder.process : holder.ownerName;
  if (holder.essential && holder.process !== '') return printable(holder.process, 60);
  if (holder.ownerKind === 'app' || holder.ownerKind === 'process' || holder.ownerKind === 'session')
    return printable(holder.process === '' ? name : holder.process, 60);
  return printable(name.replace(/\.(service|scope)$/, ''), 60);
}

/** A text as it stands at the beginning of a line. */
export function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

/** Letters of a part that is not broken over two lines. */
const SHORT = 16;

/** In a narrow column the line breaks between its parts, after the dot. */
function joined(parts: readonly string[]): string {
  const kept = parts.map((part) => (part.length <= SHORT ? part.replace(/ /g, '\u00a0') : part));
  return capital(kept.filter((part) => part !== '').join('\u00a0· '));
}

function groupOf(
  holders: readonly HolderPublished[],
  me: string,
  translate?: Translate,
  look?: AppLook,
): HolderGroup | null {
  const first = holders[0];
  if (first === undefined) return null;
  const kind = first.ownerKind;
  const essential = holders.some((holder) => holder.essential);
  const stopsByItself = holders.every((holder) => holder.stopsByItself);
  const letsGo = stopsByItself && kind !== 'service';
  const memoryBytes = holders.reduce((sum, holder) => sum + holder.memoryBytes, 0);
  const known = kind === 'app' || kind === 'process' ? (look?.(holders) ?? null) : null;
  const mark = MARKS[kind] ?? (known?.background === true ? 'mark.background' : undefined);
  const isService = kind === 'service' || kind === 'user-service';
  const others = first.user !== '' && first.user !== me && !isService;
  const line = joined([
    essential
      ? say(sentence('mark.session'), translate)
      : mark === undefined
        ? ''
        : say({ key: mark, values: {} }, translate),
    memoryBytes > 0 ? sayMemory(memoryBytes, translate) : '',
    useOf(holders, translate),
    holders.length > 1 ? say(sentence('mark.processes', { count: holders.length }), translate) : '',
    others ? say(sentence('mark.of-user', { user: printable(first.user, 32) }), translate) : '',
    stopsByItself ? say(sentence(letsGo ? 'mark.lets-go' : 'mark.stops-by-itself'), translate) : '',
  ]);
  return {
    key: keyOf(first),
    kind,
    app: known?.app ?? (kind === 'app' ? first.ownerName : ''),
    name: known === null ? plainName(first) : printable(known.name, 60),
    ids: holders.map((holder) => holder.id),
    memoryBytes,
    essential,
    stopsByItself,
    line,
    // Without its sound server a session is silent until the next login.
    endLabel: essential || letsGo ? '' : say(sentence(isService ? 'do.stop' : 'do.close'), translate),
  };
}

/** Apps first, then what runs without a window, then the session's own parts. */
const ORDER = ['app', 'process', 'container', 'vm', 'user-service', 'service', 'session', 'kernel'];

/** Who holds a card, grouped. `me` is the user who looks: other people's processes are marked. */
export function groupHolders(
  report: HoldersPublished,
  me: string,
  translate?: Translate,
  look?: AppLook,
): HolderGroup[] {
  const keys: string[] = [];
  const members: Record<string, HolderPublished[]> = {};
  for (const holder of report.holders) {
    const key = keyOf(holder);
    const group = members[key];
    if (group === undefined) {
      keys.push(key);
      members[key] = [holder];
    } else group.push(holder);
  }
  const groups: HolderGroup[] = [];
  for (const key of keys) {
    const group = groupOf(members[key] ?? [], me, translate, look);
    if (group !== null) groups.push(group);
  }
  const rank = (group: HolderGroup): number =>
    (group.essential ? ORDER.length : 0) + ORDER.indexOf(group.kind);
  const order = (a: HolderGroup, b: HolderGroup): number =>
    rank(a) - rank(b) ||
    b.memoryBytes - a.memoryBytes ||
    (a.name < b.name ? -1 : a.name > b.name ? 1 : a.key < b.key ? -1 : a.key > b.key ? 1 : 0);
  const kernel = report.kernel.map(
    (one): HolderGroup => ({
      key: `kernel ${one.module}`,
      kind: 'kernel',
      app: '',
      name: one.module,
      ids: [],
      memoryBytes: 0,
      essential: false,
      stopsByItself: false,
      line: joined([say(sentence('mark.kernel'), translate)]),
      endLabel: '',
    }),
  );
  return groups.sort(order).concat(kernel);
}

/** Those that a hand-off has to close first. */
export function toClose(groups: readonly HolderGroup[]): HolderGroup[] {
  return groups.filter((group) => !group.stopsByItself && !group.essential && group.ids.length > 0);
}

/** Those that a hand-off cannot close: the session's own. */
export function notToClose(groups: readonly HolderGroup[]): HolderGroup[] {
  return groups.filter((group) => group.essential && !group.stopsByItself);
}
