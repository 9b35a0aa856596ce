/** The page of access: what somebody may do, bans, users, and keys of the API. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { run } from '../../src/cli/run.ts';
import { FakeIo } from '../support/fake-io.ts';
import { dashboard, describeInBrowser, eventually, hostileNames, overflows, saysDone } from './browser.ts';

const files = mkdtempSync(join(tmpdir(), 'sluice-users-'));
const passwords = join(files, 'passwords');
afterAll(() => rmSync(files, { recursive: true }));
writeFileSync(passwords, '');

describeInBrowser('the page of access', () => {
  const broker = dashboard({
    authentication: [{ kind: 'password-file', file: passwords }],
    authorization: {
      default: 'deny',
      rules: [{ allow: 'all', topics: [`site/\${username}/#`] }],
    },
  });

  test('says what a client may do, and by which rule', async () => {
    const page = await broker.open('#/access');
    await page.getByLabel('Topic, or topic filter').fill('site/ada/door');
    await page.getByLabel('User name').fill('ada');
    await page.getByRole('button', { name: 'Ask' }).click();
    const verdict = page.locator('.verdict');
    await verdict.getByText('It may', { exact: true }).waitFor();
    expect(await verdict.textContent()).toContain('authorization.rules.0');
    await page.getByLabel('User name').fill('eve');
    await page.getByLabel('What it wants').selectOption('Subscribe to');
    await page.getByRole('button', { name: 'Ask' }).click();
    await verdict.getByText('It may not').waitFor();
    await page.getByText('The same on the command line').click();
    expect(await page.locator('.command-line code').textContent()).toBe(
      'sluice access explain --username eve subscribe site/ada/door',
    );
    await page.getByText('What else rules may ask about').click();
    await page.getByRole('textbox', { name: /^Address/ }).fill('nowhere');
    await page.getByRole('button', { name: 'Ask' }).click();
    await page.getByRole('alert').getByText('an address').waitFor();
  });

  test('a user is added, can log in, is given another password and is removed', async () => {
    const page = await broker.open('#/access?tab=users');
    await page.getByText('This file has no users').waitFor();
    await page.getByRole('button', { name: 'Add a user' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('User name').fill('ada');
    await dialog.getByLabel('Password').fill('first');
    expect(await dialog.locator('code').textContent()).not.toContain('first');
    await dialog.getByRole('button', { name: 'Add a user' }).click();
    await saysDone(page, 'Added ada');
    const rows = page.getByRole('table', { name: 'Users' }).locator('tbody tr');
    await eventually(() => rows.allTextContents()).toEqual([expect.stringMatching(/^ada.*passwords/)]);
    const connects = (password: string) =>
      broker.connect('door', [], { username: 'ada', password }).then(
        () => true,
        () => false,
      );
    await eventually(() => connects('first')).toBe(true);

    await page.getByRole('button', { name: 'Change password' }).click();
    await dialog.getByLabel('Password').fill('second');
    await dialog.getByRole('button', { name: 'Change password' }).click();
    await saysDone(page, 'Changed the password of ada');
    await eventually(() => connects('second')).toBe(true);

    await page.getByRole('button', { name: 'Add a user' }).click();
    await dialog.getByLabel('User name').fill('a:b');
    await dialog.getByLabel('Password').fill('x');
    await dialog.getByRole('button', { name: 'Add a user' }).click();
    await dialog.getByRole('alert').getByText('no colon').waitFor();
    await dialog.getByRole('button', { name: 'Cancel' }).click();

    await page.getByRole('button', { name: 'Remove' }).click();
    await dialog.getByRole('button', { name: 'Remove' }).click();
    await saysDone(page, 'Removed ada');
    await page.getByText('This file has no users').waitFor();
  });

  test('somebody is banned, is listed, and is let in again', async () => {
    const page = await broker.open('#/access?tab=bans');
    await page.getByText('Nobody is banned').waitFor();
    const dialog = page.getByRole('dialog');
    await page.getByRole('button', { name: 'Ban' }).click();
    await dialog.getByRole('button', { name: 'Ban' }).click();
    await dialog.getByRole('alert').waitFor();
    await dialog.getByLabel('Client identifier').fill('flooder');
    await dialog.getByLabel('For').selectOption('1 day');
    await dialog.getByLabel('Why').fill('floods');
    expect(await dialog.locator('code').textContent()).toBe(
      'sluice bans create --client flooder --for 24h --why floods --disconnect',
    );
    await dialog.getByRole('button', { name: 'Ban' }).click();
    await saysDone(page, 'Banned; 0 connections were ended');
    await broker.sluice.command('bans create', { address: '10.0.0.7', forSeconds: 60 });
    const rows = page.getByRole('table', { name: 'Bans' }).locator('tbody tr');
    await eventually(() => rows.count()).toBe(2);
    const own = rows.filter({ hasText: 'floods' });
    expect(await own.textContent()).toMatch(/everywhereanybodyflooderfloods/);
    await own.getByRole('button', { name: 'Lift' }).click();
    await saysDone(page, 'Lifted 1 bans');
    await eventually(() => rows.count()).toBe(1);
    await broker.sluice.command('bans create', { user: hostileNames[0]!, forSeconds: 60 });
    await page.getByRole('button', { name: 'Lift all' }).click();
    await dialog.getByRole('button', { name: 'Lift all' }).click();
    await page.getByText('Nobody is banned').waitFor();
  });

  test('a key is made, works, is shown once and is ended', async () => {
    const page = await broker.open('#/access?tab=keys');
    await page.getByText('No keys').waitFor();
    await page.getByRole('button', { name: 'Make a key' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByRole('textbox', { name: /^Name/ }).fill('backup job');
    await dialog.getByLabel('Role').selectOption('May look (viewer)');
    for (const area of ['Keys', 'Access']) await dialog.getByLabel(area, { exact: true }).uncheck();
    await dialog.getByLabel('Valid for').selectOption('30 days');
    await dialog.getByRole('button', { name: 'Make a key' }).click();
    await saysDone(page, 'Made the key backup job');
    const key = (await page.getByText('shown only now').locator('..').locator('code').textContent())!;
    const headers = { Authorization: `Bearer ${key}` };
    const ask = async (path: string) => (await fetch(new URL(path, broker.url), { headers })).status;
    expect(await ask('../api/v1/broker')).toBe(200);
    expect(await ask('../api/v1/bans')).toBe(403);
    const rows = page.getByRole('table', { name: 'Keys of the API' }).locator('tbody tr');
    expect(await rows.first().textContent()).toMatch(/^backup jobviewer/);
    await rows.first().getByRole('button', { name: 'End' }).click();
    await dialog.getByRole('button', { name: 'End' }).click();
    await page.getByText('No keys').waitFor();
    expect(await ask('../api/v1/broker')).toBe(401);
    expect(await page.getByRole('main').textContent()).not.toContain(key);
  });

  test('a login link is made, and logs in', async () => {
    const page = await broker.open('#/access?tab=keys');
    await page.getByRole('button', { name: 'Make a login link' }).click();
    const link = (await page.getByText('Logs in as an admin').locator('..').locator('code').first().textContent())!;
    const other = await broker.newPage();
    await other.goto(link);
    await other.getByRole('heading', { name: 'Overview', level: 1 }).waitFor();
  });

  test('shows names that somebody chose to do harm as they are', async () => {
    for (const name of hostileNames) {
      await broker.sluice.command('bans create', { client: name, why: name.slice(0, 200), forSeconds: 60 });
    }
    for (const name of hostileNames.filter((each) => !/[:#]/.test(each))) {
      const io = new FakeIo();
      expect(await run(['passwd', '-b', passwords, name.slice(0, 1_000), 'x'], io), io.stderr.text).toBe(0);
    }
    for (const tab of ['bans', 'users']) {
      const page = await broker.open(`#/access?tab=${tab}`);
      await page.locator('tbody tr').first().waitFor();
      expect(await overflows(page), tab).toBe(false);
      expect(await page.getByRole('main').locator('script, img').count(), tab).toBe(0);
      expect(await page.evaluate("'hacked' in window"), tab).toBe(false);
    }
    const page = await broker.open(
      `#/access?${new URLSearchParams({ topic: hostileNames[0]!, client: hostileNames[5]! })}`,
    );
    await page.getByRole('button', { name: 'Ask' }).click();
    await page.getByText('It may not').waitFor();
    expect(await page.evaluate("'hacked' in window")).toBe(false);
  });
});

describeInBrowser('without a password file', () => {
  const broker = dashboard();

  test('the page says what users would need', async () => {
    const page = await broker.open('#/access?tab=users');
    await page.getByRole('alert').getByText('password').first().waitFor();
  });
});
