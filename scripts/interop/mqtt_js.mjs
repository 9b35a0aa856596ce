/** MQTT.js in Node: see checks.py for what is asked. Arguments: URL and version of MQTT. */
import { randomUUID } from 'node:crypto';
import mqtt from 'mqtt';

const [url, version] = process.argv.slice(2);
const patienceMs = 30_000;

async function connect(clientId, clean, will) {
  const properties = version === '5' ? { properties: { sessionExpiryInterval: clean ? 0 : 300 } } : {};
  const options = { clientId, clean, protocolVersion: Number(version), reconnectPeriod: 0, ...properties };
  const client = mqtt.connect(url, will === null ? options : { ...options, will });
  const messages = [];
  let wake = () => {};
  client.on('message', (topic, payload, { qos, retain }) => {
    messages.push([topic, payload.toString(), qos, retain]);
    wake();
  });
  const sessionPresent = await new Promise((resolve, reject) => {
    client.once('connect', (connack) => resolve(connack.sessionPresent));
    client.once('error', reject);
  });
  return {
    sessionPresent,
    subscribe: (filter, qos) => client.subscribeAsync(filter, { qos }),
    publish: (topic, payload, qos, retain) => client.publishAsync(topic, payload, { qos, retain }),
    async next() {
      while (messages.length === 0) await new Promise((resolve) => (wake = resolve));
      return messages.shift();
    },
    disconnect: () => client.endAsync(),
    drop: () => client.stream.destroy(),
  };
}

function expect(found, wanted) {
  if (JSON.stringify(found) !== JSON.stringify(wanted)) throw new Error(`got ${found} and not ${wanted}`);
}

const checks = {
  async both_ways(prefix) {
    const client = await connect(`${prefix}both`, true, null);
    await client.subscribe(`${prefix}both/#`, 2);
    for (const qos of [0, 1, 2]) {
      await client.publish(`${prefix}both/${qos}`, 'x', qos, false);
      expect(await client.next(), [`${prefix}both/${qos}`, 'x', qos, false]);
    }
    await client.disconnect();
  },
  async retained(prefix) {
    const client = await connect(`${prefix}retained`, true, null);
    await client.publish(`${prefix}state`, 'kept', 1, true);
    await client.subscribe(`${prefix}state`, 1);
    expect(await client.next(), [`${prefix}state`, 'kept', 1, true]);
    await client.publish(`${prefix}state`, '', 1, true);
    await client.disconnect();
  },
  async will(prefix) {
    const watcher = await connect(`${prefix}watcher`, true, null);
    await watcher.subscribe(`${prefix}gone`, 1);
    const will = { topic: `${prefix}gone`, payload: Buffer.from('died'), qos: 1, retain: false };
    (await connect(`${prefix}dying`, true, will)).drop();
    expect(await watcher.next(), [`${prefix}gone`, 'died', 1, false]);
    await watcher.disconnect();
  },
  async shared(prefix) {
    const members = await Promise.all([1, 2].map((number) => connect(`${prefix}member${number}`, true, null)));
    for (const member of members) await member.subscribe(`$share/group/${prefix}jobs`, 1);
    for (let job = 0; job < 4; job++) await members[0].publish(`${prefix}jobs`, String(job), 1, false);
    const got = [];
    for (const member of [...members, ...members]) got.push((await member.next())[1]);
    expect(got.sort(), ['0', '1', '2', '3']);
    for (const member of members) await member.disconnect();
  },
  async session(prefix) {
    const first = await connect(`${prefix}session`, false, null);
    await first.subscribe(`${prefix}queue`, 1);
    await first.disconnect();
    const publisher = await connect(`${prefix}publisher`, true, null);
    await publisher.publish(`${prefix}queue`, 'waited', 1, false);
    await publisher.disconnect();
    const again = await connect(`${prefix}session`, false, null);
    if (!again.sessionPresent) throw new Error('the session was not resumed');
    expect(await again.next(), [`${prefix}queue`, 'waited', 1, false]);
    await again.disconnect();
  },
};

for (const [name, check] of Object.entries(checks)) {
  const late = new Promise((_, reject) => setTimeout(() => reject(new Error('no answer in time')), patienceMs).unref());
  await Promise.race([check(`interop/${randomUUID()}/`), late]).then(
    () => console.log(name, 'ok'),
    (error) => console.log(name, 'failed:', error.message),
  );
}
process.exit();
