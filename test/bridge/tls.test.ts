/** Bridges over TLS: to a listener of Sluice, and to a peer with the limits of AWS IoT Core. */
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, expect, test } from 'vitest';
import { freePort } from '../../scripts/ports.ts';
import { AwsLikePeer } from '../support/aws-like-peer.ts';
import { type BridgedBroker, type BridgeInput, bridgedBrokers, bridgeTo } from '../support/bridged.ts';
import { Certificates } from '../support/certificates.ts';
import { WireClient } from '../support/wire-client.ts';
import { eventually } from '../unit/net/eventually.ts';

const brokers = bridgedBrokers();
const certificates = new Certificates();
const authority = certificates.authority('servers');
const devices = certificates.authority('devices');
const server = authority.issue('server', { purpose: 'server' });
const named = authority.issue('named', { purpose: 'server', hosts: ['broker.test'] });
const device = devices.issue('site7', { purpose: 'client' });
let aws: AwsLikePeer | null = null;

afterEach(async () => {
  await aws?.stop();
  aws = null;
});
afterAll(() => certificates.remove());

const both = [{ filter: '#', direction: 'both' as const, qos: 1 as const }];
const problemOf = (edge: BridgedBroker) => edge.app!.bridges.get('up')!.problem;

/** A Sluice that wants certificates of its clients. */
async function cloudWith(kind: 'tls' | 'wss', certificate = server): Promise<number> {
  const port = await freePort();
  const tls = { ...certificate, clientCertificate: 'required' as const, caFile: devices.certFile };
  await brokers.start({
    listeners: [
      { kind: 'tcp', port: await freePort() },
      { kind, port, tls },
    ],
  });
  return port;
}

const edgeTo = (address: string, tls: BridgeInput['tls'], rest: Partial<BridgeInput> = {}) =>
  brokers.start({ bridges: [bridgeTo(0, { addresses: [address], tls, topics: both, ...rest })] });

for (const [scheme, kind] of [
  ['mqtts', 'tls'],
  ['wss', 'wss'],
] as const) {
  test(`a bridge shows its certificate, and messages go both ways (${scheme})`, async () => {
    const port = await cloudWith(kind);
    const address = `${scheme}://localhost:${port}${kind === 'wss' ? '/mqtt' : ''}`;
    const edge = await edgeTo(address, { caFile: authority.certFile, ...device });
    await edge.connected();
    const here = await WireClient.connect(edge.port, { version: 5 });

    await here.publish('a', 'x', { qos: 1 });
    await eventually(() => edge.app!.bridges.get('up')!.view().messagesOut === 1);
    await eventually(() => edge.app!.bridges.get('up')!.session!.window.count === 0);

    expect(edge.app!.bridges.get('up')!.view()).toMatchObject({ state: 'connected', isSluice: true });
  });

  test(`a bridge without a certificate is not let in, and says so (${scheme})`, async () => {
    const port = await cloudWith(kind);
    const edge = await edgeTo(`${scheme}://localhost:${port}`, { caFile: authority.certFile });

    await eventually(() => problemOf(edge) !== null);
    expect(problemOf(edge)).toMatch(/certificate|closed|ECONNRESET|socket hang up/i);
  });

  test(`a peer whose certificate is of another authority, or has another name, is not trusted (${scheme})`, async () => {
    const port = await cloudWith(kind, named);
    const edges = [
      await edgeTo(`${scheme}://localhost:${port}`, { caFile: devices.certFile, ...device }),
      await edgeTo(`${scheme}://localhost:${port}`, { caFile: authority.certFile, ...device }),
    ];

    await eventually(() => edges.every((edge) => problemOf(edge) !== null));
    expect(edges.map(problemOf)).toEqual([
      expect.stringMatching(/unable to verify|self.signed|certificate/i),
      expect.stringMatching(/does not match|altnames/i),
    ]);
  });

  test(`a bridge asks for the name that it is told, or does not look at it (${scheme})`, async () => {
    const port = await cloudWith(kind, named);
    const tls = { caFile: authority.certFile, ...device };

    const edges = [
      await edgeTo(`${scheme}://localhost:${port}`, { ...tls, serverName: 'broker.test' }),
      await edgeTo(`${scheme}://localhost:${port}`, { ...tls, verifyName: false }, { clientId: 'other' }),
    ];

    await Promise.all(edges.map((edge) => edge.connected()));
  });
}

test('a certificate that was renewed is shown at the next attempt', async () => {
  const port = await cloudWith('tls');
  const stranger = authority.issue('stranger', { purpose: 'client' });
  const files = {
    certFile: join(certificates.directory, 'renewed.crt'),
    keyFile: join(certificates.directory, 'renewed.key'),
  };
  const use = (from: typeof stranger) => {
    copyFileSync(from.certFile, files.certFile);
    copyFileSync(from.keyFile, files.keyFile);
  };
  use(stranger);
  const edge = await edgeTo(`mqtts://localhost:${port}`, { caFile: authority.certFile, ...files });
  await eventually(() => problemOf(edge) !== null);

  use(device);

  await edge.connected();
});

for (const version of ['5.0', '3.1.1'] as const) {
  test(`a peer with the limits of AWS IoT Core gets what it takes, and the rest is put aside (${version})`, async () => {
    aws = await AwsLikePeer.start({ server, devices, version: version === '5.0' ? 5 : 4 });
    const edge = await edgeTo(
      `mqtts://localhost:${aws.port}`,
      { caFile: authority.certFile, ...device, alpn: ['x-amzn-mqtt-ca'] },
      {
        version,
        clientId: 'site7',
        maxPacketBytes: 131_072,
        topics: [
          { filter: 'telemetry/#', direction: 'out', qos: 1, remotePrefix: 'site7/', retain: 'clear' },
          { filter: 'commands/#', direction: 'in', qos: 1, remotePrefix: 'site7/' },
        ],
      },
    );
    await edge.connected();
    const here = await WireClient.connect(edge.port, { version: 5 });
    await here.subscribe('commands/#', { qos: 1 });

    await here.publish('telemetry/a', 'small', { qos: 2, retain: true });
    await here.publish('telemetry/a', Buffer.alloc(200_000), { qos: 1 });
    await here.publish('telemetry/a', 'last', { qos: 1 });
    await eventually(() => aws!.received.length === 2);
    aws.publish('site7/commands/b', 'do');

    expect(await here.next('publish')).toMatchObject({ topic: 'commands/b', payload: Buffer.from('do') });
    expect(aws.received.map(({ topic, payload, qos }) => `${topic} ${payload} ${qos}`)).toEqual([
      'site7/telemetry/a small 1',
      'site7/telemetry/a last 1',
    ]);
    expect([aws.violations, aws.greetings]).toEqual([[], [{ serverName: 'localhost', protocol: 'x-amzn-mqtt-ca' }]]);
    expect(edge.app!.bridges.get('up')!.view().quarantined).toBe(1);
  });
}

test('a peer that speaks another protocol only is told apart', async () => {
  aws = await AwsLikePeer.start({ server, devices, version: 5 });
  const edge = await edgeTo(`mqtts://localhost:${aws.port}`, {
    ...{ caFile: authority.certFile, ...device, alpn: ['mqtt'] },
  });

  await eventually(() => problemOf(edge) !== null);
  expect(problemOf(edge)).toMatch(/no application protocol|alert|ALPN/i);
});
