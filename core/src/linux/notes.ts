import { chmodSync, lstatSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { reasonOf } from '../errors.js';
import type { Log, Notes } from '../machine.js';
import { namesIn } from './read.js';

const NAME = /^[a-z0-9][a-z0-9-]{0,79}$/;
const LONGEST = 1024 * 1024;

/**
 * Notes as JSON files `NAME.json` in a directory that only root reads, made when first needed. /run is a tmpfs: what
 * is written survives the helper, not the machine, which is what the notes are for; so nothing is synced.
 */
export function directoryNotes(directory = '/run/gpu-handoff', log?: Log): Notes {
  const fileOf = (name: string): string => {
    if (!NAME.test(name)) throw new Error(`“${name}” is no name for a note`);
    return join(directory, `${name}.json`);
  };
  return {
    readAll() {
      const notes = new Map<string, unknown>();
      for (const file of namesIn(directory)) {
        const path = join(directory, file);
        const name = file.slice(0, -5);
        // A temporary file of ours that was never renamed. Anything else there is not ours to remove.
        if (/^\.[a-z0-9-]+\.json\.new$/.test(file)) rmSync(path, { force: true });
        if (!file.endsWith('.json') || !NAME.test(name)) continue;
        try {
          notes.set(name, readNote(path));
        } catch (fault) {
          log?.line('warning', `The note ${name} could not be read and was removed: ${reasonOf(fault)}`);
          rmSync(path, { force: true, recursive: true });
        }
      }
      return notes;
    },
    write(name, value) {
      const path = fileOf(name);
      const fresh = join(directory, `.${name}.json.new`);
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      chmodSync(directory, 0o700);
      // Renaming replaces the note whole: a reader sees the old one or the new one.
      writeFileSync(fresh, `${JSON.stringify(value)}\n`, { mode: 0o600 });
      renameSync(fresh, path);
    },
    remove(name) {
      rmSync(fileOf(name), { force: true });
    },
  };
}

function readNote(path: string): unknown {
  const stat = lstatSync(path);
  if (!stat.isFile() || stat.size > LONGEST) throw new Error('it is no file of ours');
  return JSON.parse(readFileSync(path, 'utf8'));
}
