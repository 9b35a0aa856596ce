/** Fields of the lines of credential files, read strictly. What is wrong is told without repeating the field. */

/** Node skips what is not base64; here it is an error. */
export function base64(text: string, what: string, bytesMin = 1, bytesMax = 1_024): Buffer {
  const bytes = /^[A-Za-z0-9+/]*={0,2}$/.test(text) ? Buffer.from(text, 'base64') : Buffer.alloc(0);
  if (bytes.length >= bytesMin && bytes.length <= bytesMax) return bytes;
  throw new Error(
    `its ${what} is not base64 of ${bytesMin === bytesMax ? bytesMin : `${bytesMin} to ${bytesMax}`} bytes`,
  );
}

export function whole(text: string, minimum: number, maximum: number, what: string): number {
  const value = Number(text);
  if (/^\d{1,10}$/.test(text) && value >= minimum && value <= maximum) return value;
  throw new Error(`its ${what} must be a whole number from ${minimum} to ${maximum}`);
}
