/** What the broker makes of a payload that is at hand as bytes. */
import { useEffect, useState } from 'preact/hooks';
import { call } from '../api/client.ts';
import type { ReadPayload } from '../parts/payload.tsx';

interface Message {
  readonly topic: string;
  /** In base64. */
  readonly payload: string;
  readonly contentType?: string | null;
}

/** Null while it is on its way; the bytes as they are, if there is none. */
export function useDecoded({ topic, payload, contentType = null }: Message): ReadPayload | null {
  const [read, setRead] = useState<ReadPayload | null>(null);
  useEffect(() => {
    const left = new AbortController();
    call('messages decode', { topic, payload, contentType }, left.signal).then(setRead, (error: Error) => {
      if (left.signal.aborted) return;
      setRead({ payload, encoding: 'base64', format: null, decodeError: error.message });
    });
    return () => left.abort();
  }, [topic, payload, contentType]);
  return read;
}
