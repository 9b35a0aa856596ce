/** Each page and each action, with real clients behind them. */
import { expect, test } from 'vitest';
import { run } from '../../src/cli/run.ts';
import { FakeIo } from '../support/fake-io.ts';
import { dashboard, describeInBrowser, eventually, saysDone } from './browser.ts';

describeInBrowser('the dashboard', () => {
  const broker = dashboard();

  /** Runs a command as the page shows it; resolves with what it prints. */
  async function shell(command: string): Promise<string> {
    const [, ...argv] = [...command.matchAll(/'([^']*)'|(\S+)/g)].map(([, inQuotes, plain]) => inQuotes ?? plain!);
    const io = new FakeIo();
    const code = await run([...argv, '--data-dir', `${broker.directory}/data`], io);
    expect(io.stderr.text).toBe('');
    expect(code).toBe(0);
    return io.stdout.text;
  }

  test('the overview shows figures as they change, and what each is', async () => {
    const subscriber = await broker.connect('subscriber', ['load/#']);
    const publisher = await broker.connect('publisher');
    const page = await broker.open('#/');
    const received = page.locator('.figure', { hasText: 'Messages in' });
    await received.waitFor();
    const publishing = setInterval(() => publisher.publish('load/1', 'x'), 20);
    await eventually(() => received.locator('.figure-value').textContent()).toMatch(/^[1-9]/);
    clearInterval(publishing);
    await page.getByRole('button', { name: 'About: Messages in' }).click();
    const popover = page.locator('.popover:popover-open');
    await popover.getByText('When to worry').waitFor();
    expect(await popover.textContent()).toContain('messages per second');
    subscriber.end(true);
  });

  test('each chart has the same figures as a table', async () => {
    const page = await broker.open('#/');
    const charts = page.locator('.chart');
    await charts.first().waitFor();
    const count = await charts.count();
    expect(count).toBeGreaterThan(5);
    for (let n = 0; n < count; n++) {
      const chart = charts.nth(n);
      await chart.getByRole('button', { name: 'as a table' }).click();
      await eventually(() => chart.locator('tbody tr').count()).toBeGreaterThan(0);
    }
  });

  test('clients are looked for as one types, and columns are as one has chosen them', async () => {
    for (const name of ['pump-1', 'pump-2', 'valve-1']) await broker.connect(name, ['x']);
    const page = await broker.open('#/clients');
    const rows = page.locator('tbody tr');
    await page.getByRole('searchbox').fill('pump');
    await eventually(() => rows.allTextContents()).toEqual([
      expect.stringContaining('pump-'),
      expect.stringContaining('pump-'),
    ]);
    await page.getByRole('searchbox').fill('no such client');
    await page.getByText('No client fits').waitFor();
    await page.getByRole('link', { name: 'Show all' }).click();
    await eventually(() => rows.count()).toBeGreaterThanOrEqual(3);
    await page.getByRole('button', { name: 'Columns' }).click();
    await page.getByRole('checkbox', { name: 'Protocol' }).check();
    await page.reload();
    await page.getByRole('columnheader', { name: 'Protocol' }).waitFor();
    expect(await rows.first().textContent()).toContain('MQTT 5.0');
  });

  test('a client is disconnected once that is confirmed, and the command that is shown does the same', async () => {
    const first = await broker.connect('kicked', ['x']);
    const page = await broker.open('#/clients/kicked');
    const closed = new Promise<void>((resolve) => first.once('close', () => resolve()));
    await page.getByRole('button', { name: 'Disconnect' }).click();
    const dialog = page.getByRole('dialog');
    const command = (await dialog.locator('code').textContent())!;
    await dialog.getByRole('button', { name: 'Cancel' }).click();
    expect(first.connected).toBe(true);
    await page.getByRole('button', { name: 'Disconnect' }).click();
    await dialog.getByRole('button', { name: 'Disconnect' }).click();
    await closed;
    await saysDone(page, 'Disconnected kicked');
    await page.getByText('Not connected').waitFor();

    const again = await broker.connect('kicked');
    const closedAgain = new Promise<void>((resolve) => again.once('close', () => resolve()));
    await shell(command);
    await closedAgain;
  });

  test('a queue is shown and emptied, and a session is deleted', async () => {
    const away = await broker.connect('away', ['jobs/#']);
    await away.endAsync();
    const publisher = await broker.connect('publisher');
    for (let n = 0; n < 3; n++) await publisher.publishAsync(`jobs/${n}`, 'x', { qos: 1 });
    const page = await broker.open('#/clients/away?tab=queue');
    await eventually(() => page.locator('tbody tr').count()).toBe(3);
    await page.getByRole('button', { name: 'Empty the queue' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Empty the queue' }).click();
    await saysDone(page, 'Dropped 3 messages that waited for away');
    await page.getByText('Nothing waits for this client').waitFor();
    await page.getByRole('button', { name: 'Delete the session' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Delete the session' }).click();
    await saysDone(page, 'Deleted the session of away');
    await page.getByRole('heading', { name: 'Clients', level: 1 }).waitFor();
    expect((await broker.sluice.clients.list({ clientId: 'away' })).items).toEqual([]);
  });

  test('what happened to a client is told, the newest first', async () => {
    const seen = await broker.connect('seen', ['news/#']);
    await seen.endAsync();
    const page = await broker.open('#/clients/seen');
    const events = page.getByRole('list', { name: 'What happened to this client' }).getByRole('listitem');
    await eventually(() => events.locator('strong').allTextContents()).toEqual([
      'Disconnected',
      'Subscribed',
      'Connected',
    ]);
    expect(await events.nth(1).textContent()).toContain('news/#');
  });

  test('what a client did not get is told in words', async () => {
    const away = await broker.connect('purged', ['news/#']);
    await away.endAsync();
    const publisher = await broker.connect('publisher');
    await publisher.publishAsync('news/1', 'x', { qos: 1 });
    await broker.sluice.command('queue purge', { clientId: 'purged' });
    const page = await broker.open('#/clients/purged');
    const events = page.getByRole('list', { name: 'What happened to this client' }).getByRole('listitem');
    await eventually(() => events.allTextContents()).toContainEqual(
      expect.stringMatching(/Did not get\s*Queue emptied/),
    );
    await page.goto(`${broker.url}#/happened?tab=drops&client=purged`);
    await page.getByRole('combobox', { name: 'Reason' }).selectOption('Queue emptied');
    await page.getByRole('cell', { name: 'Queue emptied' }).waitFor();
  });

  test('a trace shows what happens with a client, packet by packet, until it is ended', async () => {
    const traced = await broker.connect('traced', ['trace/#']);
    const page = await broker.open('#/clients/traced?tab=trace');
    await page.getByLabel('With the beginning of payloads').check();
    await page.getByRole('button', { name: 'Start a trace' }).click();
    await saysDone(page, 'The trace has begun');
    await page.getByText('Nothing has happened yet').waitFor();
    await traced.publishAsync('trace/here', '<b>hello</b>', { qos: 1 });
    const events = page.getByRole('list', { name: 'Events, the newest first' }).getByRole('listitem');
    await eventually(() => events.allTextContents()).toContainEqual(
      expect.stringMatching(/→ PUBLISH.*trace\/here.*<b>hello<\/b>/),
    );
    expect((await events.allTextContents()).join()).toMatch(/← PUBLISH/);
    await page.getByRole('button', { name: 'End it' }).click();
    await saysDone(page, /The trace has ended, with \d+ events/);
    await page.getByRole('button', { name: 'Start a trace' }).waitFor();
  });

  test('whoever may only look finds the actions disabled, with the reason', async () => {
    await broker.connect('looked-at', ['x']);
    const page = await broker.open('#/clients/looked-at');
    await page.route('**/api/v1/login', async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, json: { ...(await response.json()), role: 'viewer' } });
    });
    await page.reload();
    const button = page.getByRole('button', { name: 'Delete the session' });
    await button.waitFor();
    expect(await button.isDisabled()).toBe(true);
    expect(await button.getAttribute('title')).toBe('This needs the role operator for the area clients');
  });
});
