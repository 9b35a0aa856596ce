/** `sluice start`: runs the broker until a signal ends it. */
import { existsSync } from 'node:fs';
import { join, parse, resolve } from 'node:path';
import { type App, startApp } from '../app.ts';
import { version } from '../broker/version.ts';
import { assertSafeToListen } from '../config/anonymous.ts';
import { parseConfig, readConfig } from '../config/load.ts';
import { originsOfChanges } from '../config/origins.ts';
import type { Config, ConfigDraft } from '../config/schema.ts';
import { NodeEnded } from '../contracts/cluster.ts';
import type { CommandAnswer } from '../contracts/commands.ts';
import { dashboardPath } from '../contracts/http.ts';
import { logLevels } from '../contracts/log.ts';
import { program } from '../contracts/roles.ts';
import { dashboardLine } from './dashboard-line.ts';
import type { Io } from './io.ts';
import type { Member } from './member.ts';
import { serviceManager } from './service-manager.ts';
import { CommandError, readOptions, wholeNumber } from './usage.ts';

type LoginLink = CommandAnswer<'login-links create'>;

/** As sysexits.h has it: an internal error of the program. */
const bugExitCode = 70;
/** A service manager starts it anew. */
const leftExitCode = 75;
/** What the broker's own limit of time does not cover: a start that hangs, or a system call. */
const graceSeconds = 2;

/** Where the commands of `sluice` look for a broker that is not named otherwise. */
const usualDirectory = './data';
/** Where the HTTP API is if the configuration does not say where. */
const usualAdminListener = { host: '127.0.0.1', port: 18_083 };

const nodesMax = 64;
const exampleOfCluster = `  cluster: { servers: ["nats://127.0.0.1:4222"], replicas: 1 }
  store: { kind: memory }
`;

const help = `sluice start [options]

  -c, --config FILE    the configuration (YAML); see sluice config example
  --host HOST          address of all listeners, instead of the configured one
  -p, --port N         port of the TCP listener (1883; 0: any that is free)
  --ws-port N          port of the WebSocket listener (8083; 0: any that is free)
  --unix PATH          also listen on a Unix-domain socket, for owner and group
  --admin-port N       port of the HTTP API (18083, if that is free; 0: any that is free)
  --data-dir DIR       where sessions, queues and retained messages are kept (./data)
  --nodes N            run N nodes of a cluster that share the ports, for the cores of this machine
  --memory             keep everything in memory only: a restart forgets it
  --accept-loss        start although a part of what was acknowledged is lost
  --allow-anonymous    let anybody connect, also from other machines
  --log-level LEVEL    trace, debug, info, warn, error or silent (info)

A signal (SIGTERM, Ctrl-C) stops it cleanly, within shutdownSeconds of the configuration (10); a second one ends it at once.
Without --config it listens on mqtt://127.0.0.1:1883 and ws://127.0.0.1:8083/mqtt.
Environment variables (SLUICE_LIMITS_PACKET_BYTES=…) come over the file, options over both.
Exit codes: 0 stopped, 1 did not start or could not write everything, 2 wrong options, 70 a bug in Sluice,
75 it has left its cluster.
`;

export async function start(argv: readonly string[], io: Io, startWith = startApp): Promise<void> {
  await startBroker(argv, io, startWith).finally(() => io.member?.leave());
}

async function startBroker(argv: readonly string[], io: Io, startWith: typeof startApp): Promise<void> {
  const { values, positionals } = readOptions('start', argv, {
    config: { type: 'string', short: 'c' },
    host: { type: 'string' },
    port: { type: 'string', short: 'p' },
    'ws-port': { type: 'string' },
    unix: { type: 'string' },
    'admin-port': { type: 'string' },
    'data-dir': { type: 'string' },
    nodes: { type: 'string' },
    memory: { type: 'boolean' },
    'accept-loss': { type: 'boolean' },
    'allow-anonymous': { type: 'boolean' },
    'log-level': { type: 'string' },
    help: { type: 'boolean' },
  });
  if (values.help) return void io.stdout.write(help);
  if (positionals[0] !== undefined) throw unnamedFile(positionals[0], io);
  if (values.memory && values['data-dir'] !== undefined) {
    throw new CommandError('--memory keeps nothing on disk, and --data-dir says where on disk: give one of them', 2);
  }
  const read = () => {
    const { config: written, origins, ...source } = readConfig(values.config ?? null, io.environment);
    const config = withOptions(written, values, io.member);
    return { ...source, config, origins: [...originsOfChanges(written, config, 'option'), ...origins] };
  };
  const { config, where, origins, remarks } = read();
  assertSafeToListen(config);
  if (values.nodes !== undefined && io.member === null) {
    const { startNodes } = await import('./nodes.ts');
    return startNodes(nodesOf(values.nodes, config), config, io);
  }

  io.tuneEngine();
  io.keepFilesPrivate();
  const acceptLoss = values['accept-loss'] ?? false;
  const reread = values.config === undefined ? {} : { reread: read, configFile: values.config };
  const usual = usualPlaces(io.member);
  const stop = new AbortController();
  const options = { acceptLoss, where, origins, remarks, environment: io.environment, ...usual, ...reread };
  const manager = serviceManager(io.environment);
  const starting = startWith(config, { ...options, signal: stop.signal });
  const closed = closedBySignal(starting, config.shutdownSeconds, io, () => {
    manager.stopping();
    stop.abort();
  });
  // From now on, or one that comes early would end the process. What goes wrong stands in the log, or ends the start.
  const off = io.onReload(() => void starting.then((app) => app.hangUp()).catch(() => {}));
  const app = await starting.catch((error: unknown) => {
    off();
    if (isAbort(error)) return null;
    throw error;
  });
  if (app === null) return void io.stderr.write('Stopped before its cluster was there\n');
  if (io.member !== null) return runMember(app, io.member, closed, off, config, io);
  for (const { url } of app.listeners) io.stdout.write(`Sluice ${version} listening on ${url}\n`);
  if (app.listeners.length === 0) io.stderr.write('No client can connect: the list `listeners` is empty\n');
  for (const { url } of app.adminListeners) io.stdout.write(`HTTP API on ${url}/api/v1\n`);
  await tellDashboard(app, config, io);
  io.stdout.write(`process ${process.pid}\n`);
  const urls = app.listeners.map(({ url }) => url).join(', ');
  manager.ready(`Sluice ${version} listening on ${urls === '' ? 'no address' : urls}`);
  await Promise.race([closed, brokenDown(app, config.shutdownSeconds, io)]).finally(off);
}

