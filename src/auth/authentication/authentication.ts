/**
 * Who may come in: the mechanisms of each listener, asked in their order until one decides.
 *
 * Whoever nobody vouches for stays out. The one exception is a client without any credentials where `allowAnonymous` is
 * written down. As long as any listener checks credentials, no other takes a name on trust unless it says
 * `anyUsername`: rules tell the two apart by their listeners only.
 */
import type {
  AuthenticationSettings,
  ListenerAuthentication,
  MechanismSettings,
} from '../../contracts/authentication.ts';
import { asAuthenticationAnswer } from '../../contracts/hook-answers.ts';
import type { AuthenticationAnswer, AuthenticationRequest, ClientIdentity, Hooks } from '../../contracts/hooks.ts';
import { addressText } from '../../contracts/listener-url.ts';
import type { Log } from '../../contracts/log.ts';
import type { PasswordAnswer } from '../../contracts/login.ts';
import { HashThreads } from './hash-threads.ts';
import {
  AuthenticationError,
  busy,
  createFailureLog,
  type FailureLog,
  type Mechanism,
  type MechanismContext,
  noCredentials,
  type Refusal,
  unavailable,
  unknownMethod,
  wrongCredentials,
} from './mechanism.ts';
import { openMechanism } from './mechanisms.ts';
import { BusyError } from './work-queue.ts';

interface Chain {
  readonly mechanisms: readonly Mechanism[];
  readonly allowsAnonymous: boolean;
  readonly believesUsernames: boolean;
}

interface Rules {
  /** By the names of the listeners. */
  readonly listeners: ReadonlyMap<string, Chain>;
  readonly mechanisms: readonly Mechanism[];
  /** Of them, the password files for all listeners. */
  readonly passwordFiles: readonly Mechanism[];
}

/** What takes the place of the present mechanisms, or is given up. */
export interface Prepared {
  apply(): void;
  discard(): void;
}

export interface AuthenticationOptions {
  readonly settings: AuthenticationSettings;
  readonly log: Log;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly now: () => number;
  /** A client whose CONNECT takes longer is gone. */
  readonly connectTimeoutSeconds: number;
  /** The program's own, asked when no mechanism has decided. */
  readonly hook?: Hooks['authenticate'];
}

export class Authentication {
  readonly #options: AuthenticationOptions;
  /** Of those that run: in the order of the configuration they were started with. */
  readonly #names: readonly string[];
  /** By their URLs. */
  readonly #listenerNames = new Map<string, string>();
  readonly #hashes: HashThreads;
  readonly #waitMsMax: number;
  readonly #failureLog: FailureLog;
  #rules: Rules = { listeners: new Map(), mechanisms: [], passwordFiles: [] };

