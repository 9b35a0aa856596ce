/**
 * The brokers that are compared, each a process pinned to one core, on loopback, with a port of its own.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { endsWithUs } from '../child-processes.ts';
import { freePort, untilOpen } from '../ports.ts';
import { projectRoot } from '../project-root.ts';
import { startCommand } from '../start-command.ts';

/**
 * `sluice-rules`: with 1,000 rules of authorisation. `sluice-before`: another checkout. `sluice-again`: the same broker
 * a second time, whose difference from the first is what the machine adds. `sluice-traced`: with a client trace of
 * somebody who is not there.
 */
export const brokerNames = [
  ...(['sluice', 'sluice-before', 'sluice-again', 'sluice-rules', 'sluice-traced'] as const),
  ...(['mosquitto', 'aedes'] as const),
] as const;
export type BrokerName = (typeof brokerNames)[number];

/** Which URL schemes are asked for, and whether the data goes to disk. */
export interface Setting {
  readonly isDurable: boolean;
  /** Of `sluice-before`: a checkout that has been built. Default: this one. */
  readonly checkout?: string;
  /** Lines of its configuration beside it. */
  readonly settings?: string;
  readonly host?: string;
  readonly dataDirectory?: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** File descriptors that the process may have; the shell's own limit otherwise. */
  readonly openFilesMax?: number;
  /** Where that may be asked for, it runs before what else this machine has to do, and on any core. */
  readonly isFirst?: boolean;
  /** Where the system can pin it. Default: 0. */
  readonly core?: number;
  /** The file that a process of a cgroup writes its number to. */
  readonly cgroupProcesses?: string;
}

export interface RunningBroker {
  readonly name: BrokerName;
  readonly pid: number;
  /** Whether it runs before what else this machine has to do. */
  readonly isFirst: boolean;
  /** By scheme; a broker may not have all. */
  readonly urls: ReadonlyMap<string, string>;
  stop(): Promise<void>;
}

const startMsMax = 20_000;

/** Puts a command on one core, where the system can. */
export function pinned(core: number, file: string, args: readonly string[]): readonly [string, string[]] {
  return hasTaskset ? ['taskset', ['-c', String(core), file, ...args]] : [file, [...args]];
}

const hasTaskset = process.platform === 'linux' && spawnSync('taskset', ['--version']).status === 0;
export const pinning = hasTaskset ? 'broker on core 0, generator on core 1' : 'not pinned to cores';

export function versionOf(name: BrokerName): string | null {
  const packageFile = (path: string) => JSON.parse(readFileSync(join(projectRoot(), path), 'utf8')).version as string;
  if (name.startsWith('sluice')) return packageFile('package.json');
  if (name === 'aedes') return packageFile('node_modules/aedes/package.json');
  const { stdout, error } = spawnSync('mosquitto', ['-h'], { encoding: 'utf8' });
  return error === undefined ? (/version (\S+)/.exec(stdout)?.[1] ?? null) : null;
}

/** `folder`: for its configuration, data and log. */
export async function startBroker(name: BrokerName, folder: string, setting: Setting): Promise<RunningBroker> {
  mkdirSync(folder, { recursive: true });
  const log = openSync(join(folder, 'log'), 'w');
  const [file, args, port] = await commands[name](folder, setting);
  const isFirst = setting.isFirst === true && canBeFirst();
  const command = limited(file, args, setting);
  const [ownFile, ownArgs] = isFirst ? command : pinned(setting.core ?? 0, ...command);
  const env = { ...process.env, ...setting.environment };
  const child = endsWithUs(
    spawn(ownFile, ownArgs, { stdio: ['ignore', 'pipe', log], env, cwd: folder, detached: isFirst }),
  );
  closeSync(log);
  const ended = new AbortController();
  const urls = await Promise.race([
    port === null ? toldUrls(child) : urlsOnceOpen(port, ended.signal),
    once(child, 'exit').then(() => null),
    delay(startMsMax, null, { ref: false }),
  ]);
  ended.abort();
  if (urls === null) {
    child.kill('SIGKILL');
    throw new Error(`${name} did not start: ${readFileSync(join(folder, 'log'), 'utf8').trim()}`);
  }
  child.stdout!.resume();
  if (name === 'sluice-traced') beginTrace(folder);
  return { name, pid: child.pid!, urls, isFirst: isFirst && putFirst(child), stop: () => stop(child) };
}

