/** Certificates of listeners and bridges: until when they are good, and under which names clients find them. */
import type { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { fileProblem } from '../base/file-problem.ts';
import { certificatesIn } from '../base/pem.ts';
import type { Config } from '../config/schema.ts';
import { type Finding, fault, ok, warning } from './finding.ts';

interface CertificateFile {
  readonly file: string;
  /** Of a server, whose clients look for its name. */
  readonly isServer: boolean;
}

export function certificateFindings(config: Config, now: number): Finding[] {
  const files = new Map<string, CertificateFile>();
  const add = (file: string | undefined, isServer: boolean) => {
    if (file !== undefined) files.set(file, { file, isServer: isServer || files.get(file)?.isServer === true });
  };
  const listeners = [...config.listeners, ...(config.admin.listeners ?? [])];
  for (const listener of listeners) {
    const tls = 'tls' in listener ? listener.tls : undefined;
    if (tls === undefined) continue;
    for (const { certFile } of [tls, ...tls.certificates]) add(certFile, true);
    add(tls.caFile, false);
  }
  for (const { tls } of config.bridges) {
    add(tls?.certFile, false);
    add(tls?.caFile, false);
  }
  return [...files.values()].flatMap((each) => findingsOf(each, now));
}

const dayMs = 86_400_000;
const soonDays = 30;

function findingsOf({ file, isServer }: CertificateFile, now: number): Finding[] {
  let certificates: X509Certificate[];
  try {
    certificates = certificatesIn(readFileSync(file));
  } catch (error) {
    return [fault('certificate', `${file}: ${fileProblem(error as Error)}`, 'Name a certificate in PEM form')];
  }
  // Of a server, the first is its own; of authorities, one that has ended does no harm to the others.
  const times = certificates.map(({ validTo }) => Date.parse(validTo));
  const end = isServer ? Math.min(...times) : Math.max(...times);
  const start = Date.parse(certificates[0]!.validFrom);
  const days = Math.floor((end - now) / dayMs);
  const what = `${file} is good until ${new Date(end).toISOString().slice(0, 10)}`;
  const renew = 'Renew it; a running broker takes it over by itself';
  if (end <= now)
    return [fault('certificate', `${file} has ended on ${new Date(end).toISOString().slice(0, 10)}`, renew)];
  if (start > now) {
    const from = new Date(start).toISOString();
    return [fault('certificate', `${file} is good from ${from} on`, 'Look at the clock, or use another certificate')];
  }
  const findings = [
    days < soonDays ? warning('certificate', `${what}, for ${days} days`, renew) : ok('certificate', what),
  ];
  return isServer ? [...findings, nameFinding(file, certificates[0]!)] : findings;
}

function nameFinding(file: string, { subjectAltName }: X509Certificate): Finding {
  const names = [...(subjectAltName ?? '').matchAll(/(?:DNS|IP Address):([^,]+)/g)].map(([, name]) => name!);
  const what = `${file} is for ${names.join(', ')}`;
  if (names.length === 0) {
    const remedy = 'Have one made with subjectAltName: most clients look nowhere else';
    return warning('certificate', `${file} names no host`, remedy);
  }
  const isLocal = names.every(
    (name) => name === 'localhost' || (isIP(name) > 0 && /^(127\.|::1$|0:0:0:0:0:0:0:1$)/.test(name)),
  );
  return isLocal
    ? warning('certificate', `${what}: clients of other machines find another name`, 'Add the name that they use')
    : ok('certificate', what);
}
