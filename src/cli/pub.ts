/** `sluice pub`: publishes one message, or one per line of standard input. */
import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type { MqttClient } from 'mqtt';
import { clientHelp, clientOptions, connected, disconnect, openClient, qosOf, targetOf, topicsOf } from './client.ts';
import type { Io } from './io.ts';
import { CommandError, noPositionals, readFile, readOptions } from './usage.ts';

const help = `sluice pub -t TOPIC (-m TEXT | -f FILE | -l | -s | -n) [options]

  -t TOPIC   where to                       -r         retain it
  -m TEXT    the message                    -f FILE    a file as the message
  -l         a message per line of standard input
  -s         all of standard input as one message
  -n         an empty message (with -r: removes the retained one)
${clientHelp}`;

const sources = ['message', 'file', 'stdin-line', 'stdin-file', 'null-message'] as const;

type SourceValues = Partial<Record<'message' | 'file', string> & Record<'stdin-line' | 'stdin-file', boolean>>;

export async function pub(argv: readonly string[], io: Io): Promise<void> {
  const { values, positionals } = readOptions('pub', argv, {
    ...clientOptions,
    message: { type: 'string', short: 'm' },
    file: { type: 'string', short: 'f' },
    'stdin-line': { type: 'boolean', short: 'l' },
    'stdin-file': { type: 'boolean', short: 's' },
    'null-message': { type: 'boolean', short: 'n' },
    retain: { type: 'boolean', short: 'r' },
  });
  if (values.help) return void io.stdout.write(help);
  noPositionals('pub', positionals);
  const topics = topicsOf(values, 'pub');
  const wild = topics.find((topic) => topic === '' || /[+#]/.test(topic));
  if (wild !== undefined) throw new CommandError(`-t wants a topic without + and #, not "${wild}"`, 2);
  if (sources.filter((name) => values[name] !== undefined).length !== 1) {
    throw new CommandError('Give one of -m TEXT, -f FILE, -l, -s and -n; see sluice pub --help', 2);
  }
  const options = { qos: qosOf(values), retain: values.retain ?? false };
  const target = targetOf(values);
  const messages = messagesOf(values, io);
  // Before connecting, so that a file that cannot be read costs nobody a connection.
  let message = await messages.next();
  const client = openClient(target);
  try {
    await connected(client, target);
    const lost = whenLost(client);
    for (; !message.done; message = await Promise.race([messages.next(), lost])) {
      for (const topic of topics) {
        await Promise.race([client.publishAsync(topic, message.value, options).catch(refused), lost]);
      }
    }
    await disconnect(client);
  } finally {
    client.end(true);
    // What waits for a line would keep the process alive.
    if (values['stdin-line']) io.stdin.destroy();
  }
}

function refused(error: Error): never {
  throw new CommandError(`The broker did not take the message: ${error.message}`);
}

/** Rejects when the connection is gone: MQTT.js keeps what it could not send, without a word. */
function whenLost(client: MqttClient): Promise<never> {
  const lost = new Promise<never>((_, reject) => {
    let reason = '';
    client.once('disconnect', ({ reasonCode = 0, properties }) => {
      const words = properties?.reasonString === undefined ? '' : `, ${properties.reasonString}`;
      reason = ` (reason code 0x${reasonCode.toString(16)}${words})`;
    });
    client.once('close', () => reject(new CommandError(`Not published: the broker closed the connection${reason}`)));
  });
  // Without a message under way nobody listens, and a connection closed in the end is no failure.
  lost.catch(() => {});
  return lost;
}

async function* messagesOf(values: SourceValues, io: Io): AsyncGenerator<string | Buffer, void> {
  if (values.message !== undefined) yield values.message;
  else if (values.file !== undefined) yield readFile('-f', values.file);
  else if (values['stdin-file']) yield await buffer(io.stdin);
  else if (values['stdin-line']) yield* linesOf(io.stdin);
  else yield '';
}

/** Lines as bytes, since a payload need not be text. */
async function* linesOf(input: Readable): AsyncGenerator<Buffer, void> {
  let rest: Buffer[] = [];
  for await (const chunk of input as AsyncIterable<Buffer>) {
    let start = 0;
    for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, start)) {
      yield Buffer.concat([...rest, chunk.subarray(start, end)]);
      rest = [];
      start = end + 1;
    }
    if (start < chunk.length) rest.push(chunk.subarray(start));
  }
  if (rest.length > 0) yield Buffer.concat(rest);
}
