/**
 * Asks a service of the operator's own, by HTTP, what clients may publish and subscribe to. A service that does not
 * answer, or not as it should, allows nothing.
 *
 * Answers are remembered for a short time, in bounded room; one that is remembered is there at once. Else the client
 * whose packet it is waits, and nobody else.
 */
import { createHash } from 'node:crypto';
import { isThenable } from '../../base/thenable.ts';
import { TtlTable } from '../../base/ttl-table.ts';
import type { Awaitable, ClientIdentity } from '../../contracts/hooks.ts';
import type { HttpRulesSettings } from '../../contracts/http-service.ts';
import type { QoS } from '../../protocol/packets.ts';
import { ReasonCode } from '../../protocol/reason-codes.ts';
import { parseFilter } from '../../protocol/topic.ts';
import { createFailureLog, type FailureLog, type MechanismContext } from '../authentication/mechanism.ts';
import { ServiceClient } from '../authentication/service-client.ts';
import {
  emqxVerdict,
  goAuthQuestion,
  goAuthVerdict,
  jsonQuestion,
  type Question,
  type Verdict,
} from '../authentication/service-forms.ts';
import { BusyError, WorkQueue } from '../authentication/work-queue.ts';

/** How mosquitto-go-auth calls what a client wants to do. */
const access = { read: 1, write: 2, subscribe: 4 } as const;

/** Longer questions are remembered by their hash. */
const keyCharactersMax = 256;

/** Besides what the service says: it does not answer, or too many wait for it. */
type Outcome = Verdict | 'failed' | 'busy';

const codes: Readonly<Record<Exclude<Outcome, 'ignore'>, number>> = {
  allow: 0,
  deny: ReasonCode.NotAuthorized,
  failed: ReasonCode.ImplementationSpecificError,
  busy: ReasonCode.QuotaExceeded,
};

interface Remembered {
  readonly until: number;
  readonly outcome: Outcome;
}

export type HttpRulesContext = Pick<MechanismContext, 'log' | 'environment' | 'now'>;

export class HttpRules {
  readonly #settings: HttpRulesSettings;
  readonly #whenIgnored: number;
  readonly #context: HttpRulesContext;
  readonly #service: ServiceClient;
  /** Null: nobody is asked for superusers. */
  readonly #superusers: ServiceClient | null;
  readonly #remembered: TtlTable<Remembered>;
  /** Questions under way: the same one is asked once. No more than may be at once and wait. */
  readonly #pending = new Map<string, Promise<Outcome>>();
  readonly #queue: WorkQueue;
  readonly #failureLog: FailureLog;

  private constructor(
    settings: HttpRulesSettings,
    whenIgnored: 'allow' | 'deny',
    context: HttpRulesContext,
    service: ServiceClient,
    superusers: ServiceClient | null,
  ) {
    this.#settings = settings;
    this.#whenIgnored = codes[whenIgnored];
    this.#context = context;
    this.#service = service;
    this.#superusers = superusers;
    this.#remembered = new TtlTable(settings.cacheEntries);
    const { callsAtOnce, callsWaiting, timeoutMs } = settings;
    const { now } = context;
    this.#queue = new WorkQueue({ atOnce: callsAtOnce, waitingMax: callsWaiting, waitMsMax: timeoutMs, now });
    this.#failureLog = createFailureLog(context);
  }

  /** `whenIgnored`: what holds where the service does not decide. Rejects with an AuthenticationError. */
  static async open(
    settings: HttpRulesSettings,
    whenIgnored: 'allow' | 'deny',
    context: HttpRulesContext,
  ): Promise<HttpRules> {
    const { url, superuserUrl } = settings;
    const service = await ServiceClient.open(url, settings, context);
    try {
      const superusers = superuserUrl === undefined ? null : await ServiceClient.open(superuserUrl, settings, context);
      return new HttpRules(settings, whenIgnored, context, service, superusers);
    } catch (error) {
      service.close();
      throw error;
    }
  }

  /** 0, or the reason code that refuses. */
  publish(client: ClientIdentity, topic: string, qos: QoS, retain: boolean): Awaitable<number> {
    return after(this.#isSuperuser(client), (isSuperuser) => {
      if (isSuperuser) return 0;
      if (this.#settings.form === 'emqx') return this.#code(emqxQuestion(client, 'publish', topic, qos, retain));
      return this.#code(this.#goAuthQuestion(client, topic, access.write));
    });
  }

