/** Mosquitto's own bridge to this broker, which keeps its session: both ways, over a restart of either. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import mqtt, { type MqttClient } from 'mqtt';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { freePort } from '../../scripts/ports.ts';
import { createBroker, type SluiceBroker } from '../../src/index.ts';
import { hasMosquitto, type Mosquitto, startMosquitto } from '../support/mosquitto.ts';

describe.runIf(hasMosquitto)('a bridge of Mosquitto', () => {
  let directory: string;
  let port: number;
  let broker: SluiceBroker;
  let mosquitto: Mosquitto;
  const clients: MqttClient[] = [];

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'sluice-mosquitto-bridge-'));
    port = await freePort();
    await startBroker();
    await startBridge();
  });

  afterEach(async () => {
    for (const client of clients.splice(0)) client.end(true);
    await mosquitto.stop();
    await broker.close();
    rmSync(directory, { recursive: true });
  });

  async function startBroker(): Promise<void> {
    const store = { kind: 'level', directory: join(directory, 'sluice') } as const;
    const log = { debug() {}, info() {}, warn() {}, error() {} };
    broker = await createBroker({ config: { listeners: [{ kind: 'tcp', port }], store }, log });
  }

  async function startBridge(): Promise<void> {
    mkdirSync(join(directory, 'mosquitto'), { recursive: true });
    mosquitto = await startMosquitto(directory, [
      'allow_anonymous true',
      'persistence true',
      `persistence_location ${join(directory, 'mosquitto')}/`,
      'connection edge',
      `address 127.0.0.1:${port}`,
      // Over MQTT 5, 2.0.11 asks for no Session Expiry Interval, and so keeps no session.
      'bridge_protocol_version mqttv311',
      'remote_clientid edge',
      'cleansession false',
      'restart_timeout 1',
      'topic up/# out 2',
      'topic down/# in 2',
    ]);
  }

  /** A client of the broker on `at`, with a session that it comes back to, and what came to it. */
  async function connect(at: number, clientId: string, filter: string) {
    const client = mqtt.connect(`mqtt://127.0.0.1:${at}`, { clientId, clean: false, reconnectPeriod: 200 });
    clients.push(client);
    const came: string[] = [];
    client.on('message', (topic, payload, { qos }) => came.push(`${topic} ${payload} ${qos}`));
    await new Promise<void>((resolve) => client.once('connect', () => resolve()));
    await client.subscribeAsync(filter, { qos: 2 });
    return { client, came };
  }

  test('takes and brings messages of QoS 1 and 2, each once, and what either missed while it was stopped', async () => {
    const center = await connect(port, 'center', 'up/#');
    const edge = await connect(mosquitto.port, 'edge-client', 'down/#');

    for (const qos of [1, 2] as const) await edge.client.publishAsync('up/a', `first${qos}`, { qos });
    await expect.poll(() => center.came, { timeout: 20_000 }).toEqual(['up/a first1 1', 'up/a first2 2']);
    for (const qos of [1, 2] as const) await center.client.publishAsync('down/a', `first${qos}`, { qos });
    await expect.poll(() => edge.came, { timeout: 20_000 }).toEqual(['down/a first1 1', 'down/a first2 2']);

    await broker.close();
    for (const qos of [1, 2] as const) await edge.client.publishAsync('up/a', `second${qos}`, { qos });
    await startBroker();
    await expect.poll(() => center.came.slice(2), { timeout: 30_000 }).toEqual(['up/a second1 1', 'up/a second2 2']);

    await mosquitto.stop();
    edge.client.end(true);
    for (const qos of [1, 2] as const) await center.client.publishAsync('down/a', `second${qos}`, { qos });
    await startBridge();
    const back = await connect(mosquitto.port, 'edge-client', 'down/#');
    await expect.poll(() => back.came, { timeout: 30_000 }).toEqual(['down/a second1 1', 'down/a second2 2']);
  }, 120_000);
});
