/**
 * `sluice start --nodes N`: so many nodes of a cluster on this machine, each a process, that share the ports. This
 * process takes the connections and hands each to a node (`node:cluster`), starts a node that dies anew, and ends when
 * all of them have.
 */
import cluster, { type Worker } from 'node:cluster';
import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import { readyAddresses } from '../app.ts';
import { builtModule } from '../base/worker-file.ts';
import { version } from '../broker/version.ts';
import type { Config } from '../config/schema.ts';
import { dashboardPath } from '../contracts/http.ts';
import { dashboardLine } from './dashboard-line.ts';
import type { Io } from './io.ts';
import { type FromMember, memberVariable, type ToMember } from './member.ts';
import { serviceManager } from './service-manager.ts';
import { CommandError, type ExitCode } from './usage.ts';

/** A node that dies is started anew after a pause, which doubles each time; one that ran for a while begins again. */
const pauseMsMin = 1_000;
const pauseMsMax = 60_000;
const provenMs = 60_000;
/** Beyond what a node takes for its own end. */
const graceSeconds = 5;
const reachMs = 1_000;
const exitCodes = [1, 2, 70, 75] as const;

interface NodeProcess {
  readonly number: number;
  readonly name: string;
  worker: Worker | null;
  startedAt: number;
  pauseMs: number;
  restart: NodeJS.Timeout | null;
  isRunning: boolean;
  /** Where its HTTP API is. */
  api: readonly string[];
}

export async function startNodes(count: number, config: Config, io: Io): Promise<void> {
  await readyAddresses(config);
  await tellOfServers(config, io);
  await new Nodes(count, config, io).run();
}

class Nodes {
  readonly #config: Config;
  readonly #io: Io;
  readonly #manager;
  readonly #nodes: readonly NodeProcess[];
  #hasStarted = false;
  #isStopping = false;
  #exitCode: 0 | ExitCode = 0;
  #done: () => void = () => {};
  #patience: NodeJS.Timeout | undefined;

