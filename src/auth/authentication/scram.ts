/**
 * SCRAM-SHA-256 over AUTH: the password never leaves the client, and the server shows that it knows the user as well.
 * [RFC5802] [RFC7677] [MQTT5 4.12]
 *
 * CONNECT carries client-first, AUTH server-first and client-final, CONNACK (or the AUTH that ends a re-authentication)
 * server-final. There is no channel binding: `p=` is refused. A user who is not in the file gets the same exchange,
 * with a salt that is always the same, and fails at its end as with a wrong password.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import type { ScramSettings } from '../../contracts/authentication.ts';
import type { AuthenticationAnswer, AuthenticationRequest } from '../../contracts/hooks.ts';
import { type Mechanism, type MechanismContext, unavailable, wrongCredentials } from './mechanism.ts';
import { openUsers, type Users } from './password-file.ts';
import { hmac, type ScramCredentials, saslPrep, sha256, utf8 } from './scram-credentials.ts';
import type { WatchedFile } from './watched-file.ts';

export const scramMethod = 'SCRAM-SHA-256';

/** Far more than names, nonces and proofs take. */
const messageBytesMax = 4_096;

/** What is remembered between the two messages of a client. */
class Exchange {
  readonly username: string;
  readonly credentials: ScramCredentials;
  readonly gs2Header: string;
  readonly nonce: string;
  /** `client-first-message-bare,server-first-message`. */
  readonly firstMessages: string;

  constructor(fields: {
    username: string;
    credentials: ScramCredentials;
    gs2Header: string;
    nonce: string;
    firstMessages: string;
  }) {
    this.username = fields.username;
    this.credentials = fields.credentials;
    this.gs2Header = fields.gs2Header;
    this.nonce = fields.nonce;
    this.firstMessages = fields.firstMessages;
  }
}

export class Scram implements Mechanism {
  readonly kind = 'scram-sha-256';
  readonly #file: WatchedFile<Users>;
  readonly #makeNonce: () => string;
  readonly #emptyFileKey = randomBytes(32);

  private constructor(file: WatchedFile<Users>, makeNonce: () => string) {
    this.#file = file;
    this.#makeNonce = makeNonce;
  }

  /** `makeNonce`: for tests with the standard's examples. */
  static async open(
    { file }: ScramSettings,
    context: MechanismContext,
    makeNonce = () => randomBytes(18).toString('base64'),
  ): Promise<Scram> {
    return new Scram(await openUsers(file, 'SCRAM file', 'sluice passwd --scram -c', context), makeNonce);
  }

  authenticate(request: AuthenticationRequest): AuthenticationAnswer | null {
    if (request.method !== scramMethod) return null;
    const users = this.#file.content;
    if (users === null) return unavailable;
    const { data, state } = request;
    request.state = undefined;
    if (data === null || data.length > messageBytesMax) return wrongCredentials;
    let message: string;
    try {
      message = utf8(data);
    } catch {
      return wrongCredentials;
    }
    return state instanceof Exchange ? finish(state, message) : this.#begin(request, message, users);
  }

  close(): void {
    this.#file.close();
  }

  #begin(request: AuthenticationRequest, message: string, users: Users): AuthenticationAnswer {
    const match = /^([ny],(?:a=([^,]*))?,)(n=([^,]+),r=([\x21-\x2b\x2d-\x7e]+)(?:,.*)?)$/s.exec(message);
    if (match === null) return wrongCredentials;
    const [, gs2Header, authorizationName, bare, name, clientNonce] = match as unknown as string[];
    const username = decodeSaslName(name!);
    const { client } = request;
    if (username === null || (client.username !== null && client.username !== username)) return wrongCredentials;
    // Nobody acts for somebody else here.
    if (authorizationName !== undefined && decodeSaslName(authorizationName) !== username) return wrongCredentials;
    const hash = users.byName.get(username);
    const credentials = hash?.kind === 'scram' ? hash : this.#decoy(users, username);
    const nonce = clientNonce + this.#makeNonce();
    const serverFirst = `r=${nonce},s=${credentials.salt.toString('base64')},i=${credentials.iterations}`;
    const firstMessages = `${bare},${serverFirst}`;
    request.state = new Exchange({ username, credentials, gs2Header: gs2Header!, nonce, firstMessages });
    return { outcome: 'continue', data: Buffer.from(serverFirst) };
  }

  /**
   * For a user who is not there. Salt and iterations must stay the same from one start to the next, so they come from a
   * secret of the file; a proof of its random key does not exist.
   */
  #decoy({ scram, scramSecret }: Users, username: string): ScramCredentials {
    const secret = hmac(scramSecret ?? this.#emptyFileKey, username);
    const like = scram[secret.readUInt32BE() % scram.length];
    const salt = hmac(secret, 'salt').subarray(0, like?.salt.length ?? 16);
    return {
      kind: 'scram',
      iterations: like?.iterations ?? 4_096,
      salt,
      storedKey: randomBytes(32),
      serverKey: randomBytes(32),
    };
  }
}

function finish(exchange: Exchange, message: string): AuthenticationAnswer {
  const match = /^(c=([A-Za-z0-9+/=]+),r=([^,]+)(?:,.*)?),p=([A-Za-z0-9+/]{43}=)$/s.exec(message);
  if (match === null) return wrongCredentials;
  const [, withoutProof, binding, nonce, proofText] = match as unknown as string[];
  const isBound = Buffer.from(binding!, 'base64').toString() === exchange.gs2Header;
  if (!isBound || nonce !== exchange.nonce) return wrongCredentials;
  const { storedKey, serverKey } = exchange.credentials;
  const messages = `${exchange.firstMessages},${withoutProof}`;
  const clientKey = xor(Buffer.from(proofText!, 'base64'), hmac(storedKey, messages));
  if (!timingSafeEqual(sha256(clientKey), storedKey)) return wrongCredentials;
  const signature = hmac(serverKey, messages).toString('base64');
  return { outcome: 'accept', username: exchange.username, data: Buffer.from(`v=${signature}`) };
}

function xor(a: Buffer, b: Buffer): Buffer {
  return a.map((byte, index) => byte ^ b[index]!) as Buffer;
}

/** A `saslname`: `=2C` is a comma, `=3D` an equals sign, and nothing else begins with one. */
function decodeSaslName(text: string): string | null {
  if (/=(?!2C|3D)/.test(text)) return null;
  try {
    return saslPrep(text.replaceAll('=2C', ',').replaceAll('=3D', '='));
  } catch {
    return null;
  }
}
