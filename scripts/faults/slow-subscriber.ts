/**
 * A subscriber that stops reading and one that reads 10 kB a second, among 1,000 healthy ones. They subscribe to all
 * that flows, and to 3 MB a second besides.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { connectAsync } from 'mqtt';
import { LoadClient, packet } from '../bench/load/client.ts';
import type { Scene } from './scene.ts';

const healthy = (seconds: number) => `fanout -a 1 -b 1000 -r 5 -q 1 -u 1 -d ${seconds}`;
const seconds = 20;

export async function slowSubscriber(scene: Scene): Promise<void> {
  await scene.start();
  const flood = await startFlood(scene.url);
  const before = await scene.traffic('1,000 subscribers beside the flood', healthy(10));
  const [stopped, slow] = [await subscribed(scene.url, 'stopped'), await subscribed(scene.url, 'slow')];
  const sip = setInterval(() => slow.read(10_000), 1_000);
  const during = await scene.traffic('with a stopped and a slow one that want the flood', healthy(seconds));
  flood.stop();
  clearInterval(sip);
  const dropped = await droppedOf(scene.url);
  scene.fact(`sent besides: ${flood.sent()} messages of 16 kB; dropped, by reason: ${dropped || 'none'}`);
  scene.must(dropped !== '', 'nothing was dropped for those that do not read, so they were not slow');
  const ratio = during.lat_us.p99 / before.lat_us.p99;
  scene.fact(`p99 of the healthy: ${ratio.toFixed(1)} times that without`);
  for (const socket of [stopped, slow]) socket.destroy();
  await scene.traffic('when they are gone', healthy(5));
}

/** Subscribes to everything with QoS 1, and reads nothing by itself. */
async function subscribed(url: string, clientId: string): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.on('error', () => {});
  await once(socket, 'connect');
  const text = (value: string) => Buffer.concat([Buffer.of(0, value.length), Buffer.from(value)]);
  socket.write(packet(0x10, Buffer.concat([text('MQTT'), Buffer.of(4, 2, 0, 0), text(clientId)])));
  socket.write(packet(0x82, Buffer.concat([Buffer.of(0, 1), text('#'), Buffer.of(1)])));
  socket.on('readable', () => {});
  await once(socket, 'readable');
  return socket;
}

async function startFlood(url: string): Promise<{ stop(): void; sent(): number }> {
  const client = await LoadClient.connect({ url: new URL(url), version: 4, clientId: 'flood' });
  const topic = Buffer.concat([Buffer.of(0, 5), Buffer.from('flood')]);
  const message = packet(0x30, Buffer.concat([topic, Buffer.alloc(16_384)]));
  let sent = 0;
  const timer = setInterval(() => {
    for (let i = 0; i < 20; i++) client.write(message);
    sent += 20;
  }, 100);
  return {
    stop() {
      clearInterval(timer);
      client.close();
    },
    sent: () => sent,
  };
}

/** From $SYS, which is published every ten seconds. */
async function droppedOf(url: string): Promise<string> {
  await delay(11_000);
  const client = await connectAsync(url);
  const counts = new Map<string, string>();
  client.on('message', (topic, payload) => counts.set(topic.split('/').at(-1)!, payload.toString()));
  await client.subscribeAsync('$SYS/broker/publish/messages/dropped/+');
  await delay(500);
  await client.endAsync();
  return [...counts]
    .filter(([, count]) => count !== '0')
    .map(([reason, count]) => `${reason} ${count}`)
    .join(', ');
}
