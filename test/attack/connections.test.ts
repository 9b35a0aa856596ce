/** Floods of connections that never become clients: half-open, slow, too large, with wrong passwords. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import { generate } from 'mqtt-packet';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { build, mainFile } from '../support/build.ts';
import { Certificates } from '../support/certificates.ts';
import { type Attack, AttackedBroker, attack, openSockets, printFigures, size } from './support.ts';

const broker = new AttackedBroker();
const certificates = new Certificates();
const authority = certificates.authority('authority');
const { certFile, keyFile } = authority.issue('broker', { purpose: 'server' });
const passwords = join(certificates.directory, 'passwords');
const user = { username: 'healthy', password: 'right' };

beforeAll(async () => {
  await build();
  execFileSync(process.execPath, [mainFile, 'passwd', '-c', passwords, user.username], { input: `${user.password}\n` });
  await broker.start(`
listeners:
  - { kind: tcp, port: 0 }
  - { kind: tls, port: 0, handshakeTimeoutSeconds: ${size(3, 20)}, tls: { certFile: ${certFile}, keyFile: ${keyFile} } }
  - kind: tcp
    port: 0
    authentication: [{ kind: password-file, file: ${passwords} }]
allowAnonymous: true
limits: { connectTimeoutSeconds: ${size(3, 20)}, unauthenticatedBytes: 16777216, exemptAddresses: [127.0.0.1] }
log: { format: json }
`);
});
afterAll(async () => {
  await broker.stop();
  certificates.remove();
  printFigures();
});

const count = size(500, 10_000);
const patience = { timeout: 60_000 };
const testTimeout = 180_000;

const tcp = () => broker.ports[0]!;
const tls = () => broker.ports[1]!;
const checked = () => broker.ports[2]!;

/** `act` is done with each connection, once all are there. Each has its time, and no more. */
function flood(attacked: Omit<Attack, 'broker' | 'run'>, act: (socket: Socket, index: number) => void): Promise<void> {
  const run = async () => {
    const sockets = await openSockets(attacked.port, count);
    for (const [index, socket] of sockets.entries()) act(socket, index);
    return () => expect.poll(() => sockets.filter((socket) => !socket.closed).length, patience).toBe(0);
  };
  return attack({ broker, ...attacked, run });
}

const connectPacket = (more: object) =>
  generate({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 5, clean: true, ...more } as never, {
    protocolVersion: 5,
  });

test('connections over TCP that say nothing', { timeout: testTimeout }, () =>
  flood({ name: `${count} half-open TCP connections`, port: tcp(), growthMax: 200 }, () => {}),
);

test('connections over TLS that say nothing, or begin a handshake and leave it', { timeout: testTimeout }, async () => {
  const hello = await clientHello();
  const healthy = { ca: readFileSync(authority.certFile) };
  const name = `${count} half-open TLS connections`;
  // What the listener allows to be in their handshake at one time is reached; who is in it goes on.
  await flood({ name, port: tls(), healthy, growthMax: 300, mayTurnAway: true }, (socket, index) => {
    if (index % 2 === 0) socket.write(hello);
  });
});

test('a CONNECT that comes byte by byte', { timeout: testTimeout }, async () => {
  const bytes = connectPacket({ clientId: 'x'.repeat(10_000) });
  const timers: NodeJS.Timeout[] = [];
  await flood({ name: `${count} slow CONNECTs`, port: tcp(), growthMax: 200 }, (socket, index) => {
    let at = 0;
    const timer = setInterval(() => socket.write(bytes.subarray(at, ++at)), 200 + (index % 100));
    socket.once('close', () => clearInterval(timer));
    timers.push(timer);
  });
});

test('a CONNECT as large as it may be, but for its last byte', { timeout: testTimeout }, async () => {
  const bytes = connectPacket({ clientId: 'x', username: 'u'.repeat(65_000), password: Buffer.alloc(65_000) });
  const unfinished = bytes.subarray(0, bytes.length - 1);
  const name = `${count} unfinished CONNECTs of 130 kB`;
  // 16 MiB are allowed in all, half of them for the attacker's address.
  await flood({ name, port: tcp(), growthMax: 250 }, (socket) => socket.write(unfinished));
});

test('a flood of CONNECTs with wrong passwords', { timeout: testTimeout }, async () => {
  const answers = new Map<number, number>();
  const attempts = size(300, 10_000);
  const run = async () => {
    let begun = 0;
    const guess = async () => {
      while (begun < attempts) {
        const username = `user${begun++ % 50}`;
        const [socket] = await openSockets(checked(), 1);
        socket!.write(connectPacket({ clientId: 'guesser', username, password: Buffer.from(`guess ${begun}`) }));
        socket!.on('data', ([, , , code]: Buffer) => answers.set(code!, (answers.get(code!) ?? 0) + 1));
        if (!socket!.closed) await once(socket!, 'close');
      }
    };
    const guessers = Array.from({ length: size(100, 500) }, guess);
    if (process.platform === 'linux') await expect.poll(() => answers.get(0x8a) ?? 0, patience).toBeGreaterThan(0);
    return () => Promise.all(guessers);
  };
  const name = `${attempts} wrong passwords`;
  await attack({ name, broker, port: checked(), healthy: user, growthMax: 300, run });
  await expect.poll(() => [...answers.values()].reduce((sum, each) => sum + each, 0), patience).toBe(attempts);
  // Wrong, busy, shut out, or out of time on a slow machine.
  expect([...answers.keys()].filter((code) => ![0x86, 0x89, 0x8a].includes(code))).toEqual([]);
});

/** What a client of TLS says first. */
async function clientHello(): Promise<Buffer> {
  const wire = new Duplex({
    read() {},
    write: (bytes, _encoding, done) => done(wire.emit('hello', bytes) ? null : null),
  });
  const saying = once(wire, 'hello');
  const socket = connectTls({ socket: wire });
  socket.on('error', () => {});
  const [bytes] = (await saying) as [Buffer];
  socket.destroy();
  return bytes;
}
