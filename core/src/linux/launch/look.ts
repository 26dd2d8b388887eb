/** What stands in the folders of entries. A look reads names and numbers; bytes are read where they are needed. */
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  type Stats,
  statSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { idOfPath, isAppId } from '../../launch/app-id.js';
import type { Bytes } from '../../launch/bytes.js';
import { provenanceOf } from '../../launch/entry.js';
import type { AppFiles, FoundFile } from '../../launch/sync.js';
import type { LaunchFolders } from './folders.js';

/** Longer files are no entries of apps. */
const LONGEST = 16 * 1024 * 1024;
/** Deeper folders are a loop of links. */
const DEEPEST = 8;
/** A file that was changed so shortly before the look may change again without its times showing it. */
const TICK_MS = 20;

/** The list of a folder of which apps open which files; see mime-cache.ts. */
export const CACHE = 'mimeinfo.cache';

/** Names of files that were being written when something ended. */
const TEMPORARY = /^\.gpu-handoff-[0-9a-f]{16}\.tmp$/;

/** An entry's file, without its bytes. What only few of them are asked for is not made up in advance. */
export class SeenFile {
  readonly id: string;
  readonly path: string;
  /** Below its folder. */
  readonly relative: string;
  /** In a folder that is a link. */
  readonly outside: boolean;
  /** Changes whenever the file does. */
  readonly key: string;
  readonly changedMs: number;
  readonly link: boolean;
  /** The permission bits of what it leads to. */
  readonly mode: number;
  // Not the whole Stats: thousands of them are much to carry along.
  private readonly dev: number;
  private readonly ino: number;

  constructor(stat: Stats, path: string, relative: string, outside: boolean) {
    const link = stat.isSymbolicLink();
    const target = link ? statOrNull(path) : null;
    this.id = idOfPath(relative);
    this.path = path;
    this.relative = relative;
    this.outside = outside;
    this.link = link;
    this.mode = (target ?? stat).mode & 0o777;
    this.dev = stat.dev;
    this.ino = stat.ino;
    this.key = link ? `${numbers(stat)}>${target === null ? '' : numbers(target)}` : numbers(stat);
    this.changedMs = target === null ? stat.ctimeMs : Math.max(stat.ctimeMs, target.ctimeMs);
  }

  /** Of the name itself, not of where it leads. */
  get identity(): string {
    return `${this.dev}:${this.ino}`;
  }
}

interface Folder {
  readonly files: ReadonlyMap<string, SeenFile>;
  readonly temporary: readonly string[];
}

function numbers(stat: Stats): string {
  return `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeMs}:${stat.ctimeMs}:${stat.mode}`;
}

function statOrNull(path: string): Stats | null {
  try {
    return statSync(path);
  } catch {
    return null;
  }
}

function lstatOrNull(path: string): Stats | null {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) ?? null;
  } catch {
    return null;
  }
}

/** What a name is now; null where there is none. */
export function seenAt(path: string, relative: string): SeenFile | null {
  const stat = lstatOrNull(path);
  return stat === null ? null : new SeenFile(stat, path, relative, false);
}

function namesOf(path: string): string[] {
  try {
    return readdirSync(path).sort();
  } catch {
    return [];
  }
}

/** All entries below a folder, the first of each id: files before what lies in folders, each by name. */
function lookInto(folder: string): Folder {
  const files = new Map<string, SeenFile>();
  const temporary: string[] = [];
  const visit = (path: string, prefix: string, depth: number, outside: boolean): void => {
    const folders: { name: string; link: boolean }[] = [];
    for (const name of namesOf(path)) {
      const inside = `${path}/${name}`;
      if (name.startsWith('.gpu-handoff-') && TEMPORARY.test(name)) {
        temporary.push(inside);
        continue;
      }
      const stat = lstatOrNull(inside);
      if (stat === null) continue;
      if (stat.isDirectory()) folders.push({ name, link: false });
      else if (name.endsWith('.desktop')) {
        const seen = new SeenFile(stat, inside, prefix + name, outside);
        if (isAppId(seen.id) && !files.has(seen.id)) files.set(seen.id, seen);
      } else if (stat.isSymbolicLink() && statOrNull(inside)?.isDirectory())
        folders.push({ name, link: true });
    }
    if (depth < DEEPEST)
      for (const { name, link } of folders)
        visit(`${path}/${name}`, `${prefix}${name}/`, depth + 1, outside || link);
  };
  visit(folder, '', 0, false);
  return { files, temporary };
}

