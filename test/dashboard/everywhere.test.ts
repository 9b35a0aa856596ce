/** What holds on every page: no name of a client breaks it, and the keyboard alone is enough. */
import type { Page } from 'playwright-core';
import { beforeAll, describe, expect, test } from 'vitest';
import { describeInBrowser, eventually, hostileNames, overflows } from './browser.ts';
import { dashboardWithAll } from './places.ts';

describeInBrowser('every page', () => {
  const broker = dashboardWithAll();

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
