/** `sluice sub`: prints messages as they come. */
import type { MqttClient } from 'mqtt';
import {
  clientHelp,
  clientOptions,
  connected,
  disconnect,
  explain,
  openClient,
  qosOf,
  type Target,
  targetOf,
  topicsOf,
} from './client.ts';
import type { Io } from './io.ts';
import { CommandError, noPositionals, readOptions, wholeNumber } from './usage.ts';

const help = `sluice sub -t FILTER [-t FILTER …] [options]

  -t FILTER  what to subscribe to           -v         print the topic before each message
  -C N       end after N messages           -c         keep the session (wants -i)
  -W SECONDS end after so long, with exit code 27 as mosquitto_sub
${clientHelp}`;

const reconnectMs = 1_000;
const sessionTakenOver = 0x8e;

export async function sub(argv: readonly string[], io: Io): Promise<void> {
  const { values, positionals } = readOptions('sub', argv, {
    ...clientOptions,
    verbose: { type: 'boolean', short: 'v' },
    'disable-clean-session': { type: 'boolean', short: 'c' },
    count: { type: 'string', short: 'C' },
    timeout: { type: 'string', short: 'W' },
  });
  if (values.help) return void io.stdout.write(help);
  noPositionals('sub', positionals);
  const topics = topicsOf(values, 'sub');
  const qos = qosOf(values);
  const isKept = values['disable-clean-session'] === true;
  if (isKept && values.id === undefined) {
    throw new CommandError('-c keeps the session of a client: name it with -i ID', 2);
  }
  const count = values.count === undefined ? Number.POSITIVE_INFINITY : wholeNumber('-C', values.count, 1, 2 ** 31);
  const seconds = values.timeout === undefined ? null : wholeNumber('-W', values.timeout, 1, 2_000_000);
  const target = targetOf(values);
  const client = openClient(target, {
    clean: !isKept,
    // MQTT.js forgets all filters of a SUBSCRIBE if one was refused: `keepConnected` does it.
    resubscribe: false,
    ...(isKept && target.protocolVersion === 5 ? { properties: { sessionExpiryInterval: 0xffffffff } } : {}),
  });
  let off = () => {};
  const asked = new Promise<void>((resolve) => {
    off = io.onSignal(resolve);
    io.stdout.once('error', () => resolve()); // `sluice sub … | head`
    // Before the connection stands: a kept session's messages follow its CONNACK at once.
    print(client, io, { count, withTopic: values.verbose === true, done: resolve });
  });
  const failed = connected(client, target).then(async () => {
    const subscribed = () => subscribe(client, topics, qos, io);
    const lost = keepConnected(client, target, subscribed, io);
    await Promise.race([subscribed(), lost]);
    return lost;
  });
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    if (seconds === null) return;
    timer = setTimeout(() => reject(new CommandError(`Ended after ${seconds} s (-W)`, 27)), seconds * 1_000);
  });
  try {
    await Promise.race([asked, failed, late]);
  } finally {
    off();
    clearTimeout(timer);
    // What fails from here on fails because it ends.
    failed.catch(() => {});
    await disconnect(client);
  }
}

/** A message is acknowledged once it is printed, and beyond `count` not at all: it stays in the session. */
function print(client: MqttClient, io: Io, how: { count: number; withTopic: boolean; done: () => void }): void {
  let left = how.count;
  const newline = Buffer.from('\n');
  client.handleMessage = ({ topic, payload, qos }, printed) => {
    if (left === 0) return qos === 0 ? printed() : undefined;
    left--;
    const words = how.withTopic ? Buffer.from(`${topic} `) : Buffer.alloc(0);
    // Waits for a slow reader, and with it the broker.
    io.stdout.write(Buffer.concat([words, Buffer.from(payload), newline]), () => {
      printed();
      if (left === 0) how.done();
    });
  };
}

/** Reconnects from now on, saying so, and subscribes again. Rejects when that is of no use. */
function keepConnected(
  client: MqttClient,
  target: Target,
  subscribeAgain: () => Promise<void>,
  io: Io,
): Promise<never> {
  const { name } = target;
  client.options.reconnectPeriod = reconnectMs;
  return new Promise((_, reject) => {
    client.on('disconnect', ({ reasonCode }) => {
      if (reasonCode !== sessionTakenOver) return;
      // The two would take the session from each other for ever.
      reject(new CommandError('Another client connected with the same identifier; give -i another one'));
    });
    client.on('close', () => {
      if (!client.disconnecting) io.stderr.write(`Lost the connection to ${name}; trying again\n`);
    });
    client.on('connect', () => {
      io.stderr.write(`Connected to ${name} again\n`);
      subscribeAgain().catch(reject);
    });
    client.on('error', (error: Error & { code?: unknown }) => {
      // A number is the broker's own refusal; anything else may pass.
      if (typeof error.code !== 'number') return;
      reject(new CommandError(`Cannot connect to ${name} again: ${explain(error as Error, target)}`));
    });
  });
}

/**
 * Rejects if nothing was granted. A connection lost meanwhile is no failure: it is subscribed again on the next one.
 */
function subscribe(client: MqttClient, topics: string[], qos: 0 | 1 | 2, io: Io): Promise<void> {
  return new Promise((resolve, reject) => {
    client.subscribe(topics, { qos }, (error, _, suback) => {
      const granted = (suback?.granted ?? []).map(Number);
      const refused = topics.filter((_topic, index) => (granted[index] ?? 0) >= 0x80);
      for (const topic of refused) io.stderr.write(`The broker refused ${topic}\n`);
      if (refused.length === topics.length) reject(new CommandError('Nothing was subscribed'));
      else if (error !== null && suback === undefined && client.connected) {
        reject(new CommandError(`Nothing was subscribed: ${error.message}`));
      } else resolve();
    });
  });
}