  private constructor(options: AuthenticationOptions) {
    this.#options = options;
    this.#failureLog = createFailureLog(options);
    this.#names = namesOf(options.settings.listeners);
    const { hashesAtOnce, hashesWaiting } = options.settings.authenticationLimits;
    this.#waitMsMax = options.connectTimeoutSeconds * 1000;
    this.#hashes = new HashThreads({
      atOnce: hashesAtOnce,
      waitingMax: hashesWaiting,
      waitMsMax: this.#waitMsMax,
      now: options.now,
    });
  }

  /** Rejects with an AuthenticationError whose path leads from the configuration's top to what cannot be used. */
  static async open(options: AuthenticationOptions): Promise<Authentication> {
    const authentication = new Authentication(options);
    (await authentication.prepare(options.settings)).apply();
    return authentication;
  }

  /** Opens the mechanisms of other settings, and reads all files anew. Rejects as `open` does. */
  async prepare(settings: AuthenticationSettings): Promise<Prepared> {
    const names = namesOf(settings.listeners);
    const gone = this.#names.find((name) => !names.includes(name));
    if (gone !== undefined) {
      const why = 'so it does not say who may connect there; put it back, or restart the broker';
      throw new AuthenticationError(['listeners'], `the ${gone} runs and is not in the configuration any more, ${why}`);
    }
    const opened = new Map<readonly MechanismSettings[], Mechanism[]>();
    const { authenticationLimits, authentication, allowAnonymous } = settings;
    const { log, environment, now } = this.#options;
    const context = {
      log,
      environment,
      now,
      hashes: this.#hashes,
      waitMsMax: this.#waitMsMax,
      ...authenticationLimits,
    };
    try {
      await openAll(opened, authentication, context, ['authentication']);
      for (const [index, { authentication: own }] of settings.listeners.entries()) {
        if (own !== undefined) await openAll(opened, own, context, ['listeners', index, 'authentication']);
      }
    } catch (error) {
      closeAll([...opened.values()].flat());
      throw error;
    }
    const mechanisms = [...opened.values()].flat();
    const chainOf = (listener: Omit<ListenerAuthentication, 'kind' | 'host' | 'port'>): Chain => ({
      mechanisms: opened.get(listener.authentication ?? authentication)!,
      allowsAnonymous: listener.allowAnonymous ?? allowAnonymous,
      believesUsernames: listener.anyUsername ?? false,
    });
    return {
      apply: () => {
        closeAll(this.#rules.mechanisms);
        const chains = settings.listeners.map((listener, index) => [names[index]!, chainOf(listener)] as const);
        const passwordFiles = opened.get(authentication)!.filter(({ kind }) => kind === 'password-file');
        this.#rules = { listeners: new Map([...chains, [ofProgram, chainOf({})]]), mechanisms, passwordFiles };
      },
      discard: () => closeAll(mechanisms),
    };
  }

  /**
   * Clients tell their listener by its URL, which is known once it listens. `index`: in the configuration at the start;
   * null: the program brings the connections, to which applies what is said for all listeners.
   */
  attach(listenerUrl: string, index: number | null): void {
    this.#listenerNames.set(listenerUrl, index === null ? ofProgram : this.#names[index]!);
  }

  /**
   * Whether anybody may connect without credentials to the listener with this place in the configuration at the start.
   */
  allowsAnonymous(index: number): boolean {
    return this.#rules.listeners.get(this.#names[index]!)?.allowsAnonymous ?? false;
  }

  async authenticate(request: AuthenticationRequest): Promise<AuthenticationAnswer> {
    const chain = this.#rules.listeners.get(this.#listenerNames.get(request.client.listener) ?? '');
    if (chain === undefined) return unavailable;
    const answer = await this.#decide(chain, request);
    const { clientId, remoteAddress: from, listener } = request.client;
    const { outcome, mechanism = null } = answer as { outcome: string; mechanism?: string };
    this.#options.log.debug({ client: clientId, from, listener, mechanism, outcome }, 'a client was asked who it is');
    if (answer.outcome !== 'refuse') return answer;
    const hidesUsername = chain.mechanisms.some((mechanism) => mechanism.hasSecretName?.(request));
    return hidesUsername ? { ...answer, hidesUsername } : answer;
  }

  async #decide(chain: Chain, request: AuthenticationRequest): Promise<AuthenticationAnswer> {
    for (const [index, mechanism] of chain.mechanisms.entries()) {
      const answer = await this.#ask(mechanism, request);
      if (answer === null) continue;
      if (answer === wrongCredentials) await takeAsLong(chain.mechanisms.slice(index + 1), request);
      return answer.outcome === 'continue' ? answer : { ...answer, mechanism: mechanism.kind };
    }
    const { hook } = this.#options;
    if (hook !== undefined) return asAuthenticationAnswer(await hook(request), request);
    if (request.method !== null) return byNobody(unknownMethod);
    if (chain.believesUsernames) return { outcome: 'accept', mechanism: 'anonymous' };
    if (request.client.username !== null || request.password !== null) return byNobody(wrongCredentials);
    return chain.allowsAnonymous
      ? { outcome: 'accept', mechanism: 'anonymous' }
      : { ...noCredentials, mechanism: 'anonymous' };
  }

  /**
   * For people who log in to the HTTP API: asks the password files for all listeners, in their order, with the same
   * limits as for clients.
   */
  async checkPassword(username: string, password: Buffer): Promise<PasswordAnswer> {
    const request = { client: { ...nobody, username }, password, ...noExchange };
    const answers: (AuthenticationAnswer | null)[] = [];
    for (const file of this.#rules.passwordFiles) {
      const answer = await this.#ask(file, request);
      answers.push(answer);
      if (answer !== null) break;
    }
    const last = answers.at(-1) ?? null;
    if (last === wrongCredentials) await takeAsLong(this.#rules.passwordFiles.slice(answers.length), request);
    if (last === busy) return 'busy';
    if (last === unavailable) return 'unavailable';
    return last?.outcome === 'accept' ? 'right' : 'wrong';
  }

  /** What `checkPassword` compares with, as `Mechanism.passwordMark` has it. */
  passwordMark(username: string): string | null | undefined {
    for (const file of this.#rules.passwordFiles) {
      const mark = file.passwordMark!(username);
      if (mark !== null) return mark;
    }
    return null;
  }

  close(): void {
    closeAll(this.#rules.mechanisms);
    this.#hashes.close();
  }

  async #ask(mechanism: Mechanism, request: AuthenticationRequest): Promise<AuthenticationAnswer | null> {
    try {
      return await mechanism.authenticate(request);
    } catch (error) {
      if (error instanceof BusyError) return busy;
      this.#failureLog.error(
        'failed',
        {},
        `authentication by ${mechanism.kind}: ${(error as Error).message}; nobody gets in by it`,
      );
      return unavailable;
    }
  }
}

