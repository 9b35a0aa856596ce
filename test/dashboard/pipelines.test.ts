/** The page of pipelines: their figures, the quarantine, and a message to try. */
import { expect, test } from 'vitest';
import { dashboard, describeInBrowser, eventually, hostileNames, overflows, saysDone } from './browser.ts';

const pipeline = {
  name: 'temperature',
  filter: 'hall/#',
  stages: [
    { decode: 'json' as const },
    { validate: { jsonSchema: { required: ['f'] } } },
    { map: '{ "celsius": $round((f - 32) * 5 / 9, 1) }' },
    { encode: 'json' as const },
  ],
};

describeInBrowser('the page of pipelines', () => {
  const broker = dashboard({ pipelines: [pipeline] });
  const quarantined = async () => (await broker.sluice.command('pipelines list', {})).quarantined;

  test('shows what went through each stage', async () => {
    const publisher = await broker.connect('publisher');
    await publisher.publishAsync('hall/1', '{"f":70}', { qos: 1 });
    const page = await broker.open('#/pipelines');
    await page.getByRole('heading', { name: 'temperature' }).waitFor();
    const rows = page.getByRole('table', { name: 'temperature' }).locator('tbody tr');
    await eventually(() => rows.allTextContents()).toEqual([
      expect.stringMatching(/^1 decode11/),
      expect.stringMatching(/^2 validate11/),
      expect.stringMatching(/^3 map11/),
      expect.stringMatching(/^4 encode11/),
    ]);
  });

  test('a message in quarantine is looked at, replayed and forgotten', async () => {
    const publisher = await broker.connect('bad publisher');
    for (let n = 0; n < 4; n++) await publisher.publishAsync(`hall/${n}`, `{"n":${n}}`, { qos: 1 });
    const page = await broker.open('#/pipelines');
    await page.getByRole('tab', { name: 'Quarantine 4' }).click();
    const rows = page.getByRole('table', { name: 'Quarantine' }).locator('tbody tr');
    await eventually(() => rows.count()).toBe(4);
    expect(await rows.first().textContent()).toMatch(/hall\/0bad publishertemperature 2 validate/);

    await rows.nth(1).getByRole('link').first().click();
    await page.locator('.payload').getByText('"n"').waitFor();
    await page.getByText('2 validate').waitFor();
    await page.getByRole('button', { name: 'Replay' }).click();
    await saysDone(page, '1 in quarantine again');
    await eventually(() => rows.count()).toBe(4);

    await rows.nth(0).getByRole('checkbox').check();
    await rows.nth(1).getByRole('checkbox').check();
    await page.getByText('2 chosen').waitFor();
    await page.getByRole('button', { name: 'Forget the chosen' }).click();
    const dialog = page.getByRole('dialog');
    expect(await dialog.locator('code').textContent()).toMatch(/^sluice quarantine drop \d+ \d+$/);
    await dialog.getByRole('button', { name: 'Forget the chosen' }).click();
    await saysDone(page, 'Forgot 2 messages');
    await eventually(() => rows.count()).toBe(2);

    const first = () => rows.first().getByRole('link').first().getAttribute('href', { timeout: 1_000 });
    const before = await first();
    await page.getByRole('button', { name: 'Replay all' }).click();
    await dialog.getByRole('button', { name: 'Replay all' }).click();
    await saysDone(page, '2 in quarantine again');
    // The list is of these by now: one that is empty for a moment would take the next dialog away.
    await eventually(() => first().catch(() => before)).not.toBe(before);
    await eventually(() => rows.count()).toBe(2);
    await page.getByRole('button', { name: 'Forget all' }).click();
    await dialog.getByRole('button', { name: 'Forget all' }).click();
    await page.getByText('Nothing is in quarantine').waitFor();
    expect(await quarantined()).toBe(0);
    await page.goto(`${broker.url}#/pipelines?tab=quarantine&id=1`);
    await page.getByText('This message is not in quarantine').waitFor();
  });

  test('goes through a long quarantine page by page', async () => {
    const publisher = await broker.connect('busy publisher');
    for (let n = 0; n < 60; n++) await publisher.publishAsync('hall/many', '{}', { qos: 1 });
    const page = await broker.open('#/pipelines?tab=quarantine');
    await page.getByText('1 – 50').waitFor();
    await page.getByRole('button', { name: 'Next' }).click();
    await page.getByText('51 – 60').waitFor();
    expect(await page.getByRole('button', { name: 'Next' }).isDisabled()).toBe(true);
    await page.getByRole('button', { name: 'Previous' }).click();
    await page.getByText('1 – 50').waitFor();
    await broker.sluice.command('quarantine drop', { ids: 'all' });
  });

  test('a message is tried, stage by stage, and published to nobody', async () => {
    const page = await broker.open('#/pipelines?tab=try');
    await page.getByLabel('Topic').fill('hall/2');
    await page.getByRole('textbox', { name: 'Payload' }).fill('{"f":70}');
    await page.getByRole('button', { name: 'Try it' }).click();
    await page.getByText('It would be published').waitFor();
    await page.getByRole('table', { name: 'What comes of it: 1' }).getByText('{"celsius":21.1}').waitFor();
    expect(await page.getByRole('table', { name: 'Stages' }).locator('tbody tr').count()).toBe(4);
    await page.getByText('The same on the command line').click();
    expect(await page.locator('.command-line code').textContent()).toBe(
      `sluice pipelines try --topic hall/2 --payload '{"f":70}'`,
    );
    await page.getByRole('textbox', { name: 'Payload' }).fill('{}');
    await page.getByRole('button', { name: 'Try it' }).click();
    await page.getByText('It would be put into the quarantine').waitFor();
    expect(await quarantined()).toBe(0);
    await page.getByLabel('Topic').fill('hall/#');
    await page.getByRole('button', { name: 'Try it' }).click();
    await page.getByRole('alert').getByText('without wildcards').waitFor();
  });

  test('a message in quarantine is tried as it came, with another payload', async () => {
    const publisher = await broker.connect('hasty publisher');
    await publisher.publishAsync('hall/3', '{"n":1}', { qos: 1, retain: true });
    await expect.poll(quarantined, { interval: 10 }).toBe(1);
    const { entries } = await broker.sluice.command('quarantine list', {});
    const page = await broker.open(`#/pipelines?tab=quarantine&id=${entries[0]!.id}`);
    await page.getByRole('link', { name: 'Try it again' }).click();
    await page.getByRole('button', { name: 'Try it' }).click();
    await page.getByText('It would be put into the quarantine').waitFor();
    expect(await page.getByLabel('Topic').inputValue()).toBe('hall/3');
    expect(await page.getByLabel('Retain').isChecked()).toBe(true);
    const payload = page.getByRole('textbox', { name: 'Payload' });
    expect(await payload.inputValue()).toBe('{"n":1}');
    await payload.fill('{"f":70}');
    await page.getByRole('button', { name: 'Try it' }).click();
    await page.getByText('It would be published').waitFor();
    expect(await quarantined()).toBe(1);
    await broker.sluice.command('quarantine drop', { ids: 'all' });
  });

  test('shows names and payloads that somebody chose to do harm as they are', async () => {
    for (const name of hostileNames) {
      const publisher = await broker.connect(name);
      await publisher.publishAsync(`hall/${name.slice(0, 1_000).replaceAll(/[#+]/g, '')}`, name, { qos: 1 });
    }
    const page = await broker.open('#/pipelines?tab=quarantine');
    const rows = page.locator('tbody tr');
    await eventually(() => rows.count()).toBe(hostileNames.length);
    const links = await rows.locator('td:first-child a').evaluateAll((all) => all.map((a) => a.getAttribute('href')));
    for (const link of ['#/pipelines?tab=quarantine', ...(links as string[])]) {
      await page.goto(broker.url + link);
      await page.locator('tbody, .payload').first().waitFor();
      expect(await overflows(page), link).toBe(false);
      expect(await page.getByRole('main').locator('script, img').count(), link).toBe(0);
      expect(await page.evaluate("'hacked' in window"), link).toBe(false);
    }
  });
});

describeInBrowser('without pipelines', () => {
  const broker = dashboard();

  test('the page says how there come to be some', async () => {
    const page = await broker.open('#/pipelines');
    await page.getByText('No pipelines').waitFor();
    await page.getByRole('tab', { name: 'Quarantine' }).click();
    await page.getByText('Nothing is in quarantine').waitFor();
    await page.getByRole('tab', { name: 'Try a message' }).click();
    await page.getByLabel('Topic').fill('x');
    await page.getByRole('button', { name: 'Try it' }).click();
    await page.getByText('No pipeline has this topic').waitFor();
  });
});
