/**
 * Who may come in: the mechanisms of each listener, asked in their order until one decides.
 *
 * Whoever nobody vouches for stays out. The one exception is a client without any credentials where `allowAnonymous` is written
 * down. As long as any listener checks credentials, no other takes a name on trust: rules could not tell the two apart.
 */
import type {
  AuthenticationSettings,
  ListenerAuthentication,
  MechanismSettings,
} from '../../contracts/authentication.ts';
import type { AuthenticationAnswer, AuthenticationRequest, Hooks } from '../../contracts/hooks.ts';
import type { Log } from '../../contracts/log.ts';
import {
  AuthenticationError,
  busy,
  type Mechanism,
  type MechanismContext,
  noCredentials,
  unavailable,
  unknownMethod,
  wrongCredentials,
} from './mechanism.ts';
import { openMechanism } from './mechanisms.ts';
import { BusyError, WorkQueue } from './work-queue.ts';

interface Chain {
  readonly mechanisms: readonly Mechanism[];
  readonly allowsAnonymous: boolean;
}

interface Rules {
  /** By the number of the listener in the configuration. */
  readonly listeners: readonly Chain[];
  readonly mechanisms: readonly Mechanism[];
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
  readonly #listeners = new Map<string, number>();
  readonly #hashes: WorkQueue;
  readonly #waitMsMax: number;
  #rules: Rules = { listeners: [], mechanisms: [] };

  private constructor(options: AuthenticationOptions) {
    this.#options = options;
    const { hashesAtOnce, hashesWaiting } = options.settings.authenticationLimits;
    this.#waitMsMax = options.connectTimeoutSeconds * 1000;
    this.#hashes = new WorkQueue({
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
    const chainOf = (listener: ListenerAuthentication): Chain => ({
      mechanisms: opened.get(listener.authentication ?? authentication)!,
      allowsAnonymous: listener.allowAnonymous ?? allowAnonymous,
    });
    return {
      apply: () => {
        this.close();
        this.#rules = { listeners: settings.listeners.map(chainOf), mechanisms };
      },
      discard: () => closeAll(mechanisms),
    };
  }

  /** Clients tell their listener by its URL, which is known once it listens. */
  attach(listenerUrl: string, index: number): void {
    this.#listeners.set(listenerUrl, index);
  }

  async authenticate(request: AuthenticationRequest): Promise<AuthenticationAnswer> {
    const chain = this.#rules.listeners[this.#listeners.get(request.client.listener) ?? -1];
    if (chain === undefined) return unavailable;
    const answer = await this.#decide(chain, request);
    if (answer.outcome !== 'refuse') return answer;
    const hidesUsername = chain.mechanisms.some((mechanism) => mechanism.hasSecretName?.(request));
    return hidesUsername ? { ...answer, hidesUsername } : answer;
  }

  async #decide(chain: Chain, request: AuthenticationRequest): Promise<AuthenticationAnswer> {
    for (const [index, mechanism] of chain.mechanisms.entries()) {
      const answer = await this.#ask(mechanism, request);
      if (answer === null) continue;
      if (answer === wrongCredentials) await takeAsLong(chain.mechanisms.slice(index + 1), request);
      return answer.outcome === 'accept' ? { ...answer, mechanism: mechanism.kind } : answer;
    }
    const answer = await this.#options.hook?.(request);
    if (answer !== undefined) return answer;
    if (request.method !== null) return unknownMethod;
    if (request.client.username !== null || request.password !== null) return wrongCredentials;
    return chain.allowsAnonymous ? { outcome: 'accept', mechanism: 'anonymous' } : noCredentials;
  }

  close(): void {
    closeAll(this.#rules.mechanisms);
  }

  async #ask(mechanism: Mechanism, request: AuthenticationRequest): Promise<AuthenticationAnswer | null> {
    try {
      return await mechanism.authenticate(request);
    } catch (error) {
      if (error instanceof BusyError) return busy;
      this.#options.log.error(
        { client: request.client.clientId, err: error },
        'authentication failed: nobody gets in by it',
      );
      return unavailable;
    }
  }
}

function closeAll(mechanisms: readonly Mechanism[]): void {
  for (const mechanism of mechanisms) mechanism.close();
}

/** A wrong password ends the chain where an unknown name does not: the mechanisms behind take their time all the same. */
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
