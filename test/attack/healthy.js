/**
 * Healthy clients, in a thread of their own so that the attack in the main one does not slow their clocks: some exchange QoS 1
 * messages with themselves all the time, and newcomers connect and leave. It is told `phase` and answers with what was measured
 * since; it is told `end`, and answers once everything that was acknowledged has come.
 */
import { connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { parentPort, workerData } from 'node:worker_threads';
import { generate, parser } from 'mqtt-packet';

const { port, ca, username, password, residents, intervalMs, newcomerMs } = workerData;
const who = username === undefined ? {} : { username, password };
const topicOf = (number) => `healthy/${process.pid}/${number}`;

let delays = [];
let connects = [];
let sent = 0;
let acknowledged = 0;
let received = 0;
let isEnding = false;
const failures = [];

function open(clientId, onPacket, onEnd) {
  const socket = ca === undefined ? connectTcp(port, '127.0.0.1') : connectTls({ port, host: '127.0.0.1', ca });
  socket.setNoDelay(true);
  const packets = parser({ protocolVersion: 5 });
  packets.on('packet', (packet) => onPacket(packet, send));
  const send = (packet) => socket.write(generate(packet, { protocolVersion: 5 }));
  socket.on('data', (bytes) => packets.parse(bytes));
  socket.on('error', () => {});
  socket.on('close', () => onEnd(socket));
  send({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 5, clientId, clean: true, keepalive: 0, ...who });
  return socket;
}

function resident(number) {
  return new Promise((resolve, reject) => {
    let messageId = 0;
    let timer;
    const topic = topicOf(number);
    const onPacket = (packet, send) => {
      if (packet.cmd === 'connack' && packet.reasonCode === 0) {
        send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic, qos: 1 }] });
      } else if (packet.cmd === 'suback') {
        timer = setInterval(() => {
          if (isEnding) return clearInterval(timer);
          messageId = (messageId % 65_535) + 1;
          sent++;
          const payload = String(performance.now());
          send({ cmd: 'publish', topic, payload, qos: 1, messageId, retain: false, dup: false });
        }, intervalMs);
        resolve();
      } else if (packet.cmd === 'puback') acknowledged++;
      else if (packet.cmd === 'publish') {
        received++;
        delays.push(performance.now() - Number(packet.payload.toString()));
        send({ cmd: 'puback', messageId: packet.messageId });
      }
    };
    open(`healthy-${process.pid}-${number}`, onPacket, () => {
      clearInterval(timer);
      reject(new Error('a healthy client could not connect'));
      failures.push('a healthy client lost its connection');
    });
  });
}

let newcomers = 0;
/** Whether a new client gets in at all, and how long that takes it. */
function newcomer() {
  if (isEnding) return;
  const startedAt = performance.now();
  let isIn = false;
  const onPacket = (packet, send) => {
    isIn = packet.cmd === 'connack' && packet.reasonCode === 0;
    if (isIn) connects.push(performance.now() - startedAt);
    send({ cmd: 'disconnect', reasonCode: 0 });
  };
  open(`newcomer-${process.pid}-${++newcomers}`, onPacket, () => {
    if (!isIn && !isEnding) failures.push('a new client was turned away');
    setTimeout(newcomer, newcomerMs);
  });
}

const percentile = (values, share) => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.length === 0 ? Number.NaN : sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
};

function phase() {
  const result = {
    count: delays.length,
    p50: percentile(delays, 0.5),
    p99: percentile(delays, 0.99),
    connects: connects.length,
    connectP99: percentile(connects, 0.99),
    failures: failures.splice(0),
  };
  delays = [];
  connects = [];
  return result;
}

parentPort.on('message', async (message) => {
  if (message === 'phase') return parentPort.postMessage(phase());
  isEnding = true;
  while (received < sent || acknowledged < sent) await new Promise((resolve) => setTimeout(resolve, 20));
  parentPort.postMessage({ sent, received, acknowledged });
});

for (let i = 0; i < residents; i++) await resident(i);
newcomer();
parentPort.postMessage('ready');
