/**
 * Which apps open which files, as GLib reads it: each folder of entries has a `mimeinfo.cache` with its apps by type of
 * file. An app that has an entry in an earlier folder is left out of the later folders' lists; so an entry of ours would
 * take the app out of “Open with”, and out of its place as the default, were it not listed beside the entry. Run with
 * GLib 2.84. KDE reads the types out of the entries themselves.
 */

const HEADER = '[MIME Cache]';
const MARK =
  '# Kept by gpu-handoff beside its launch entries; the lists of the other folders, in their order.';

type Lists = Readonly<Record<string, readonly string[]>>;

/** Whether a file is one that `withMasked` made. */
export function isOurCache(text: string): boolean {
  return text.indexOf(MARK) >= 0;
}

function listsOf(text: string): Lists {
  const lists: Record<string, string[]> = Object.create(null);
  for (const line of text.split('\n')) {
    const equals = line.indexOf('=');
    if (equals <= 0 || line.charAt(0) === '#') continue;
    const ids = line.slice(equals + 1).split(';');
    lists[line.slice(0, equals)] = ids.map((id) => id.trim()).filter((id) => id !== '');
  }
  return lists;
}

/**
 * A list without these apps; the same text where it has none of them, and null where nothing else is in it. Programs
 * that make the user's own list anew find entries of ours in his folder and take them for his.
 */
export function withoutApps(text: string, ids: readonly string[]): string | null {
  let changed = false;
  const left: string[] = [];
  for (const line of text.split('\n')) {
    const equals = line.charAt(0) === '#' ? -1 : line.indexOf('=');
    const listed = equals <= 0 ? [] : line.slice(equals + 1).split(';');
    const kept = listed.filter((id) => ids.indexOf(id.trim()) < 0);
    if (kept.length === listed.length) left.push(line);
    else {
      changed = true;
      if (kept.some((id) => id.trim() !== '')) left.push(line.slice(0, equals + 1) + kept.join(';'));
    }
  }
  if (!changed) return text;
  return left.some((line) => line.indexOf('=') > 0) ? left.join('\n') : null;
}

/**
 * The list for the user's folder: what stands in his own (`base`), and for every type that one of these ids opens, all
 * that the later folders have, so that their order stays as well. Null where nothing has to be added.
 */
export function withMasked(
  base: string | null,
  ids: readonly string[],
  later: readonly string[],
): string | null {
  const masked: Record<string, true> = Object.create(null);
  for (const id of ids) masked[id] = true;
  const others = later.map(listsOf);
  const lists: Record<string, readonly string[]> = Object.assign(Object.create(null), listsOf(base ?? ''));
  let added = false;
  for (const lower of others) {
    for (const type of Object.keys(lower)) {
      if (!(lower[type] ?? []).some((id) => masked[id] === true)) continue;
      const list = (lists[type] ?? []).slice();
      for (const one of others) for (const id of one[type] ?? []) if (list.indexOf(id) < 0) list.push(id);
      lists[type] = list;
      added = true;
    }
  }
  if (!added) return null;
  const lines = Object.keys(lists)
    .sort()
    .map((type) => `${type}=${(lists[type] ?? []).join(';')};`);
  return `${HEADER}\n${MARK}\n${lines.join('\n')}\n`;
}
