/** The dashboard of a real broker in a real browser. Without one (`one-browser.ts`) these tests are left out. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, inject } from 'vitest';
import { type ConfigInput, createBroker, type SluiceBroker } from '../../src/index.ts';

const browserUrl = inject('browserUrl');
if (browserUrl === null) console.log('no chromium: the dashboard is not tried in a browser');

export const describeInBrowser = describe.runIf(browserUrl !== null);

export interface Dashboard {
  readonly sluice: SluiceBroker;
  readonly directory: string;
  /** `http://127.0.0.1:…/dashboard/`. */
  readonly url: string;
  readonly mqttUrl: string;
  /** A page that shares nothing with others, as of a browser just started; what goes wrong in it fails the test. */
  newPage(options?: BrowserContextOptions): Promise<Page>;
  /** The same, logged in, at this place: `#/clients`. */
  open(place: string, options?: BrowserContextOptions): Promise<Page>;
  /** A client that is connected and has subscribed; it goes at the end of the test. */
  connect(clientId: string, topics?: readonly string[], options?: IClientOptions): Promise<MqttClient>;
  stop(): Promise<void>;
  /** With the same addresses. */
  start(): Promise<void>;
}

async function connectToBrowser(): Promise<Browser> {
  const response = await fetch(browserUrl!);
  const answer = await response.text();
  if (!response.ok) throw new Error(answer);
  return chromium.connect(answer);
}

/** Called once in a file, outside of its tests; `configure`: as known when the broker starts. */
export function dashboard(configure: ConfigInput | (() => ConfigInput) = {}): Dashboard {
  let directory = '';
  let sluice: SluiceBroker | null = null;
  let browser: Browser;
  let url = '';
  let mqttPort = 0;
  let adminPort = 0;
  const clients: MqttClient[] = [];
  const faults: string[] = [];

  const start = async () => {
    const config = typeof configure === 'function' ? configure() : configure;
    const admin = { listeners: [{ port: adminPort }], ...config.admin };
    const listeners = [{ kind: 'tcp' as const, port: mqttPort }];
    const store = { kind: 'level' as const, directory: join(directory, 'data') };
    const log = config.log ?? { file: join(directory, 'log') };
    const audit = config.audit ?? { file: join(directory, 'audit') };
    sluice = await createBroker({ config: { listeners, store, ...config, admin, log, audit } });
    const { listeners: all } = await sluice.command('listeners list', {});
    ({ url } = all.find(({ protocol }) => protocol === 'http')!);
    mqttPort = sluice.listeners[0]!.port;
    adminPort = Number(new URL(url).port);
  };
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'sluice-dashboard-'));
    await start();
    browser = await connectToBrowser();
  });
  afterEach(async () => {
    for (const context of browser.contexts()) await context.close();
    for (const client of clients.splice(0)) client.end(true);
    expect(faults.splice(0), 'what went wrong in the page').toEqual([]);
  });
  afterAll(async () => {
    await browser?.close();
    await sluice?.close();
    await rm(directory, { recursive: true, force: true });
  });

  const it: Dashboard = {
    get sluice() {
      return sluice!;
    },
    get directory() {
      return directory;
    },
    get url() {
      return `${url}/dashboard/`;
    },
    get mqttUrl() {
      return `mqtt://127.0.0.1:${mqttPort}`;
    },
    async newPage(options = {}) {
      const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: 'en-GB', ...options });
      const page = await context.newPage();
      // Ends what would wait for ever, on a machine that does much else.
      page.setDefaultTimeout(120_000);
      page.on('pageerror', (error) => faults.push(`${error}`));
      page.on('console', (message) => {
        // The browser itself says so of every request that fails.
        if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) {
          faults.push(message.text());
        }
      });
      return page;
    },
    async open(place, options) {
      const page = await it.newPage(options);
      const { token } = await sluice!.command('login-links create', {});
      await page.goto(`${it.url}#token=${token}`);
      await page.getByRole('link', { name: 'Sluice' }).waitFor();
      if (place !== '#/') await page.goto(it.url + place);
      return page;
    },
    async connect(clientId, topics = [], options = {}) {
      const client = mqtt.connect(it.mqttUrl, {
        clientId,
        protocolVersion: 5,
        clean: false,
        reconnectPeriod: 0,
        properties: { sessionExpiryInterval: 3_600 },
        ...options,
      });
      clients.push(client);
      client.on('error', () => {});
      await new Promise<void>((resolve, reject) => {
        client.once('connect', () => resolve());
        client.once('error', reject);
      });
      if (topics.length > 0) await client.subscribeAsync([...topics], { qos: 1 });
      return client;
    },
    async stop() {
      await sluice!.close();
    },
    start,
  };
  return it;
}

/** Asks again and again until what is expected of it is so. */
export const eventually = <Value>(value: () => Value | Promise<Value>) => expect.poll(value);

/** Waits until the page says that this was done, where it goes on saying so: a toast goes after some seconds. */
export async function saysDone(page: Page, what: string | RegExp): Promise<void> {
  await page.getByRole('button', { name: 'What you did' }).click();
  await page.locator('.popover:popover-open').getByText(what).first().waitFor();
  await page.keyboard.press('Escape');
}

/** Names that clients have chosen to do harm, or only to be long. */
export const hostileNames: readonly string[] = [
  '<script>window.hacked = true</script>',
  '"><img src=x onerror="window.hacked = true">',
  "' onmouseover='window.hacked = true",
  'javascript:window.hacked = true',
  '{{constructor.constructor("window.hacked = true")()}}',
  '\u202Eevil\u202D from right to left',
  'مستشعر-الحرارة',
  '__proto__',
  'a/b?c=d&e#f%2F../..',
  'x'.repeat(65_535),
];

/** Whether something stands out of the page to the side. */
export const overflows = (page: Page): Promise<boolean> =>
  page.evaluate<boolean>('document.documentElement.scrollWidth > document.documentElement.clientWidth');