/** The bytes of a regular file; null where it cannot be read, or is none. */
export function readBytes(path: string): Bytes | null {
  let file: number;
  try {
    // Not waiting for a writer, should it be a pipe.
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch {
    return null;
  }
  try {
    const stat = fstatSync(file);
    if (!stat.isFile() || stat.size > LONGEST) return null;
    const buffer = Buffer.allocUnsafe(stat.size);
    let length = 0;
    while (length < buffer.length) {
      const more = readSync(file, buffer, length, buffer.length - length, length);
      if (more === 0) break;
      length += more;
    }
    return buffer.toString('latin1', 0, length);
  } catch {
    return null;
  } finally {
    closeSync(file);
  }
}

/** The bytes behind a name. A link is followed from the folder that it was made for. */
function bytesOf(file: SeenFile, madeFor: string): Bytes | null {
  if (!file.link) return readBytes(file.path);
  try {
    return readBytes(resolve(madeFor, readlinkSync(file.path)));
  } catch {
    return null;
  }
}

export class LaunchLook {
  readonly folders: LaunchFolders;
  readonly startedMs = Date.now();
  readonly own: ReadonlyMap<string, SeenFile>;
  readonly below: ReadonlyMap<string, SeenFile>;
  readonly originals: ReadonlyMap<string, SeenFile>;
  /** Files that an interrupted change left half written. */
  readonly temporary: readonly string[];
  /** Of every file that was seen, by path. */
  readonly keys: ReadonlyMap<string, string>;
  /** A change at the moment of the look might not have been seen. */
  readonly unsure: boolean;
  private readonly read = new Map<string, AppFiles>();

  constructor(folders: LaunchFolders) {
    this.folders = folders;
    const own = lookInto(folders.own);
    const originals = lookInto(folders.originals);
    const below = new Map<string, SeenFile>();
    const keys = new Map<string, string>();
    let newest = 0;
    const note = (files: ReadonlyMap<string, SeenFile>): void => {
      for (const file of files.values()) {
        keys.set(file.path, file.key);
        newest = Math.max(newest, file.changedMs);
      }
    };
    for (const folder of folders.others) {
      const { files } = lookInto(folder);
      note(files);
      for (const [id, file] of files) if (!below.has(id)) below.set(id, file);
    }
    note(own.files);
    note(originals.files);
    for (const folder of [folders.own, ...folders.others]) {
      const cache = seenAt(`${folder}/${CACHE}`, CACHE);
      if (cache !== null) note(new Map([[cache.path, cache]]));
    }
    this.own = own.files;
    this.below = below;
    this.originals = originals.files;
    this.temporary = [...own.temporary, ...originals.temporary];
    this.keys = keys;
    this.unsure = newest > this.startedMs - TICK_MS;
  }

  /** Every id that has a file somewhere, sorted. */
  ids(): string[] {
    return [...new Set([...this.own.keys(), ...this.below.keys(), ...this.originals.keys()])].sort();
  }

  /** Where an app's entry in the user's folder is or would be, below that folder. */
  private relativeOf(id: string): string {
    return this.own.get(id)?.relative ?? this.originals.get(id)?.relative ?? id;
  }

  /** The path of an app's entry in the user's folder, whether there is one or not. */
  placeOf(id: string): string {
    return join(this.folders.own, this.relativeOf(id));
  }

  /** Where what stood at an app's place before us is kept, or would be. */
  originalOf(id: string): string {
    return join(this.folders.originals, this.relativeOf(id));
  }

  /**
   * The file that an entry of ours says it was made of. Sessions know folders that services may lack (Nix, Guix, a
   * profile's own), and an app is not gone because one that looks does not know where it is.
   */
  private sourceElsewhere(id: string, own: FoundFile | null): SeenFile | undefined {
    const from = own === null || own.bytes === null ? null : provenanceOf(own.bytes);
    const folder = '/applications/';
    const path = from?.sourcePath ?? '';
    const at = path.lastIndexOf(folder);
    if (at < 0 || path.startsWith(`${this.folders.own}/`)) return undefined;
    const relative = path.slice(at + folder.length);
    return idOfPath(relative) === id ? (seenAt(path, relative) ?? undefined) : undefined;
  }

  /** Everything that there is of an app, with the bytes. */
  filesOf(id: string): AppFiles {
    const known = this.read.get(id);
    if (known !== undefined) return known;
    const place = this.placeOf(id);
    const found = (file: SeenFile | undefined, madeFor: string): FoundFile | null =>
      file === undefined
        ? null
        : { path: file.path, bytes: bytesOf(file, madeFor), mode: file.mode, identity: file.identity };
    const own = found(this.own.get(id), dirname(place));
    const below = this.below.get(id) ?? this.sourceElsewhere(id, own);
    const files: AppFiles = {
      id,
      place,
      own,
      originalPath: this.originalOf(id),
      original: found(this.originals.get(id), dirname(place)),
      below: found(below, below === undefined ? '' : dirname(below.path)),
    };
    this.read.set(id, files);
    return files;
  }
}
