/** The page of alarms, the log and the audit log. */
import { expect, test } from 'vitest';
import { dashboard, describeInBrowser, eventually, hostileNames, overflows } from './browser.ts';

describeInBrowser('the page of alarms and logs', () => {
  const broker = dashboard({
    limits: { queueMessages: 2 },
    authorization: { default: 'allow', rules: [{ deny: 'publish', topics: ['closed/#'] }] },
  });

  test('shows what calls for somebody while it does, and among the past ones afterwards', async () => {
    const page = await broker.open('#/');
    // A machine with much to do has alarms of its own.
    const alarms = '**/api/v1/alarms';
    await page.route(alarms, (route) => route.fulfill({ json: { active: [], past: [] } }));
    await page.goto(page.url().replace(/#.*/, '#/logs'));
    await page.getByText('Nothing calls for you').waitFor();
    await page.getByText('No alarm has ended since the start').waitFor();
    const away = await broker.connect('away', ['jobs/#']);
    await away.endAsync();
    const publisher = await broker.connect('publisher');
    for (let n = 0; n < 4; n++) await publisher.publishAsync(`jobs/${n}`, 'x', { qos: 1 });
    await page.unroute(alarms);
    const alarm = page.locator('.alarm', { hasText: 'queue' });
    await alarm.waitFor();
    expect(await alarm.textContent()).toContain('Warning');
    // It ends a minute after the last such message.
    const { active } = await broker.sluice.command('alarms list', {});
    const ended = active
      .filter(({ text }) => text.includes('queue'))
      .map((each) => ({ ...each, clearedAt: each.since + 90_000 }));
    await page.route(alarms, (route) => route.fulfill({ json: { active: [], past: ended } }));
    await eventually(() => alarm.count()).toBe(0);
    const past = page.getByRole('table', { name: 'Past alarms' }).locator('tbody tr');
    expect(await past.allTextContents()).toEqual([expect.stringMatching(/90 secs?Warning.*queue/)]);
  });

  test('follows the log, of a part, from a level on, and by a text', async () => {
    const page = await broker.open('#/logs?tab=log');
    const lines = page.getByRole('list', { name: 'Lines, the newest first' }).getByRole('listitem');
    await lines.first().waitFor();
    await page.getByLabel('Part of the broker').selectOption('Clients and sessions');
    await broker.connect('logged');
    await page.getByRole('searchbox', { name: 'With this text in it' }).fill('LOGGED');
    await eventually(() => lines.allTextContents()).toContainEqual(
      expect.stringMatching(/Info Clients and sessions.*logged/),
    );
    await page.getByLabel('Least important lines').selectOption('Errors');
    await page.getByText('No line fits').waitFor();
  });

  test('holds the log still to be read, and goes on with what came meanwhile', async () => {
    const page = await broker.open('#/logs?tab=log&part=session');
    await broker.connect('before');
    const lines = page.getByRole('list', { name: 'Lines, the newest first' });
    await lines.getByText('"before"').first().waitFor();
    await page.getByRole('button', { name: 'Hold still' }).click();
    await broker.connect('meanwhile');
    await broker.sluice.command('log list', { contains: 'meanwhile' });
    expect(await lines.textContent()).not.toContain('meanwhile');
    await page.getByRole('button', { name: 'Go on' }).click();
    await lines.getByText('"meanwhile"').first().waitFor();
  });

  test('lets more of a part be logged for a time, and says until when', async () => {
    const page = await broker.open('#/logs?tab=log');
    await page.getByRole('button', { name: 'Change the level' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Level').selectOption('Debug');
    await dialog.getByLabel('Of').selectOption('Store');
    await dialog.getByLabel('For').selectOption('1 hour');
    expect(await dialog.locator('code').textContent()).toBe('sluice log level --part store --for 1h debug');
    await dialog.getByRole('button', { name: 'Change the level' }).click();
    await page.getByText(/Written now: Info, as configured; Store: Debug until/).waitFor();
    const { parts } = await broker.sluice.command('log level', { level: 'info', part: 'api' });
    expect(parts).toContainEqual(expect.objectContaining({ part: 'store', level: 'debug' }));
  });

  test('follows the audit log, and finds in its file what a client was refused', async () => {
    const page = await broker.open('#/logs?tab=audit&client=intruder');
    const rows = page.getByRole('table', { name: 'Audit log' }).locator('tbody tr');
    await page.getByText('No event fits').waitFor();
    const intruder = await broker.connect('intruder');
    await intruder.publishAsync('closed/door', 'x', { qos: 1 }).catch(() => {});
    await eventually(() => rows.allTextContents()).toEqual([
      expect.stringContaining('Message refused'),
      expect.stringContaining('Connected'),
    ]);
    expect(await rows.first().textContent()).toContain('closed/door');
    await page.getByText('Of the file').click();
    await eventually(() => rows.count()).toBe(2);
    await page.getByRole('combobox', { name: 'Event', exact: true }).selectOption('Message refused');
    await eventually(() => rows.count()).toBe(1);
    await page.getByRole('searchbox', { name: 'Client' }).fill('nobody');
    await page.getByText('No event fits').waitFor();
  });

  test('shows names that somebody chose to do harm as they are', async () => {
    for (const name of hostileNames) (await broker.connect(name)).end(true);
    for (const tab of ['log', 'audit']) {
      const page = await broker.open(`#/logs?tab=${tab}`);
      await eventually(() => page.getByRole('main').textContent()).toContain('from right to left');
      expect(await overflows(page), tab).toBe(false);
      expect(await page.getByRole('main').locator('script, img').count(), tab).toBe(0);
      expect(await page.evaluate("'hacked' in window"), tab).toBe(false);
    }
  });
});

describeInBrowser('without an audit log', () => {
  const broker = dashboard({ audit: {} });

  test('the page says what to set', async () => {
    const page = await broker.open('#/logs?tab=audit');
    await page.getByText(/keeps no audit log: set audit.file/).waitFor();
    await page.getByText('Of the file').click();
    await page.getByRole('button', { name: 'Try again' }).waitFor();
  });
});
