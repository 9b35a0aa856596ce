/** The part of a logger that the broker uses; pino's is one. Neither payloads nor passwords are ever given to it. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} };

/** From the least important lines to none. */
export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

/** Parts of the broker whose lines can have a level of their own for a time, and what these are about. */
export const logParts = {
  broker: 'start, stop, reloads, alarms, memory and the disk as a whole, and bugs',
  session: 'clients and sessions: who comes, goes, subscribes and is refused',
  listener: 'listeners, TLS, and who is turned away before MQTT',
  auth: 'authentication and rules',
  store: 'the data directory',
  pipeline: 'pipelines and the quarantine',
  api: 'the HTTP API',
} as const;
export type LogPart = keyof typeof logParts;
export const logPartNames = Object.keys(logParts) as readonly LogPart[];

export type PartLogs = { readonly [Part in LogPart]: Log };

/** One log for all of them. */
export const logForAllParts = (log: Log): PartLogs =>
  Object.fromEntries(logPartNames.map((part) => [part, log])) as PartLogs;