/** With data in memory, a broker is reached from where it was started. */
function beginTrace(folder: string): void {
  const trace = ['trace', 'start', '--client', 'nobody', '--for', '1h', '--background'];
  execFileSync(process.execPath, [join(projectRoot(), 'dist/program/main.js'), ...trace], { cwd: folder });
}

function limited(
  file: string,
  args: readonly string[],
  { openFilesMax, cgroupProcesses }: Setting,
): [string, readonly string[]] {
  const steps = [
    ...(openFilesMax === undefined ? [] : [`ulimit -n ${openFilesMax}`]),
    ...(cgroupProcesses === undefined ? [] : [`echo $$ > ${cgroupProcesses}`]),
  ];
  if (steps.length === 0) return [file, args];
  return ['sh', ['-c', `${steps.join(' && ')} && exec "$0" "$@"`, file, ...args]];
}

/**
 * Up to 0.85 ms of each: the event loop is served before all others, but for what the kernel keeps for them in any
 * case, which it would take in pieces of 50 ms from a real-time thread without such a bound.
 */
const deadline = ['--sched-runtime', '850000', '--sched-deadline', '1000000', '--sched-period', '1000000'];
const first = ['--reset-on-fork', '--deadline', ...deadline];

export const canBeFirst = (): boolean =>
  process.platform === 'linux' && spawnSync('chrt', [...first, '0', 'true']).status === 0;

/**
 * Linux shares its processors between sessions (`detached` made one), and then between the threads of each. As nice(1)
 * counts.
 */
export function preferSession(pid: number, niceness: number): void {
  try {
    writeFileSync(`/proc/${pid}/autogroup`, String(niceness));
  } catch {
    // There are no such groups here, or this user may not change them.
  }
}

/** Whether it could. Only the first thread: others have the priorities that the broker gives them. */
function putFirst({ pid }: ChildProcess): boolean {
  preferSession(pid!, -20);
  return spawnSync('chrt', [...first, '--pid', '0', String(pid)]).status === 0;
}

type Command = readonly [file: string, args: readonly string[], port: number | null];

/** As a user has it, with its log at `info`; the listeners that the rows ask for. */
async function sluice(folder: string, setting: Setting): Promise<Command> {
  const { isDurable, settings = '', host = '127.0.0.1', dataDirectory = join(folder, 'data') } = setting;
  const { certificate, key } = makeCertificate(folder);
  const tls = `tls: { certFile: ${certificate}, keyFile: ${key} }`;
  const store = isDurable ? `{ kind: level, directory: ${dataDirectory} }` : '{ kind: memory }';
  const lines = [
    'listeners:',
    `  - { kind: tcp, host: ${host}, port: 0 }`,
    '  - { kind: ws, port: 0 }',
    ...(certificate === null ? [] : [`  - { kind: tls, port: 0, ${tls} }`, `  - { kind: wss, port: 0, ${tls} }`]),
    `store: ${store}`,
    settings,
  ];
  const config = join(folder, 'sluice.yaml');
  writeFileSync(config, `${lines.join('\n')}\n`);
  return [process.execPath, [...startCommand(setting.checkout), '--config', config], null];
}

function sluiceWithRules(folder: string, setting: Setting): Promise<Command> {
  const rules = rulesWithMatchAtTheEnd(1_000).map((rule) => `    - ${rule}`);
  return sluice(folder, { ...setting, settings: ['authorization:', '  rules:', ...rules].join('\n') });
}

