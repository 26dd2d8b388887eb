/** Values from the bus without their boxes. */

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