/**
 * Commands of `sluice`, and the HTTP API, reach each of several nodes at a place of its own, the first at the usual
 * one.
 */
function usualPlaces(member: Member | null) {
  if (member === null) return { commandsFor: usualDirectory, usualAdminListener };
  const { number, of } = member;
  const commandsFor = number === 1 ? usualDirectory : `${usualDirectory}-${number}`;
  const port = usualAdminListener.port + number - 1;
  return { commandsFor, usualAdminListener: { ...usualAdminListener, port }, nodesHere: of };
}

/** Whoever has started it says where it is. */
async function runMember(
  app: App,
  member: Member,
  closed: Promise<void>,
  off: () => void,
  { shutdownSeconds }: Config,
  io: Io,
): Promise<void> {
  const urls = (all: readonly { readonly url: string }[]) => all.map(({ url }) => url);
  member.tellStarted({ listeners: urls(app.listeners), adminListeners: urls(app.adminListeners) });
  await Promise.race([closed, brokenDown(app, shutdownSeconds, io)]).finally(off);
}

function nodesOf(text: string, { cluster }: Config): number {
  const count = wholeNumber('--nodes', text, 1, nodesMax);
  if (cluster !== undefined) return count;
  const what = '--nodes starts nodes of a cluster, and the configuration has no section `cluster`';
  const how = `Run a nats-server on this machine, and configure\n\n${exampleOfCluster}\nas docs/guides/cluster.md has it`;
  throw new CommandError(`${what}. ${how}`, 2);
}

/** A file without --config: what is wrong with it, above all that it is Mosquitto's, says more. */
function unnamedFile(file: string, { environment }: Io): Error {
  if (existsSync(file)) readConfig(file, environment);
  const how = existsSync(file) ? `a configuration is given as --config ${file}` : 'see sluice start --help';
  return new CommandError(`Unexpected argument "${file}"; ${how}`, 2);
}

/**
 * Whoever starts a broker by hand gets a link that logs in. It is an admin's for some minutes, so it is in no log: only
 * a terminal shows it, and only where nobody has a password to log in with.
 */
async function tellDashboard(app: App, config: Config, { stdout }: Io): Promise<void> {
  const [first] = app.adminListeners;
  if (first === undefined) return;
  const url = `${first.url}${dashboardPath}/`;
  const hasPasswords = (config.admin.users ?? []).length > 0;
  if (hasPasswords || !('isTTY' in stdout) || stdout.isTTY !== true) {
    return void stdout.write(dashboardLine(url, config));
  }
  const { urls } = (await (await app.commands()).receive('login-links create', {}, program)) as LoginLink;
  stdout.write(
    `Dashboard on ${urls[0]}\n  (logs in once, within ten minutes; sluice admin login-link prints another one)\n`,
  );
}

/**
 * Rejects if a bug has ended the broker, or it has left its cluster; what nobody caught is a bug. A process that went
 * on would accept and acknowledge what it cannot be trusted with.
 */
async function brokenDown(app: App, shutdownSeconds: number, io: Io): Promise<never> {
  const off = io.onUncaught((error) => app.broker.break('thrown where nobody caught it', error));
  const cause = await app.ended.then(
    () => null,
    (error: Error) => error,
  );
  if (cause === null) return new Promise(() => off());
  const hasLeft = cause instanceof NodeEnded;
  const exitCode = hasLeft ? leftExitCode : bugExitCode;
  const what = hasLeft
    ? `Sluice has left its cluster: ${cause.message}. Start it anew; other nodes have its sessions`
    : `Sluice has ended itself because of a bug: ${cause.message}. The log has more; please report it`;
  const patience = setTimeout(() => {
    io.stderr.write(`${what}\n`);
    io.exit(exitCode);
  }, shutdownSeconds * 1_000);
  await app.close().catch(() => {});
  clearTimeout(patience);
  off();
  throw new CommandError(what, exitCode);
}

