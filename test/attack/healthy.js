/**
 * Healthy clients, in a process of their own, so that the attacker's does not slow them: some exchange QoS 1 messages with
 * themselves all the time, and newcomers connect and leave.
 *
 * The process is told where to connect, and says `ready` once the clients are in; it is told `phase` and answers with what was
 * measured since; it is told `end`, and answers once everything that was sent was acknowledged and has come. Then all over again.
 */
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { generate, parser } from 'mqtt-packet';

class HealthyClients {
  #options;
  #sockets = new Set();
  #newcomers = 0;
  #delays = [];
  #connects = [];
  #failures = [];
  #sent = 0;
  #acknowledged = 0;
  #received = 0;
  #isEnding = false;

  constructor(options) {
    this.#options = options;
  }

  async begin() {
    for (let i = 0; i < this.#options.residents; i++) await this.#resident(i);
    this.#newcomer();
  }

  #open(clientId, onPacket, onEnd) {
    const { port, ca, username, password } = this.#options;
    const socket = ca === undefined ? connectTcp(port, '127.0.0.1') : connectTls({ port, host: '127.0.0.1', ca });
    this.#sockets.add(socket);
    socket.setNoDelay(true);
    const packets = parser({ protocolVersion: 5 });
    packets.on('packet', (packet) => onPacket(packet, send));
    const send = (packet) => socket.write(generate(packet, { protocolVersion: 5 }));
    socket.on('data', (bytes) => packets.parse(bytes));
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#sockets.delete(socket);
      if (!this.#isEnding) onEnd();
    });
    const who = username === undefined ? {} : { username, password };
    send({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 5, clientId, clean: true, keepalive: 0, ...who });
  }

  #resident(number) {
    return new Promise((resolve, reject) => {
      let messageId = 0;
      let timer;
      const topic = `healthy/${process.pid}/${number}`;
      const onPacket = (packet, send) => {
        if (packet.cmd === 'connack' && packet.reasonCode === 0) {
          send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic, qos: 1 }] });
        } else if (packet.cmd === 'suback') {
          timer = setInterval(() => {
            if (this.#isEnding) return clearInterval(timer);
            messageId = (messageId % 65_535) + 1;
            this.#sent++;
            const payload = String(performance.now());
            send({ cmd: 'publish', topic, payload, qos: 1, messageId, retain: false, dup: false });
          }, this.#options.intervalMs);
          resolve();
        } else if (packet.cmd === 'puback') this.#acknowledged++;
        else if (packet.cmd === 'publish') {
          this.#received++;
          this.#delays.push(performance.now() - Number(packet.payload.toString()));
          send({ cmd: 'puback', messageId: packet.messageId });
        }
      };
      this.#open(`healthy-${process.pid}-${number}`, onPacket, () => {
        clearInterval(timer);
        reject(new Error('a healthy client could not connect'));
        this.#failures.push('a healthy client lost its connection');
      });
    });
  }

  /** Whether a new client gets in at all, and how long that takes it. */
  #newcomer() {
    if (this.#isEnding) return;
    const startedAt = performance.now();
    let isIn = false;
    const onPacket = (packet, send) => {
      isIn = packet.cmd === 'connack' && packet.reasonCode === 0;
      if (isIn) this.#connects.push(performance.now() - startedAt);
      send({ cmd: 'disconnect', reasonCode: 0 });
    };
    this.#open(`newcomer-${process.pid}-${++this.#newcomers}`, onPacket, () => {
      if (!isIn) this.#failures.push('a new client was turned away');
      setTimeout(() => this.#newcomer(), this.#options.newcomerMs);
    });
  }

  phase() {
    const result = {
      count: this.#delays.length,
      p50: percentile(this.#delays, 0.5),
      p99: percentile(this.#delays, 0.99),
      connects: this.#connects.length,
      connectP99: percentile(this.#connects, 0.99),
      failures: this.#failures,
    };
    this.#delays = [];
    this.#connects = [];
    this.#failures = [];
    return result;
  }

  async end() {
    this.#isEnding = true;
    while (this.#received < this.#sent || this.#acknowledged < this.#sent) await delay(20);
    for (const socket of this.#sockets) socket.destroy();
    return { sent: this.#sent, received: this.#received, acknowledged: this.#acknowledged };
  }
}

function percentile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.length === 0 ? Number.NaN : sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}

process.once('disconnect', () => process.exit());
for (;;) {
  const [options] = await once(process, 'message');
  const clients = new HealthyClients(options);
  await clients.begin();
  process.send('ready');
  while ((await once(process, 'message'))[0] === 'phase') process.send(clients.phase());
  process.send(await clients.end());
}
