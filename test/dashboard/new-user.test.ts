/** What somebody new to the page wants of it, by following what it offers, in a factory where things go wrong. */
import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { dashboard, describeInBrowser, eventually, saysDone } from './browser.ts';

describeInBrowser('somebody new to the page', () => {
  const broker = dashboard({
    authorization: {
      rules: [{ deny: 'subscribe', topics: ['plant/+/secret'], for: { clientId: 'device-18' } }, { allow: 'all' }],
    },
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

  test('sees that a device was refused its subscription, by which rule, and is not told to subscribe', async () => {
    const device = await broker.connect('device-18');
    await device.subscribeAsync('plant/18/secret').catch(() => {});
    const page = await broker.open('#/');
    await follow(page, 'Clients');
    await page.getByRole('searchbox').fill('device-18');
    await follow(page, 'device-18');
    const happened = page.getByRole('list', { name: 'What happened to this client' });
    await happened.getByText(/^plant\/18\/secret .*deny subscribe plant\/\+\/secret/).waitFor();
    await follow(page, 'Why does it get nothing?');
    await page.getByText('It was refused these subscriptions:').waitFor();
    await page.getByText(/deny subscribe plant\/\+\/secret/).waitFor();
    await page.getByRole('textbox', { name: 'Topic' }).fill('plant/18/secret');
    await page.getByRole('button', { name: 'Ask' }).click();
    await page.locator('.verdict').getByText('Change the rule and reload').waitFor();
  });

  test('bans a client on its own page, which names it already', async () => {
    const flooder = await broker.connect('device-32');
    const page = await broker.open('#/');
    await follow(page, 'Clients', 'device-32');
    await page.getByRole('button', { name: 'Ban', exact: true }).click();
    const gone = new Promise<void>((resolve) => flooder.once('close', () => resolve()));
    await page.getByRole('dialog').getByRole('button', { name: 'Ban' }).click();
    await saysDone(page, 'Banned; 1 connection was ended');
    await gone;
    await expect(broker.connect('device-32')).rejects.toThrow('Banned');
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
    await page.getByText('→ comes from the client, ← goes to it').waitFor();
  });

  test('replays a message that is in quarantine', async () => {
    const meter = await broker.connect('meter');
    await meter.publishAsync('plant/4/energy', 'no JSON', { qos: 1 });
    const page = await broker.open('#/');
    await follow(page, 'Pipelines');
    await page.getByRole('tab', { name: 'Quarantine 1' }).click();
    await page.getByRole('link', { name: 'meter' }).waitFor();
    await page.locator('tbody a').first().click();
    await page.getByRole('button', { name: 'Replay' }).click();
    await saysDone(page, '1 in quarantine again');
    await follow(page, 'Overview', 'Dropped');
    await page.getByRole('link', { name: 'In quarantine' }).first().click();
    await page.getByRole('cell', { name: /not JSON/ }).waitFor();
  });
});
