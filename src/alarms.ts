/**
 * The table of alarms: what of a running broker calls for an operator, when, and what to do. A new alarm is an entry
 * here; `admin/alarms.ts` looks and tells.
 */

import type { AuditLog } from './admin/audit.ts';
import { plural } from './base/plural.ts';
import type { BrokerFigures } from './broker/figures.ts';
import type { AlarmDeclaration, AlarmFinding } from './contracts/alarms.ts';
import type { BridgeView } from './contracts/commands/bridges.ts';
import type { ExpiringFile, Listener } from './contracts/transport.ts';
import { endsIn, stagesBehind } from './net/expiry.ts';

/** What is looked at; each must be at hand. */
export interface AlarmSources {
  readonly figures: () => BrokerFigures;
  /** What the file system with the data has left; null: not known, or there is none. */
  readonly diskFreeBytes: () => number | null;
  readonly listeners: () => Iterable<Pick<Listener, 'url' | 'expiring'>>;
  readonly bridges: Iterable<{
    readonly name: string;
    readonly state: BridgeView['state'];
    readonly problem: string | null;
    readonly fullness: number;
  }>;
  readonly audit: Pick<AuditLog, 'isFailing' | 'waiting' | 'lost'> | null;
}

const nothing: readonly AlarmFinding[] = [];
const mebibyte = 1_048_576;
/** Below the first the disk is nearly full; below the second the next hours are in danger. */
const freeBytesLeast = { warning: 1_024 * mebibyte, critical: 128 * mebibyte };

export function alarmsOf(sources: AlarmSources): readonly AlarmDeclaration[] {
  return [...ofStore(sources), ...ofLoad(sources), ...ofBridges(sources), ...ofFiles(sources)];
}

function ofStore({ figures, diskFreeBytes }: AlarmSources): AlarmDeclaration[] {
  return [
    {
      name: 'disk-refusing',
      severity: 'critical',
      what: 'The disk refuses writes',
      remedy: 'See the log for its error; make room or mend the disk. Nothing that was acknowledged is lost',
      look: () =>
        figures().store === 'refusing'
          ? [{ text: 'The disk refuses writes: whatever must be stored waits, or is refused with 0x97' }]
          : nothing,
    },
    {
      name: 'disk-hanging',
      severity: 'critical',
      what: 'The disk has not answered a write for five seconds',
      remedy: 'Look whether the disk or its network is in trouble; the broker goes on by itself once it answers',
      look: () =>
        figures().store === 'hanging'
          ? [{ text: 'The disk does not answer a write: nothing more is acknowledged that must be stored' }]
          : nothing,
    },
    {
      name: 'disk-slow',
      severity: 'warning',
      what: 'More waits for the disk than limits.unwrittenBytes, for ten seconds',
      remedy:
        'Use a faster disk, durability: os for what may be lost in a power cut, or fewer publishers of QoS 1 and 2',
      lastsSeconds: 10,
      awaySeconds: 30,
      look: () =>
        figures().store === 'slow'
          ? [{ text: 'The disk is slower than publishers: they are not read until it has caught up' }]
          : nothing,
    },
    {
      name: 'disk-nearly-full',
      severity: 'warning',
      what: 'The file system of the data directory has less than 1 GiB left; critical below 128 MiB',
      remedy: 'Make room, or give queues and retained messages lower limits',
      awaySeconds: 60,
      look: () => {
        const free = diskFreeBytes();
        if (free === null || free >= freeBytesLeast.warning) return nothing;
        const severity = free < freeBytesLeast.critical ? 'critical' : 'warning';
        return [{ severity, text: `The file system of the data directory has ${inMebibytes(free)} left` }];
      },
    },
  ];
}

function ofLoad({ figures }: AlarmSources): AlarmDeclaration[] {
  return [
    {
      name: 'memory-high',
      severity: 'warning',
      what: 'Clients hold so much memory that queues leave it; critical once clients are refused or disconnected',
      remedy: 'See which clients hold most (sluice clients), and docs/reference/memory.md for what gives when',
      lastsSeconds: 5,
      awaySeconds: 30,
      look: () => {
        const { bytes, ceilingBytes, pressure } = figures().memory;
        const isCritical = pressure === 'refusal' || pressure === 'disconnection';
        if (ceilingBytes === null || !(isCritical || pressure === 'queues')) return nothing;
        const percent = Math.round((bytes / ceilingBytes) * 100);
        const held = `Clients hold ${inMebibytes(bytes)}, ${percent} % of the ceiling`;
        return isCritical
          ? [{ severity: 'critical', text: `${held}: the largest are refused, or disconnected` }]
          : [{ text: `${held}: queues leave memory` }];
      },
    },
    {
      name: 'queue-full',
      severity: 'warning',
      what: 'Messages find the queue of a session full',
      remedy:
        'See whose queues are full (sluice clients); those clients are absent or too slow, or limits.queueMessages is too low',
      awaySeconds: 60,
      look: rising(figures, 'queueFull', (rise) => `${plural(rise, 'message')} found the queue of a session full`),
    },
    {
      name: 'event-loop-late',
      severity: 'warning',
      what: 'The event loop is late by a tenth of the time, for ten seconds',
      remedy:
        'The process has too little of a processor, or a program or hook in it takes too long: see the metrics of time',
      lastsSeconds: 10,
      awaySeconds: 30,
      look: lateness(figures),
    },
  ];
}

