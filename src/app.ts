/**
 * The composition root: configuration in, running system out. The only file that knows all parts.
 */

import { join, resolve } from 'node:path';
import { accessHandlers } from './admin/access.ts';
import { Alarms, alarmHandlers } from './admin/alarms.ts';
import type { AuditLog } from './admin/audit.ts';
import { auditHandlers } from './admin/audit-reader.ts';
import { banHandlers } from './admin/bans.ts';
import type { Commands } from './admin/commands.ts';
import { makeSocketDirectory, socketBeside, socketIn } from './admin/control-socket.ts';
import { listenerHandlers } from './admin/listeners.ts';
import { logHandlers, TemporaryLevels } from './admin/log-level.ts';
import { quarantineHandlers } from './admin/quarantine.ts';
import { RecentLog } from './admin/recent-log.ts';
import { traceHandlers } from './admin/traces.ts';
import { type AlarmSources, alarmsOf } from './alarms.ts';
import { Api, type ApiListener, type ApiListenerOptions } from './api/api.ts';
import { MetricsExposition } from './api/exposition.ts';
import type { BrokerCondition } from './api/health.ts';
import { keyHandlers } from './api/key-commands.ts';
import { Keys } from './api/keys.ts';
import type { Login } from './api/login.ts';
import { LoginLinks, loginLinkHandlers } from './api/login-links.ts';
import { LoginSessions } from './api/login-sessions.ts';
import type { Authentication } from './auth/authentication/authentication.ts';
import { Authorization } from './auth/authorization/authorization.ts';
import { openAuthentication, withAuthentication } from './authentication.ts';
import { systemGarbage } from './base/garbage.ts';
import { memoryCeiling } from './base/memory-ceiling.ts';
import { Stop } from './base/stop.ts';
import { bridgeHandlers } from './bridge/bridge-commands.ts';
import type { Bridges } from './bridge/bridges.ts';
import { openBridges } from './bridging.ts';
import { Broker } from './broker/broker.ts';
import { type BrokerEventMap, eventNames } from './broker/events.ts';
import { version } from './broker/version.ts';
import type { Clustering } from './clustering.ts';
import { ConfigError } from './config/error.ts';
import { ConfigInForce } from './config/in-force.ts';
import type { ReadConfig, RereadConfig } from './config/load.ts';
import { maskedConfig } from './config/masked.ts';
import type { Origin } from './config/origins.ts';
import type { Config } from './config/schema.ts';
import { type Path, pathText } from './config/source.ts';
import type { Audit } from './contracts/audit.ts';
import type { CommandHandlers } from './contracts/commands.ts';
import { CommandFailure } from './contracts/failures.ts';
import type { Hooks, PublishedMessage } from './contracts/hooks.ts';
import { limitsOfListener } from './contracts/listener-limits.ts';
import type { Log, PartLogs } from './contracts/log.ts';
import type { QuarantineEntry, QuarantineStore } from './contracts/pipeline.ts';
import { mayCall } from './contracts/roles.ts';
import type { SessionStore } from './contracts/session-store.ts';
import type { ByteStream, Listener } from './contracts/transport.ts';
import { openAudit, openLog, tellConnections, tellStart } from './logs.ts';
import { checkAddresses, listen } from './net/listen.ts';
import { listenerMetrics } from './net/metrics.ts';
import { connectionsWithin, makeRoomForFiles, openFilesMax } from './net/open-files.ts';
import type { ListenerOptions, TlsOptions } from './net/options.ts';
import { RestartableListener } from './net/restartable.ts';
import { loadTls } from './net/tls-material.ts';
import { makeWay } from './net/unix-socket.ts';
import { Pipelines } from './pipeline/pipelines.ts';
import { partsOf, type Use } from './pipeline/used.ts';
import { pipelineHandlers } from './pipeline-commands.ts';
import { configure, openDecoding, RunningPipelineTrials } from './pipelines.ts';
import { ProgramConnections } from './program-connections.ts';
import { Reloads } from './reload.ts';
import { authorizersBesides, openHttpRules, rulesOf, withHttpRules } from './rules.ts';
import { StatusPage } from './status.ts';
import { LevelStore } from './store/level/level-store.ts';
import { MemoryStore } from './store/memory.ts';
import { MemoryQuarantine } from './store/memory-quarantine.ts';
import { checkTelemetry, MissingPackages, openTelemetry, type Telemetry } from './telemetry/telemetry.ts';
import { PasswordFiles } from './users.ts';

