/**
 * Safe readings of dictionaries that another program filled, variants already taken off: what is missing or of a wrong
 * type becomes empty, never an error, since the other side may be older or newer.
 */

export type Dict = Readonly<Record<string, unknown>>;

export function asDict(value: unknown): Dict {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Dict) : {};
}

export function asDicts(value: unknown): Dict[] {
  return Array.isArray(value) ? value.map(asDict) : [];
}

export function text(dict: Dict, name: string): string {
  const value = dict[name];
  return typeof value === 'string' ? value : '';
}

/** Null where the text is empty or missing: D-Bus knows no null. */
export function textOrNull(dict: Dict, name: string): string | null {
  return text(dict, name) || null;
}

export function flag(dict: Dict, name: string): boolean {
  return dict[name] === true;
}

export function count(dict: Dict, name: string): number {
  const value = dict[name];
  return typeof value === 'number' && Number.isFinite(value) ? value : 0;
}

export function texts(dict: Dict, name: string): string[] {
  const value = dict[name];
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : [];
}
