/** `sluice sub`: prints messages as they come. */
import { clientHelp, clientOptions, connectClient, qosOf, topicsOf } from './client.ts';
import { CommandError, noPositionals, readOptions, wholeNumber } from './usage.ts';

const help = `sluice sub -t FILTER [-t FILTER …] [options]

  -t FILTER  what to subscribe to           -v         print the topic before each message
  -C N       end after N messages           -c         keep the session (wants -i)
${clientHelp}`;

export async function sub(argv: readonly string[]): Promise<void> {
  const { values, positionals } = readOptions('sub', argv, {
    ...clientOptions,
    verbose: { type: 'boolean', short: 'v' },
    'disable-clean-session': { type: 'boolean', short: 'c' },
    count: { type: 'string', short: 'C' },
  });
  if (values.help) return void process.stdout.write(help);
  noPositionals('sub', positionals);
  const topics = topicsOf(values, 'sub');
  const qos = qosOf(values);
  const isKept = values['disable-clean-session'] === true;
  if (isKept && values.id === undefined)
    throw new CommandError('-c keeps the session of a client: name it with -i ID', 2);
  let left = values.count === undefined ? Number.POSITIVE_INFINITY : wholeNumber('-C', values.count, 1, 2 ** 31);
  const isV5 = values['protocol-version'].includes('5');
  const client = await connectClient(values, {
    clean: !isKept,
    reconnectPeriod: 0,
    ...(isKept && isV5 ? { properties: { sessionExpiryInterval: 0xffffffff } } : {}),
  });
  await new Promise<void>((resolve, reject) => {
    let isEnding = false;
    const end = () => {
      isEnding = true;
      client.end(false, {}, () => resolve());
    };
    client.on('message', (topic, payload) => {
      if (left <= 0) return;
      if (values.verbose) process.stdout.write(`${topic} `);
      process.stdout.write(payload);
      process.stdout.write('\n');
      if (--left === 0) end();
    });
    client.on('error', (error) => reject(new CommandError(error.message)));
    client.on('close', () => isEnding || reject(new CommandError('The broker closed the connection')));
    process.stdout.on('error', end); // `sluice sub … | head`
    process.on('SIGINT', end);
    process.on('SIGTERM', end);
    client.subscribe(topics, { qos }, (error, granted) => {
      const refused = (granted ?? []).filter((each) => each.qos >= 0x80).map((each) => each.topic);
      for (const topic of refused) process.stderr.write(`The broker refused ${topic}\n`);
      if (error) reject(new CommandError(`Not subscribed: ${error.message}`));
      else if (refused.length === topics.length) reject(new CommandError('Nothing was subscribed'));
    });
  }).finally(() => client.end(true));
}
