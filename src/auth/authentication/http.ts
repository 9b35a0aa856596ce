/**
 * Asks a service of the operator's own, by HTTP. A service that does not answer, or not as it should, lets nobody in.
 *
 * Answers are remembered for a short time, those that let in and those that do not; what is kept of a password is an
 * HMAC under a key of this process.
 */
import type { HttpSettings } from '../../contracts/authentication.ts';
import type { AuthenticationAnswer, AuthenticationRequest } from '../../contracts/hooks.ts';
import { CredentialCache } from './credential-cache.ts';
import {
  createFailureLog,
  type FailureLog,
  isName,
  type Mechanism,
  type MechanismContext,
  namesMax,
  unavailable,
  wrongCredentials,
} from './mechanism.ts';
import { RemoteServer } from './remote-server.ts';
import { type Held, openSecret, withoutLineEnd } from './secret.ts';
import { WorkQueue } from './work-queue.ts';

const answerBytesMax = 65_536;

interface Decision {
  readonly answer: AuthenticationAnswer | null;
  readonly keepMs: number;
}

export class HttpMechanism implements Mechanism {
  readonly kind = 'http';
  readonly #settings: HttpSettings;
  readonly #context: MechanismContext;
  readonly #server: RemoteServer;
  readonly #secret: Held<string> | null;
  readonly #cache: CredentialCache<AuthenticationAnswer | null>;
  readonly #queue: WorkQueue;
  readonly #failureLog: FailureLog;

  private constructor(
    settings: HttpSettings,
    context: MechanismContext,
    server: RemoteServer,
    secret: Held<string> | null,
  ) {
    this.#settings = settings;
    this.#context = context;
    this.#server = server;
    this.#secret = secret;
    this.#failureLog = createFailureLog(context);
    const { now } = context;
    this.#cache = new CredentialCache({ entriesMax: settings.cacheEntries, isRenewed: false, now });
    const { callsAtOnce, callsWaiting } = settings;
    this.#queue = new WorkQueue({ atOnce: callsAtOnce, waitingMax: callsWaiting, waitMsMax: context.waitMsMax, now });
  }

  static async open(settings: HttpSettings, context: MechanismContext): Promise<HttpMechanism> {
    const { url, caFile, timeoutMs, secretFile: file, secretEnv: variable } = settings;
    const server = await RemoteServer.open({ url, caFile, timeoutMs, bytesMax: answerBytesMax, log: context.log });
    try {
      const hasSecret = file !== undefined || variable !== undefined;
      const secret = hasSecret ? await openSecret('secret', { file, variable }, headerValue, context) : null;
      return new HttpMechanism(settings, context, server, secret);
    } catch (error) {
      server.close();
      throw error;
    }
  }

  async authenticate(request: AuthenticationRequest): Promise<AuthenticationAnswer | null> {
    const { client, password, certificate, method } = request;
    if (method !== null) return null;
    const isAnonymous = client.username === null && password === null && certificate === null;
    if (isAnonymous && !this.#settings.asksForAnonymous) return null;
    const address = client.remoteAddress.replace(/:\d+$/, '');
    const { clientId, username, protocolVersion, transport, listener } = client;
    const fingerprint = certificate?.fingerprint ?? null;
    const asked = [clientId, username, password, address, listener, fingerprint, String(protocolVersion)];
    return this.#cache.get(asked, async () => {
      const { answer, keepMs } = await this.#queue.run(() =>
        this.#ask({
          clientId,
          username,
          ...passwordFields(password),
          address,
          listener,
          transport,
          protocolVersion,
          certificate,
        }),
      );
      return { value: answer, keepMs };
    });
  }

  close(): void {
    this.#server.close();
    this.#secret?.close();
  }

  async #ask(question: object): Promise<Decision> {
    const { secretHeader } = this.#settings;
    const headers: Record<string, string> = { 'content-type': 'application/json', accept: 'application/json' };
    try {
      if (this.#secret !== null) {
        if (this.#secret.content === null) throw new Error('its secret cannot be read');
        headers[secretHeader] = this.#secret.content;
      }
      const body = JSON.stringify(question);
      const result = await this.#server.call({ method: 'POST', headers, body });
      return this.#decide(result.status, result.json);
    } catch (error) {
      this.#failureLog.error(
        'failed',
        {},
        `authentication by ${this.#server.origin}: ${(error as Error).message}; nobody gets in by it`,
      );
      return { answer: unavailable, keepMs: 0 };
    }
  }

  #decide(status: number, json: unknown): Decision {
    const { cacheSeconds, refusalCacheSeconds } = this.#settings;
    if (status === 401 || status === 403) return { answer: wrongCredentials, keepMs: refusalCacheSeconds * 1000 };
    if (status !== 200) throw new Error(`it answered with status ${status}`);
    const fields = (typeof json === 'object' && json !== null ? json : {}) as Record<string, unknown>;
    switch (fields.result) {
      case 'ignore':
        return { answer: null, keepMs: refusalCacheSeconds * 1000 };
      case 'deny':
        return { answer: wrongCredentials, keepMs: refusalCacheSeconds * 1000 };
      case 'allow': {
        const answer = acceptance(fields);
        const leftMs = (answer.expiresAt ?? Number.POSITIVE_INFINITY) - this.#context.now();
        if (leftMs <= 0) return { answer: wrongCredentials, keepMs: 0 };
        return { answer, keepMs: Math.min(cacheSeconds * 1000, leftMs) };
      }
      default:
        throw new Error('its answer is not JSON with a result of allow, deny or ignore');
    }
  }
}

/** Throws if the service says what cannot be meant: it is better told than half obeyed. */
function acceptance(fields: Record<string, unknown>) {
  const { username, groups, attributes, expiresAt } = withoutNulls(fields);
  if (username !== undefined && !isName(username)) throw new Error('the username of its answer is not a text');
  if (groups !== undefined && !(Array.isArray(groups) && groups.length <= namesMax && groups.every(isName))) {
    throw new Error(`the groups of its answer are not a list of texts, ${namesMax} at most`);
  }
  if (expiresAt !== undefined && !(typeof expiresAt === 'number' && Number.isFinite(expiresAt))) {
    throw new Error('the expiresAt of its answer is not a number of seconds since 1970');
  }
  return {
    outcome: 'accept' as const,
    ...(username === undefined ? {} : { username }),
    ...(groups === undefined ? {} : { groups: groups as string[] }),
    ...(attributes === undefined ? {} : { attributes: attributesOf(attributes) }),
    ...(expiresAt === undefined ? {} : { expiresAt: expiresAt * 1000 }),
  };
}

function attributesOf(attributes: unknown): Record<string, string> {
  const entries = typeof attributes === 'object' && attributes !== null ? Object.entries(attributes) : null;
  if (entries === null || entries.length > namesMax || !entries.every(([, value]) => typeof value === 'string')) {
    throw new Error(`the attributes of its answer are not texts by name, ${namesMax} at most`);
  }
  return Object.fromEntries(entries.map(([name, value]) => [`http.${name}`, value as string]));
}

const withoutNulls = (fields: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null));

/** As text where it is one. */
function passwordFields(password: Buffer | null): object {
  if (password === null) return { password: null };
  const text = password.toString();
  return Buffer.from(text).equals(password) ? { password: text } : { passwordBase64: password.toString('base64') };
}

function headerValue(bytes: Buffer): string {
  const value = withoutLineEnd(bytes).toString('latin1');
  if (value === '' || /[^\x20-\x7e]/.test(value))
    throw new Error('a secret for a header wants printable ASCII, in one line');
  return value;
}
