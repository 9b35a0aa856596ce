/**
 * `npm run check:api`: schemathesis asks a running broker whatever its OpenAPI document allows and forbids, single
 * requests and then chains of them. Explained in docs/internals/testing.md.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type MqttClient } from 'mqtt';
import { apiAddress, apiKey, sluice } from './api-of-broker.ts';
import { startBroker } from './bench/brokers.ts';
import { endsWithUs } from './child-processes.ts';
import { fail, readOptions, wholeNumber } from './command-line.ts';
import { projectRoot } from './project-root.ts';

const help = `npm run check:api -- [options] [-- options of schemathesis]   ends with 1 if an answer is wrong

  --seconds N      how long, in all (600)
  --program FILE   schemathesis (the one in PATH; pip install schemathesis)
`;
const { values, positionals } = readOptions(
  help,
  { seconds: { type: 'string', default: '600' }, program: { type: 'string', default: 'schemathesis' } },
  true,
);
const seconds = wholeNumber('seconds', values.seconds, 20);
const { program } = values;
if (spawnSync(program, ['--version']).error !== undefined) fail(`${program} cannot be run: pip install schemathesis`);

/** Would write into made-up directories, delete the key that asks, or do what is left out here. Streams do not end. */
const leftOut = [
  ...['backup', 'keysDelete', 'commandsGive'].flatMap((id) => ['--exclude-operation-id', id]),
  ...['--exclude-path-regex', '/(stream|events)$'],
];

/** So that lists are not empty, and what a request names is there. */
function fill(url: string): () => Promise<unknown> {
  const options = { protocolVersion: 5, clean: false, reconnectPeriod: 200 } as const;
  const clients = Array.from({ length: 4 }, (_, i): MqttClient => {
    const client = connect(url, { ...options, clientId: `client-${i}`, properties: { sessionExpiryInterval: 600 } });
    client.on('error', () => {});
    return client.subscribe([`some/${i}/#`, 'everybody'], { qos: 1 });
  });
  const [publisher, ...others] = clients as [MqttClient, ...MqttClient[]];
  const send = (topic: string, payload: string, retain = false) => {
    if (publisher.connected) publisher.publish(topic, payload, { qos: 1, retain }, () => {});
  };
  let number = 0;
  const timer = setInterval(() => {
    send(`some/${number % 8}/value`, `${number}`, number % 10 === 0);
    send('everybody', '{"n":1}');
    if (number % 20 === 0) send('checked/it', 'no JSON');
    // It is away for as long as it is here, so that messages wait for it.
    if (number % 40 === 0) others[0]!.reconnect();
    if (number % 40 === 20) others[0]!.end(true);
    number++;
  }, 100);
  return () => {
    clearInterval(timer);
    return Promise.all(clients.map((client) => client.endAsync(true)));
  };
}

async function check(phases: string, address: URL, key: string): Promise<boolean> {
  const options = ['--phases', phases, '--max-time', `${Math.floor(seconds / 2)}`, '--request-timeout', '10'];
  const authorization = ['-H', `Authorization: Bearer ${key}`];
  const description = new URL('/api/v1/openapi.json', address).href;
  const config = ['--config-file', join(projectRoot(), 'test/schemathesis.toml')];
  const args = [...config, 'run', description, ...authorization, '--checks', 'all', ...options, ...leftOut];
  const child = endsWithUs(spawn(program, [...args, ...positionals], { stdio: 'inherit', cwd: folder }));
  const [code] = await once(child, 'exit');
  return code === 0;
}

const folder = mkdtempSync(join(tmpdir(), 'sluice-check-api-'));
const passwords = join(folder, 'passwords');
sluice('passwd', '-c', '-b', passwords, 'ada', 'right');
const settings = {
  allowAnonymous: true,
  authentication: [{ kind: 'password-file', file: passwords }],
  // Nobody is shut out for the wrong keys that are tried.
  limits: { exemptAddresses: ['127.0.0.1'] },
  pipelines: [{ name: 'checked', filter: 'checked/#', stages: [{ decode: 'json' }] }],
  admin: {
    listeners: [{ port: 0 }],
    requestsPerSecondPerAddress: 0,
    requestsPerSecondPerCaller: 0,
    users: [{ username: 'ada', role: 'viewer' }],
  },
};
const broker = await startBroker('sluice', folder, {
  isDurable: true,
  settings: Object.entries(settings)
    .map(([name, value]) => `${name}: ${JSON.stringify(value)}`)
    .join('\n'),
});
const empty = fill(broker.urls.get('mqtt')!);
try {
  const address = await apiAddress(folder);
  const key = apiKey(folder, 'admin');
  const single = await check('examples,coverage,fuzzing', address, key);
  const chains = await check('stateful', address, key);
  if (!single || !chains) process.exitCode = 1;
} finally {
  await empty();
  await broker.stop();
  rmSync(folder, { recursive: true, force: true });
}