export interface App {
  readonly broker: Broker;
  readonly pipelines: Pipelines;
  readonly bridges: Bridges;
  /**
   * Reads the configuration and the files of TLS listeners anew: pipelines, rules and certificates take the place of
   * those in use; nobody is disconnected. Resolves with what to tell the operator. Rejects if something is not valid,
   * and that part has not changed.
   */
  reload(): Promise<string>;
  /**
   * What SIGHUP asks for: opens the log and the audit log anew, and reloads the configuration where there is a file of
   * it. Never rejects: the log says what went wrong.
   */
  hangUp(): Promise<void>;
  /** Commands as `sluice` sends them to a running broker. */
  /** Loaded when they are asked for the first time: see `commandsOnDemand`. */
  readonly commands: () => Promise<Commands>;
  /** What was bound, in the order of the configuration. */
  readonly listeners: readonly Listener[];
  /** For connections that the program brings itself. */
  readonly connections: ProgramConnections;
  /** Where the HTTP API is. */
  readonly adminListeners: readonly ApiListener[];
  /**
   * Rejects if a bug in what all connections share has ended the broker, or with `NodeEnded` if it has left its
   * cluster: then it is to be closed. See `Broker.ended`.
   */
  readonly ended: Promise<void>;
  /**
   * Stops accepting, tells the clients, finishes what was acknowledged, all within `shutdownSeconds`. Rejects if
   * something could not be written: everything is closed then as well.
   */
  close(): Promise<void>;
}

/** By the names of `BrokerEvents`. */
export type EventListeners = {
  readonly [Name in keyof BrokerEventMap]?: (...details: BrokerEventMap[Name]) => unknown;
};

export interface AppOptions {
  /**
   * Steps behind the configured pipelines, and listeners, that are there before the first message and the first client.
   */
  readonly use?: readonly Use[];
  readonly on?: EventListeners;
  readonly hooks?: Hooks;
  readonly log?: Log;
  /** Where a setting stands, for errors. */
  readonly where?: (path: Path) => string;
  /** Where settings come from, for whoever looks at them. Absent: the program gave them all. */
  readonly origins?: readonly Origin[];
  /** For the log: what was found where the configuration comes from, and is not used. */
  readonly remarks?: readonly string[];
  /** Where secrets may come from that the configuration only names. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Where the configuration comes from, for the log. Absent: no file. */
  readonly configFile?: string;
  /** How `reload` reads the configuration anew; without it there is nothing to reload from. */
  readonly reread?: () => RereadConfig;
  /**
   * A broker that keeps its data in memory takes commands for this data directory, which need not exist. Absent: it
   * takes none.
   */
  readonly commandsFor?: string;
  /** The HTTP API listens there if the configuration does not say where, and if that is free. */
  readonly usualAdminListener?: ApiListenerOptions;
  /**
   * So many nodes run on this machine, this one included, and share the ports of MQTT by `node:cluster`; whoever
   * started them has looked at the addresses. Absent: this one has them for itself.
   */
  readonly nodesHere?: number;
  /** Start although a part of what was acknowledged is lost. */
  readonly acceptLoss?: boolean;
  /** Aborted, a start that still waits for the servers of a cluster rejects with its reason. */
  readonly signal?: AbortSignal;
}

/** Windows of stages that hold messages back are looked at this often. */
const pipelineTickMs = 100;
/** Alarms and rates are looked at this often. */
const lookMs = 1_000;

const keep = { verdict: 'keep' } as const;

export async function startApp(config: Config, options: AppOptions = {}): Promise<App> {
  const stop = new Stop(config.shutdownSeconds * 1_000);
  try {
    return await openApp(config, options, stop);
  } catch (error) {
    // Nothing stays of a start that fails: no lock, thread, timer or socket.
    await stop.close().catch(() => {});
    throw error;
  }
}

