/** The client's side of SCRAM-SHA-256, written from RFC 5802 on its own, to hold the broker's side against. */
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';

const hmac = (key: Buffer, text: string) => createHmac('sha256', key).update(text).digest();

export class ScramClient {
  readonly first: string;
  #serverSignature = '';
  readonly #bare: string;
  readonly #password: string;
  readonly #header: string;

  constructor(name: string, password: string, { nonce = randomBytes(12).toString('hex'), header = 'n,,' } = {}) {
    this.#bare = `n=${name.replaceAll('=', '=3D').replaceAll(',', '=2C')},r=${nonce}`;
    this.#password = password;
    this.#header = header;
    this.first = header + this.#bare;
  }

  final(serverFirst: string, change: (message: string) => string = (message) => message): string {
    const [, nonce, salt, iterations] = /^r=([^,]+),s=([^,]+),i=(\d+)$/.exec(serverFirst)!;
    const salted = pbkdf2Sync(this.#password, Buffer.from(salt!, 'base64'), Number(iterations), 32, 'sha256');
    const withoutProof = change(`c=${Buffer.from(this.#header).toString('base64')},r=${nonce}`);
    const messages = `${this.#bare},${serverFirst},${withoutProof}`;
    const clientKey = hmac(salted, 'Client Key');
    const signature = hmac(createHash('sha256').update(clientKey).digest(), messages);
    const proof = Buffer.from(clientKey.map((byte, index) => byte ^ signature[index]!)).toString('base64');
    this.#serverSignature = hmac(hmac(salted, 'Server Key'), messages).toString('base64');
    return `${withoutProof},p=${proof}`;
  }

  get serverFinal(): string {
    return `v=${this.#serverSignature}`;
  }
}
