/**
 * Makes a configuration of Sluice out of one of Mosquitto, and a report that says of each line what became of it.
 *
 * What protects (TLS, passwords, rules) is either taken over or what it protects is left out: the configuration never
 * lets in more than Mosquitto did without the report saying so.
 */
import { existsSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import type { ConfigInput } from '../../config/schema.ts';
import { giveAccess } from './access.ts';
import { bridgesOf } from './bridges.ts';
import { brokerSettings } from './broker.ts';
import { type ExtraFile, Findings } from './findings.ts';
import { type Entry, readEntries } from './lines.ts';
import { isForThisMachine, listenerWideSettings, type Machine, openListeners } from './listeners.ts';
import { type Model, modelOf } from './model.ts';

export interface Imported {
  readonly config: ConfigInput;
  /** They belong beside the configuration. */
  readonly files: readonly ExtraFile[];
  readonly entries: readonly Entry[];
  readonly notes: readonly string[];
  /** Where Mosquitto keeps sessions and retained messages; null: nowhere. */
  readonly database: string | null;
}

export const thisMachine: Machine = {
  hasIPv6: Object.values(networkInterfaces()).some((all) => all?.some(({ family }) => family === 'IPv6')),
  addressOf: (name) => {
    const addresses = networkInterfaces()[name] ?? [];
    return (addresses.find(({ family }) => family === 'IPv4') ?? addresses[0])?.address ?? null;
  },
};

/** Throws an ImportError if something cannot be read. */
export function importMosquitto(file: string, machine: Machine = thisMachine): Imported {
  const entries = readEntries(file);
  const findings = new Findings();
  const model = modelOf(entries);
  const settings = brokerSettings(model, findings);
  const open = openListeners(model, machine, findings);
  if (open.length === 0) {
    findings.note('No listener is left, so the broker listens on 127.0.0.1:1883 only, for this machine');
  }
  giveAccess(settings, open, model, findings);
  listenerWideSettings(open, settings);
  const bridges = bridgesOf(model.bridges, findings);
  const listeners = open.length === 0 ? [{ kind: 'tcp' as const }] : open.map(({ input }) => input);
  const config: ConfigInput = { listeners, ...settings, ...(bridges.length === 0 ? {} : { bridges }) };
  if (open.length > 0 && open.every(({ input }) => isForThisMachine(input))) {
    findings.note('Only this machine can connect, as with Mosquitto; another `host` of a listener opens it to others');
  }
  const own = new Set(findings.files.map(({ name }) => name));
  for (const name of missingFiles(config, own)) findings.note(`${name} is not on this machine: copy it`);
  return { config, files: findings.files, entries, notes: findings.notes, database: databaseOf(model) };
}

function databaseOf({ broker }: Model): string | null {
  if (!broker.isTrue('persistence')) return null;
  return join(
    broker.path('persistence_location') ?? '/var/lib/mosquitto',
    broker.text('persistence_file') ?? 'mosquitto.db',
  );
}

const isFileKey = (key: string) => key === 'file' || key.endsWith('File');

/** Those that have to be there when the broker starts. */
function missingFiles(value: unknown, own: ReadonlySet<string>, isLog = false): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => {
    if (typeof inner !== 'string') return missingFiles(inner, own, key === 'log');
    return isFileKey(key) && !isLog && !own.has(inner) && !existsSync(inner) ? [inner] : [];
  });
}
