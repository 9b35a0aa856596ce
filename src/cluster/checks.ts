/** What every engine asks of its callers: mistakes of ours, so assertions. */
import { assert } from '../base/assert.ts';
import type { Sequence, StreamSettings } from '../contracts/cluster-engine.ts';

const subjectBytesMax = 65_535;
/** What streams and clusters may be called: safe in names of files and in NATS. */
export const namePattern = /^[a-z0-9-]{1,32}$/;
export const bytesMaxLeast = 65_536;

export function checkSettings({ name, bytesMax }: StreamSettings): void {
  assert(namePattern.test(name), `a stream cannot be called ${name}`);
  assert(Number.isSafeInteger(bytesMax) && bytesMax >= bytesMaxLeast, `stream ${name}: ${bytesMax} bytes are too few`);
}

export function checkSubject(subject: string): void {
  assert(subject !== '', 'a subject is empty');
  assert(Buffer.byteLength(subject) <= subjectBytesMax, `a subject is longer than ${subjectBytesMax} bytes`);
}

export function checkAppend(subject: string, bytes: Uint8Array, expected: Sequence | null, bytesMax: number): void {
  checkSubject(subject);
  assert(bytes.length <= bytesMax, `an entry has ${bytes.length} bytes, of ${bytesMax} allowed`);
  assert(expected === null || (Number.isSafeInteger(expected) && expected >= 0), `${expected} is no sequence`);
}