/** Whoever logs in without being a client. */
/** In the place of a listener's name. */
const ofProgram = 'connections of the program';

const nobody: Omit<ClientIdentity, 'username'> = {
  clientId: '',
  protocolVersion: 5,
  transport: 'tcp',
  remoteAddress: '',
  listener: '',
  groups: [],
  attributes: {},
};
const noExchange = { certificate: null, method: null, data: null, isReAuthentication: false, state: undefined };

/** No mechanism knows such a client. */
const byNobody = (refusal: Refusal): Refusal => ({ ...refusal, mechanism: 'none' });

/** What a listener is known by when the configuration is read again, perhaps in another order. */
function namesOf(listeners: readonly ListenerAuthentication[]): string[] {
  const plain = listeners.map((each) => `${each.kind} listener on ${addressText(each)}`);
  // Those that share a name, with port 0, go by their order.
  return plain.map((name, index) => {
    const before = plain.slice(0, index).filter((other) => other === name).length;
    return before === 0 ? name : `${name} (${before + 1})`;
  });
}

function closeAll(mechanisms: readonly Mechanism[]): void {
  for (const mechanism of mechanisms) mechanism.close();
}

/**
 * A wrong password ends the chain where an unknown name does not: the mechanisms behind take their time all the same.
 */
async function takeAsLong(mechanisms: readonly Mechanism[], request: AuthenticationRequest): Promise<void> {
  for (const mechanism of mechanisms) {
    try {
      await mechanism.takeAsLong?.(request);
    } catch {
      // Busy or broken: there is an answer already.
    }
  }
}

async function openAll(
  opened: Map<readonly MechanismSettings[], Mechanism[]>,
  settings: readonly MechanismSettings[],
  context: MechanismContext,
  path: readonly PropertyKey[],
): Promise<void> {
  const mechanisms: Mechanism[] = [];
  opened.set(settings, mechanisms);
  for (const [index, each] of settings.entries()) {
    try {
      mechanisms.push(await openMechanism(each, context));
    } catch (error) {
      if (!(error instanceof AuthenticationError)) throw error;
      throw new AuthenticationError([...path, index, ...error.path], error.message, { cause: error });
    }
  }
}
