/**
 * What a record holds as JSON, with the version of its form as `v`. Null: something else wrote it, or another version.
 */
export function decodeVersioned<Value extends { readonly v: number }>(
  bytes: Uint8Array,
  version: number,
): Value | null {
  try {
    const value = JSON.parse(Buffer.from(bytes).toString()) as Value;
    return value.v === version ? value : null;
  } catch {
    return null;
  }
}
