import { readFileSync } from 'node:fs';
import type { AST } from 'toml-eslint-parser';
import { type Config, type ConfigEntry, type ConfigFault, readConfig } from '../config.js';
import { reasonOf } from '../errors.js';

export const CONFIG_FILE = '/etc/gpu-handoff/config.toml';
const LONGEST = 1024 * 1024;

export interface LoadedConfig {
  readonly config: Config;
  /** What is wrong with the file, by line from 1; line 0 when it could not be read at all. */
  readonly faults: readonly ConfigFault[];
}

/**
 * Reads the configuration over the defaults. A missing file is no fault; a faulty entry keeps its default, and a
 * file that is not TOML keeps them all.
 */
export async function loadConfig(path = CONFIG_FILE): Promise<LoadedConfig> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (fault) {
    const faults = isMissing(fault) ? [] : [{ line: 0, why: reasonOf(fault) }];
    return { config: readConfig([]).config, faults };
  }
  if (text.length > LONGEST)
    return { config: readConfig([]).config, faults: [{ line: 0, why: 'it is longer than 1 MiB' }] };
  return configFrom(text);
}

/** Reads the text of a configuration. */
export async function configFrom(text: string): Promise<LoadedConfig> {
  // Most machines have no file, and then the parser is never loaded.
  const { parseTOML, getStaticTOMLValue } = await import('toml-eslint-parser');
  const entries: ConfigEntry[] = [];
  const collect = (pair: AST.TOMLKeyValue, table: readonly string[]): void => {
    const path = [...table, ...pair.key.keys.map((key) => (key.type === 'TOMLBare' ? key.name : key.value))];
    if (pair.value.type === 'TOMLInlineTable') for (const inner of pair.value.body) collect(inner, path);
    else {
      const line = pair.loc.start.line;
      entries.push({ key: path.join('.'), value: getStaticTOMLValue(pair.value), line });
    }
  };
  try {
    for (const part of parseTOML(text).body[0].body) {
      if (part.type === 'TOMLTable')
        for (const pair of part.body) collect(pair, part.resolvedKey.map(String));
      else collect(part, []);
    }
  } catch (fault) {
    const { config } = readConfig([]);
    return { config, faults: [{ line: lineOf(fault, text), why: reasonOf(fault) }] };
  }
  return readConfig(entries);
}

/** The parser's line, or the one before where it missed something there and noticed only at the next. */
function lineOf(fault: unknown, text: string): number {
  const { lineNumber, column, index } = (fault ?? {}) as Partial<Record<string, unknown>>;
  if (typeof lineNumber !== 'number') return 0;
  if (column !== 0 || typeof index !== 'number') return lineNumber;
  const before = text.slice(0, index).trimEnd();
  const missed = before.endsWith('=') || reasonOf(fault).includes('same line');
  return missed ? before.split('\n').length : lineNumber;
}

function isMissing(fault: unknown): boolean {
  const code = fault instanceof Error && 'code' in fault ? fault.code : '';
  return code === 'ENOENT' || code === 'ENOTDIR';
}