  /** The QoS to grant, or the reason code that refuses. Of a shared subscription, the filter behind its name counts. */
  subscribe(client: ClientIdentity, topicFilter: string, qos: QoS): Awaitable<number> {
    const filter = parseFilter(topicFilter)?.filter ?? topicFilter;
    const granted = (code: number) => (code === 0 ? qos : code);
    return after(this.#isSuperuser(client), (isSuperuser) => {
      if (isSuperuser) return qos;
      if (this.#settings.form === 'emqx') {
        return after(this.#code(emqxQuestion(client, 'subscribe', filter, qos, false)), granted);
      }
      // That plugin asks once more for each message that is given out; here, who may not read may not subscribe.
      return after(this.#code(this.#goAuthQuestion(client, filter, access.subscribe)), (code) =>
        code === 0 ? after(this.#code(this.#goAuthQuestion(client, filter, access.read)), granted) : code,
      );
    });
  }

  close(): void {
    this.#service.close();
    this.#superusers?.close();
  }

  /** A service that does not answer makes nobody a superuser. */
  #isSuperuser(client: ClientIdentity): Awaitable<boolean> {
    if (client.attributes['http.superuser'] === 'true') return true;
    if (this.#superusers === null || client.username === null) return false;
    const { username, clientId } = client;
    const question =
      this.#settings.form === 'emqx'
        ? jsonQuestion({ clientid: clientId, username })
        : goAuthQuestion({ username }, this.#settings);
    return after(this.#outcome(this.#superusers, 'superuser', question), (outcome) => outcome === 'allow');
  }

  #goAuthQuestion({ clientId, username }: ClientIdentity, topic: string, acc: number): Question {
    return goAuthQuestion({ username: username ?? '', topic, clientid: clientId, acc }, this.#settings);
  }

  #code(question: Question): Awaitable<number> {
    return after(this.#outcome(this.#service, 'rules', question), (outcome) =>
      outcome === 'ignore' ? this.#whenIgnored : codes[outcome],
    );
  }

  #outcome(service: ServiceClient, name: string, question: Question): Awaitable<Outcome> {
    const key = keyOf(name, question.body);
    const known = this.#remembered.get(key, this.#context.now());
    if (known !== null) return known.outcome;
    const pending = this.#pending.get(key);
    if (pending !== undefined) return pending;
    const asking = this.#ask(service, question, key).finally(() => this.#pending.delete(key));
    this.#pending.set(key, asking);
    return asking;
  }

  async #ask(service: ServiceClient, { body, contentType }: Question, key: string): Promise<Outcome> {
    const { form, cacheSeconds, refusalCacheSeconds } = this.#settings;
    let outcome: Outcome;
    try {
      const answer = await this.#queue.run(() => service.post(body, contentType));
      outcome = form === 'emqx' ? emqxVerdict(answer) : goAuthVerdict(answer, this.#settings);
    } catch (error) {
      if (error instanceof BusyError) return 'busy';
      const what = `authorization by ${service.origin}: ${(error as Error).message}; nothing is allowed by it`;
      this.#failureLog.error('failed', {}, what);
      return 'failed';
    }
    const seconds = outcome === 'allow' ? cacheSeconds : refusalCacheSeconds;
    if (seconds > 0) this.#remembered.set(key, { until: this.#context.now() + seconds * 1_000, outcome });
    return outcome;
  }
}

function emqxQuestion(client: ClientIdentity, action: string, topic: string, qos: QoS, retain: boolean): Question {
  const { clientId: clientid, username, remoteAddress } = client;
  const peerhost = remoteAddress.replace(/:\d+$/, '');
  return jsonQuestion({ clientid, username, peerhost, proto_name: 'MQTT', action, topic, qos, retain });
}

function keyOf(name: string, body: string): string {
  if (body.length <= keyCharactersMax) return `${name} ${body}`;
  return `${name} ${createHash('sha256').update(body).digest('base64')}`;
}

/** At once if the value is there. */
function after<T, R>(value: Awaitable<T>, then: (value: T) => Awaitable<R>): Awaitable<R> {
  return isThenable(value) ? (value as Promise<T>).then(then) : then(value as T);
}
