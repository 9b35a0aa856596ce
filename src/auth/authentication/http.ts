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
import type { Answer } from './remote-server.ts';
import { ServiceClient } from './service-client.ts';
import {
  emqxVerdict,
  fieldsOf,
  goAuthQuestion,
  goAuthVerdict,
  jsonQuestion,
  type Question,
  type Verdict,
} from './service-forms.ts';
import { WorkQueue } from './work-queue.ts';

interface Decision {
  readonly answer: AuthenticationAnswer | null;
  readonly keepMs: number;
}

export class HttpMechanism implements Mechanism {
  readonly kind = 'http';
  readonly #settings: HttpSettings;
  readonly #context: MechanismContext;
  readonly #service: ServiceClient;
  readonly #cache: CredentialCache<AuthenticationAnswer | null>;
  readonly #queue: WorkQueue;
  readonly #failureLog: FailureLog;

  private constructor(settings: HttpSettings, context: MechanismContext, service: ServiceClient) {
    this.#settings = settings;
    this.#context = context;
    this.#service = service;
    this.#failureLog = createFailureLog(context);
    const { now } = context;
    this.#cache = new CredentialCache({ entriesMax: settings.cacheEntries, isRenewed: false, now });
    const { callsAtOnce, callsWaiting } = settings;
    this.#queue = new WorkQueue({ atOnce: callsAtOnce, waitingMax: callsWaiting, waitMsMax: context.waitMsMax, now });
  }

  static async open(settings: HttpSettings, context: MechanismContext): Promise<HttpMechanism> {
    return new HttpMechanism(settings, context, await ServiceClient.open(settings.url, settings, context));
  }

  async authenticate(request: AuthenticationRequest): Promise<AuthenticationAnswer | null> {
    const { client, password, certificate, method } = request;
    if (method !== null) return null;
    const isAnonymous = client.username === null && password === null && certificate === null;
    if (isAnonymous && !this.#settings.asksForAnonymous) return null;
    const address = client.remoteAddress.replace(/:\d+$/, '');
    const { clientId, username, protocolVersion, listener } = client;
    const fingerprint = certificate?.fingerprint ?? null;
    const asked = [clientId, username, password, address, listener, fingerprint, String(protocolVersion)];
    return this.#cache.get(asked, async () => {
      const question = this.#question(request, address);
      const { answer, keepMs } = await this.#queue.run(() => this.#ask(question));
      return { value: answer, keepMs };
    });
  }

  close(): void {
    this.#service.close();
  }

  #question({ client, password, certificate }: AuthenticationRequest, address: string): Question {
    const { clientId, username, protocolVersion, transport, listener } = client;
    const { form } = this.#settings;
    if (form === 'sluice') {
      const who = { clientId, username, ...passwordFields(password), address, listener };
      return jsonQuestion({ ...who, transport, protocolVersion, certificate });
    }
    const word = password?.toString() ?? '';
    if (form === 'mosquitto-go-auth') {
      return goAuthQuestion({ username: username ?? '', password: word, clientid: clientId }, this.#settings);
    }
    const { commonName = '' } = certificate ?? {};
    const named = { cert_common_name: commonName, proto_name: 'MQTT' };
    return jsonQuestion({ clientid: clientId, username, password: word, peerhost: address, ...named });
  }

  async #ask({ body, contentType }: Question): Promise<Decision> {
    try {
      return this.#decide(await this.#service.post(body, contentType));
    } catch (error) {
      this.#failureLog.error(
        'failed',
        {},
        `authentication by ${this.#service.origin}: ${(error as Error).message}; nobody gets in by it`,
      );
      return { answer: unavailable, keepMs: 0 };
    }
  }

  #decide(response: Answer): Decision {
    const { cacheSeconds, refusalCacheSeconds, form } = this.#settings;
    switch (this.#verdictOf(response)) {
      case 'ignore':
        return { answer: null, keepMs: refusalCacheSeconds * 1000 };
      case 'deny':
        return { answer: wrongCredentials, keepMs: refusalCacheSeconds * 1000 };
      case 'allow': {
        const fields = fieldsOf(response.json);
        const answer = form === 'sluice' ? acceptance(fields) : acceptanceAsEmqx(fields, form);
        const leftMs = (answer.expiresAt ?? Number.POSITIVE_INFINITY) - this.#context.now();
        if (leftMs <= 0) return { answer: wrongCredentials, keepMs: 0 };
        return { answer, keepMs: Math.min(cacheSeconds * 1000, leftMs) };
      }
    }
  }

  #verdictOf(response: Answer): Verdict {
    const { form } = this.#settings;
    if (form === 'mosquitto-go-auth') return goAuthVerdict(response, this.#settings);
    // With its own form, a service says who the client is.
    if (form === 'sluice' && response.status === 204) throw new Error('it answered with status 204');
    return emqxVerdict(response);
  }
}

/** Throws if the service says what cannot be meant: it is better told than half obeyed. */
function acceptance(fields: Readonly<Record<string, unknown>>) {
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

/** Of what EMQX knows: whether the user may do everything, and attributes. The other form says no more than yes. */
function acceptanceAsEmqx(fields: Readonly<Record<string, unknown>>, form: HttpSettings['form']) {
  if (form === 'mosquitto-go-auth') return acceptance({});
  const { is_superuser: isSuperuser, client_attrs: given, expire_at: expiresAt } = withoutNulls(fields);
  const attributes = { ...(given as object | undefined), ...(isSuperuser === true ? { superuser: 'true' } : {}) };
  return acceptance({ attributes, ...(expiresAt === undefined ? {} : { expiresAt }) });
}

function attributesOf(attributes: unknown): Record<string, string> {
  const entries = typeof attributes === 'object' && attributes !== null ? Object.entries(attributes) : null;
  if (entries === null || entries.length > namesMax || !entries.every(([, value]) => typeof value === 'string')) {
    throw new Error(`the attributes of its answer are not texts by name, ${namesMax} at most`);
  }
  return Object.fromEntries(entries.map(([name, value]) => [`http.${name}`, value as string]));
}

const withoutNulls = (fields: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null));

/** As text where it is one. */
function passwordFields(password: Buffer | null): object {
  if (password === null) return { password: null };
  const text = password.toString();
  return Buffer.from(text).equals(password) ? { password: text } : { passwordBase64: password.toString('base64') };
}
