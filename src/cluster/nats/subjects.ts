/**
 * Any text as a subject of NATS, and back. `/` separates levels there as here, so what watches a cluster with the
 * tools of NATS finds the topics that it knows.
 */
import { createHash } from 'node:crypto';

/** Of an escaped subject: NATS limits a line of its protocol, of which a subject is a part. */
const escapedBytesMax = 200;
const special = /[%.*>\x00-\x20\x7f]/g;

/** Two texts have never the same escaped form, but for texts beyond 200 bytes, of which it is a hash. */
export function escapeSubject(subject: string): string {
  const escaped = subject.split('/').map(escapeLevel).join('.');
  if (Buffer.byteLength(escaped) <= escapedBytesMax) return escaped;
  return `%h${createHash('sha256').update(subject).digest('hex')}`;
}

/** Null: it is a hash, and the text stands elsewhere. */
export function unescapeSubject(escaped: string): string | null {
  if (escaped.startsWith('%h')) return null;
  return escaped.split('.').map(unescapeLevel).join('/');
}

function escapeLevel(level: string): string {
  if (level === '') return '%e';
  return level.replaceAll(
    special,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  );
}

function unescapeLevel(level: string): string {
  if (level === '%e') return '';
  return level.replaceAll(/%([0-9A-F]{2})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)));
}
