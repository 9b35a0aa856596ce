/** The pages of bridges, to another broker and to one that is not there. */
import { expect, test } from 'vitest';
import { dashboard, describeInBrowser, eventually, hostileNames, overflows } from './browser.ts';

describeInBrowser('the pages of bridges', () => {
  const peer = dashboard();
  const broker = dashboard({
    bridges: [{ name: 'nowhere', addresses: ['mqtt://127.0.0.1:1'], topics: [{ filter: 'up/#', direction: 'out' }] }],
  });

  test('among clients, the session of a bridge is shown as the bridge, and leads to its page', async () => {
    const page = await broker.open('#/clients');
    await page.getByRole('link', { name: 'bridge nowhere' }).click();
    await page.getByRole('heading', { name: 'nowhere', level: 1 }).waitFor();
  });

  test('a bridge is made, carries messages, is paused, resumed, changed and removed', async () => {
    const received: string[] = [];
    const reader = await peer.connect('reader', ['site7/#']);
    reader.on('message', (topic, payload) => received.push(`${topic} ${payload}`));
    const page = await broker.open('#/bridges');
    await page.getByRole('link', { name: 'Make a bridge' }).click();
    await page.getByRole('textbox', { name: /^Name/ }).fill('cloud');
    await page.getByRole('textbox', { name: 'Addresses of the peer' }).fill(peer.mqttUrl);
    await page.getByRole('textbox', { name: 'User name' }).fill('ada');
    await page.getByLabel('Password').fill('secret');
    await page.getByRole('textbox', { name: 'Topic filter' }).fill('telemetry/#');
    await page.getByRole('textbox', { name: 'Prefix at the peer' }).fill('site7/');
    await page.getByText('The same on the command line').click();
    const line = page.locator('.command-line code');
    expect(await line.textContent()).toMatch(
      /^sluice bridges create --settings '\{"name":"cloud".*"password":"\*\*\*"/,
    );
    await page.getByRole('button', { name: 'Make it' }).click();
    await page.getByRole('heading', { name: 'cloud', level: 1 }).waitFor();
    await page.locator('.page-head').getByText('Connected').waitFor();

    const publisher = await broker.connect('publisher');
    await publisher.publishAsync('telemetry/a', '1', { qos: 1 });
    await eventually(() => received).toEqual(['site7/telemetry/a 1']);
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.locator('.page-head').getByText('Paused').waitFor();
    await publisher.publishAsync('telemetry/a', '2', { qos: 1 });
    await page.locator('.details > div', { hasText: 'Waiting' }).getByText(/^1 ·/).waitFor();
    await page.getByRole('button', { name: 'Resume' }).click();
    await eventually(() => received.length).toBe(2);

    await page.getByRole('link', { name: 'Change' }).click();
    await page.getByRole('button', { name: 'Add topics' }).click();
    await page.getByRole('textbox', { name: 'Topic filter' }).last().fill('alarms/#');
    await page.getByRole('button', { name: 'Change it' }).click();
    await page.getByText('Changed cloud').waitFor();
    await page.getByRole('cell', { name: 'alarms/#' }).waitFor();
    await publisher.publishAsync('alarms/fire', '3', { qos: 1 });
    await page.getByText('All settings').click();
    const shown = await page.getByRole('region', { name: 'All settings' }).textContent();
    expect(JSON.parse(shown!)).toMatchObject({ username: 'ada', password: '***' });

    await page.getByRole('button', { name: 'Remove' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
    await page.getByText('Removed cloud').waitFor();
    await page.getByRole('heading', { name: 'Bridges', level: 1 }).waitFor();
    expect((await broker.sluice.command('bridges list', {})).bridges.map(({ name }) => name)).toEqual(['nowhere']);
  });

  test('one of the configuration says why it is not connected, and is changed there', async () => {
    const page = await broker.open('#/bridges');
    await page.getByRole('link', { name: 'nowhere' }).click();
    await page.getByText('Why not').waitFor();
    await page
      .getByText(/ECONNREFUSED|refused/)
      .first()
      .waitFor();
    await page.getByText('the configuration: change it there, and reload').waitFor();
    expect(await page.getByRole('button', { name: 'Remove' }).count()).toBe(0);
    expect(await page.getByRole('link', { name: 'Change' }).count()).toBe(0);
  });

  test('what is wrong with a new one is said beside it, and nothing that was filled in is lost', async () => {
    const page = await broker.open('#/bridges?create=yes');
    await page.getByRole('textbox', { name: /^Name/ }).fill('wrong');
    await page.getByRole('textbox', { name: 'Addresses of the peer' }).fill('http://example');
    await page.getByRole('textbox', { name: 'Topic filter' }).fill('x');
    await page.getByRole('button', { name: 'Make it' }).click();
    await page.getByRole('alert').getByText('mqtt://host:port').waitFor();
    expect(await page.getByRole('textbox', { name: /^Name/ }).inputValue()).toBe('wrong');
    await page.getByText('All settings, as JSON').first().click();
    await page.getByRole('textbox', { name: 'All settings, as JSON' }).fill('{');
    await page.getByText('This is no JSON object').waitFor();
    expect(await page.getByRole('button', { name: 'Make it' }).isDisabled()).toBe(true);
  });

  test('shows names that somebody chose to do harm as they are', async () => {
    const topics = hostileNames.map((name) => ({
      filter: `${name.slice(0, 500).replaceAll(/[#+]/g, '')}/#`,
      remotePrefix: `${name.slice(0, 200).replaceAll(/[#+]/g, '')}/`,
    }));
    const settings = { name: 'hostile', addresses: ['mqtt://127.0.0.1:1'], clientId: hostileNames[0]!, topics };
    await broker.sluice.command('bridges create', { settings });
    for (const place of ['#/bridges/hostile', '#/bridges/hostile?change=yes', '#/bridges']) {
      const page = await broker.open(place);
      await page
        .getByText('Paused')
        .or(page.getByText(/Connecting|Waits/))
        .first()
        .waitFor();
      expect(await overflows(page), place).toBe(false);
      expect(await page.getByRole('main').locator('script, img').count(), place).toBe(0);
      expect(await page.evaluate("'hacked' in window"), place).toBe(false);
    }
    const page = await broker.open(`#/bridges/${encodeURIComponent(hostileNames[1]!)}`);
    await page.getByText('There is no such bridge').waitFor();
  });
});
