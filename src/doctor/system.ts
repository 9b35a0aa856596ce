/**
 * What the machine, or the container, gives a broker: Node, open files, the queue of new connections, memory,
 * processors and the clock.
 */
import { execFile } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import { promisify } from 'node:util';
import { getHeapStatistics } from 'node:v8';
import { memoryCeiling } from '../base/memory-ceiling.ts';
import type { Config } from '../config/schema.ts';
import { connectionsWithin, openFilesMax } from '../net/open-files.ts';
import { type Finding, fault, inUnits, ok, warning } from './finding.ts';

/** Null: the system does not tell. */
export interface SystemFacts {
  readonly node: string;
  readonly openFiles: number | null;
  readonly somaxconn: number | null;
  readonly memoryBytes: number;
  readonly isContainer: boolean;
  readonly heapBytes: number;
  /** Processors that the container may use in the mean. */
  readonly processors: number;
  readonly now: number;
  /** When this Sluice was installed: no clock can be before that. */
  readonly installedAt: number | null;
  readonly isClockSynchronized: boolean | null;
}

export async function readSystem(): Promise<SystemFacts> {
  const limit = process.constrainedMemory();
  const isContainer = limit > 0 && limit < totalmem();
  return {
    node: process.versions.node,
    openFiles: openFilesMax(),
    somaxconn: numberIn('/proc/sys/net/core/somaxconn'),
    memoryBytes: isContainer ? limit : totalmem(),
    isContainer,
    heapBytes: getHeapStatistics().heap_size_limit,
    processors: processorsOf(textOf('/sys/fs/cgroup/cpu.max')),
    now: Date.now(),
    installedAt: installedAt(),
    isClockSynchronized: await isClockSynchronized(),
  };
}

/** `max 100000`, or microseconds in each period: of cgroup v2. */
export function processorsOf(cpuMax: string | null): number {
  const [quota, period] = (cpuMax ?? '').trim().split(' ').map(Number);
  const all = availableParallelism();
  return quota !== undefined && period !== undefined && quota > 0 && period > 0 ? Math.min(all, quota / period) : all;
}

function textOf(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}

function numberIn(file: string): number | null {
  const text = textOf(file);
  return text === null || !/^\d+\s*$/.test(text) ? null : Number(text);
}

function installedAt(): number | null {
  try {
    return statSync(new URL('../../package.json', import.meta.url)).mtimeMs;
  } catch {
    return null;
  }
}

/** As systemd knows it. */
async function isClockSynchronized(): Promise<boolean | null> {
  const asked = promisify(execFile)('timedatectl', ['show', '-p', 'NTPSynchronized', '--value'], { timeout: 2_000 });
  const text = await asked.then(
    ({ stdout }) => stdout.trim(),
    () => '',
  );
  return text === 'yes' ? true : text === 'no' ? false : null;
}

const mebibyte = 1_048_576;
/** Of the kernel's own default since 5.4, and what a listener asks for. */
const wantedBacklog = 4_096;

export function systemFindings(facts: SystemFacts, { limits }: Config): Finding[] {
  return [
    nodeFinding(facts),
    openFilesFinding(facts, limits.connections),
    backlogFinding(facts),
    memoryFinding(facts, limits.memoryBytes),
    processorsFinding(facts),
    clockFinding(facts),
  ];
}

function nodeFinding({ node }: SystemFacts): Finding {
  const what = `Node.js ${node} on ${process.platform} ${process.arch}`;
  const isOdd = Number(node.split('.')[0]) % 2 === 1;
  return isOdd ? warning('versions', what, 'Use a version with long-term support, as 22 or 24') : ok('versions', what);
}

function openFilesFinding({ openFiles }: SystemFacts, connections: number): Finding {
  if (openFiles === null) return ok('open files', 'the system does not tell a limit');
  const room = connectionsWithin(openFiles);
  const what = `${openFiles.toLocaleString('en')}, which leaves room for ${room.toLocaleString('en')} connections`;
  if (room >= connections) return ok('open files', what);
  return warning(
    'open files',
    `${what} of the ${connections.toLocaleString('en')} that limits.connections allows`,
    `Raise the limit (LimitNOFILE= of systemd, --ulimit nofile= of Docker, ulimit -n), or lower limits.connections`,
  );
}

function backlogFinding({ somaxconn }: SystemFacts): Finding {
  const check = 'new connections';
  if (somaxconn === null) return ok(check, 'the system does not tell how many may wait');
  const what = `${somaxconn.toLocaleString('en')} may wait to be accepted (net.core.somaxconn)`;
  return somaxconn >= wantedBacklog
    ? ok(check, what)
    : warning(
        check,
        what,
        `sysctl -w net.core.somaxconn=${wantedBacklog}, or a fleet that comes back at once is turned away`,
      );
}

function memoryFinding({ memoryBytes, isContainer, heapBytes }: SystemFacts, configured: number): Finding {
  const clients = configured === 0 ? memoryCeiling(memoryBytes, heapBytes) : configured;
  const what = `${inUnits(memoryBytes)} of the ${isContainer ? 'container' : 'machine'}, of which clients may take ${inUnits(clients)}`;
  if (configured > memoryBytes) {
    return fault(
      'memory',
      `${what}: more than there is`,
      'Lower limits.memoryBytes, or set it to 0 to have it follow the memory',
    );
  }
  if (memoryBytes < 256 * mebibyte)
    return warning('memory', what, 'Give it 256 MiB: the broker alone takes about 128 MiB');
  if (configured > memoryBytes * 0.7) {
    return warning('memory', what, 'Lower limits.memoryBytes: garbage and buffers come on top');
  }
  return ok('memory', what);
}

function processorsFinding({ processors }: SystemFacts): Finding {
  const what = `${Number(processors.toFixed(2))}`;
  return processors < 1
    ? warning(
        'processors',
        what,
        'Give it one at least: with less, every client waits while the container is held back',
      )
    : ok('processors', what);
}

const dayMs = 86_400_000;

function clockFinding({ now, installedAt, isClockSynchronized: isSynchronized }: SystemFacts): Finding {
  const what = new Date(now).toISOString();
  const remedy = 'Set it by NTP (timedatectl set-ntp true): certificates, tokens and expiry of messages go by it';
  if (installedAt !== null && now < installedAt - dayMs) {
    return fault('clock', `${what}, before this Sluice was installed`, remedy);
  }
  if (isSynchronized === false) return warning('clock', `${what}, and not synchronized`, remedy);
  return ok('clock', isSynchronized === null ? `${what}; the system does not tell whether it is synchronized` : what);
}
