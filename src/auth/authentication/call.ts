/**
 * One HTTP call with a bound for everything: time, size, redirects (none: what is sent is meant for this server only).
 */

export interface CallOptions {
  readonly url: string;
  readonly method: 'GET' | 'POST';
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly timeoutMs: number;
  readonly bytesMax: number;
}

export interface CallResult {
  readonly status: number;
  /** Undefined if there is none, or none that is JSON. */
  readonly json: unknown;
}

/** Rejects with one line that tells neither what was sent nor what came. */
export async function call({ url, method, headers, body, timeoutMs, bytesMax }: CallOptions): Promise<CallResult> {
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    const content = body === undefined ? {} : { body };
    const response = await fetch(url, { method, headers, ...content, signal, redirect: 'error' });
    const text = await readText(response, bytesMax);
    return { status: response.status, json: parse(text) };
  } catch (cause) {
    if (signal.aborted) throw new Error(`no answer within ${timeoutMs} ms`, { cause });
    const { message, cause: inner } = cause as Error;
    throw new Error(inner instanceof Error ? inner.message || (inner as NodeJS.ErrnoException).code : message, {
      cause,
    });
  }
}

async function readText(response: Response, bytesMax: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    // Leaving the loop ends the connection as well.
    if (bytes > bytesMax) throw new Error(`the answer has more than ${bytesMax} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
