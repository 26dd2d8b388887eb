/** Plain values as D-Bus variants, with their types said where they are made. */
import { Variant } from './bus.js';

export type Dict = Record<string, InstanceType<typeof Variant>>;

export const s = (value: string): InstanceType<typeof Variant> => new Variant('s', value);
export const b = (value: boolean): InstanceType<typeof Variant> => new Variant('b', value);
export const u = (value: number): InstanceType<typeof Variant> => new Variant('u', value);
/** Times and sizes: a double holds them exactly where QML and gjs have no 64-bit integers. */
export const d = (value: number): InstanceType<typeof Variant> => new Variant('d', value);
export const as = (value: readonly string[]): InstanceType<typeof Variant> => new Variant('as', [...value]);
export const dicts = (value: readonly Dict[]): InstanceType<typeof Variant> =>
  new Variant('aa{sv}', [...value]);

/** One option of a call's `a{sv}`; a wrong type counts as not given. */
export function flag(options: unknown, name: string): boolean {
  if (typeof options !== 'object' || options === null) return false;
  if (!Object.hasOwn(options, name)) return false;
  const value = (options as Record<string, unknown>)[name];
  return value instanceof Variant && value.signature === 'b' && value.value === true;
}