/** Whatever is opened is given to `stop`. */
async function openApp(configured: Config, options: AppOptions, stop: Stop): Promise<App> {
  const parts = await openParts(withinMemory(configured, options.nodesHere ?? 1), options, stop);
  const { broker, pipelines, logs, audit, config, settings } = parts;
  const log = logs.broker;
  let isOpen = false;
  const bridges = openBridges(parts, options.environment);
  if (bridges.residents !== null) parts.clustering?.house(bridges.residents);
  await Promise.all([broker.start(), makeRoomForFiles(settings.limits.connections)]);
  await parts.clustering?.serve();
  audit?.record({ event: 'started', reason: `Sluice ${version}` });
  stop.add(() => {
    if (isOpen) log.info({}, 'stopped');
    audit?.record({ event: 'stopped' });
  });
  stop.add((deadline) => broker.close({ closePipeline: () => pipelines.close(), deadline }));
  tellConnections(settings, config, log);
  startTicking(broker, pipelines, stop);
  const listeners: RestartableListener[] = [];
  if (parts.store instanceof LevelStore) broker.metrics.add(parts.store.metrics);
  stop.add(() => Promise.all(listeners.map((listener) => listener.close())));
  const adminListeners: ApiListener[] = [];
  broker.metrics.add(listenerMetrics(() => [...listeners, ...adminListeners], Date.now));
  const { reread } = options;
  const inForce = new ConfigInForce({
    written: configured,
    effective: settings,
    origins: options.origins ?? [],
    reread: reread === undefined ? undefined : () => reread().config,
  });
  const applied = (next: Config, origins: readonly Origin[]) => inForce.reloaded(next, origins);
  const reloads = new Reloads({ ...parts, bridges, reread, applied, listeners, adminListeners });
  stop.add((deadline) => deadline.allows(reloads.settled));
  const reload = () => reloads.reload();
  const hangUp = () => reloads.hangUp();
  const condition = () => conditionOf(broker, config, listeners, isOpen);
  const alarms = openAlarms(parts, bridges, [listeners, adminListeners]);
  const status = new StatusPage({
    ...{ broker, config, listeners, adminListeners, alarms, now: Date.now },
    configFile: options.configFile === undefined ? null : resolve(options.configFile),
    phase: () => condition().phase,
    cluster: () => parts.clustering?.status ?? null,
  });
  startLooking(alarms, status, stop);
  const keys = await openKeys(config);
  const links = new LoginLinks();
  const sessions = await openSessions(parts, log);
  stop.add(() => sessions.close());
  const { packetBytes } = config.limits;
  const running: Running = { bridges, listeners, adminListeners, alarms, status, inForce, keys, links, reload };
  const commands = commandsOnDemand(await ofAllNodes(parts, handlersOf(parts, running, options)), audit);
  const monitoring = { exposition: new MetricsExposition(broker.metrics), metrics: config.admin.metrics, condition };
  const api = new Api({
    ...{ commands, keys, log: logs.api, audit, version, now: Date.now, names: config.admin, limits: config.admin },
    ...{ penalties: broker.loginPenalties, monitoring, packetBytes },
    ...{ sessions, login: loginOf(parts, links) },
  });
  stop.add(() => api.close());
  await openSocket(api, config, options, logs.api);
  await openAdminListeners(api, config, options, logs.api, adminListeners);
  await openListeners(parts, options, listeners);
  const connections = openProgramConnections(parts, options, stop);
  isOpen = true;
  tellStart({ config, ...options, listeners, adminListeners }, log);
  await bridges.start(config.bridges);
  const close = () => stop.close();
  return {
    broker,
    pipelines,
    bridges,
    listeners,
    connections,
    adminListeners,
    reload,
    hangUp,
    commands,
    close,
    ended: parts.clustering === null ? broker.ended : Promise.race([broker.ended, parts.clustering.ended]),
  };
}

/**
 * What all of them are asked and answer takes some megabytes, and a gateway that nobody looks at is not given any.
 */
function commandsOnDemand(handlers: CommandHandlers, audit: Audit | null): () => Promise<Commands> {
  let loaded: Promise<Commands> | null = null;
  return () => (loaded ??= import('./admin/commands.ts').then(({ Commands }) => new Commands(handlers, audit)));
}

