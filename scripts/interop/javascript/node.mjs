/** MQTT.js in Node. */
import { createInterface } from 'node:readline';
import mqtt from 'mqtt';
import { open } from './client.mjs';

const obey = await open(mqtt, process.argv.slice(2), (line) => console.log(line));
for await (const line of createInterface({ input: process.stdin })) {
  await obey(line);
  if (line === 'disconnect') break;
}
process.exit();
