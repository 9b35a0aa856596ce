/** The pages of traces. */
import { expect, test } from 'vitest';
import { dashboard, describeInBrowser, eventually, hostileNames, overflows, saysDone } from './browser.ts';

describeInBrowser('the pages of traces', () => {
  const broker = dashboard();

  test('a trace of a topic is started, followed, ended, and can still be read', async () => {
    const page = await broker.open('#/traces');
    await page.getByText('No traces').waitFor();
    await page.getByRole('button', { name: 'Start a trace' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('What it follows').selectOption('Messages to topics');
    await dialog.getByLabel('Topic filter').fill('hall/#');
    await dialog.getByRole('combobox', { name: 'For' }).selectOption('1 hour');
    await dialog.getByLabel('With the beginning of payloads').check();
    expect(await dialog.locator('code').textContent()).toBe("sluice trace start --topic 'hall/#' --for 1h --payloads");
    await dialog.getByRole('button', { name: 'Start a trace' }).click();
    await page.getByRole('heading', { name: 'Topic hall/#', level: 1 }).waitFor();
    await page.getByText('Nothing has happened yet').waitFor();

    const publisher = await broker.connect('publisher');
    await publisher.publishAsync('hall/1', 'warm', { qos: 1 });
    const events = page.getByRole('list', { name: 'Events, the newest first' }).getByRole('listitem');
    await eventually(() => events.allTextContents()).toContainEqual(expect.stringMatching(/→ PUBLISH.*hall\/1.*warm/));
    await page.getByRole('button', { name: 'End it' }).click();
    await saysDone(page, /The trace has ended, with \d+ events/);
    await page.locator('.page-head').getByText('Ended', { exact: true }).waitFor();

    await page.getByRole('link', { name: 'Traces' }).first().click();
    const row = page.getByRole('table', { name: 'Traces' }).locator('tbody tr');
    expect(await row.textContent()).toMatch(/^Topic hall\/#Ended/);
    await row.getByRole('link').click();
    await eventually(() => events.count()).toBeGreaterThan(0);
  });

  test('what is wrong with one is said where it can be mended', async () => {
    const page = await broker.open('#/traces');
    await page.getByRole('button', { name: 'Start a trace' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('What it follows').selectOption('Connections from an address or network');
    await dialog.getByLabel('Address, or network').fill('nowhere');
    await dialog.getByRole('button', { name: 'Start a trace' }).click();
    await dialog.getByRole('alert').getByText('address').waitFor();
    expect(await dialog.getByLabel('Address, or network').inputValue()).toBe('nowhere');
    await page.goto(`${broker.url}#/traces/nothing`);
    await page.getByText('There is no such trace').waitFor();
  });

  test('shows names that somebody chose to do harm as they are', async () => {
    const { id } = await broker.sluice.command('traces start', { address: '127.0.0.1', payloads: true });
    for (const name of hostileNames) {
      const client = await broker.connect(name);
      await client.publishAsync(`x/${name.slice(0, 500).replaceAll(/[#+]/g, '')}`, name, { qos: 1 });
      await broker.sluice.command('traces start', { clientId: name }).catch(() => {});
    }
    for (const place of [`#/traces/${id}`, '#/traces']) {
      const page = await broker.open(place);
      await page.locator('.event, tbody tr').first().waitFor();
      expect(await overflows(page), place).toBe(false);
      expect(await page.getByRole('main').locator('script, img').count(), place).toBe(0);
      expect(await page.evaluate("'hacked' in window"), place).toBe(false);
    }
  });
});
