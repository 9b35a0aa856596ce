/** The page of the configuration, of a broker with a file and of one without. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { run } from '../../src/cli/run.ts';
import { FakeIo, sluice } from '../support/fake-io.ts';
import { dashboard, describeInBrowser, eventually, overflows, saysDone } from './browser.ts';

describeInBrowser('the page of the configuration', () => {
  const broker = dashboard({
    limits: { queueMessages: 77 },
    bridges: [
      {
        name: 'hostile',
        addresses: ['mqtt://127.0.0.1:1'],
        password: 'hush',
        topics: [{ filter: '<img src=x onerror="window.hacked = true">/\u202Eevil/#' }],
      },
    ],
  });

  test('shows what is in force, what it would be by default, and no secret', async () => {
    const page = await broker.open('#/configuration');
    await page.getByText('There is no file to read again').waitFor();
    const table = page.getByRole('table', { name: 'What is in force' });
    const rows = table.locator('tbody tr');
    await page.getByRole('searchbox').fill('QUEUEMESS');
    await eventually(() => rows.allTextContents()).toEqual(['limits.queueMessages77Program10000']);
    await page.getByRole('searchbox').fill('bridges');
    await rows.getByText('bridges.0.password').waitFor();
    expect(await table.textContent()).toContain('***');
    expect(await table.textContent()).not.toContain('hush');
    expect(await page.getByRole('main').locator('script, img').count()).toBe(0);
    expect(await page.evaluate("'hacked' in window")).toBe(false);
    expect(await overflows(page)).toBe(false);
    await page.getByRole('searchbox').fill('limits.');
    await page.getByText('Only what is not as by default').click();
    await eventually(async () => (await rows.allTextContents()).join()).toContain('limits.queueMessages77');
    expect(await table.textContent()).not.toContain('limits.packetBytes');
    await page.getByRole('searchbox').fill('no such setting');
    await page.getByText('No setting fits').waitFor();
  });

  test('copies the data to a directory', async () => {
    const page = await broker.open('#/configuration');
    await page.getByRole('button', { name: 'Back up the data' }).click();
    const dialog = page.getByRole('dialog');
    const directory = join(broker.directory, 'copy');
    await dialog.getByLabel('Directory on the machine of the broker').fill(directory);
    await dialog.getByRole('button', { name: 'Back up the data' }).click();
    await saysDone(page, /Copied \d+ records/);
    expect(readdirSync(directory).length).toBeGreaterThan(0);
    await page.getByRole('button', { name: 'Back up the data' }).click();
    await dialog.getByLabel('Directory on the machine of the broker').fill(join(broker.directory, 'data'));
    await dialog.getByRole('button', { name: 'Back up the data' }).click();
    await dialog.getByRole('alert').waitFor();
  });

  test('a reload of a broker without a file is refused with what to do', async () => {
    const page = await broker.open('#/configuration');
    await page.getByRole('button', { name: 'Reload' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Reload' }).click();
    await page.getByRole('alert').getByText('--config').waitFor();
  });
});

describeInBrowser('the page of the configuration of a broker with a file', () => {
  const other = dashboard();

  test('shows what a reload would change, applies it, and says what is wrong with the file', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-configuration-'));
    const file = join(folder, 'sluice.yaml');
    const write = (queueMessages: number, topic: string) =>
      writeFileSync(
        file,
        JSON.stringify({
          listeners: [{ kind: 'tcp', port: 0 }],
          admin: { listeners: [{ port: 0 }] },
          store: { kind: 'level', directory: join(folder, 'data') },
          log: { file: join(folder, 'log') },
          limits: { queueMessages },
          authorization: { default: 'allow', rules: [{ deny: 'all', topics: [topic] }] },
        }),
      );
    write(77, 'closed');
    const io = new FakeIo();
    const ended = run(['start', '--config', file, '--log-level', 'debug'], io);
    try {
      const [, url] = await io.stdout.until(/HTTP API on (.*)\/api\/v1/);
      await io.stdout.until(/process \d+/);
      const links = await sluice('admin', 'login-link', '--config', file, '--json');
      const page = await other.newPage();
      await page.goto(`${url}/dashboard/#token=${JSON.parse(links.out).token}`);
      await page.getByRole('link', { name: 'Configuration' }).click();
      await page.getByText(`From ${file}`).waitFor();
      await page.getByText('The file is what is in force').waitFor();
      const settings = page.getByRole('table', { name: 'What is in force' });
      await page.getByLabel('Only what is not as by default').check();
      await eventually(() => settings.getByRole('row', { name: 'limits.queueMessages' }).textContent()).toBe(
        'limits.queueMessages77File, line 110000',
      );
      await eventually(() => settings.getByRole('row', { name: 'log.level' }).textContent()).toMatch(
        /^log\.leveldebugCommand line/,
      );

      write(78, 'locked');
      await page.reload();
      const rows = page.getByRole('table', { name: 'What has changed in the file' }).locator('tbody tr');
      await eventually(() => rows.allTextContents()).toEqual([
        'limits.queueMessages7778the next start',
        'authorization.rules.0.topics.0closedlockeda reload',
      ]);
      await page.getByRole('button', { name: 'Reload' }).click();
      const dialog = page.getByRole('dialog');
      await dialog.getByText('1 settings take effect at once, and 1 with the next start').waitFor();
      await dialog.getByRole('button', { name: 'Reload' }).click();
      await eventually(() => rows.count()).toBe(1);

      writeFileSync(file, 'limits: { queueMessages: 0 }');
      await page.reload();
      await page.getByText('The file cannot be used as it is now').waitFor();
      await page.getByText(/limits.queueMessages: expected at least 1/).waitFor();
    } finally {
      io.signal();
      await ended;
      rmSync(folder, { recursive: true });
    }
  });
});