/** `listeners`: those there are at any time. */
function openAlarms(
  { broker, audit, logs, store }: Parts,
  bridges: Bridges,
  listeners: readonly (readonly Pick<Listener, 'url' | 'expiring'>[])[],
): Alarms {
  const free =
    store instanceof LevelStore ? store.metrics.find(({ name }) => name === 'sluice_store_disk_free_bytes') : undefined;
  const sources: AlarmSources = {
    figures: () => broker.figures(),
    diskFreeBytes: () => ([...(free?.samples() ?? [])][0]?.value as number | undefined) ?? null,
    listeners: () => listeners.flat(),
    bridges,
    audit,
  };
  const alarms = new Alarms(alarmsOf(sources), logs.broker, Date.now);
  broker.metrics.add(alarms.metrics);
  return alarms;
}

function startLooking(alarms: Alarms, status: StatusPage, stop: Stop): void {
  const look = () => {
    alarms.look();
    status.tick();
  };
  look();
  const looking = setInterval(look, lookMs).unref();
  stop.add(() => clearInterval(looking));
}

/** `isOpen`: all listeners have been opened. */
function conditionOf(broker: Broker, config: Config, listeners: readonly Listener[], isOpen: boolean): BrokerCondition {
  const { phase, ...condition } = broker.condition;
  return {
    ...condition,
    phase: phase === 'running' && !isOpen ? 'starting' : phase,
    listeners: config.listeners.map((_, index) => ({ isListening: listeners[index]?.isListening ?? false })),
  };
}

/** What stands behind the listeners. */
interface Parts {
  readonly config: Config;
  /** The same, within what the system allows of open files. */
  readonly settings: Config;
  readonly logs: PartLogs;
  readonly level: TemporaryLevels;
  readonly recentLog: RecentLog;
  /** Opens the log and the audit log anew. */
  readonly reopenLogs: () => Promise<void>;
  readonly authentication: Authentication | null;
  readonly authorization: Authorization;
  readonly store: SessionStore;
  readonly quarantine: QuarantineStore;
  /** Null: the broker is no node of a cluster. */
  readonly clustering: Clustering | null;
  readonly pipelines: Pipelines;
  readonly audit: AuditLog | null;
  readonly broker: Broker;
}

/** Nothing is created in the file system before everything that can be checked has been. */
async function openParts(config: Config, options: AppOptions, stop: Stop): Promise<Parts> {
  const recentLog = new RecentLog(Date.now);
  stop.add(() => recentLog.close());
  const { ownLog, logs } = await openLog(config, options.log, recentLog.tell);
  stop.add((deadline) => ownLog !== null && deadline.allows(ownLog.close()));
  const log = logs.broker;
  const level = new TemporaryLevels(ownLog, config.log.level);
  stop.add(() => level.close());
  for (const remark of options.remarks ?? []) log.info({}, remark);
  const rules = rulesOf(config, options.where);
  const authentication = await openAuthentication(config, options, logs.auth);
  stop.add(() => authentication?.close());
  const onBug = (error: unknown) => broker.break('the store', error);
  const clustering = await openClustering(config, logs.store, options.signal);
  stop.add((deadline) => clustering?.close(deadline));
  const { store, quarantine } =
    clustering === null
      ? createStore(config, options.acceptLoss ?? false, logs.store, onBug)
      : { store: clustering.store, quarantine: new MemoryQuarantine(config.pipelineLimits) };
  const pipelines = new Pipelines({ limits: config.pipelineLimits, log: logs.pipeline, quarantine, now: Date.now });
  stop.add((deadline) => deadline.allows(pipelines.close()));
  const { allowedDollarPrefixes } = config;
  const changed = (topics: readonly string[] | null) => broker.rulesChanged(topics);
  const authorization = new Authorization({ log: logs.auth, allowedDollarPrefixes, changed });
  stop.add(() => authorization.close());
  await configure(pipelines, config, options.where);
  const payloads = await openDecoding(config, logs.pipeline, options.where);
  stop.add(() => payloads.close());
  await checkCertificates({ config, where: options.where ?? pathText });
  if (options.nodesHere === undefined) await checkAddresses(config.listeners);
  const telemetry = await openSpans(config, log, options.where);
  stop.add(() => telemetry?.close());
  const audit = await openAudit(config, log);
  stop.add((deadline) => audit !== null && deadline.allows(audit.close()));
  useSteps(pipelines, options);
  const httpRules = await openHttpRules(config, options, logs.auth);
  stop.add(() => httpRules?.close());
  const given = httpRules === null ? (options.hooks ?? {}) : withHttpRules(options.hooks ?? {}, httpRules);
  const settings = withinOpenFiles(config);
  const broker = new Broker({
    ...{ store, log, sessionLog: logs.session, audit, pipeline: pipelines },
    ...{ access: authorization.policy, garbage: systemGarbage, payloads },
    settings,
    hooks: authentication === null ? given : withAuthentication(given, authentication),
    ...(httpRules === null ? {} : { authorizers: authorizersBesides(options.hooks) }),
    inTime: (answer) => pipelines.deadline.within(answer),
    ...(telemetry === null ? {} : { spans: telemetry.tracer }),
    ...(clustering === null ? {} : { cluster: clustering.node }),
  });
  clustering?.attach(broker);
  if (telemetry !== null) broker.metrics.add(telemetry.metrics);
  connectParts(broker, pipelines, options, logs.pipeline);
  authorization.use(rules);
  const reopenLogs = async () => {
    audit?.reopen();
    await ownLog?.reopen();
  };
  const opened = { authentication, authorization, store, quarantine, clustering, pipelines, audit, broker };
  return { config, settings, logs, level, recentLog, reopenLogs, ...opened };
}

