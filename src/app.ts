/**
 * The composition root: configuration in, running system out. The only file that knows all parts.
 */
import { type DestinationStream, destination, pino } from 'pino';
import { serveControl } from './admin/control.ts';
import { Broker } from './broker/broker.ts';
import type { Config } from './config/schema.ts';
import type { Hooks } from './contracts/hooks.ts';
import { type Log, silentLog } from './contracts/log.ts';
import type { SessionStore } from './contracts/session-store.ts';
import type { Listener } from './contracts/transport.ts';
import { listen } from './net/listen.ts';
import type { ListenerOptions } from './net/options.ts';
import { LevelStore } from './store/level/level-store.ts';
import { MemoryStore } from './store/memory.ts';

export interface App {
  readonly broker: Broker;
  /** What was bound, in the order of the configuration. */
  readonly listeners: readonly Listener[];
  /** Stops accepting, tells the clients, finishes what was acknowledged. */
  close(): Promise<void>;
}

export interface AppOptions {
  readonly hooks?: Hooks;
  readonly log?: Log;
  /** Start although a part of what was acknowledged is lost. */
  readonly acceptLoss?: boolean;
}

export async function startApp(config: Config, options: AppOptions = {}): Promise<App> {
  const log = options.log ?? (await createLog(config));
  const store = createStore(config, options.acceptLoss ?? false, log);
  const broker = new Broker({ settings: config, store, log, ...(options.hooks ? { hooks: options.hooks } : {}) });
  await broker.start();
  const closeControl =
    config.store.kind === 'level' ? await serve(store as LevelStore, config.store.directory, log) : () => {};
  const listeners: Listener[] = [];
  const close = async () => {
    closeControl();
    await Promise.all(listeners.map((listener) => listener.close()));
    await broker.close();
  };
  try {
    for (const settings of config.listeners) {
      const accept = (url: string) => (stream: Parameters<Broker['accept']>[0]) => broker.accept(stream, url);
      const listener = await listen(listenerOptions(settings, config), accept, (what) => log.error({}, what));
      listeners.push(listener);
      log.info({ url: listener.url }, 'listening');
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { broker, listeners, close };
}

function createStore({ store }: Config, acceptLoss: boolean, log: Log): SessionStore {
  return store.kind === 'memory' ? new MemoryStore() : new LevelStore({ ...store, acceptLoss, log });
}

/** Commands of `sluice` to the running broker. */
async function serve(store: LevelStore, directory: string, log: Log): Promise<() => void> {
  const backup = async (into: string) => `${await store.backup(into)} records copied into ${into}`;
  try {
    return await serveControl(directory, { backup });
  } catch (error) {
    log.warn({ cause: (error as Error).message }, '`sluice backup` cannot reach this broker: no socket for commands');
    return () => {};
  }
}

function listenerOptions(settings: Config['listeners'][number], config: Config): ListenerOptions {
  if (settings.kind !== 'ws' && settings.kind !== 'wss') return settings;
  return { ...settings, messageBytesMax: config.limits.packetBytes };
}

/** Of log lines that wait to be read. */
const logBytesMax = 4_194_304;
/** Lines are written when so many bytes have come, or a fifth of a second has passed. */
const logWriteBytes = 65_536;

/** Readable on a terminal, a JSON object per line elsewhere. */
async function createLog({ log: { level, format } }: Config): Promise<Log> {
  if (level === 'silent') return silentLog;
  const isPretty = format === 'pretty' || (format === 'auto' && process.stderr.isTTY === true);
  const options = { level, base: null, timestamp: isoTime };
  const log: Log = pino(options, isPretty ? await terminal() : logOutput());
  return log;
}

let lastTime = 0;
let lastTimeText = '';

/** A burst of lines comes in one millisecond, and telling the date costs as much as the rest of a line. */
function isoTime(): string {
  const now = Date.now();
  if (now !== lastTime) {
    lastTime = now;
    lastTimeText = `,"time":"${new Date(now).toISOString()}"`;
  }
  return lastTimeText;
}

async function terminal(): Promise<DestinationStream> {
  // Loaded when it is used: it takes as long as the rest of the broker.
  const { default: pretty } = await import('pino-pretty');
  return pretty({ colorize: true, destination: 2, sync: true, translateTime: 'HH:MM:ss.l' });
}

/** Standard error, a few times a second or when a good deal has come, and once more at the end. */
function logOutput(): DestinationStream {
  const buffering = {
    minLength: logWriteBytes,
    maxWrite: 2 * logWriteBytes,
    maxLength: logBytesMax,
    periodicFlush: 200,
  };
  const output = destination({ fd: 2, sync: false, ...buffering });
  process.once('exit', () => output.flushSync());
  let lost = 0;
  // Whoever reads the log does not, and the broker goes on.
  output.on('drop', () => lost++);
  output.on('drain', () => {
    if (lost === 0) return;
    const level = 40; // warn
    const msg = `${lost} log lines were lost, because standard error was not read`;
    lost = 0;
    output.write(`${JSON.stringify({ level, time: new Date().toISOString(), msg })}\n`);
  });
  return output;
}
