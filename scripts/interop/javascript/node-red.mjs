/**
 * The MQTT nodes of Node-RED, in a runtime without an editor: `mqtt in` subscribes to what it is told, `mqtt out`
 * publishes, and a `complete` node tells when it is done. client-process.ts has the lines.
 */
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const RED = createRequire(import.meta.url)('node-red');
const [host, port, version, clientId, session, will = ''] = process.argv.slice(2);
const isClean = session === 'clean';
const isSecure = process.env.MQTT_TLS !== undefined;
const tell = (line) => console.log(line);
let published = () => {};

const call = (id, name) => ({ id, type: 'function', z: 'flow', func: `global.get('${name}')(msg)`, outputs: 0 });
const trust = { id: 'trust', type: 'tls-config', verifyservercert: true, servername: host, cert: '', key: '' };
/** What the client has subscribed to before stands in its flow, as it does after a restart of Node-RED. */
const memory = join(import.meta.dirname, `${clientId.replaceAll('/', '-')}.json`);
const known = !isClean && existsSync(memory) ? JSON.parse(readFileSync(memory, 'utf8')) : [];
const input = { type: 'mqtt in', z: 'flow', broker: 'broker', datatype: 'utf8', wires: [['took']] };
const flows = [
  { id: 'flow', type: 'tab', label: 'flow' },
  ...(isSecure ? [{ ...trust, ca: process.env.NODE_EXTRA_CA_CERTS }] : []),
  {
    ...{ id: 'broker', type: 'mqtt-broker', broker: host, port, clientid: clientId, protocolVersion: version },
    ...{ cleansession: isClean, sessionExpiry: isClean ? '' : '300', autoConnect: false, keepalive: '60' },
    ...{ willTopic: will, willPayload: 'died', willQos: '1', willRetain: 'false' },
    ...(isSecure ? { usetls: true, tls: 'trust' } : {}),
  },
  { id: 'in', inputs: 1, ...input },
  ...known.map(([topic, qos], index) => ({ id: `known${index}`, inputs: 0, topic, qos, ...input })),
  { id: 'out', type: 'mqtt out', z: 'flow', broker: 'broker' },
  { id: 'done', type: 'complete', z: 'flow', scope: ['out'], wires: [['sent']] },
  call('took', 'received'),
  call('sent', 'published'),
];
const userDir = mkdtempSync(join(import.meta.dirname, 'user-'));
writeFileSync(join(userDir, 'flows.json'), JSON.stringify(flows));

RED.init({
  ...{ userDir, flowFile: 'flows.json', httpAdminRoot: false, httpNodeRoot: false },
  ...{ logging: { console: { level: 'off' } }, telemetry: { enabled: false, updateNotification: false } },
  functionGlobalContext: {
    received: ({ topic, qos, retain, payload }) => tell(`message ${topic} ${qos} ${retain} ${payload}`),
    published: () => published(),
  },
});
const started = new Promise((resolve) => RED.events.once('flows:started', resolve));
await RED.start();
await started;
const node = (id) => RED.nodes.getNode(id);
const until = async (isSo) => {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 5));
};
const broker = node('broker');
broker.connect();
await until(() => broker.client);
const sessionPresent = await new Promise((resolve, reject) => {
  broker.client.once('connect', (connack) => resolve(connack.sessionPresent));
  broker.client.once('error', reject);
});
await until(() => broker.connected);
tell(`connected ${sessionPresent}`);

const told = {
  async subscribe(topic, qos) {
    // The node does not say when SUBACK has come; its client's subscriptions do.
    const granted = new Promise((resolve) => {
      const subscribe = broker.client.subscribe;
      broker.client.subscribe = (filters, options, callback) =>
        subscribe.call(broker.client, filters, options, (...answer) => {
          callback?.(...answer);
          resolve();
        });
    });
    node('in').receive({ action: 'subscribe', topic: { topic, qos: Number(qos), rap: true } });
    await granted;
    if (!isClean) writeFileSync(memory, JSON.stringify([[topic, qos]]));
    tell('subscribed');
  },
  async publish(topic, qos, retain, payload) {
    const acknowledged = new Promise((resolve) => (published = resolve));
    node('out').receive({ topic, payload, qos: Number(qos), retain: retain === 'true' });
    await acknowledged;
    tell('published');
  },
  async disconnect() {
    await new Promise((resolve) => broker.disconnect(resolve));
    process.exit();
  },
};
for await (const line of createInterface({ input: process.stdin })) {
  const [command, ...words] = line.split(' ');
  await told[command](...words);
}
