/** The ids of apps: the path of an entry below a folder `applications`, with `/` as `-`. */

const SUFFIX = '.desktop';

/** A file name has at most so many bytes. */
const LONGEST = 255;

/** Bytes that a text takes in UTF-8; halves of characters count as whole ones. */
function bytesOf(text: string): number {
  let count = 0;
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    count += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  }
  return count;
}

/** What nearly every id is made of: ASCII without control characters and slash. */
const USUAL = /^[ -.0-~]+$/;

/** Whether a text from a caller can be an app's id: it is used as a file's name. */
export function isAppId(id: string): boolean {
  if (id.slice(-SUFFIX.length) !== SUFFIX || id === SUFFIX) return false;
  if (USUAL.test(id)) return id.length <= LONGEST;
  for (let i = 0; i < id.length; i += 1) {
    const code = id.charCodeAt(i);
    if (code < 0x20 || code === 0x7f || code === 0x2f || code === 0xfffd) return false;
  }
  return bytesOf(id) <= LONGEST;
}

/** The id of the entry at a path below `applications`. */
export function idOfPath(relative: string): string {
  return relative.indexOf('/') < 0 ? relative : relative.split('/').join('-');
}

/** Whether a path is one of this app's entry, in whatever folder of entries. */
export function isPathOf(path: string, id: string): boolean {
  const parts = path.split('/');
  for (let i = parts.length - 1; i > 0; i -= 1) {
    const named = parts.slice(i).join('-');
    if (named.length >= id.length) return named === id;
  }
  return false;
}

/** The id without `.desktop`, as units and windows are named. */
export function shortAppId(id: string): string {
  return id.slice(-SUFFIX.length) === SUFFIX ? id.slice(0, -SUFFIX.length) : id;
}

/** ASCII letters, digits, `:`, `_` and `.` stay; everything else becomes `\xNN`, byte for byte, as systemd escapes. */
function escapedForUnit(bytes: string): string {
  let text = '';
  for (let i = 0; i < bytes.length; i += 1) {
    const character = bytes.charAt(i);
    const plain = /[A-Za-z0-9:_.]/.test(character) && !(i === 0 && character === '.');
    text += plain ? character : `\\x${bytes.charCodeAt(i).toString(16).padStart(2, '0')}`;
  }
  return text;
}

/** The longest name of a unit. */
const LONGEST_UNIT = 255;

/**
 * The scope of an app that we started: `app-gpuhandoff-ID-PID.scope`, as systemd's desktop environments document
 * wants it. `idBytes` is the id in UTF-8, one character per byte.
 */
export function scopeName(idBytes: string, pid: number): string {
  const frame = `app-gpuhandoff--${pid}.scope`;
  const escaped = escapedForUnit(shortAppId(idBytes));
  // Cut at a whole escape.
  const room = escaped.slice(0, LONGEST_UNIT - frame.length).replace(/\\(x[0-9a-f]?)?$/, '');
  return `app-gpuhandoff-${room}-${pid}.scope`;
}
