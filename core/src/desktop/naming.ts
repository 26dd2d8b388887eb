/** How the desktop calls what sentences of the helper name: programs as its rows do, cards briefly. Pure. */
import type { Naming } from '../recognise.js';
import type { Translate } from '../words.js';
import type { AppLook, HolderGroup } from './holder-groups.js';
import { sayTold, type Told } from './published.js';

/**
 * Names as the rows of holders have them. The helper names an app by its id, a process and a user, which tells them
 * apart where there is no row; here that is done by the row.
 */
export function namingOf(groups: readonly HolderGroup[], look?: AppLook): Naming {
  return ({ key, values }) => {
    if (key === 'holder.service') return (values.unit ?? '').replace(/\.(service|scope)$/, '');
    const { name = '', pid = '' } = values;
    const row = groups.filter((group) => group.ids.some((id) => id.indexOf(`${pid}:`) === 0))[0];
    if (row !== undefined) return row.name;
    // Gone meanwhile, or come a moment ago.
    const holder = {
      ...{ id: `${pid}:`, pid: Number(pid), user: '', process: '', ownerKind: 'app', ownerName: name },
      ...{ nodes: [], mapped: false, memoryBytes: 0, essential: false, stopsByItself: false },
    };
    return look?.([holder])?.name ?? name;
  };
}

/** What says for which machines a chip is made, not which card this is. */
const VARIANT = /(?:\s*\/)?\s*\b(?:Max-Q|Mobile|Laptop GPU)\b/g;
const LONG = 28;

/** `GeForce RTX 4070` of `GeForce RTX 4070 Max-Q / Mobile`; of a chip that many cards have, the first, with an ellipsis. */
function brief(name: string): string {
  const plain = name.replace(VARIANT, '').trim();
  const several = plain.indexOf('/');
  return plain.length > LONG && several > 0 ? `${plain.slice(0, several).trim()}…` : plain;
}

/** A text with the names of cards made brief, for where the whole name stands above; two cards stay two. */
export function briefIn(text: string, cards: readonly { readonly name: string }[]): string {
  const briefs = cards.map(({ name }) => brief(name));
  return cards.reduce((now, { name }, at) => {
    const own = briefs[at] ?? '';
    const unique = own !== '' && briefs.indexOf(own) === briefs.lastIndexOf(own);
    return unique ? now.split(name).join(own) : now;
  }, text);
}

/** Sentences whose advice is for who types commands, and what is said where buttons stand beneath. */
const WITHOUT_COMMANDS: Readonly<Record<string, string>> = { 'refuse.held': 'desk.held-by' };

/** What the helper told, as desktops say it. `cards` are all that there are. */
export function sayOnDesktop(
  what: Told,
  cards: readonly { readonly name: string }[],
  naming?: Naming,
  translate?: Translate,
): string {
  const key = WITHOUT_COMMANDS[what.key] ?? what.key;
  return briefIn(sayTold(Object.assign({}, what, { key }), translate, naming), cards);
}
