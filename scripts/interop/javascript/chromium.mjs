/** MQTT.js's own bundle on a page of Chromium, which ends with this process. */
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { open } from './client.mjs';

const bundle = fileURLToPath(new URL('node_modules/mqtt/dist/mqtt.min.js', import.meta.url));
const args = ['--disable-background-networking', '--disable-component-update', '--disable-sync'];
// A page of HTTP, as a browser names it to the broker as the origin.
const web = createServer((_, response) => response.setHeader('content-type', 'text/html').end('<!doctype html>'));
await new Promise((resolve) => web.listen(0, '127.0.0.1', resolve));

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args });
const page = await browser.newPage();
await page.goto(`http://127.0.0.1:${web.address().port}/`);
await page.addScriptTag({ path: bundle });
await page.exposeFunction('tell', (line) => console.log(line));
await page.evaluate(
  async ([source, settings]) => {
    globalThis.obey = await new Function(`return ${source}`)()(globalThis.mqtt, settings, globalThis.tell);
  },
  [open.toString(), process.argv.slice(2)],
);
for await (const line of createInterface({ input: process.stdin })) {
  await page.evaluate((asked) => globalThis.obey(asked), line);
  if (line === 'disconnect') break;
}
await browser.close();
process.exit();
