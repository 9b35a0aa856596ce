/** The log and the audit log of a configuration, and what the log says of a start. */

import { AuditLog } from './admin/audit.ts';
import { createLog, type OwnLog, programLog } from './admin/log.ts';
import type { LineListener } from './admin/recent-log.ts';
import { fileProblem } from './base/file-problem.ts';
import { version } from './broker/version.ts';
import { ConfigError } from './config/error.ts';
import type { Config } from './config/schema.ts';
import { hasAuthentication } from './contracts/authentication.ts';
import type { Hooks } from './contracts/hooks.ts';
import { type Log, logForAllParts, type PartLogs } from './contracts/log.ts';
import { defaultLimits } from './contracts/settings.ts';

interface Logs {
  /** Null: the program has one of its own. */
  readonly ownLog: OwnLog | null;
  readonly logs: PartLogs;
}

/**
 * `given`: the program's own; `tell`: told of each line. Of a node of a cluster, each line says which one it is.
 * Rejects with a ConfigError if the file cannot be opened.
 */
export async function openLog(
  { log: settings, cluster }: Config,
  given: Log | undefined,
  tell: LineListener,
): Promise<Logs> {
  if (given !== undefined) {
    return { ownLog: null, logs: logForAllParts(programLog(given, { tell, level: settings.level })) };
  }
  const ownLog = await createLog({ ...settings, node: cluster?.node }, undefined, tell).catch((cause: Error) => {
    throw new ConfigError(`Cannot open the log ${settings.file}: ${fileProblem(cause)}; see log.file`, { cause });
  });
  return { ownLog, logs: ownLog.parts };
}

/** Null where none is wanted. */
export async function openAudit({ audit: { file, maxBytes, keep } }: Config, log: Log): Promise<AuditLog | null> {
  if (file === undefined) return null;
  return AuditLog.open({ file, maxBytes, keep, log }).catch((cause: Error) => {
    throw new ConfigError(`Cannot open the audit log ${file}: ${fileProblem(cause)}; see audit.file`, { cause });
  });
}

interface Started {
  readonly config: Config;
  readonly configFile?: string;
  readonly hooks?: Hooks;
  readonly listeners: readonly { readonly url: string }[];
  readonly adminListeners: readonly { readonly url: string }[];
}

/** For whoever reads the log later: which broker this was, where it is and who may connect. */
export function tellStart({ config, configFile, hooks, listeners, adminListeners }: Started, log: Log): void {
  const { store, cluster, allowAnonymous } = config;
  const mechanisms = config.authentication.map(({ kind }) => kind);
  const own = hooks?.authenticate === undefined ? [] : ['hook'];
  const anonymous = allowAnonymous ? ['anonymous'] : hasAuthentication(config) ? [] : ['anonymous from this machine'];
  const data =
    cluster !== undefined
      ? { cluster: cluster.name, replicas: cluster.replicas }
      : store.kind === 'memory'
        ? { durability: 'memory only' }
        : { data: store.directory, durability: store.durability };
  const access = [...mechanisms, ...own, ...(own.length > 0 ? [] : anonymous)].join(', ');
  const urls = (all: Started['listeners']) => all.map(({ url }) => url).join(', ');
  const api = adminListeners.length === 0 ? {} : { api: urls(adminListeners) };
  const fields = { version, config: configFile ?? 'none', ...data, listeners: urls(listeners), ...api, access };
  log.info(fields, 'started');
}

export function tellConnections({ limits: { connections } }: Config, config: Config, log: Log): void {
  const wanted = config.limits.connections;
  if (connections === wanted) return;
  const why = 'fewer connections are taken than limits.connections says: raise the limit of open files (ulimit -n)';
  // Whoever has not asked for a number need not be warned that it is another one.
  const isAsked = wanted !== defaultLimits.connections;
  log[isAsked ? 'warn' : 'info']({ connections, wanted }, why);
}
