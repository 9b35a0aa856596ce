/** A service of the operator's own, with the secret that shows it who is asking. */

import type { MechanismContext } from './mechanism.ts';
import { type Answer, RemoteServer } from './remote-server.ts';
import { type Held, openSecret, withoutLineEnd } from './secret.ts';

const answerBytesMax = 65_536;

export interface ServiceSettings {
  readonly caFile?: string | undefined;
  readonly timeoutMs: number;
  readonly secretHeader: string;
  readonly secretFile?: string | undefined;
  readonly secretEnv?: string | undefined;
}

export class ServiceClient {
  readonly #server: RemoteServer;
  readonly #secretHeader: string;
  readonly #secret: Held<string> | null;

  private constructor(server: RemoteServer, secretHeader: string, secret: Held<string> | null) {
    this.#server = server;
    this.#secretHeader = secretHeader;
    this.#secret = secret;
  }

  /** Rejects with an AuthenticationError if a file or the secret cannot be used. */
  static async open(
    url: string,
    settings: ServiceSettings,
    context: Pick<MechanismContext, 'log' | 'environment'>,
  ): Promise<ServiceClient> {
    const { caFile, timeoutMs, secretHeader, secretFile: file, secretEnv: variable } = settings;
    const server = await RemoteServer.open({ url, caFile, timeoutMs, bytesMax: answerBytesMax, log: context.log });
    try {
      const hasSecret = file !== undefined || variable !== undefined;
      const secret = hasSecret ? await openSecret('secret', { file, variable }, headerValue, context) : null;
      return new ServiceClient(server, secretHeader, secret);
    } catch (error) {
      server.close();
      throw error;
    }
  }

  /** What the log may know of it. */
  get origin(): string {
    return this.#server.origin;
  }

  /** Rejects with one line that tells neither what was sent nor what came. */
  async post(body: string, contentType = 'application/json'): Promise<Answer> {
    const headers: Record<string, string> = { 'content-type': contentType, accept: 'application/json' };
    if (this.#secret !== null) {
      if (this.#secret.content === null) throw new Error('its secret cannot be read');
      headers[this.#secretHeader] = this.#secret.content;
    }
    return this.#server.call({ method: 'POST', headers, body });
  }

  close(): void {
    this.#server.close();
    this.#secret?.close();
  }
}

function headerValue(bytes: Buffer): string {
  const value = withoutLineEnd(bytes).toString('latin1');
  if (value === '' || /[^\x20-\x7e]/.test(value))
    throw new Error('a secret for a header wants printable ASCII, in one line');
  return value;
}
