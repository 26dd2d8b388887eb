// A zip archive of a folder, the same bytes for the same files: members by name, deflated, without times.
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32, deflateRawSync } from 'node:zlib';

/** 1 January 1980, the first day that the format knows. */
const DATE = 0x21;
const UTF8 = 0x0800;
const DEFLATED = 8;
const VERSION = 20;

function filesBelow(folder) {
  return readdirSync(folder, { recursive: true })
    .filter((name) => statSync(join(folder, name)).isFile())
    .sort();
}

function fields(name, content, deflated) {
  const head = Buffer.alloc(26);
  head.writeUInt16LE(VERSION, 0);
  head.writeUInt16LE(UTF8, 2);
  head.writeUInt16LE(DEFLATED, 4);
  head.writeUInt16LE(DATE, 8);
  head.writeUInt32LE(crc32(content), 10);
  head.writeUInt32LE(deflated.length, 14);
  head.writeUInt32LE(content.length, 18);
  head.writeUInt16LE(name.length, 22);
  return head;
}

export function zipFolder(folder, target) {
  const parts = [];
  const directory = [];
  let offset = 0;
  const files = filesBelow(folder);
  for (const file of files) {
    const name = Buffer.from(file);
    const content = readFileSync(join(folder, file));
    const deflated = deflateRawSync(content, { level: 9 });
    const common = fields(name, content, deflated);
    parts.push(Buffer.from('PK\x03\x04'), common, name, deflated);
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE((0o100644 << 16) >>> 0, 6);
    rest.writeUInt32LE(offset, 10);
    // Made by Unix, so that the mode counts.
    directory.push(Buffer.from('PK\x01\x02'), Buffer.from([VERSION, 3]), common, rest, name);
    offset += 30 + name.length + deflated.length;
  }
  const entries = Buffer.concat(directory);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(files.length, 4);
  end.writeUInt16LE(files.length, 6);
  end.writeUInt32LE(entries.length, 8);
  end.writeUInt32LE(offset, 12);
  writeFileSync(target, Buffer.concat([...parts, entries, Buffer.from('PK\x05\x06'), end]));
}
