/** What somebody new to the page wants of it, by following what it offers, in a factory where things go wrong. */
import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { dashboard, describeInBrowser, eventually, saysDone } from './browser.ts';

describeInBrowser('somebody new to the page', () => {
  const broker = dashboard({
    pipelines: [{ name: 'energy', filter: 'plant/+/energy', stages: [{ decode: 'json' }] }],
  });

  /** Clicks on these links, one after the other. */
  async function follow(page: Page, ...names: readonly string[]): Promise<void> {
    for (const name of names) await page.getByRole('link', { name, exact: true }).first().click();
  }

  test('finds why a device gets nothing, without knowing the topic', async () => {
    const device = await broker.connect('device-17', ['plant/17/setpiont']);
    const page = await broker.open('#/');
    await follow(page, 'Clients');
    await page.getByRole('searchbox').fill('device-17');
    await follow(page, 'device-17', 'Why does it get nothing?');
    await page.getByRole('cell', { name: 'plant/17/setpiont' }).waitFor();
    await page.getByRole('textbox', { name: 'Topic' }).fill('plant/17/setpoint');
    await page.getByRole('button', { name: 'Ask' }).click();
    const verdict = page.locator('.verdict');
    await verdict.getByText('It would not arrive').waitFor();
    expect(await verdict.textContent()).toContain('level 3 is "setpiont" in the filter and "setpoint" in the topic');
    device.end(true);
  });

  test('finds who floods', async () => {
    const quiet = await broker.connect('device-1');
    const flooder = await broker.connect('device-31');
    const page = await broker.open('#/');
    const publishing = setInterval(() => {
      for (let n = 0; n < 20; n++) flooder.publish('plant/31/state', 'x');
      quiet.publish('plant/1/state', 'x');
    }, 100);
    try {
      await follow(page, 'Messages in', 'plant');
      const busiest = page.locator('tbody tr').first();
      await eventually(() => busiest.textContent()).toMatch(/^31/);
      await follow(page, '31');
      await follow(page, 'device-31');
      await page.getByRole('heading', { name: 'device-31', level: 1 }).waitFor();
    } finally {
      clearInterval(publishing);
    }
  });

  test('makes a trace of a device', async () => {
    const device = await broker.connect('device-2');
    const page = await broker.open('#/');
    await follow(page, 'Traces');
    await page.getByRole('button', { name: 'Start a trace' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Client identifier').fill('device-2');
    await dialog.getByRole('button', { name: 'Start a trace' }).click();
    await saysDone(page, 'The trace has begun');
    await page.getByText('Nothing has happened yet').waitFor();
    await device.publishAsync('plant/2/state', 'x', { qos: 1 });
    await page.getByText('→ PUBLISH').first().waitFor();
  });

  test('replays a message that is in quarantine', async () => {
    const meter = await broker.connect('meter');
    await meter.publishAsync('plant/4/energy', 'no JSON', { qos: 1 });
    const page = await broker.open('#/');
    await follow(page, 'Pipelines');
    await page.getByRole('tab', { name: 'Quarantine 1' }).click();
    await page.locator('tbody a').first().click();
    await page.getByRole('button', { name: 'Replay' }).click();
    await saysDone(page, '1 in quarantine again');
  });
});
