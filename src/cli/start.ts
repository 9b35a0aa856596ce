/** `sluice start`: runs the broker until a signal ends it. */
import { startApp } from '../app.ts';
import { version } from '../broker/version.ts';
import { assertSafeToListen } from '../config/anonymous.ts';
import { loadConfig, parseConfig } from '../config/load.ts';
import type { Config, ConfigInput } from '../config/schema.ts';
import { CommandError, noPositionals, readOptions, wholeNumber } from './usage.ts';

const help = `sluice start [options]

  --config FILE        the configuration (YAML); see sluice config example
  --host HOST          address of all listeners, instead of the configured one
  --port N             port of the TCP listener (1883; 0: any that is free)
  --ws-port N          port of the WebSocket listener (8083; 0: any that is free)
  --data-dir DIR       where sessions, queues and retained messages are kept (./data)
  --memory             keep everything in memory only: a restart forgets it
  --accept-loss        start although a part of what was acknowledged is lost
  --allow-anonymous    let anybody connect, also from other machines
  --log-level LEVEL    trace, debug, info, warn, error or silent (info)

Without --config it listens on mqtt://127.0.0.1:1883 and ws://127.0.0.1:8083/mqtt.
Environment variables (SLUICE_LIMITS_PACKET_BYTES=…) come over the file, options over both.
`;

const closeTimeoutMs = 5_000;

export async function start(argv: readonly string[]): Promise<void> {
  const { values, positionals } = readOptions('start', argv, {
    config: { type: 'string' },
    host: { type: 'string' },
    port: { type: 'string' },
    'ws-port': { type: 'string' },
    'data-dir': { type: 'string' },
    memory: { type: 'boolean' },
    'accept-loss': { type: 'boolean' },
    'allow-anonymous': { type: 'boolean' },
    'log-level': { type: 'string' },
    help: { type: 'boolean' },
  });
  if (values.help) return void process.stdout.write(help);
  noPositionals('start', positionals);
  if (values.memory && values['data-dir'] !== undefined) {
    throw new CommandError('--memory keeps nothing on disk, and --data-dir says where on disk: give one of them', 2);
  }
  const config = withOptions(loadConfig(values.config ?? null, process.env), values);
  assertSafeToListen(config);

  let app: Awaited<ReturnType<typeof startApp>>;
  try {
    app = await startApp(config, { acceptLoss: values['accept-loss'] ?? false });
  } catch (error) {
    throw new CommandError((error as Error).message, 1);
  }
  process.stdout.write(`Sluice ${version}, process ${process.pid}\n`);
  for (const { url } of app.listeners) process.stdout.write(`listening on ${url}\n`);
  await untilSignal(() => app.close());
}

function withOptions(config: Config, values: Record<string, string | boolean | undefined>): Config {
  const changed = structuredClone(config) as ConfigInput & Config;
  const host = values.host as string | undefined;
  for (const listener of changed.listeners) {
    if (host !== undefined) listener.host = host;
    if (values.port !== undefined && listener.kind === 'tcp') listener.port = portOf('--port', values.port);
    if (values['ws-port'] !== undefined && listener.kind === 'ws')
      listener.port = portOf('--ws-port', values['ws-port']);
  }
  const directory = values['data-dir'] as string | undefined;
  if (values.memory === true) changed.store = { kind: 'memory' };
  else if (directory !== undefined && changed.store.kind === 'level') changed.store.directory = directory;
  else if (directory !== undefined) changed.store = { kind: 'level', directory } as Config['store'];
  if (values['allow-anonymous'] === true) changed.allowAnonymous = true;
  if (values['log-level'] !== undefined) changed.log.level = values['log-level'] as Config['log']['level'];
  return parseConfig(changed);
}

const portOf = (name: string, text: string | boolean) => wholeNumber(name, String(text), 0, 65_535);

/** The first signal closes in good order within five seconds; the second ends at once. */
function untilSignal(close: () => Promise<void>): Promise<void> {
  return new Promise((resolve) => {
    let isClosing = false;
    const onSignal = () => {
      if (isClosing) process.exit(1);
      isClosing = true;
      setTimeout(() => {
        process.stderr.write('Clients did not let go within 5 s; ending anyway\n');
        process.exit(0);
      }, closeTimeoutMs - 500).unref();
      close().then(resolve, (error) => {
        process.stderr.write(`Closing failed: ${(error as Error).message}\n`);
        process.exit(1);
      });
    };
    process.on('SIGTERM', onSignal);
    process.on('SIGINT', onSignal);
  });
}