/** The program's steps, behind the configured pipelines; its hook `onPublish` is the last one. */
function useSteps(pipelines: Pipelines, { use = [], hooks }: AppOptions): void {
  for (const step of use) pipelines.use(...partsOf(step));
  const onPublish = hooks?.onPublish?.bind(hooks);
  if (onPublish === undefined) return;
  // What an operator replays out of the quarantine has no client: it was asked about when it came.
  const step: Use = { onPublish: (client, message) => (client === null ? keep : onPublish(client, message)) };
  pipelines.use(...partsOf(step));
}

function connectParts(broker: Broker, pipelines: Pipelines, { on }: AppOptions, log: Log): void {
  for (const name of eventNames) {
    const listener = on?.[name];
    if (listener !== undefined) broker.events.on(name, listener as () => void);
  }
  pipelines.emit = (message) => publishOwn(broker, message, log);
  pipelines.mayPublish = (...asked) => broker.mayPublish(...asked);
  pipelines.onRefused = (refused) => broker.refusedLate(refused);
}

function startTicking(broker: Broker, pipelines: Pipelines, stop: Stop): void {
  const tick = () =>
    pipelines.tick().catch((error: unknown) => broker.break('pipelines that hold messages back', error));
  const ticker = setInterval(tick, pipelineTickMs);
  ticker.unref();
  stop.add(() => clearInterval(ticker));
}

/**
 * For nodes that will share these addresses. Rejects if one cannot be had; takes sockets of the past out of the way.
 */
export async function readyAddresses({ listeners }: Config): Promise<void> {
  await checkAddresses(listeners);
  for (const listener of listeners) if (listener.kind === 'unix') await makeWay(listener);
}

/** Adds each to `listeners` as soon as it is open, so that a later one that fails leaves none open. */
async function openListeners(
  { broker, authentication, config, logs: { listener: log }, audit }: Parts,
  options: AppOptions,
  listeners: RestartableListener[],
): Promise<void> {
  const isShared = options.nodesHere !== undefined;
  for (const [index, settings] of config.listeners.entries()) {
    const limits = limitsOfListener(settings);
    const accept = (url: string) => {
      authentication?.attach(url, index);
      return (stream: ByteStream) => broker.accept(stream, url, limits);
    };
    const isAnonymous = () => authentication?.allowsAnonymous(index) ?? options.hooks?.authenticate === undefined;
    const wanted = listenerOptions(settings, isAnonymous);
    const open = (port: number) =>
      listen(wanted.kind === 'unix' ? wanted : { ...wanted, port }, accept, log, audit, isShared);
    const listener = await RestartableListener.open(open, settings.kind === 'unix' ? 0 : settings.port);
    listeners.push(listener);
    log.info({ url: listener.url }, 'listening');
  }
}

