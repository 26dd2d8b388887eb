/** Values from the bus without their boxes, and safe readings of dictionaries that another program filled. */

export type Dict = Readonly<Record<string, unknown>>;

/** A variant as dbus-next gives it, told by its shape so that this file needs nothing of the library. */
function isVariant(value: object): value is { readonly signature: string; readonly value: unknown } {
  return 'signature' in value && 'value' in value && Object.getPrototypeOf(value) !== Object.prototype;
}

/** A value without variants, all the way down. 64-bit integers become numbers: nothing here needs the rest. */
export function unbox(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return value;
  if (Array.isArray(value)) return value.map(unbox);
  if (isVariant(value)) return unbox(value.value);
  const plain: Record<string, unknown> = {};
  for (const [name, one] of Object.entries(value)) plain[name] = unbox(one);
  return plain;
}

export function asDict(value: unknown): Dict {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Dict) : {};
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

export function dicts(value: unknown): Dict[] {
  return Array.isArray(value) ? value.map(asDict) : [];
}