  constructor(count: number, config: Config, io: Io) {
    this.#config = config;
    this.#io = io;
    this.#manager = serviceManager(io.environment);
    // With the options of V8 of this process.
    cluster.setupPrimary({
      exec: fileURLToPath(new URL('./main.js', builtModule(import.meta.url))),
      args: process.argv.slice(2),
    });
    this.#nodes = Array.from({ length: count }, (_, index) => ({
      ...{ number: index + 1, name: `${config.cluster!.node}-${index + 1}`, worker: null, startedAt: 0 },
      ...{ pauseMs: pauseMsMin, restart: null, isRunning: false, api: [] },
    }));
  }

  /** Rejects with a CommandError, whose exit code is that of a node, if one could not start or stop as it should. */
  async run(): Promise<void> {
    const offSignal = this.#io.onSignal(() => {
      if (this.#isStopping) this.#tell('endAtOnce');
      else this.#stop();
    });
    const offReload = this.#io.onReload(() => this.#tell('reload'));
    const ended = new Promise<void>((resolve) => {
      this.#done = resolve;
    });
    for (const node of this.#nodes) this.#start(node);
    await ended;
    clearTimeout(this.#patience);
    offSignal();
    offReload();
    if (this.#exitCode !== 0) throw new CommandError('', this.#exitCode);
  }

  #start(node: NodeProcess): void {
    const member = { [memberVariable]: `${node.number}/${this.#nodes.length}` };
    // The service manager hears of all of them from this process.
    const worker = cluster.fork({ ...member, NOTIFY_SOCKET: undefined, WATCHDOG_USEC: undefined });
    node.worker = worker;
    node.startedAt = Date.now();
    worker.on('message', (message: FromMember) => this.#started(node, message));
    worker.on('error', (error) => this.#say(`${node.name} cannot be started or told anything: ${error.message}`));
    worker.once('exit', (code, signal) => this.#ended(node, code, signal));
  }

  #started(node: NodeProcess, started: FromMember): void {
    const { stdout } = this.#io;
    node.isRunning = true;
    node.api = started.adminListeners;
    const api = started.adminListeners.map((url) => `, HTTP API on ${url}/api/v1`).join('');
    stdout.write(`node ${node.name}: process ${node.worker?.process.pid}${api}\n`);
    if (this.#hasStarted || this.#isStopping || this.#nodes.some(({ isRunning }) => !isRunning)) return;
    this.#hasStarted = true;
    for (const url of started.listeners) stdout.write(`Sluice ${version} listening on ${url}\n`);
    if (started.listeners.length === 0) this.#say('No client can connect: the list `listeners` is empty');
    for (const url of this.#nodes[0]!.api) stdout.write(dashboardLine(`${url}${dashboardPath}/`, this.#config));
    stdout.write(`process ${process.pid}\n`);
    const urls = started.listeners.join(', ');
    this.#manager.ready(`${this.#nodes.length} nodes, listening on ${urls === '' ? 'no address' : urls}`);
  }

  #ended(node: NodeProcess, code: number | null, signal: string | null): void {
    node.worker = null;
    node.isRunning = false;
    const how = signal === null ? `exit code ${code}` : signal;
    if (this.#isStopping) {
      if (code !== 0) this.#exitCode ||= exitCodeOf(code);
    } else if (!this.#hasStarted) {
      this.#say(`node ${node.name} has not started (${how}); the others are stopped`);
      this.#exitCode = exitCodeOf(code);
      this.#stop();
    } else this.#startAgain(node, how);
    if (this.#isStopping && this.#nodes.every(({ worker }) => worker === null)) this.#done();
  }

  #startAgain(node: NodeProcess, how: string): void {
    if (Date.now() - node.startedAt >= provenMs) node.pauseMs = pauseMsMin;
    const { pauseMs } = node;
    node.pauseMs = Math.min(2 * pauseMs, pauseMsMax);
    this.#say(`node ${node.name} has ended (${how}); it is started anew in ${pauseMs / 1_000} s`);
    node.restart = setTimeout(() => {
      node.restart = null;
      this.#start(node);
    }, pauseMs);
  }

  #stop(): void {
    this.#isStopping = true;
    this.#manager.stopping();
    for (const { restart } of this.#nodes) if (restart !== null) clearTimeout(restart);
    this.#tell('stop');
    const seconds = this.#config.shutdownSeconds + graceSeconds;
    this.#patience = setTimeout(() => {
      this.#exitCode ||= 1;
      for (const { worker, name } of this.#nodes) {
        if (worker === null) continue;
        this.#say(`node ${name} has not ended within ${seconds} s; it is killed`);
        worker.process.kill('SIGKILL');
      }
    }, seconds * 1_000);
    if (this.#nodes.every(({ worker }) => worker === null)) this.#done();
  }

  #tell(message: ToMember): void {
    for (const { worker } of this.#nodes) if (worker?.isConnected() === true) worker.send(message);
  }

  #say(text: string): void {
    this.#io.stderr.write(`${text}\n`);
  }
}

/** Of a node that did not start or stop as it should: as this command has them. */
const exitCodeOf = (code: number | null): ExitCode => exitCodes.find((each) => each === code) ?? 1;

/** Nodes wait for their servers for a while; whoever has none should know at once. */
async function tellOfServers({ cluster: settings }: Config, { stderr }: Io): Promise<void> {
  const { servers, replicas } = settings!;
  if ((await Promise.all(servers.map(isReached))).includes(true)) return;
  const lines = [
    `No nats-server answers at ${servers.join(', ')}; the nodes wait 30 s for one. One is enough on one machine`,
    `(nats-server -c FILE, with cluster.replicas: 1${replicas === 1 ? '' : ` in the configuration instead of ${replicas}`}):`,
    '',
    '  listen: "127.0.0.1:4222"',
    '  jetstream { store_dir: "./nats", sync_interval: always }',
    '  max_payload: 8MB',
  ];
  stderr.write(`${lines.join('\n')}\n`);
}

function isReached(server: string): Promise<boolean> {
  const { hostname, port } = new URL(server);
  const socket = connect({ host: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? 4_222 : Number(port) });
  return new Promise((resolve) => {
    const settle = (isOpen: boolean) => {
      socket.destroy();
      resolve(isOpen);
    };
    socket.setTimeout(reachMs, () => settle(false));
    socket.once('connect', () => settle(true));
    socket.once('error', () => settle(false));
  });
}