function openProgramConnections(
  { broker, authentication, config, logs, audit }: Parts,
  { hooks }: AppOptions,
  stop: Stop,
): ProgramConnections {
  const connections = new ProgramConnections({
    ...{ broker, audit, log: logs.listener, allowsAnybody: config.allowAnonymous },
    attachTo: (url) => authentication?.attach(url, null),
    isOpen: () => authentication === null && hooks?.authenticate === undefined,
  });
  stop.add(() => connections.close());
  return connections;
}

/** What is put together for a broker that runs. */
interface Running {
  readonly bridges: Bridges;
  readonly listeners: readonly RestartableListener[];
  readonly adminListeners: readonly ApiListener[];
  readonly alarms: Alarms;
  readonly status: StatusPage;
  readonly inForce: ConfigInForce;
  readonly keys: Keys;
  readonly links: LoginLinks;
  readonly reload: () => Promise<string>;
}

function handlersOf(parts: Parts, running: Running, { configFile }: AppOptions): CommandHandlers {
  const { broker } = parts;
  const { listeners, adminListeners, alarms, status, inForce, keys, links, reload } = running;
  return {
    status: async () => status.read(),
    'config show': async () => ({ file: configFile === undefined ? null : resolve(configFile), ...inForce.view() }),
    reload: () => reload().then((summary) => ({ summary }), refusedByConfig),
    ...alarmHandlers(alarms),
    ...new PasswordFiles(() => inForce.config).handlers,
    ...logHandlers(parts.level, Date.now),
    ...parts.recentLog.handlers,
    ...auditHandlers(parts.audit),
    drain: async ({ perSecond, serverReference }) => {
      const { since } = broker.drain({ perSecond, serverReference });
      parts.clustering?.node.drain(true);
      const { connected } = broker.figures().clients;
      return { since, connected, perSecond, expectedSeconds: Math.ceil(connected / perSecond) };
    },
    'drain cancel': async () => {
      parts.clustering?.node.drain(false);
      return { wasDraining: broker.cancelDrain() };
    },
    ...accessHandlers({
      policy: parts.authorization.policy,
      identityOf: (clientId) => broker.identityOf(clientId),
      clientIds: parts.config.clientIds,
    }),
    ...listenerHandlers({
      ...{ listeners, adminListeners, now: Date.now },
      countOf: (url) => broker.listenerCounts.of(url),
      disconnectFrom: (url) => broker.disconnectFrom(url),
    }),
    ...bridgeHandlers(running.bridges, (bridge) => maskedConfig({ bridges: [bridge] }).bridges[0]!),
    ...commandsOf(parts),
    ...explainHandlers(parts),
    ...broker.commandHandlers,
    ...keyHandlers(keys, Date.now),
    ...traceHandlers(broker.traces),
    ...loginLinkHandlers(links, Date.now, () => adminListeners.map(({ url }) => url)),
  };
}

/** In a cluster, whoever asks one node sees all of them. */
async function ofAllNodes({ clustering }: Parts, own: CommandHandlers): Promise<CommandHandlers> {
  if (clustering === null) return own;
  const { acrossNodes } = await import('./admin/across-nodes.ts');
  return acrossNodes(own, clustering.commands);
}

function commandsOf({ broker, pipelines, store, quarantine, clustering }: Parts) {
  const replay = async (entry: QuarantineEntry) => {
    const { outcome, messages } = await pipelines.replay(entry);
    let refused = 0;
    for (const { topic, ...fields } of messages) {
      const { reasonCode } = await broker.publish(topic, fields);
      if (reasonCode >= 0x80) refused++;
    }
    // What was refused stays where it is.
    return refused > 0 && refused === messages.length ? 'rejected' : outcome;
  };
  const backup: CommandHandlers['backup'] = async ({ directory }) => {
    if (store instanceof LevelStore) return { records: await store.backup(directory).catch(refusedByDisk) };
    throw new CommandFailure('conflict', 'This broker keeps no data on a disk: there is nothing to copy');
  };
  return { backup, ...banHandlers(broker, clustering?.bans), ...quarantineHandlers({ store: quarantine, replay }) };
}

