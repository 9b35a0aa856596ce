/**
 * Signed tokens (JWT, RFC 7519), in the password, in the user name, or in the data of MQTT 5 authentication with the
 * method `jwt`.
 *
 * The connection ends when its token does. A client that connected with the method `jwt` may renew it by AUTH, with the
 * same user. A token that none of our keys has signed is left to the next mechanism; one of ours that has expired, or
 * is meant for somebody else, is refused.
 */
import { errors, type JWTPayload, jwtVerify } from 'jose';
import type { JwtSettings } from '../../contracts/authentication.ts';
import type { AuthenticationAnswer, AuthenticationRequest } from '../../contracts/hooks.ts';
import { ReasonCode } from '../../protocol/reason-codes.ts';
import { type Keys, openKeys } from './jwt-keys.ts';
import {
  createFailureLog,
  type FailureLog,
  isName,
  type Mechanism,
  type MechanismContext,
  namesMax,
  unavailable,
} from './mechanism.ts';
import { WorkQueue } from './work-queue.ts';

export const jwtMethod = 'jwt';

const tokenBytesMax = 16_384;
/**
 * Signatures being checked at one time, and waiting. Node checks them in its own four threads, in which the disk's
 * commits wait for their turn as well: two of them are left for that, and the event loop has a processor to itself
 * where there are three.
 */
const atOnce = 2;
const waitingMax = 10_000;

const refuse = (reason: string): AuthenticationAnswer => ({
  outcome: 'refuse',
  reasonCode: ReasonCode.BadUserNameOrPassword,
  reason,
});

/** The token is one of ours, and does not do. Its message is for the client. */
class Unfit extends Error {}

export class Jwt implements Mechanism {
  readonly kind = 'jwt';
  readonly #settings: JwtSettings;
  readonly #context: MechanismContext;
  readonly #keys: Keys;
  readonly #queue: WorkQueue;
  readonly #failureLog: FailureLog;

  private constructor(settings: JwtSettings, context: MechanismContext, keys: Keys) {
    this.#settings = settings;
    this.#context = context;
    this.#keys = keys;
    const { now, waitMsMax } = context;
    this.#queue = new WorkQueue({ atOnce, waitingMax, waitMsMax, now });
    this.#failureLog = createFailureLog(context);
  }

  static async open(settings: JwtSettings, context: MechanismContext): Promise<Jwt> {
    return new Jwt(settings, context, await openKeys(settings, context));
  }

  async authenticate(request: AuthenticationRequest): Promise<AuthenticationAnswer | null> {
    const token = this.#tokenOf(request);
    if (token === null) return null;
    return this.#queue.run(() => this.#check(token, request.client.clientId));
  }

  hasSecretName({ client }: AuthenticationRequest): boolean {
    return this.#settings.token === 'username' && client.username !== null && looksSigned(client.username);
  }

  close(): void {
    this.#keys.close();
  }

  #tokenOf({ client, password, method, data }: AuthenticationRequest): string | null {
    if (method !== null && method !== jwtMethod) return null;
    const inConnect = this.#settings.token === 'username' ? client.username : (password?.toString('latin1') ?? null);
    const token = method === jwtMethod ? (data?.toString('latin1') ?? null) : inConnect;
    if (token === null || token.length > tokenBytesMax) return null;
    return looksSigned(token) ? token : null;
  }

  async #check(token: string, clientId: string): Promise<AuthenticationAnswer | null> {
    try {
      return this.#acceptance(await this.#verify(token), clientId);
    } catch (error) {
      if (error instanceof Unfit) return refuse(error.message);
      if (error instanceof errors.JWTExpired) return refuse('The token has expired');
      if (error instanceof errors.JWTClaimValidationFailed) {
        // Another mechanism may be there for another issuer's tokens.
        return error.claim === 'iss' ? null : refuse(`The token does not fit: ${error.claim}`);
      }
      if (error instanceof errors.JOSEError) return null;
      this.#failureLog.error(
        'failed',
        {},
        `authentication by token: ${(error as Error).message}; nobody gets in by it`,
      );
      return unavailable;
    }
  }

  async #verify(token: string): Promise<JWTPayload> {
    const { issuer, audience, clockToleranceSeconds, requireExpiry } = this.#settings;
    const options = {
      algorithms: [...this.#keys.algorithms()],
      clockTolerance: clockToleranceSeconds,
      currentDate: new Date(this.#context.now()),
      ...(issuer === undefined ? {} : { issuer }),
      ...(audience === undefined ? {} : { audience }),
      ...(requireExpiry ? { requiredClaims: ['exp'] } : {}),
    };
    try {
      return (await jwtVerify(token, this.#keys.get, options)).payload;
    } catch (error) {
      // The token names no key, and several would do.
      if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
      for await (const key of error) {
        try {
          return (await jwtVerify(token, key, options)).payload;
        } catch (inner) {
          if (!(inner instanceof errors.JWSSignatureVerificationFailed)) throw inner;
        }
      }
      throw new errors.JWSSignatureVerificationFailed();
    }
  }

  #acceptance(claims: JWTPayload, clientId: string): AuthenticationAnswer {
    const { usernameClaim, groupsClaim, clientIdClaim, clockToleranceSeconds } = this.#settings;
    const username = claimOf(claims, usernameClaim);
    if (!isName(username)) throw new Unfit(`The token has no usable ${usernameClaim}`);
    if (clientIdClaim !== undefined && claimOf(claims, clientIdClaim) !== clientId) {
      throw new Unfit('The token is for another client identifier');
    }
    const { exp } = claims;
    return {
      outcome: 'accept',
      username,
      groups: groupsOf(claimOf(claims, groupsClaim)),
      attributes: attributesOf(claims),
      ...(exp === undefined ? {} : { expiresAt: (exp + clockToleranceSeconds) * 1000 }),
    };
  }
}

const looksSigned = (text: string) => /^[\w-]+\.[\w-]+\.[\w-]+$/.test(text);

/** A claim by its name, or else by a path with dots. */
function claimOf(claims: JWTPayload, name: string): unknown {
  if (Object.hasOwn(claims, name)) return claims[name];
  return name.split('.').reduce<unknown>((value, key) => {
    return typeof value === 'object' && value !== null && Object.hasOwn(value, key)
      ? (value as Record<string, unknown>)[key]
      : undefined;
  }, claims);
}

/** A list of texts, or one text with spaces between them as `scope` has it. */
function groupsOf(claim: unknown): string[] {
  if (claim === undefined || claim === null) return [];
  const groups = typeof claim === 'string' ? claim.split(' ').filter((name) => name !== '') : claim;
  if (Array.isArray(groups) && groups.length <= namesMax && groups.every(isName)) return groups;
  throw new Unfit('The groups of the token are not a list of names');
}

/** What rules may ask for: every claim that is a text, a number, or true or false. */
function attributesOf(claims: JWTPayload): Record<string, string> {
  const plain = Object.entries(claims).filter(([, value]) => ['string', 'number', 'boolean'].includes(typeof value));
  return Object.fromEntries(plain.slice(0, namesMax).map(([name, value]) => [`token.${name}`, String(value)]));
}
