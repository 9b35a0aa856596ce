/** What holds on every page: everybody can use it, it fits, and no name of a client breaks it. */
import { AxeBuilder } from '@axe-core/playwright';
import type { Page } from 'playwright-core';
import { beforeAll, describe, expect, test } from 'vitest';
import { dashboard, describeInBrowser, eventually, hostileNames, overflows } from './browser.ts';

/** A page that is added is added here. */
const places = {
  overview: '#/',
  clients: '#/clients',
  'a client that is connected': '#/clients/sensor-1?tab=subscriptions',
  'what happened to a client': '#/clients/sensor-1',
  'a trace': '#/clients/sensor-1?tab=trace',
  'a client that is away': '#/clients/sensor-2?tab=queue',
  'a client that is not there': '#/clients/nobody',
  topics: '#/topics',
  'a topic': '#/topics?below=plant/kept/',
  'who subscribes to a topic': '#/topics?below=plant/kept/&tab=subscribers',
  'what happened': '#/happened',
  'an explanation': '#/happened?topic=plant/1&to=sensor-2&qos=1',
  drops: '#/happened?tab=drops',
  'slow clients': '#/happened?tab=slow',
  'retained messages': '#/retained',
  'a retained message': '#/retained?topic=plant/kept',
  'the console': '#/console?topic=plant/1&filter=plant/%23',
  alarms: '#/logs',
  'the log': '#/logs?tab=log',
  'the audit log': '#/logs?tab=audit',
  'the audit log of the past': '#/logs?tab=audit&when=past',
  bridges: '#/bridges',
  'a bridge': '#/bridges/cloud',
  'a bridge to make': '#/bridges?create=yes',
  pipelines: '#/pipelines',
  'the quarantine': '#/pipelines?tab=quarantine',
  'a message in quarantine': '#/pipelines?tab=quarantine&id=1',
  'a message to try on pipelines': '#/pipelines?tab=try',
  'what somebody may do': '#/access',
  bans: '#/access?tab=bans',
  users: '#/access?tab=users',
  keys: '#/access?tab=keys',
  listeners: '#/listeners',
  certificates: '#/listeners?tab=certificates',
  connections: '#/listeners?tab=connections',
  'the configuration': '#/configuration',
  traces: '#/traces',
  'a trace that is not there': '#/traces/nothing',
  'no page': '#/nowhere',
} as const;