function explainHandlers({ broker, pipelines, quarantine, authorization, config }: Parts) {
  const trials = new RunningPipelineTrials(pipelines, config.pipelineLimits);
  return {
    async explain(request, caller) {
      // Pipelines are made anew to try a payload, which is much work for one who only looks.
      if (request.payload !== null && !mayCall(caller, { role: 'operator', area: 'diagnostics' })) {
        throw new CommandFailure('forbidden', `${caller.name} may not try a payload: that needs the role operator`);
      }
      return broker.explain(request, trials);
    },
    'publish-probe': (request, caller) => broker.publishProbe(request, caller),
    ...pipelineHandlers({
      ...{ pipelines, quarantine, trials },
      mayPublish: (client, topic, qos, retain) =>
        authorization.policy.explain(client, { action: 'publish', topic, qos, retain }).code,
    }),
    'clients slow': async ({ most }) => ({ items: broker.slowClients(most) }),
  } satisfies Partial<CommandHandlers>;
}

/** The operator can mend what is wrong with a file or a folder. */
const refusedByDisk = (cause: Error): never => {
  throw new CommandFailure('conflict', cause.message, { cause });
};

const refusedByConfig = (cause: Error): never => {
  throw new CommandFailure('conflict', cause.message, { cause });
};

function loginOf({ authentication, config: { admin } }: Parts, links: LoginLinks): Login {
  const checkPassword =
    authentication === null
      ? null
      : (username: string, password: Buffer) => authentication.checkPassword(username, password);
  return { users: admin.users ?? [], checkPassword, links };
}

/** Beside the data; those of a broker without are forgotten at its end. */
function openKeys({ store }: Config): Promise<Keys> {
  return Keys.open(store.kind === 'level' ? join(store.directory, 'api-keys.json') : null);
}

/** The same of people who have logged in. */
function openSessions({ config, authentication }: Parts, log: Log): Promise<LoginSessions> {
  const { store, admin } = config;
  const path = store.kind === 'level' ? join(store.directory, 'login-sessions.json') : null;
  const passwordMarks = (username: string) => (authentication === null ? null : authentication.passwordMark(username));
  return LoginSessions.open({ path, users: admin.users ?? [], passwordMarks, log });
}

/** For commands of `sluice` to the running broker. */
async function openSocket(api: Api, { store }: Config, { commandsFor }: AppOptions, log: Log): Promise<void> {
  if (store.kind === 'memory' && commandsFor === undefined) return;
  try {
    const socket = store.kind === 'level' ? socketIn(store.directory) : socketBeside(commandsFor!);
    makeSocketDirectory(socket);
    await api.listenOnSocket(socket);
  } catch (error) {
    const cause = (error as Error).message;
    log.warn({ cause }, 'commands such as `sluice backup` cannot reach this broker: no socket for them');
  }
}

/** Whoever has asked for no listener need not give up a start because another process has its port. */
async function openAdminListeners(
  api: Api,
  { admin }: Config,
  { usualAdminListener: usual }: AppOptions,
  log: Log,
  opened: ApiListener[],
): Promise<void> {
  const wanted = admin.listeners ?? (usual === undefined ? [] : [usual]);
  // Whoever has asked for none may never use it.
  if ((admin.listeners?.length ?? 0) > 0) await api.load();
  for (const [index, settings] of wanted.entries()) {
    try {
      const listener = await api.listen(settings);
      opened.push(listener);
      log.info({ url: listener.url }, 'the HTTP API listens');
    } catch (error) {
      const cause = (error as Error).message;
      const what = `The HTTP API cannot listen on ${settings.host}:${settings.port}: ${cause}`;
      if (admin.listeners !== undefined)
        throw new ConfigError(`${what}; see admin.listeners.${index}`, { cause: error });
      log.warn({ cause }, `${what}; the broker runs without it`);
    }
  }
}

/** Null where none are wanted. */
function openSpans({ telemetry }: Config, log: Log, where = pathText): Promise<Telemetry | null> {
  return openTelemetry(telemetry, version, log).catch(refusedForMissing(where));
}