function withOptions(
  config: Config,
  values: Record<string, string | boolean | undefined>,
  member: Member | null,
): Config {
  const changed = structuredClone(config) as ConfigDraft;
  const host = values.host as string | undefined;
  if (host === '') throw new CommandError('--host wants an address, as 127.0.0.1 or 0.0.0.0', 2);
  for (const listener of changed.listeners) {
    if (host !== undefined && listener.kind !== 'unix') listener.host = host;
  }
  setPort(changed, 'tcp', '--port', values.port);
  setPort(changed, 'ws', '--ws-port', values['ws-port']);
  if (values.unix === '') throw new CommandError('--unix wants the path of a socket, as /run/sluice/mqtt.sock', 2);
  if (values.unix !== undefined) addSocket(changed, resolve(String(values.unix)));
  const adminPort = values['admin-port'] as string | undefined;
  if (adminPort !== undefined) setAdminPort(changed, adminPort);
  const directory = values['data-dir'] as string | undefined;
  if (values.memory === true) changed.store = { kind: 'memory' };
  else if (directory !== undefined && changed.store.kind === 'level') changed.store.directory = directory;
  else if (directory !== undefined) changed.store = { kind: 'level', directory } as ConfigDraft['store'];
  if (values['allow-anonymous'] === true) changed.allowAnonymous = true;
  if (values['log-level'] !== undefined) changed.log.level = logLevelOf(String(values['log-level']));
  if (member !== null) makeMember(changed, member);
  return parseConfig(changed);
}

/** What nodes of one configuration cannot share on one machine. */
function makeMember(changed: ConfigDraft, { number }: Member): void {
  if (changed.cluster !== undefined) changed.cluster.node = `${changed.cluster.node}-${number}`;
  for (const listener of changed.admin.listeners ?? []) if (listener.port !== 0) listener.port += number - 1;
  const { file } = changed.audit;
  if (file !== undefined) {
    const { dir, name, ext } = parse(file);
    changed.audit.file = join(dir, `${name}-${number}${ext}`);
  }
}

function setPort(config: ConfigDraft, kind: 'tcp' | 'ws', option: string, text: string | boolean | undefined): void {
  if (text === undefined) return;
  const port = wholeNumber(option, String(text), 0, 65_535);
  const listeners = config.listeners.flatMap((each) => (each.kind === 'unix' || each.kind !== kind ? [] : [each]));
  const [listener, ...others] = listeners;
  if (listener === undefined || others.length > 0) {
    const found = listener === undefined ? 'none' : `${others.length + 1} of them`;
    const what = `${option} sets the port of the ${kind} listener, and the configuration has ${found}`;
    throw new CommandError(`${what}; set it there, or by SLUICE_LISTENERS_0_PORT`, 2);
  }
  listener.port = port;
}

/** One that the configuration has stays as it is there. */
function addSocket({ listeners }: ConfigDraft, socket: string): void {
  const isThere = listeners.some((each) => each.kind === 'unix' && each.socket === socket);
  if (!isThere) listeners.push({ kind: 'unix', socket, mode: '660' });
}

function setAdminPort({ admin }: ConfigDraft, text: string): void {
  const port = wholeNumber('--admin-port', text, 0, 65_535);
  const listeners = (admin.listeners ??= [{ ...usualAdminListener }]);
  const [listener, ...others] = listeners;
  if (listener === undefined || others.length > 0) {
    const what = `--admin-port sets the port of the one listener of the HTTP API, and there are ${listeners.length}`;
    throw new CommandError(`${what}; set it in the configuration`, 2);
  }
  listener.port = port;
}

function logLevelOf(text: string): Config['log']['level'] {
  const level = logLevels.find((each) => each === text);
  if (level !== undefined) return level;
  throw new CommandError(`--log-level wants one of ${logLevels.join(', ')}, not "${text}"`, 2);
}

/**
 * Resolves when the first signal has closed the broker, which a second one cuts short. If something could not be
 * written, it ends the process: a database that waits for a disk would keep it.
 */
function closedBySignal(starting: Promise<App>, shutdownSeconds: number, io: Io, stopping: () => void): Promise<void> {
  const giveUp = (why: string) => {
    io.stderr.write(`${why}\n`);
    io.exit(1);
  };
  return new Promise((resolve) => {
    let isClosing = false;
    const off = io.onSignal(() => {
      if (isClosing) return io.exit(1);
      isClosing = true;
      stopping();
      const seconds = shutdownSeconds + graceSeconds;
      setTimeout(() => giveUp(`Closing took longer than ${seconds} s; ended without it`), seconds * 1_000).unref();
      starting.then((app) => app.close().catch((error: Error) => giveUp(error.message))).then(resolve, () => {});
    });
    // Nothing is there to be closed; `start` tells why.
    starting.catch(off);
  });
}

const isAbort = (error: unknown): boolean => (error as Error | null)?.name === 'AbortError';
