/** What holds on every page: everybody can use it, it fits, and no name of a client breaks it. */
import { AxeBuilder } from '@axe-core/playwright';
import { beforeAll, expect, test } from 'vitest';
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
  'no page': '#/nowhere',
} as const;

describeInBrowser('every page', () => {
  const broker = dashboard();

  beforeAll(async () => {
    const away = await broker.connect('sensor-2', ['plant/#']);
    await away.endAsync();
    const publisher = await broker.connect('publisher', []);
    for (let n = 0; n < 5; n++) await publisher.publishAsync(`plant/${n}`, 'x', { qos: 1 });
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
      // What is longer than a header may be cannot be asked for one by one.
      if (name.length > 10_000) continue;
      await page.goto(`${broker.url}#/clients/${encodeURIComponent(name)}`);
      await page.getByRole('button', { name: 'Delete the session' }).waitFor();
      expect(await overflows(page), name).toBe(false);
      expect(await page.getByRole('main').locator('script, img').count(), name).toBe(0);
    }
    expect(await page.evaluate("'hacked' in window")).toBe(false);
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
