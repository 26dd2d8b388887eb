/** Strings of bytes: one character per byte (latin1), so that whatever is in a file stays as it is. */

export type Bytes = string;

/** The bytes of a text in UTF-8; half a character becomes U+FFFD. */
export function toUtf8(text: string): Bytes {
  let bytes = '';
  for (const character of text) {
    let code = character.codePointAt(0) ?? 0xfffd;
    if (code >= 0xd800 && code <= 0xdfff) code = 0xfffd;
    if (code < 0x80) bytes += String.fromCharCode(code);
    else if (code < 0x800) bytes += String.fromCharCode(0xc0 | (code >> 6), 0x80 | (code & 0x3f));
    else if (code < 0x10000)
      bytes += String.fromCharCode(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f));
    else
      bytes += String.fromCharCode(
        0xf0 | (code >> 18),
        0x80 | ((code >> 12) & 0x3f),
        0x80 | ((code >> 6) & 0x3f),
        0x80 | (code & 0x3f),
      );
  }
  return bytes;
}

/** The smallest number that a sequence of so many bytes may stand for; a smaller one was written too long. */
const SMALLEST = [0, 0, 0x80, 0x800, 0x10000];

/** The text that bytes in UTF-8 stand for; each byte that belongs to no character becomes U+FFFD. */
export function fromUtf8(bytes: Bytes): string {
  let text = '';
  for (let at = 0; at < bytes.length; ) {
    const first = bytes.charCodeAt(at);
    const length =
      first < 0x80 ? 1 : first < 0xc0 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
    let code = length < 2 ? first : first & (0x7f >> length);
    let good = length > 0 && at + length <= bytes.length;
    for (let next = 1; good && next < length; next++) {
      const byte = bytes.charCodeAt(at + next);
      good = (byte & 0xc0) === 0x80;
      code = (code << 6) | (byte & 0x3f);
    }
    if (good && length > 1)
      good = code >= (SMALLEST[length] ?? 0) && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff);
    text += good ? String.fromCodePoint(code) : '\ufffd';
    at += good ? length : 1;
  }
  return text;
}

/** Bytes as a word of letters, digits and `_ . = / -`; every other byte as `%` and two hex digits. */
export function toWord(bytes: Bytes): string {
  return bytes.replace(/[^A-Za-z0-9_.=/-]/g, (byte) => {
    const hex = byte.charCodeAt(0).toString(16);
    return hex.length < 2 ? `%0${hex}` : `%${hex}`;
  });
}

/** The bytes that such a word stands for; null when it is none. */
export function fromWord(word: string): Bytes | null {
  if (!/^(?:[A-Za-z0-9_.=/-]|%[0-9a-f]{2})*$/.test(word)) return null;
  return word.replace(/%(..)/g, (_all, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}
