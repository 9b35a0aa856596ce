/**
 * `sluice cert`: an authority of one's own for development, and certificates for the broker and its clients.
 */
import { createPrivateKey, randomBytes, X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { domainToASCII } from 'node:url';
import { canonicalAddress } from '../base/addresses.ts';
import { fileProblem } from '../base/file-problem.ts';
import type { Io } from './io.ts';
import { CommandError, noPositionals, readOptions, wholeNumber } from './usage.ts';
import { createAuthority, type Issued, issue, type Purpose } from './x509.ts';

const help = `sluice cert [options]

  --dir DIR       where the files are, or are made (./certs)
  --host NAME     name or address that clients use for the broker, besides localhost, 127.0.0.1 and ::1; may be repeated
  --client NAME   also a certificate for the client of this name; may be repeated
  --days N        how long certificates are valid (365)

Makes an authority (ca.crt, ca.key), a certificate for the broker (server.crt, server.key) and one for each client (NAME.crt,
NAME.key), for development and for devices of one's own. What is there already and still good is kept; a certificate is made
anew when a name is missing in it, or when less than a third of its time is left. A running broker takes it over by itself.
`;

const dayMs = 86_400_000;
const authorityDays = 3_650;
const defaultHosts = ['localhost', '127.0.0.1', '::1'];
/** Clocks of devices are not exact. */
const backdatedMs = 3_600_000;

export async function cert(argv: readonly string[], io: Io): Promise<void> {
  const { values, positionals } = readOptions('cert', argv, {
    dir: { type: 'string', default: 'certs' },
    host: { type: 'string', multiple: true },
    client: { type: 'string', multiple: true },
    days: { type: 'string', default: '365' },
    help: { type: 'boolean' },
  });
  if (values.help) return void io.stdout.write(help);
  noPositionals('cert', positionals);
  const directory = resolve(values.dir);
  const hosts = [...new Set([...defaultHosts, ...(values.host ?? []).map(hostOf)])];
  const clients = [...new Set(values.client ?? [])];
  for (const name of clients) checkClientName(name);
  const days = wholeNumber('--days', values.days, 1, authorityDays);

  makeFolder(directory);
  const folder = new CertificateFolder(directory, days, (line) => void io.stdout.write(`${line}\n`));
  folder.openAuthority();
  folder.provide('server', 'server', hosts);
  for (const name of clients) folder.provide(name, 'client', []);
  io.stdout.write(instructions(directory, clients));
}

function makeFolder(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true });
  } catch (error) {
    throw new CommandError(`Cannot make the folder ${directory}: ${fileProblem(error as Error)}; choose another --dir`);
  }
}

class CertificateFolder {
  readonly #directory: string;
  readonly #untilMs: number;
  readonly #tell: (line: string) => void;
  #authority: Issued | null = null;

  constructor(directory: string, days: number, tell: (line: string) => void) {
    this.#directory = directory;
    this.#untilMs = Date.now() + days * dayMs;
    this.#tell = tell;
  }

