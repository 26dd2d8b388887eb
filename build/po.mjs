/**
 * gettext's files: reading and writing .po, and writing .mo as the libraries of C, GLib and Python read it. Own code
 * because a machine that builds this needs Node alone; what other programs make of it is tested.
 *
 * A message: `{ context, id, plural, texts, comments, references, flags }`; `texts` has one entry, or one per plural form.
 */

const ESCAPES = { n: '\n', t: '\t', r: '\r', '"': '"', '\\': '\\' };

function unquoted(literal, where) {
  const inside = /^"((?:[^"\\]|\\.)*)"$/.exec(literal.trim());
  if (inside === null) throw new Error(`${where}: not a quoted text: ${literal}`);
  return inside[1].replace(/\\(.)/g, (_, character) => {
    if (!(character in ESCAPES)) throw new Error(`${where}: unknown escape \\${character}`);
    return ESCAPES[character];
  });
}

const quoted = (text) =>
  `"${text.replace(/[\\"]/g, '\\$&').replace(/\n/g, '\\n').replace(/\t/g, '\\t').replace(/\r/g, '\\r')}"`;

const emptyMessage = () => ({
  context: null,
  id: null,
  plural: null,
  texts: [],
  comments: [],
  references: [],
  flags: [],
});

/** Where the pieces of text behind a word of a .po file go. */
function putter(message, word, form) {
  const field = { msgctxt: 'context', msgid: 'id', msgid_plural: 'plural' }[word];
  return (piece) => {
    if (field === undefined) message.texts[form] = (message.texts[form] ?? '') + piece;
    else message[field] = (message[field] ?? '') + piece;
  };
}

/** Reads a .po file: its header fields, its messages in their order, and how many obsolete entries it has. */
export function readPo(text, file = 'po') {
  const messages = [];
  let obsolete = 0;
  let message = emptyMessage();
  let put = null;
  const finish = () => {
    if (message.id !== null) messages.push(message);
    message = emptyMessage();
    put = null;
  };
  for (const [index, line] of text.split('\n').entries()) {
    const where = `${file}:${index + 1}`;
    if (line.trim() === '') finish();
    else if (line.startsWith('#~')) obsolete += 1;
    else if (line.startsWith('#.')) message.comments.push(line.slice(2).trim());
    else if (line.startsWith('#:')) message.references.push(...line.slice(2).trim().split(/\s+/));
    else if (line.startsWith('#,')) message.flags.push(...line.slice(2).trim().split(/,\s*/));
    else if (!line.startsWith('#')) {
      const begun = /^(msgctxt|msgid_plural|msgid|msgstr(?:\[(\d+)\])?)\s+(".*)$/.exec(line);
      if (begun !== null) put = putter(message, begun[1], Number(begun[2] ?? 0));
      if (put === null) throw new Error(`${where}: a text that belongs to nothing`);
      put(unquoted(begun?.[3] ?? line, where));
    }
  }
  finish();
  const head = messages[0]?.id === '' ? messages.shift() : null;
  const header = new Map(
    (head?.texts[0] ?? '')
      .split('\n')
      .filter((line) => line.includes(':'))
      .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]),
  );
  return { header, messages, obsolete };
}

/** What tells messages apart, as in a .mo file. */
export const keyOf = ({ context, id }) => (context === null ? id : `${context}\u0004${id}`);

/** Writes a .po file (or a template, when no text is filled in). Lines are not wrapped: a change is one line. */
export function writePo({ header, messages }, title) {
  const fields = [...header].map(([name, value]) => quoted(`${name}: ${value}\n`));
  const blocks = [[`# ${title}`, 'msgid ""', 'msgstr ""', ...fields].join('\n')];
  for (const message of messages) {
    const lines = message.comments.map((comment) => `#. ${comment}`);
    if (message.references.length > 0) lines.push(`#: ${message.references.join(' ')}`);
    if (message.flags.length > 0) lines.push(`#, ${message.flags.join(', ')}`);
    if (message.context !== null) lines.push(`msgctxt ${quoted(message.context)}`);
    lines.push(`msgid ${quoted(message.id)}`);
    if (message.plural === null) lines.push(`msgstr ${quoted(message.texts[0] ?? '')}`);
    else {
      lines.push(`msgid_plural ${quoted(message.plural)}`);
      message.texts.forEach((text, form) => {
        lines.push(`msgstr[${form}] ${quoted(text)}`);
      });
    }
    blocks.push(lines.join('\n'));
  }
  return `${blocks.join('\n\n')}\n`;
}

/** How many plural forms the header announces; NaN where it says nothing. */
export const pluralFormsOf = (header) => Number(/nplurals=(\d+)/.exec(header.get('Plural-Forms') ?? '')?.[1]);

/**
 * The .mo file of a catalogue, little-endian, without the optional hash table: sorted texts are searched by halving.
 * Messages without a translation are left out, so that the source text is shown.
 */
export function compileMo({ header, messages }) {
  const head = [...header].map(([name, value]) => `${name}: ${value}\n`).join('');
  const pairs = [['', head]];
  for (const message of messages) {
    if (message.flags.includes('fuzzy') || message.texts.length === 0) continue;
    if (message.texts.some((text) => text === '')) continue;
    const id = message.plural === null ? keyOf(message) : `${keyOf(message)}\0${message.plural}`;
    pairs.push([id, message.texts.join('\0')]);
  }
  const rows = pairs.map(([id, text]) => [Buffer.from(id), Buffer.from(text)]);
  rows.sort(([a], [b]) => Buffer.compare(a, b));

  const tables = 28;
  const start = tables + rows.length * 16;
  const head32 = Buffer.alloc(start);
  [0x950412de, 0, rows.length, tables, tables + rows.length * 8, 0, start].forEach((value, index) => {
    head32.writeUInt32LE(value, index * 4);
  });
  const bodies = [];
  let offset = start;
  for (const column of [0, 1])
    rows.forEach((row, index) => {
      const at = tables + column * rows.length * 8 + index * 8;
      head32.writeUInt32LE(row[column].length, at);
      head32.writeUInt32LE(offset, at + 4);
      bodies.push(row[column], Buffer.alloc(1));
      offset += row[column].length + 1;
    });
  return Buffer.concat([head32, ...bodies]);
}
