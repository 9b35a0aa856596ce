/** `sluice pub`: publishes one message, or one per line of standard input. */
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { clientHelp, clientOptions, connectClient, qosOf, topicsOf } from './client.ts';
import { CommandError, noPositionals, readOptions } from './usage.ts';

const help = `sluice pub -t TOPIC (-m TEXT | -f FILE | -l | -s | -n) [options]

  -t TOPIC   where to                       -r         retain it
  -m TEXT    the message                    -f FILE    a file as the message
  -l         a message per line of standard input
  -s         all of standard input as one message
  -n         an empty message (with -r: removes the retained one)
${clientHelp}`;

const sources = ['message', 'file', 'stdin-line', 'stdin-file', 'null-message'] as const;

export async function pub(argv: readonly string[]): Promise<void> {
  const { values, positionals } = readOptions('pub', argv, {
    ...clientOptions,
    message: { type: 'string', short: 'm' },
    file: { type: 'string', short: 'f' },
    'stdin-line': { type: 'boolean', short: 'l' },
    'stdin-file': { type: 'boolean', short: 's' },
    'null-message': { type: 'boolean', short: 'n' },
    retain: { type: 'boolean', short: 'r' },
  });
  if (values.help) return void process.stdout.write(help);
  noPositionals('pub', positionals);
  const topics = topicsOf(values, 'pub');
  if (sources.filter((name) => values[name] !== undefined).length !== 1) {
    throw new CommandError('Give one of -m TEXT, -f FILE, -l, -s and -n; see sluice pub --help', 2);
  }
  const messages = messagesOf(values);
  const first = await messages.next();
  const options = { qos: qosOf(values), retain: values.retain ?? false };
  const client = await connectClient(values);
  try {
    for (let each = first; !each.done; each = await messages.next()) {
      for (const topic of topics) await client.publishAsync(topic, each.value, options);
    }
  } catch (error) {
    throw new CommandError(`The message was not published: ${(error as Error).message}`);
  } finally {
    await client.endAsync();
  }
}

async function* messagesOf(values: {
  message?: string;
  file?: string;
  'stdin-line'?: boolean;
  'stdin-file'?: boolean;
}) {
  if (values.message !== undefined) yield values.message;
  else if (values.file !== undefined) yield readPayload(values.file);
  else if (values['stdin-file']) yield await text(process.stdin);
  else if (values['stdin-line']) yield* createInterface({ input: process.stdin });
  else yield '';
}

function readPayload(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new CommandError(`Cannot read ${file}: ${(error as Error).message}`);
  }
}
