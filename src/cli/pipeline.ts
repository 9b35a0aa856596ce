/** `sluice pipeline test`: one message through the pipelines of a configuration, stage by stage. */

import { inspect } from 'node:util';
import { plural } from '../base/plural.ts';
import { readConfig } from '../config/load.ts';
import type { PublishedMessage } from '../contracts/hooks.ts';
import { type TestBench, testBench } from '../pipelines.ts';
import { type Io, isPrintable } from './io.ts';
import { CommandError, readFile, readOptions, wholeNumber } from './usage.ts';

const help = `sluice pipeline test --config FILE --topic TOPIC [options]

  --payload TEXT          the payload; --payload-hex DIGITS, or --payload-file FILE
  --content-type TYPE     as a v5 publisher would send it
  --property NAME=VALUE   a user property; more than once for more
  --qos N --retain        0; not retained
  --client-id ID --username NAME --group NAME    of the publisher; more than one --group for more
  --for ID                what a subscriber with this client id gets (--for-username NAME, --accept TYPE)

Shows what each stage gets and gives, and how long it takes; the rules are asked about what comes of it. Nothing is published. Exit code 1 if the message is rejected.
`;

const options = {
  config: { type: 'string' },
  topic: { type: 'string' },
  payload: { type: 'string' },
  'payload-hex': { type: 'string' },
  'payload-file': { type: 'string' },
  'content-type': { type: 'string' },
  property: { type: 'string', multiple: true },
  qos: { type: 'string', default: '0' },
  retain: { type: 'boolean' },
  'client-id': { type: 'string', default: 'test' },
  username: { type: 'string' },
  group: { type: 'string', multiple: true },
  for: { type: 'string' },
  'for-username': { type: 'string' },
  accept: { type: 'string' },
  help: { type: 'boolean' },
} as const;

export async function pipeline(argv: readonly string[], io: Io): Promise<void> {
  const { values, positionals } = readOptions('pipeline', argv, options);
  if (values.help) return void io.stdout.write(help);
  const { config: file, topic } = values;
  if (positionals.length !== 1 || positionals[0] !== 'test' || file === undefined || topic === undefined) {
    throw new CommandError('Use: sluice pipeline test --config FILE --topic TOPIC; see sluice pipeline --help', 2);
  }
  const message: PublishedMessage = {
    topic,
    payload: payloadOf(values),
    qos: wholeNumber('--qos', values.qos, 0, 2) as 0 | 1 | 2,
    retain: values.retain ?? false,
    contentType: values['content-type'],
    responseTopic: undefined,
    correlationData: undefined,
    payloadFormatIndicator: undefined,
    messageExpiryInterval: undefined,
    userProperties: (values.property ?? []).map(pairOf),
  };
  const wantsDelivery = [values.for, values['for-username'], values.accept].some((each) => each !== undefined);
  const subscriber = {
    clientId: values.for ?? 'test',
    username: values['for-username'] ?? null,
    listener: 'mqtt://127.0.0.1:1883',
    accept: values.accept ?? null,
  };
  const bench = await testBench(readConfig(file, {}));
  try {
    await show(bench, message, values, wantsDelivery ? subscriber : null, io);
  } finally {
    await bench.close();
  }
}

async function show(
  bench: TestBench,
  message: PublishedMessage,
  values: { readonly 'client-id': string; readonly username?: string; readonly group?: readonly string[] },
  subscriber: Parameters<TestBench['tryOut']>[0]['subscriber'],
  { stdout }: Io,
): Promise<void> {
  const client = { clientId: values['client-id'], username: values.username ?? null, groups: values.group ?? [] };
  stdout.write(`${shown(message)}\n`);
  const result = await bench.tryOut(
    { message, before: [], client, subscriber },
    ({ pipeline: name, stage, outcome, microseconds }) => {
      stdout.write(`\n${name}, stage ${stage}  (${microseconds.toFixed(0)} µs)\n`);
      if (outcome instanceof Error) return void stdout.write(`  failed: ${outcome.message}\n`);
      if (outcome.length === 0) stdout.write('  goes no further\n');
      for (const { message: made, value } of outcome) {
        if (made !== null) stdout.write(`${indented(shown(made))}\n`);
        // Binary formats say little to the eye.
        if (value === undefined || (made !== null && isPrintable(made.payload))) continue;
        stdout.write(`${indented(inspect(value, { depth: 10, compact: true, breakLength: 110 }))}\n`);
      }
    },
  );
  stdout.write('\n');
  if (result.outcome === 'rejected') throw new CommandError(`rejected: ${result.reason}`);
  if (result.outcome !== 'published') return void stdout.write(`${result.outcome}\n`);
  stdout.write(`${result.messages.length === 1 ? 'published' : `${result.messages.length} messages published`}\n`);
  for (const each of result.messages) stdout.write(`${shown(each)}\n`);
}

/** A message on two lines: topic and properties, payload. */
function shown({ topic, payload, qos, retain, contentType, userProperties }: PublishedMessage): string {
  const properties = userProperties.map(([name, value]) => `  ${JSON.stringify(name)}: ${JSON.stringify(value)}`);
  const about = [`QoS ${qos}`, ...(retain ? ['retained'] : []), ...(contentType === undefined ? [] : [contentType])];
  return [`${topic}  (${about.join(', ')}, ${plural(payload.length, 'byte')})`, ...properties, printable(payload)].join(
    '\n',
  );
}

const shownBytesMax = 2_000;

const indented = (text: string) => text.replaceAll(/^/gm, '  ');

function printable(payload: Buffer): string {
  const all = isPrintable(payload) ? payload.toString() : payload.toString('hex').replaceAll(/(..)(?=.)/g, '$1 ');
  return all.length <= shownBytesMax ? all : `${all.slice(0, shownBytesMax)} …`;
}

function payloadOf(values: Record<string, unknown>): Buffer {
  const { payload, 'payload-hex': hex, 'payload-file': file } = values as Record<string, string | undefined>;
  if ([payload, hex, file].filter((each) => each !== undefined).length > 1) {
    throw new CommandError('Give one of --payload, --payload-hex and --payload-file', 2);
  }
  if (hex !== undefined) {
    const digits = hex.replaceAll(/\s/g, '');
    if (!/^([0-9a-f]{2})*$/i.test(digits)) throw new CommandError('--payload-hex wants hexadecimal digits', 2);
    return Buffer.from(digits, 'hex');
  }
  return file === undefined ? Buffer.from(payload ?? '') : readFile('--payload-file', file);
}

function pairOf(text: string): [string, string] {
  const at = text.indexOf('=');
  if (at < 1) throw new CommandError(`--property wants NAME=VALUE, not "${text}"`, 2);
  return [text.slice(0, at), text.slice(at + 1)];
}
