/** `sluice quarantine`: messages that a pipeline could not handle, of a running broker. */
import type { Quarantined } from '../contracts/commands/quarantine.ts';
import { type Io, isPrintable } from './io.ts';
import { callBroker, type RunningBroker, runningBroker, runningHelp, runningOptions } from './running.ts';
import { CommandError, readOptions } from './usage.ts';

const help = `sluice quarantine list                what a pipeline could not handle, oldest first
sluice quarantine show NUMBER         one message, with its payload
sluice quarantine replay NUMBER… | all   send them through the pipelines as they are now, in order
sluice quarantine drop NUMBER… | all     forget them

${runningHelp}  --json            a line of JSON per message, for list and show
`;

const options = {
  ...runningOptions,
  json: { type: 'boolean' },
  help: { type: 'boolean' },
} as const;

export async function quarantine(argv: readonly string[], io: Io): Promise<void> {
  const { values, positionals } = readOptions('quarantine', argv, options);
  if (values.help) return void io.stdout.write(help);
  const [action, ...numbers] = positionals;
  const broker = runningBroker(values, io);
  const isJson = values.json ?? false;
  switch (action) {
    case 'list':
      if (numbers.length === 0) return list(broker, isJson, io);
      break;
    case 'show':
      if (numbers.length === 1) return show(broker, numbers[0]!, isJson, io);
      break;
    case 'replay':
    case 'drop':
      if (numbers.length > 0) return change(action, broker, numbers, io);
  }
  throw new CommandError('Use: sluice quarantine list, show, replay or drop; see sluice quarantine --help', 2);
}

async function list(broker: RunningBroker, isJson: boolean, { stdout }: Io): Promise<void> {
  let shown = 0;
  for (let after = 0; ; ) {
    const { entries, count } = await callBroker(broker, 'quarantine list', { after });
    for (const entry of entries) stdout.write(isJson ? `${JSON.stringify(entry)}\n` : `${entryLine(entry)}\n`);
    shown += entries.length;
    if (entries.length === 0 || shown >= count) break;
    after = entries.at(-1)!.id;
  }
  if (shown === 0 && !isJson) stdout.write('The quarantine is empty\n');
}

function entryLine({ id, time, topic, bytes, pipeline, stage, reason, clientId }: Quarantined): string {
  const from = clientId === null ? '' : `, from ${JSON.stringify(clientId)}`;
  return `${id}  ${new Date(time).toISOString()}  ${topic}  ${bytes} bytes${from}\n    ${pipeline}, stage ${stage}: ${reason}`;
}

async function show(broker: RunningBroker, number: string, isJson: boolean, { stdout }: Io): Promise<void> {
  const shown = await callBroker(broker, 'quarantine show', { id: numberOf(number) });
  if (isJson) return void stdout.write(`${JSON.stringify(shown)}\n`);
  const { payload, username, version, qos, retain, contentType, userProperties } = shown;
  const bytes = Buffer.from(payload, 'base64');
  stdout.write(`${entryLine(shown)}\n`);
  stdout.write(`    pipeline version ${version}, QoS ${qos}${retain ? ', retained' : ''}\n`);
  if (username !== null) stdout.write(`    user ${JSON.stringify(username)}\n`);
  if (contentType !== undefined) stdout.write(`    content type ${contentType}\n`);
  for (const [name, value] of userProperties) stdout.write(`    ${JSON.stringify(name)}: ${JSON.stringify(value)}\n`);
  stdout.write(`${bytes.toString(isPrintable(bytes) ? 'utf8' : 'hex')}\n`);
}

async function change(
  action: 'replay' | 'drop',
  broker: RunningBroker,
  numbers: readonly string[],
  { stdout }: Io,
): Promise<void> {
  const ids = numbers.length === 1 && numbers[0] === 'all' ? 'all' : numbers.map(numberOf);
  if (action === 'drop') {
    const { count } = await callBroker(broker, 'quarantine drop', { ids });
    return void stdout.write(`${count} dropped\n`);
  }
  const { published, dropped, rejected, quarantined } = await callBroker(broker, 'quarantine replay', { ids });
  stdout.write(
    `${published} published, ${dropped} dropped, ${rejected} rejected, ${quarantined} in quarantine again\n`,
  );
}

function numberOf(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new CommandError(`"${text}" is not the number of a message`, 2);
  return Number(text);
}