/** Rejects with a ConfigError if packages for spans are wanted and not installed. */
export function checkSpans({ config, where }: Pick<ReadConfig, 'config' | 'where'>): Promise<void> {
  return checkTelemetry(config.telemetry).catch(refusedForMissing(where));
}

const refusedForMissing = (where: (path: Path) => string) => (cause: unknown) => {
  if (!(cause instanceof MissingPackages)) throw cause;
  throw new ConfigError(`${where(['telemetry', 'otlp'])}: ${cause.message}`, { cause });
};

/** Rejects with a ConfigError if the files of a TLS listener cannot be used. */
export async function checkCertificates({ config, where }: Pick<ReadConfig, 'config' | 'where'>): Promise<void> {
  const of = (path: Path, listeners: readonly object[]) =>
    listeners.map((listener, index) => ({
      path: [...path, index, 'tls'],
      tls: (listener as { tls?: TlsOptions }).tls,
    }));
  const all = [...of(['listeners'], config.listeners), ...of(['admin', 'listeners'], config.admin.listeners ?? [])];
  for (const { path, tls } of all) {
    if (tls === undefined) continue;
    await loadTls(tls).catch((cause: Error) => {
      throw new ConfigError(`${where(path)}: ${cause.message}`, { cause });
    });
  }
}

/** Of a message that a stage had held back: its publishers were answered long ago. */
async function publishOwn(broker: Broker, { topic, ...fields }: PublishedMessage, log: Log): Promise<void> {
  try {
    await broker.publishTaken(topic, fields);
  } catch (err) {
    log.error({ topic, err }, 'what a pipeline had held back cannot be published, and is lost');
  }
}

/** Nothing of a cluster is loaded where there is none. */
async function openClustering(
  { cluster, limits: { packetBytes } }: Config,
  log: Log,
  signal: AbortSignal | undefined,
): Promise<Clustering | null> {
  if (cluster === undefined) return null;
  const { Clustering } = await import('./clustering.ts');
  return Clustering.open({ cluster, packetBytes, log, signal });
}

function createStore(
  { store, limits: { unwrittenBytes }, pipelineLimits }: Config,
  acceptLoss: boolean,
  log: Log,
  onFatal: (error: Error) => void,
): { store: SessionStore; quarantine: QuarantineStore } {
  if (store.kind === 'memory') return { store: new MemoryStore(), quarantine: new MemoryQuarantine(pipelineLimits) };
  const level = new LevelStore({ ...store, unwrittenBytes, quarantine: pipelineLimits, acceptLoss, log, onFatal });
  return { store: level, quarantine: level.quarantine };
}

function listenerOptions(settings: Config['listeners'][number], isAnonymous: () => boolean): ListenerOptions {
  if (settings.kind !== 'ws' && settings.kind !== 'wss') return settings;
  // A browser shows its user's certificate on behalf of any page.
  const hasCertificates = 'tls' in settings && settings.tls.clientCertificate !== 'none';
  return { ...settings, isOpen: () => hasCertificates || isAnonymous() };
}

/**
 * With a ceiling of memory, of which each node here has a part, and no limit on bytes that are counted for all clients
 * beyond its share of that.
 */
function withinMemory(config: Config, nodesHere: number): Config {
  const { limits, store } = config;
  const memoryBytes = limits.memoryBytes > 0 ? limits.memoryBytes : Math.floor(memoryCeiling() / nodesHere);
  const part = (bytes: number, share: number) => Math.min(bytes, Math.floor(memoryBytes * share));
  return {
    ...config,
    limits: {
      ...limits,
      memoryBytes,
      unauthenticatedBytes: part(limits.unauthenticatedBytes, 1 / 8),
      unwrittenBytes: part(limits.unwrittenBytes, 1 / 4),
    },
    store: store.kind === 'level' ? { ...store, cacheBytes: part(store.cacheBytes, 1 / 8) } : store,
  };
}

/** With as many connections as there are file descriptors for. */
function withinOpenFiles(config: Config): Config {
  const openFiles = openFilesMax();
  if (openFiles === null || config.limits.connections <= connectionsWithin(openFiles)) return config;
  return { ...config, limits: { ...config.limits, connections: connectionsWithin(openFiles) } };
}