/**
 * Of the kinds that a fleet has: by user, by group, by the client's own names, by network; the last one is for
 * everybody.
 */
export function rulesWithMatchAtTheEnd(count: number): string[] {
  const kinds = [
    (i: number) => `{ allow: all, topics: ["users/${i}/#"], for: { username: user-${i} } }`,
    (i: number) => `{ deny: publish, topics: ["+/pair/other-${i}", "groups/${i}/+"], for: { group: "group-${i}-*" } }`,
    (i: number) => `{ allow: all, topics: ["devices-${i}/\${clientId}/#", "+/pair/\${username}"] }`,
    (i: number) => `{ deny: all, topics: ["+/pair/+"], for: { address: 10.${i >> 8}.${i & 255}.0/24 } }`,
  ];
  const others = Array.from({ length: count - 1 }, (_, i) => kinds[i % kinds.length]!(i));
  return [...others, '{ allow: all, topics: ["#"] }'];
}

async function aedes(): Promise<Command> {
  return [process.execPath, [join(projectRoot(), 'scripts/dist/bench/aedes-broker.js')], null];
}

async function mosquitto(folder: string, { isDurable, settings: others = '' }: Setting): Promise<Command> {
  const port = await freePort();
  const file = join(folder, 'mosquitto.conf');
  const settings = {
    listener: `${port} 127.0.0.1`,
    allow_anonymous: true,
    // Without these it drops what a burst brings beyond 20 messages under way and 1,000 queued.
    max_inflight_messages: 0,
    max_queued_messages: 0,
    ...(isDurable ? { persistence: true, persistence_location: `${folder}/` } : { persistence: false }),
    user: process.env.USER ?? 'root',
  };
  const lines = Object.entries(settings).map(([key, value]) => `${key} ${value}\n`);
  writeFileSync(file, `${lines.join('')}${others}\n`);
  return ['mosquitto', ['-c', file], port];
}

const commands: Readonly<Record<BrokerName, (folder: string, setting: Setting) => Promise<Command>>> = {
  sluice,
  'sluice-before': sluice,
  'sluice-again': sluice,
  'sluice-rules': sluiceWithRules,
  'sluice-traced': sluice,
  mosquitto,
  aedes,
};

/** Null where there is no openssl. */
function makeCertificate(folder: string): { certificate: string | null; key: string } {
  const [certificate, key] = [join(folder, 'certificate.pem'), join(folder, 'key.pem')];
  const subject = ['-nodes', '-days', '2', '-subj', '/CN=localhost'];
  try {
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
    execFileSync('openssl', ['req', '-x509', ...curve, ...subject, '-keyout', key, '-out', certificate], {
      stdio: 'ignore',
    });
    return { certificate, key };
  } catch {
    return { certificate: null, key };
  }
}

/** The URLs it prints, until one more second brings none: each listener has a line, and the process the last one. */
function toldUrls({ stdout }: ChildProcess): Promise<ReadonlyMap<string, string>> {
  let text = '';
  return new Promise((resolve) => {
    stdout!.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      if (!/^process \d+$/m.test(text) && !/^mqtt:\/\/\S+\n$/.test(text)) return;
      const urls = text.match(/\b(mqtts?|wss?):\/\/\S+/g) ?? [];
      resolve(new Map(urls.map((url) => [new URL(url).protocol.replace(':', ''), url])));
    });
  });
}

async function urlsOnceOpen(port: number, signal: AbortSignal): Promise<ReadonlyMap<string, string>> {
  await untilOpen(port, signal);
  return new Map([['mqtt', `mqtt://127.0.0.1:${port}`]]);
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  const isLate = await Promise.race([exited.then(() => false), delay(6_000, true, { ref: false })]);
  if (isLate) child.kill('SIGKILL');
  await exited;
}