describeInBrowser('every page', () => {
  const broker = dashboard({
    pipelines: [{ name: 'kept', filter: 'checked/#', stages: [{ decode: 'json' }] }],
    bridges: [{ name: 'cloud', addresses: ['mqtt://127.0.0.1:1'], topics: [{ filter: 'up/#', direction: 'out' }] }],
  });

  beforeAll(async () => {
    const away = await broker.connect('sensor-2', ['plant/#']);
    await away.endAsync();
    await broker.sluice.command('bans create', { client: 'banned', forSeconds: 3_600 });
    await broker.sluice.command('keys create', { name: 'job', role: 'viewer' });
    const publisher = await broker.connect('publisher', []);
    for (let n = 0; n < 5; n++) await publisher.publishAsync(`plant/${n}`, 'x', { qos: 1 });
    await publisher.publishAsync('checked/1', 'no JSON', { qos: 1 });
    await publisher.publishAsync('plant/kept', '{"t":21.5}', { qos: 1, retain: true });
  });

  test.each(Object.entries(places))('has nothing that hinders anybody, in both themes: %s', async (_, place) => {
    await broker.connect('sensor-1', ['plant/+/temperature']);
    const page = await broker.open(place, { reducedMotion: 'reduce' });
    await page.getByRole('main').waitFor();
    await eventually(() => page.locator('.loading').count()).toBe(0);
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      const axe = new AxeBuilder({ page });
      // Only colours differ.
      const { violations } = await (colorScheme === 'light' ? axe : axe.withRules(['color-contrast'])).analyze();
      expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`)).toEqual([]);
    }
  });

  test.each(Object.entries(places))('fits on a phone, and at 200 %%: %s', async (_, place) => {
    await broker.connect('sensor-1', ['plant/+/temperature']);
    const page = await broker.open(place, { viewport: { width: 360, height: 740 } });
    await page.getByRole('main').waitFor();
    await eventually(() => page.locator('.loading').count()).toBe(0);
    expect(await overflows(page)).toBe(false);
    // A window of 1280 by 1024 at 200 %.
    await page.setViewportSize({ width: 640, height: 512 });
    expect(await overflows(page)).toBe(false);
  });

  test('shows names of clients as they are, and neither runs nor breaks because of one', async () => {
    for (const name of hostileNames) {
      await broker.connect(name, [`${name.slice(0, 1_000).replaceAll(/[#+]/g, '')}/x`]);
    }
    const page = await broker.open('#/clients');
    await eventually(() => page.locator('tbody tr').count()).toBeGreaterThanOrEqual(hostileNames.length);
    expect(await overflows(page)).toBe(false);
    for (const name of hostileNames) {
      await page.goto(`${broker.url}#/clients/${encodeURIComponent(name)}`);
      await page.getByRole('button', { name: 'Delete the session' }).waitFor();
      expect(await overflows(page), name).toBe(false);
      expect(await page.getByRole('main').locator('script, img').count(), name).toBe(0);
    }
    expect(await page.evaluate("'hacked' in window")).toBe(false);
  });

  describe('topics and payloads that somebody chose to do harm', () => {
    const topicOf = (name: string) => `hostile/${name.slice(0, 1_000).replaceAll(/[#+]/g, '')}`;
    const filter = encodeURIComponent('hostile/#');

    beforeAll(async () => {
      const publisher = await broker.connect('hostile publisher');
      for (const name of hostileNames) {
        const properties = { contentType: name.slice(0, 1_000), userProperties: { name: name.slice(0, 1_000) } };
        await publisher.publishAsync(topicOf(name), name, { qos: 1, retain: true, properties });
      }
    });

    async function isUnharmed(page: Page, what: string): Promise<void> {
      expect(await overflows(page), what).toBe(false);
      expect(await page.getByRole('main').locator('script, img').count(), what).toBe(0);
      expect(await page.evaluate("'hacked' in window"), what).toBe(false);
    }

    test.each(['#/topics?below=hostile/', `#/retained?q=${filter}`, '#/happened?tab=unmatched'])(
      'are shown as they are: %s',
      async (place) => {
        const page = await broker.open(place);
        // One is longer than what the page of topics tells apart.
        const rows = () => page.locator('tbody tr').count();
        await eventually(rows).toBeGreaterThanOrEqual(hostileNames.length - 1);
        await isUnharmed(page, place);
      },
    );

    test('are shown as they are in the console', async () => {
      const page = await broker.open(`#/console?filter=${filter}`);
      await page.getByRole('button', { name: 'Subscribe' }).click();
      const messages = page.locator('.messages > li');
      await eventually(() => messages.count()).toBe(hostileNames.length);
      for (let at = 0; at < hostileNames.length; at++) await messages.nth(at).locator('summary').click();
      await isUnharmed(page, 'console');
    });

    test('are shown as they are one by one', async () => {
      const page = await broker.open('#/retained');
      for (const name of hostileNames) {
        await page.goto(`${broker.url}#/retained?${new URLSearchParams({ topic: topicOf(name) })}`);
        await page.locator('.payload').waitFor();
        await isUnharmed(page, name);
      }
      await page.goto(`${broker.url}#/topics?${new URLSearchParams({ below: `${topicOf(hostileNames[0]!)}/` })}`);
      await page.getByRole('tab', { name: 'Subscribers' }).waitFor();
      await isUnharmed(page, 'topics');
    });
  });

  test('can be reached and left by the keyboard alone', async () => {
    await broker.connect('sensor-1', ['plant/#']);
    const page = await broker.open('#/');
    const focused = () => page.evaluate<string>("document.querySelector('a:focus, button:focus')?.textContent ?? ''");
    const press = async (key: string, until: string) => {
      for (let n = 0; n < 60; n++) {
        await page.keyboard.press(key);
        if ((await focused()).includes(until)) return;
      }
      throw new Error(`${until} is not reached by ${key}`);
    };
    await press('Tab', 'Clients');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Clients', level: 1 }).waitFor();
    await page.locator('tbody tr').first().waitFor();
    await press('Tab', (await page.locator('tbody a').first().textContent())!);
    await page.keyboard.press('End');
    await press('ArrowUp', 'sensor-1');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'sensor-1', level: 1 }).waitFor();
    await press('Tab', 'Disconnect');
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').waitFor();
    await page.keyboard.press('Escape');
    await eventually(() => page.getByRole('dialog').count()).toBe(0);
    expect(await focused()).toBe('Disconnect');
  });
});
