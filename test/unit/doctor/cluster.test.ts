/** `sluice cluster check`: each thing that it looks at, right and wrong, and what it says to change. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AccountFacts, MonitorFacts, ServerFacts } from '../../../src/cluster/nats/server-facts.ts';
import {
  accountFindings,
  compareVersions,
  monitorFindings,
  replicaFindings,
  serverFindings,
  trialFinding,
} from '../../../src/doctor/cluster-findings.ts';
import type { Finding } from '../../../src/doctor/finding.ts';
import { sluice } from '../../support/fake-io.ts';
import { NatsServers, natsServerVersion, withoutNats } from '../../support/nats-server.ts';

const server: ServerFacts = {
  url: 'nats://a:4222',
  name: 'a',
  version: '2.15.3',
  cluster: 'c',
  hasJetStream: true,
  maxPayloadBytes: 8_000_000,
};
const gibibyte = 2 ** 30;
const monitor: MonitorFacts = {
  url: 'http://a:8222',
  name: 'a',
  isSyncedAlways: true,
  syncSeconds: 120,
  storageBytesMax: 100 * gibibyte,
  storageBytesUsed: gibibyte,
  clockOffMs: 3,
  roundTripMs: 2,
  clusterSize: 3,
  leader: 'b',
  offline: [],
};
const account: AccountFacts = {
  storageBytesMax: -1,
  storageBytesUsed: 0,
  streamsMax: -1,
  streams: 0,
  consumersMax: -1,
};
const wrong = (findings: readonly Finding[]) =>
  findings.filter(({ level }) => level !== 'ok').map(({ check, level, what }) => `${level} ${check}: ${what}`);

describe('a server', () => {
  test('is all right as a cluster needs it', () => {
    expect(wrong([...serverFindings(server), ...monitorFindings(monitor)])).toEqual([]);
  });

  test.each<[Partial<ServerFacts>, string]>([
    [{ version: '2.15.2' }, 'fault server a: nats-server 2.15.2 at nats://a:4222'],
    [{ version: '2.9.10' }, 'fault server a: nats-server 2.9.10 at nats://a:4222'],
    [{ hasJetStream: false }, 'fault server a: JetStream is off at nats://a:4222'],
    [{ maxPayloadBytes: 65_536 }, 'fault server a: max_payload is 64 KiB'],
    [{ maxPayloadBytes: 1_048_576 }, 'warning server a: max_payload is 1.0 MiB: larger messages are stored in parts'],
  ])('that has %o', (facts, said) => {
    expect(wrong(serverFindings({ ...server, ...facts }))).toEqual([said]);
  });

  test.each<[Partial<MonitorFacts>, string]>([
    [
      { isSyncedAlways: false },
      'fault sync a: sync_interval is 120 s: a power cut loses what was acknowledged within it',
    ],
    [{ storageBytesMax: gibibyte + 1_024 }, 'warning storage a: 1.0 KiB of 1.0 GiB are free'],
    [{ clockOffMs: 5_001 }, 'warning clock a: 5.0 s ahead of ours'],
    [{ clockOffMs: -60_001 }, 'warning clock a: 60.0 s behind ours'],
    [{ leader: null }, 'fault server a: JetStream has no leader among 3 servers'],
    [{ offline: ['c'] }, 'warning server a: c is offline: the next one that fails may stop everything'],
  ])('whose monitoring says %o', (facts, said) => {
    expect(wrong(monitorFindings({ ...monitor, ...facts }))).toEqual([said]);
  });

  test('may be far away: a slow answer tells nothing of its clock', () => {
    expect(wrong(monitorFindings({ ...monitor, clockOffMs: 1_400, roundTripMs: 1_000 }))).toEqual([]);
  });

  test.each([
    ['2.15.3', '2.15.3', 0],
    ['2.9.10', '2.15.3', -6],
    ['2.15.10', '2.15.3', 7],
    ['3.0.0', '2.15.3', 1],
    ['2.15.3-beta.1', '2.15.3', 0],
  ])('of version %s beside %s', (a, b, difference) => {
    expect(compareVersions(a, b)).toBe(difference);
  });
});

describe('copies', () => {
  const three = ['a', 'b', 'c'].map((name) => ({ ...server, name }));

  test('are three on three servers', () => {
    expect(wrong(replicaFindings(three, 3))).toEqual([]);
  });

  test.each<[readonly ServerFacts[], number, string]>([
    [three.slice(0, 2), 3, 'warning replicas: 3 copies need 3 servers; 2 answered'],
    [
      [server, { ...server, name: 'b', cluster: null }],
      3,
      'fault replicas: the servers are of several clusters: c, none',
    ],
    [[server, server, server], 3, 'fault replicas: two servers have the same server_name, or are the same'],
    [
      [server],
      1,
      'warning replicas: one copy of everything: the cluster stands still while that server is away, and ends with its disk',
    ],
  ])('%#', (servers, replicas, said) => {
    expect(wrong(replicaFindings(servers, replicas))).toEqual([said]);
  });
});

describe('an account', () => {
  test('may use everything', () => {
    expect(wrong(accountFindings(account))).toEqual([]);
  });

  test.each<[Partial<AccountFacts>, string]>([
    [{ storageBytesMax: 2 ** 20 }, 'warning account: 1.0 MiB of 1.0 MiB are free'],
    [{ streamsMax: 10, streams: 6 }, 'fault account: 6 of 10 streams are used; a cluster makes 5'],
    [{ consumersMax: 0 }, 'fault account: no consumers are allowed'],
  ])('that has %o', (facts, said) => {
    expect(wrong(accountFindings({ ...account, ...facts }))).toEqual([said]);
  });
});

test('slow servers are worth a warning', () => {
  expect(wrong([trialFinding({ count: 20, medianMs: 3, longestMs: 200 }, 3)])).toEqual([]);
  expect(wrong([trialFinding({ count: 20, medianMs: 80, longestMs: 200 }, 3)])).toEqual([
    'warning trial: stored with 3 copies in 80.0 ms, 200.0 ms at most, of 20',
  ]);
});

describe('the command', () => {
  test.each([
    [[], 'Use: sluice cluster check'],
    [['check'], '--servers is missing'],
    [['check', '--servers', 'http://a'], '--servers wants nats://HOST:PORT or tls://HOST:PORT, not "http://a"'],
    [['check', '--servers', 'tls:/a'], 'not "tls:/a"'],
    [['check', '--servers', 'nats://a', '--replicas', '2'], '--replicas wants 1, 3 or 5, not "2"'],
    [['check', '--servers', 'nats://a', '--cert', 'x'], '--cert and --key go together'],
  ])('called as %o', async (given, said) => {
    const { code, err } = await sluice('cluster', ...given);
    expect(code).toBe(2);
    expect(err).toContain(said);
  });

  test('says which server it cannot reach, and shows no password', async () => {
    const { code, out } = await sluice('cluster', 'check', '--servers', 'nats://me:secret@127.0.0.1:1');
    expect(code).toBe(1);
    expect(out).toContain('fault    server            Cannot connect to NATS at nats://127.0.0.1:1: ');
    expect(out).not.toContain('secret');
  });
});

describe.skipIf(natsServerVersion === null)(`with servers${withoutNats}`, () => {
  let three: NatsServers;
  let lazy: NatsServers;
  beforeAll(async () => {
    [three, lazy] = await Promise.all([NatsServers.start({ count: 3 }), NatsServers.start({ sync: '10s' })]);
  });
  afterAll(() => Promise.all([three.stop(), lazy.stop()]));
  const check = async ({ urls, monitors }: NatsServers) => {
    const { code, out } = await sluice(
      ...['cluster', 'check', '--json', '--servers', urls.join(','), '--monitor', monitors.join(',')],
    );
    return { code, findings: (JSON.parse(out) as { findings: Finding[] }).findings };
  };

  test('three that sync always are as a cluster needs them, and keep nothing of the trial', async () => {
    const { code, findings } = await check(three);

    expect(findings.filter(({ check }) => !/^(storage|clock) /.test(check)).map(({ level }) => level)).toEqual(
      Array.from({ length: 9 }, () => 'ok'),
    );
    expect(findings.map(({ check }) => check)).toContain('sync server-2');
    expect(code).toBe(0);
    const left = (await (await fetch(`${three.monitors[0]}/jsz`)).json()) as { streams: number };
    expect(left.streams).toBe(0);
  });

  test('one that syncs seldom may lose what was acknowledged', async () => {
    const { code, findings } = await check(lazy);

    expect(code).toBe(1);
    expect(findings.filter(({ level }) => level === 'fault').map(({ what }) => what)).toEqual([
      'sync_interval is 10 s: a power cut loses what was acknowledged within it',
    ]);
  });
});