function ofBridges({ bridges }: AlarmSources): AlarmDeclaration[] {
  return [
    {
      name: 'bridge-down',
      severity: 'warning',
      what: 'A bridge has not found its peer for half a minute',
      remedy:
        'See why (sluice bridges list): its address, credentials, certificates, or the peer itself. Messages wait for it',
      lastsSeconds: 30,
      look: () =>
        [...bridges]
          .filter(({ state }) => state === 'waiting' || state === 'connecting')
          .map(({ name, problem }) => ({
            about: name,
            text: `The bridge ${name} is not connected${problem === null ? '' : `: ${problem}`}`,
          })),
    },
    {
      name: 'bridge-queue-full',
      severity: 'warning',
      what: 'The queue of a bridge is at 90 % of its `queue.maxBytes`: publishers are refused, or messages dropped, soon',
      remedy: 'See why the peer does not take what waits (sluice bridges list), or raise queue.maxBytes of the bridge',
      look: () =>
        [...bridges]
          .filter(({ fullness }) => fullness >= 0.9)
          .map(({ name, fullness }) => ({
            about: name,
            text: `The queue of the bridge ${name} is at ${Math.floor(fullness * 100)} % of its queue.maxBytes`,
          })),
    },
  ];
}

function ofFiles({ listeners, audit }: AlarmSources): AlarmDeclaration[] {
  return [
    {
      name: 'certificate-expiring',
      severity: 'warning',
      what: 'A certificate, authority or revocation list of a listener ends within 30 days; critical once it has ended',
      remedy: 'Renew it in its file, which the broker reads again by itself (or at once: sluice reload)',
      look: (now) => expiring(listeners(), now),
    },
    {
      name: 'audit-failing',
      severity: 'critical',
      what: 'The audit log cannot be written',
      remedy: 'Make room for it or correct the permissions of audit.file; what waits is written then',
      look: () =>
        audit?.isFailing
          ? [
              {
                text: `The audit log cannot be written: ${plural(audit.waiting, 'event')} in memory, ${audit.lost} lost`,
              },
            ]
          : nothing,
    },
  ];
}

type Count = keyof BrokerFigures['counts'];

/** While a count rises, and by how much since it began to. */
function rising(figures: () => BrokerFigures, name: Count, text: (rise: number) => string): AlarmDeclaration['look'] {
  let last: number | null = null;
  let from = 0;
  let roseAt = Number.NEGATIVE_INFINITY;
  return (now) => {
    const count = figures().counts[name];
    const before = last ?? count;
    last = count;
    if (count === before) return nothing;
    // What rose before counts as another time.
    if (now - roseAt > 60_000) from = before;
    roseAt = now;
    return [{ text: text(count - from) }];
  };
}

/** Of each second, the part by which the loop was late. */
function lateness(figures: () => BrokerFigures): AlarmDeclaration['look'] {
  let last: { readonly at: number; readonly seconds: number } | null = null;
  return (now) => {
    const before = last;
    last = { at: now, seconds: figures().counts.loopDelaySeconds };
    if (before === null || now <= before.at) return nothing;
    const part = (last.seconds - before.seconds) / ((now - before.at) / 1_000);
    return part < 0.1 ? nothing : [{ text: `The event loop is late by ${Math.round(part * 100)} % of the time` }];
  };
}

function* expiring(listeners: Iterable<Pick<Listener, 'url' | 'expiring'>>, now: number): Generator<AlarmFinding> {
  const seen = new Set<string>();
  for (const { url, expiring: files } of listeners) {
    for (const file of files) {
      // Several listeners may have one file.
      const about = `${file.name} (${new Date(file.until).toISOString().slice(0, 10)})`;
      if (stagesBehind(file, now) === 0 || seen.has(about)) continue;
      seen.add(about);
      yield { about, severity: file.until <= now ? 'critical' : 'warning', text: expiryText(file, url, now) };
    }
  }
}

const expiryText = ({ name, until }: ExpiringFile, url: string, now: number) =>
  until <= now
    ? `${name} of ${url} has ended on ${new Date(until).toISOString()}`
    : `${name} of ${url} ends in ${endsIn(until - now)}, on ${new Date(until).toISOString()}`;

const inMebibytes = (bytes: number) => `${Math.round(bytes / mebibyte).toLocaleString('en')} MiB`;
