/** Other people's clients: MQTT.js, and Debian's mosquitto_pub and mosquitto_sub where they are installed. */
import { spawn, spawnSync } from 'node:child_process';
import { type EventEmitter, once } from 'node:events';
import { connect, connectAsync, type MqttClient } from 'mqtt';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createBroker, type SluiceBroker } from '../../src/index.ts';
import { unique } from '../support/wire-client.ts';

let broker: SluiceBroker;
beforeAll(async () => {
  broker = await createBroker({
    config: {
      listeners: [
        { kind: 'tcp', port: 0 },
        { kind: 'ws', port: 0 },
      ],
      store: { kind: 'memory' },
      log: { level: 'silent' },
    },
  });
});
afterAll(() => broker.close());

const urlOf = (kind: 'tcp' | 'ws') => broker.listeners.find((listener) => listener.kind === kind)!.url;
const port = () => String(broker.listeners[0]!.port);

async function nextMessage(client: MqttClient): Promise<[topic: string, payload: string]> {
  const [topic, payload] = (await once(client as unknown as EventEmitter, 'message')) as [string, Buffer];
  return [topic, payload.toString()];
}

describe('MQTT.js', () => {
  for (const kind of ['tcp', 'ws'] as const) {
    for (const protocolVersion of [4, 5] as const) {
      test(`version ${protocolVersion} over ${kind}: every QoS, retained messages, an absent session`, async () => {
        const topic = unique('js');
        const clientId = unique('js');
        const properties = protocolVersion === 5 ? { properties: { sessionExpiryInterval: 100 } } : {};
        const options = { protocolVersion, clientId, clean: false, reconnectPeriod: 0, ...properties };
        const client = await connectAsync(urlOf(kind), options);
        await client.subscribeAsync(`${topic}/#`, { qos: 2 });
        for (const qos of [0, 1, 2] as const) {
          const message = nextMessage(client);
          await client.publishAsync(`${topic}/${qos}`, `QoS ${qos}`, { qos });
          expect(await message).toEqual([`${topic}/${qos}`, `QoS ${qos}`]);
        }
        await client.endAsync();

        const other = await connectAsync(urlOf(kind), { protocolVersion });
        await other.publishAsync(`${topic}/away`, 'while you were away', { qos: 1, retain: true });
        // What waited comes right behind CONNACK, so the listener is there before.
        const again = connect(urlOf(kind), options);
        expect(await nextMessage(again)).toEqual([`${topic}/away`, 'while you were away']);
        await again.endAsync();
        await other.endAsync();
      });
    }
  }
});

const hasMosquitto = spawnSync('mosquitto_pub', ['--help']).error === undefined;

describe.runIf(hasMosquitto)('mosquitto_pub and mosquitto_sub', () => {
  /** Its output once it has ended; resolves to a function when it has subscribed. */
  async function subscriber(args: readonly string[], clientId: string): Promise<() => Promise<string>> {
    const subscribed = new Promise<void>((resolve) => {
      const onSubscribed = (client: { clientId: string }) => {
        if (client.clientId !== clientId) return;
        broker.events.off('subscribed', onSubscribed);
        resolve();
      };
      broker.events.on('subscribed', onSubscribed);
    });
    const child = spawn('mosquitto_sub', ['-h', '127.0.0.1', '-p', port(), '-i', clientId, ...args]);
    let output = '';
    child.stdout.on('data', (bytes: Buffer) => {
      output += bytes;
    });
    const ended = once(child, 'close');
    await subscribed;
    return async () => {
      await ended;
      return output;
    };
  }

  for (const version of ['31', '311', '5']) {
    const publish = async (...args: string[]) => {
      const child = spawn('mosquitto_pub', ['-h', '127.0.0.1', '-p', port(), '-V', version, ...args]);
      const [code] = await once(child, 'close');
      expect(code).toBe(0);
    };

    test(`version ${version}: every QoS arrives`, async () => {
      const topic = unique('mosquitto');
      const output = await subscriber(['-V', version, '-t', `${topic}/#`, '-q', '2', '-C', '3', '-v'], unique('sub'));
      for (const qos of ['0', '1', '2']) await publish('-t', `${topic}/${qos}`, '-m', `QoS ${qos}`, '-q', qos);
      expect((await output()).trim().split('\n')).toEqual([0, 1, 2].map((qos) => `${topic}/${qos} QoS ${qos}`));
    });

    test(`version ${version}: a retained message, and the will of who asks for it`, async () => {
      const topic = unique('mosquitto');
      await publish('-t', `${topic}/kept`, '-m', 'kept', '-r', '-q', '1');
      const output = await subscriber(['-V', version, '-t', `${topic}/#`, '-C', '2', '-v'], unique('sub'));
      const leaves = await subscriber(
        ['-V', version, '-t', `${topic}/never`, '--will-topic', `${topic}/will`, '--will-payload', 'gone', '-W', '1'],
        unique('leaves'),
      );
      // -W leaves in good order: before 5.0 without its will, in 5.0 with reason code 0x04, which publishes it.
      await leaves();
      await publish('-t', `${topic}/last`, '-m', 'last');
      expect((await output()).trim().split('\n')).toEqual([
        `${topic}/kept kept`,
        version === '5' ? `${topic}/will gone` : `${topic}/last last`,
      ]);
    });
  }
});