  /** The one that is there, or a new one. */
  openAuthority(): void {
    const found = this.#read('ca');
    if (found !== null && Date.parse(new X509Certificate(found.certificate).validTo) < Date.now()) {
      throw new CommandError(
        `The authority ${this.#file('ca.crt')} has expired. Choose another --dir, or remove its files; then everybody who ` +
          'trusted it must be given the new ca.crt',
      );
    }
    if (found !== null && createPrivateKey(found.key).asymmetricKeyType !== 'ec') {
      throw new CommandError(
        `${this.#file('ca.key')} is no key on an elliptic curve, so not of this command; choose another --dir`,
      );
    }
    // Two authorities of one name would be taken for each other.
    const name = `Sluice development CA ${randomBytes(4).toString('hex')}`;
    const validity = { from: Date.now() - backdatedMs, until: Date.now() + authorityDays * dayMs };
    this.#authority = found ?? createAuthority(name, validity);
    if (found === null) this.#write('ca', this.#authority);
    this.#report(
      found === null ? 'made' : 'kept',
      'ca',
      this.#authority,
      'the authority: give ca.crt to clients, keep ca.key',
    );
  }

  /** A certificate for all of `hosts`, and for those that the one that is there has. */
  provide(name: string, purpose: Purpose, hosts: readonly string[]): void {
    const authority = this.#authority!;
    const found = this.#read(name);
    const known = found === null ? [] : this.#ownHosts(name, new X509Certificate(found.certificate));
    const isGood = found !== null && !isEnding(found) && hosts.every((host) => known.includes(host));
    const all = [...new Set([...hosts, ...known])];
    const authorityEnd = Date.parse(new X509Certificate(authority.certificate).validTo);
    const validity = { from: Date.now() - backdatedMs, until: Math.min(this.#untilMs, authorityEnd) };
    const issued = isGood ? found : issue(authority, { commonName: name, purpose, hosts: all, ...validity });
    if (!isGood) this.#write(name, issued);
    const forWhom = purpose === 'server' ? `the broker as ${all.join(', ')}` : `the client ${name}`;
    this.#report(isGood ? 'kept' : 'made', name, issued, forWhom);
  }

  /** Rejects a certificate that this command did not make: replacing it might be a loss. */
  #ownHosts(name: string, certificate: X509Certificate): string[] {
    const issuer = new X509Certificate(this.#authority!.certificate);
    if (!certificate.checkIssued(issuer) || !certificate.verify(issuer.publicKey)) {
      const file = this.#file(`${name}.crt`);
      throw new CommandError(
        `${file} is not of the authority ca.crt beside it, and is left alone; choose another --dir`,
      );
    }
    const names = [...(certificate.subjectAltName ?? '').matchAll(/(?:DNS|IP Address):([^,]+)/g)];
    return names.map(([, host]) => canonicalAddress(host!) ?? host!);
  }

  /** Null if neither file is there. */
  #read(name: string): Issued | null {
    const [certFile, keyFile] = [this.#file(`${name}.crt`), this.#file(`${name}.key`)];
    if (!existsSync(certFile) && !existsSync(keyFile)) return null;
    try {
      const [certificate, key] = [readFileSync(certFile, 'utf8'), readFileSync(keyFile, 'utf8')];
      if (!new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key)))
        throw new Error('they do not belong together');
      return { certificate, key };
    } catch (cause) {
      const what = `Cannot use ${certFile} with ${keyFile}: ${fileProblem(cause as Error)}`;
      throw new CommandError(`${what}; correct or remove them`);
    }
  }

  /** A broker that reads meanwhile sees whole files, and the key can be read by nobody else at any moment. */
  #write(name: string, { certificate, key }: Issued): void {
    this.#replace(`${name}.key`, key, 0o600);
    this.#replace(`${name}.crt`, certificate, 0o644);
  }

  #replace(name: string, text: string, mode: number): void {
    const temporary = this.#file(`.${name}.${process.pid}`);
    try {
      writeFileSync(temporary, text, { mode, flag: 'wx' });
      renameSync(temporary, this.#file(name));
    } catch (error) {
      throw new CommandError(`Cannot write ${this.#file(name)}: ${fileProblem(error as Error)}; choose another --dir`);
    }
  }

  #report(what: string, name: string, { certificate }: Issued, forWhom: string): void {
    const until = new Date(new X509Certificate(certificate).validTo).toISOString().slice(0, 10);
    this.#tell(`${what}  ${this.#file(`${name}.crt`)}  until ${until}  ${forWhom}`);
  }

  #file(name: string): string {
    return join(this.#directory, name);
  }
}

function isEnding({ certificate }: Issued): boolean {
  const { validFrom, validTo } = new X509Certificate(certificate);
  const [from, until] = [Date.parse(validFrom), Date.parse(validTo)];
  return Date.now() > until - (until - from) / 3;
}

/** As a certificate has it. */
function hostOf(text: string): string {
  const address = canonicalAddress(text);
  if (address !== null) return address;
  const name = domainToASCII(text).toLowerCase();
  if (/^(\*\.)?([a-z0-9_]([a-z0-9_-]*[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?$/.test(name)) return name;
  throw new CommandError(`--host wants a host name or an address, not "${text}"`, 2);
}

/** It becomes the common name, which has 64 characters at most, and the name of two files. */
function checkClientName(name: string): void {
  if (['ca', 'server'].includes(name.toLowerCase())) {
    throw new CommandError(
      `--client ${name} would take the files of the ${name.toLowerCase() === 'ca' ? 'authority' : 'broker'}`,
      2,
    );
  }
  if (/^[A-Za-z0-9_][A-Za-z0-9._@-]{0,63}$/.test(name)) return;
  throw new CommandError(`--client wants up to 64 letters, digits and . _ @ -, not "${name}"`, 2);
}

function instructions(directory: string, [client]: readonly string[]): string {
  const file = (name: string) => join(directory, name);
  const quoted = (text: string) => (/^[\w./@-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
  const authority = quoted(file('ca.crt'));
  const own =
    client === undefined ? '' : ` --cert ${quoted(file(`${client}.crt`))} --key ${quoted(file(`${client}.key`))}`;
  const setting = (name: string, value: string) => `      ${name}: ${JSON.stringify(value)}`;
  return [
    '',
    'In the configuration of the broker:',
    '',
    'listeners:',
    '  - kind: tls',
    '    port: 8883',
    '    tls:',
    setting('certFile', file('server.crt')),
    setting('keyFile', file('server.key')),
    ...(client === undefined ? [] : [setting('caFile', file('ca.crt')), '      clientCertificate: required']),
    '',
    'A client, once the broker runs:',
    '',
    `mosquitto_pub --cafile ${authority}${own} -h localhost -p 8883 -t greetings -m hello`,
    `sluice pub --cafile ${authority}${own} -h localhost -p 8883 -t greetings -m hello`,
    '',
  ].join('\n');
}
