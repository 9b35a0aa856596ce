/**
 * A server that is asked by HTTP. Every call has a bound for everything: time, size, redirects (none: what is sent is
 * meant for this server only). Connections are kept for a few seconds, for the next call.
 *
 * Over TLS the server must show a certificate of a public authority or, where `caFile` names some, of one of these and
 * no other. That file is read again when it changes; while it cannot be used there are no calls.
 */
import { once } from 'node:events';
import { type Agent, Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { certificatesIn } from '../../base/pem.ts';
import type { Log } from '../../contracts/log.ts';
import { type Held, openFile } from './secret.ts';

export interface RemoteServerOptions {
  readonly url: string;
  readonly caFile: string | undefined;
  readonly timeoutMs: number;
  readonly bytesMax: number;
  readonly log: Log;
}

export interface Call {
  readonly method: 'GET' | 'POST';
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface Answer {
  readonly status: number;
  readonly text: string;
  /** Undefined if there is none, or none that is JSON. */
  readonly json: unknown;
}

/** An idle connection ends after this time. */
const idleMs = 4_000;

export class RemoteServer {
  /** What the log may know of the URL: secrets may stand behind it. */
  readonly origin: string;
  readonly #options: RemoteServerOptions;
  readonly #url: URL;
  readonly #agent: Held<Agent>;

  private constructor(options: RemoteServerOptions, agent: Held<Agent>) {
    this.#options = options;
    this.#url = new URL(options.url);
    this.origin = this.#url.origin;
    this.#agent = agent;
  }

  /**
   * Rejects with an AuthenticationError if `caFile` cannot be used. Whether the server is there shows at the first
   * call.
   */
  static async open(options: RemoteServerOptions): Promise<RemoteServer> {
    const { url, caFile, log } = options;
    const settings = { keepAlive: true, timeout: idleMs };
    if (caFile === undefined) {
      const agent = url.startsWith('https:') ? new HttpsAgent(settings) : new HttpAgent(settings);
      return new RemoteServer(options, { content: agent, close() {} });
    }
    const agentFor = (file: Buffer) => {
      certificatesIn(file);
      return new HttpsAgent({ ...settings, ca: file });
    };
    return new RemoteServer(options, await openFile('caFile', caFile, agentFor, log));
  }

  /** Rejects with one line that tells neither what was sent nor what came. */
  async call(call: Call): Promise<Answer> {
    const { timeoutMs, caFile } = this.#options;
    const agent = this.#agent.content;
    if (agent === null) throw new Error(`caFile ${caFile} cannot be used`);
    const signal = AbortSignal.timeout(timeoutMs);
    try {
      return await this.#send(call, agent, signal);
    } catch (cause) {
      if (signal.aborted) throw new Error(`no answer within ${timeoutMs} ms`, { cause });
      const { code, message } = cause as NodeJS.ErrnoException;
      throw new Error(this.#inWords(code ?? '') ?? (message || code), { cause });
    }
  }

  close(): void {
    this.#agent.close();
  }

  async #send(call: Call, agent: Agent, signal: AbortSignal): Promise<Answer> {
    const { method, headers, body } = call;
    const send = this.#url.protocol === 'https:' ? httpsRequest : httpRequest;
    const request = send(this.#url, { method, headers, agent, signal }).end(body);
    // What breaks while the response is read, breaks the response.
    request.on('error', () => {});
    let response: IncomingMessage;
    try {
      // The signal here too: a server that wants to speak another protocol (101) gives neither a response nor an error.
      [response] = (await once(request, 'response', { signal })) as [IncomingMessage];
    } catch (error) {
      // The server closed it for being idle, while the question was on its way. One that is new is not asked again.
      if (!request.reusedSocket || (error as NodeJS.ErrnoException).code !== 'ECONNRESET') throw error;
      return this.#send(call, agent, signal);
    }
    const text = await readText(response, this.#options.bytesMax);
    return { status: response.statusCode ?? 0, text, json: parse(text) };
  }

  #inWords(code: string): string | null {
    if (foreignCertificate.has(code)) {
      return this.#options.caFile === undefined
        ? 'its certificate is of no public authority; name a file with its authority as caFile'
        : `its certificate is of no authority in caFile ${this.#options.caFile}; add it there`;
    }
    return reasons[code] ?? null;
  }
}

const foreignCertificate = new Set([
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
]);

const reasons: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'its certificate has expired; renew it',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet; check the clocks of both machines',
  ERR_TLS_CERT_ALTNAME_INVALID:
    'its certificate is for other names; use one of them in the URL, or make one for this name',
  INVALID_PURPOSE: 'its certificate is not made for servers',
};

async function readText(response: IncomingMessage, bytesMax: number): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
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
