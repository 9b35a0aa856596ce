/**
 * `node dist/program/code-cache.js`, after the build: makes V8's code of the broker, for the Node that runs this.
 *
 * V8 gives the code of all functions that have been called so far. So a broker starts here and takes a client, with the
 * options that brokers have, since V8 rejects code that was made with others. The build goes on without it: such
 * brokers start from their source.
 */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, chmodSync, constants, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import v8 from 'node:v8';
import { generate, type Packet, parser } from 'mqtt-packet';
import { missingEngineOptions } from '../base/engine.ts';
import { codeFile, codeOf, compile, readSource, runBroker } from './broker-file.ts';

const patienceMs = 60_000;
const pollMs = 5;
const program = process.argv[1]!;

function makeInOtherProcess(missing: readonly string[]): void {
  const { status, stderr } = spawnSync(process.execPath, [...missing, program], {
    stdio: ['ignore', 'ignore', 'pipe'],
    encoding: 'utf8',
    timeout: patienceMs,
  });
  if (status === 0 && existsSync(codeFile)) return;
  process.stderr.write(`V8's code of the broker was not made, and brokers start from their source:\n${stderr}\n`);
  process.exitCode = 1;
}

async function makeCode(): Promise<void> {
  // Set later, as a broker does, they would be options that no broker has when it starts.
  v8.setFlagsFromString = () => {};
  const folder = mkdtempSync(join(tmpdir(), 'sluice-code-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const config = join(folder, 'sluice.yaml');
  const socket = join(folder, 'mqtt');
  writeFileSync(config, configuration(socket, join(folder, 'data')));
  process.argv = [process.execPath, program, 'start', '--config', config];
  const source = readSource();
  const script = compile(source, undefined);
  runBroker(script);
  await beClient(await connected(socket));
  writeFileSync(codeFile, codeOf(source, script));
  // The broker has made sure that its files are private.
  chmodSync(codeFile, 0o644);
  process.kill(process.pid, 'SIGTERM');
}

/** A gateway. The first listener is what most brokers have, the second one has an address that is known here. */
const configuration = (socket: string, directory: string) => `
listeners: [{ kind: tcp, port: 0 }, { kind: unix, socket: ${JSON.stringify(socket)} }]
store: { kind: level, directory: ${JSON.stringify(directory)} }
admin: { listeners: [] }
bridges: [{ name: none, addresses: [mqtt://127.0.0.1:9], topics: [{ filter: none, qos: 1 }] }]
log: { level: error }
`;

async function connected(path: string): Promise<Socket> {
  for (;;) {
    const socket = connect(path);
    const isOpen = await once(socket, 'connect').then(
      () => true,
      () => false,
    );
    if (isOpen) return socket;
    await delay(pollMs);
  }
}

/** Publishes to itself and leaves. */
async function beClient(socket: Socket): Promise<void> {
  const version = { protocolVersion: 5 } as const;
  const send = (packet: Packet) => socket.write(generate(packet, version));
  const packets = parser(version);
  socket.on('data', (bytes: Buffer) => packets.parse(bytes));
  const until = async (cmd: Packet['cmd']) => {
    for (;;) {
      const [packet] = (await once(packets, 'packet')) as [Packet];
      if (packet.cmd === cmd) return;
    }
  };
  send({ cmd: 'connect', clientId: 'code', protocolId: 'MQTT', ...version, clean: true, keepalive: 60 });
  await until('connack');
  send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'code', qos: 1 }] });
  await until('suback');
  const fields = { topic: 'code', payload: 'code', dup: false, retain: false } as const;
  send({ cmd: 'publish', qos: 1, messageId: 2, ...fields });
  await until('publish');
  socket.end(generate({ cmd: 'puback', messageId: 1, reasonCode: 0 }, version));
  await once(socket, 'close');
}

/** Before a broker is started in vain. */
function isWritable(): boolean {
  try {
    accessSync(dirname(codeFile), constants.W_OK);
    return true;
  } catch {
    const who = 'run this as the user that owns it, with sudo for example';
    process.stderr.write(`Cannot write into ${dirname(codeFile)}: ${who}. Brokers start without it, a little slower\n`);
    process.exitCode = 1;
    return false;
  }
}

const missing = missingEngineOptions();
if (!isWritable()) {
  // It has said so.
} else if (missing.length > 0) makeInOtherProcess(missing);
else await makeCode();
