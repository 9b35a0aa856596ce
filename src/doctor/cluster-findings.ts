/** What the facts of nats-servers mean for a cluster. */
import type { AccountFacts, MonitorFacts, ServerFacts } from '../cluster/nats/server-facts.ts';
import type { Trial } from '../cluster/nats/trial.ts';
import { type Finding, fault, inUnits, ok, warning } from './finding.ts';

/** Earlier ones were not tried, and some of them let two of several concurrent compare-and-swaps win. */
export const versionLeast = '2.15.3';
/** A frame of the log has up to 512 KiB, and needs some room for headers. */
const payloadLeast = 786_432;
/** Of large messages fewer parts are made. */
const payloadGood = 8_000_000;
const gibibyte = 2 ** 30;
const clockMsMax = 1_000;
const slowMs = 50;
/** Logs, sessions, nodes, waiting messages, retained messages. */
const streamsNeeded = 5;

export function serverFindings({ url, name, version, hasJetStream, maxPayloadBytes }: ServerFacts): Finding[] {
  const check = `server ${name}`;
  const found: Finding[] = [];
  if (compareVersions(version, versionLeast) < 0) {
    found.push(fault(check, `nats-server ${version} at ${url}`, `Use ${versionLeast} or newer`));
  }
  if (!hasJetStream)
    found.push(fault(check, `JetStream is off at ${url}`, 'Add jetstream { store_dir: … } to its configuration'));
  const payload = `max_payload is ${inUnits(maxPayloadBytes)}`;
  if (maxPayloadBytes < payloadLeast) found.push(fault(check, payload, 'Set max_payload: 8MB'));
  else if (maxPayloadBytes < payloadGood) {
    found.push(warning(check, `${payload}: larger messages are stored in parts`, 'Set max_payload: 8MB'));
  }
  return found.length > 0 ? found : [ok(check, `nats-server ${version} at ${url}, ${payload}`)];
}

export function monitorFindings(facts: MonitorFacts): Finding[] {
  const found = [syncFinding(facts), storageFinding(facts), clockFinding(facts)];
  if (facts.clusterSize > 1 && facts.leader === null) {
    const remedy = 'Start the others: more than half of the servers must see each other';
    found.push(fault(`server ${facts.name}`, `JetStream has no leader among ${facts.clusterSize} servers`, remedy));
  }
  for (const name of facts.offline) {
    const what = `${name} is offline: the next one that fails may stop everything`;
    found.push(warning(`server ${facts.name}`, what, 'Start it, or take it out with: nats server cluster peer-remove'));
  }
  return found;
}

function syncFinding({ name, isSyncedAlways, syncSeconds }: MonitorFacts): Finding {
  const check = `sync ${name}`;
  if (isSyncedAlways) return ok(check, 'sync_interval: always');
  const what = `sync_interval is ${syncSeconds} s: a power cut loses what was acknowledged within it`;
  return fault(check, what, 'Set jetstream { sync_interval: always } in its configuration, and start it anew');
}

function storageFinding({ name, storageBytesMax, storageBytesUsed }: MonitorFacts): Finding {
  const check = `storage ${name}`;
  const free = Math.max(0, storageBytesMax - storageBytesUsed);
  const what = `${inUnits(free)} of ${inUnits(storageBytesMax)} are free`;
  if (free >= gibibyte) return ok(check, what);
  return warning(check, what, 'Raise jetstream { max_file_store: … }: a full log takes no message of QoS 1 and 2');
}

function clockFinding({ name, clockOffMs, roundTripMs }: MonitorFacts): Finding {
  const check = `clock ${name}`;
  const off = Math.max(0, Math.abs(clockOffMs) - roundTripMs / 2);
  if (off <= clockMsMax) return ok(check, `within ${Math.round(Math.abs(clockOffMs) + roundTripMs / 2)} ms of ours`);
  const what = `${(off / 1_000).toFixed(1)} s ${clockOffMs > 0 ? 'ahead of' : 'behind'} ours`;
  return warning(check, what, 'Synchronize clocks (NTP): expiry of messages and delays of wills are off by as much');
}

export function replicaFindings(servers: readonly ServerFacts[], replicas: number): Finding[] {
  const check = 'replicas';
  const names = new Set(servers.map(({ name }) => name));
  const clusters = new Set(servers.map(({ cluster }) => cluster ?? ''));
  if (clusters.size > 1) {
    const known = [...clusters].map((name) => (name === '' ? 'none' : name)).join(', ');
    return [
      fault(check, `the servers are of several clusters: ${known}`, 'Give them one cluster { name: … } and routes'),
    ];
  }
  if (names.size < servers.length) {
    return [
      fault(check, 'two servers have the same server_name, or are the same', 'Give each a server_name of its own'),
    ];
  }
  if (replicas === 1) {
    const what = 'one copy of everything: the cluster stands still while that server is away, and ends with its disk';
    return [warning(check, what, 'Use three servers on three machines where that matters')];
  }
  if (servers.length < replicas) {
    const what = `${replicas} copies need ${replicas} servers; ${servers.length} answered`;
    return [warning(check, what, `Name all of them in --servers`)];
  }
  return [ok(check, `${replicas} copies on ${servers.length} servers`)];
}

export function accountFindings(facts: AccountFacts): Finding[] {
  const check = 'account';
  const { storageBytesMax, storageBytesUsed, streamsMax, streams, consumersMax } = facts;
  const found: Finding[] = [];
  if (storageBytesMax >= 0 && storageBytesMax - storageBytesUsed < gibibyte) {
    const what = `${inUnits(Math.max(0, storageBytesMax - storageBytesUsed))} of ${inUnits(storageBytesMax)} are free`;
    found.push(warning(check, what, "Raise the account's max_file"));
  }
  if (streamsMax >= 0 && streamsMax - streams < streamsNeeded) {
    const what = `${streams} of ${streamsMax} streams are used; a cluster makes ${streamsNeeded}`;
    found.push(fault(check, what, "Raise the account's max_streams"));
  }
  if (consumersMax === 0) found.push(fault(check, 'no consumers are allowed', "Raise the account's max_consumers"));
  return found.length > 0 ? found : [ok(check, `JetStream, with ${limitText(storageBytesMax)}`)];
}

const limitText = (bytes: number) => (bytes < 0 ? 'no limit of storage' : `${inUnits(bytes)} of storage`);

export function trialFinding({ count, medianMs, longestMs }: Trial, replicas: number): Finding {
  const times = `${medianMs.toFixed(1)} ms, ${longestMs.toFixed(1)} ms at most, of ${count}`;
  const what = `stored with ${replicas === 1 ? 'one copy' : `${replicas} copies`} in ${times}`;
  if (medianMs <= slowMs) return ok('trial', what);
  return warning('trial', what, 'Faster disks or networks: each acknowledgement of QoS 1 and 2 takes so long');
}

/** Below 0: the first is older. */
export function compareVersions(a: string, b: string): number {
  const numbers = (version: string) => version.split(/[.-]/, 3).map(Number);
  const [first, second] = [numbers(a), numbers(b)];
  const at = first.findIndex((number, index) => number !== second[index]);
  return at < 0 ? 0 : first[at]! - second[at]!;
}
