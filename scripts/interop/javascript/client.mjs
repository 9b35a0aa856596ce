/**
 * A client of MQTT.js as client-process.ts wants it, in Node or on a page: `tell` takes the lines, and what this
 * resolves with takes those that are read. Chromium gets this function as text, so it uses nothing from outside.
 */
export async function open(mqtt, [url, version, clientId, session, will], tell) {
  const clean = session === 'clean';
  const properties = version === '5' ? { properties: { sessionExpiryInterval: clean ? 0 : 300 } } : {};
  const options = { clientId, clean, protocolVersion: Number(version), reconnectPeriod: 0, ...properties };
  if (will !== undefined) options.will = { topic: will, payload: 'died', qos: 1, retain: false };
  const client = mqtt.connect(url, options);
  client.on('message', (topic, payload, { qos, retain }) => tell(`message ${topic} ${qos} ${retain} ${payload}`));
  const sessionPresent = await new Promise((resolve, reject) => {
    client.once('connect', (connack) => resolve(connack.sessionPresent));
    client.once('error', reject);
    client.once('close', () => reject(new Error('the connection was closed')));
  });
  tell(`connected ${sessionPresent}`);
  return async (line) => {
    const [command, topic, qos, retain, payload] = line.split(' ');
    if (command === 'subscribe') {
      await client.subscribeAsync(topic, { qos: Number(qos) });
      tell('subscribed');
    } else if (command === 'publish') {
      await client.publishAsync(topic, payload, { qos: Number(qos), retain: retain === 'true' });
      tell('published');
    } else await client.endAsync();
  };
}
