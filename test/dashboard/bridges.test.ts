/** The pages of bridges, to another broker and to one that is not there. */
import { expect, test } from 'vitest';
import { dashboard, describeInBrowser, eventually, hostileNames, overflows, saysDone } from './browser.ts';

describeInBrowser('the pages of bridges', () => {
  const peer = dashboard();
  const broker = dashboard({
    pipelines: [{ name: 'for-bridges', on: 'bridge', filter: '#', stages: [{ filter: 'true' }] }],
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
    await page.getByLabel(/^Password/).fill('secret');
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
    await saysDone(page, 'Changed cloud');
    await page.getByRole('cell', { name: 'alarms/#' }).waitFor();
    await publisher.publishAsync('alarms/fire', '3', { qos: 1 });
    await page.getByText('All settings').click();
    const shown = await page.getByRole('region', { name: 'All settings' }).textContent();
    expect(JSON.parse(shown!)).toMatchObject({ username: 'ada', password: '***' });

    await page.getByRole('button', { name: 'Remove' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
    await saysDone(page, 'Removed cloud');
    await page.getByRole('heading', { name: 'Bridges', level: 1 }).waitFor();
    expect((await broker.sluice.command('bridges list', {})).bridges.map(({ name }) => name)).toEqual(['nowhere']);
  });

  test('what the form changes leaves all other settings of a bridge as they were', async () => {
    const settings = {
      ...{ name: 'full', addresses: ['mqtts://127.0.0.1:1'], start: 'manual', username: 'ada', password: 'secret' },
      tls: { serverName: 'peer.example', alpn: ['one', 'two'], minVersion: 'TLSv1.3' },
      queue: { maxBytes: 5_000_000, whenFull: 'drop-oldest' },
      notifications: { remote: true, remoteTopic: 'state/full' },
      topics: [
        { filter: 'alarm/#', priority: 7, pipeline: 'for-bridges' },
        { filter: 'orders/#', direction: 'in', forward: 'subscribed', localPrefix: 'plant/' },
      ],
    } as const;
    await broker.sluice.command('bridges create', { settings: { ...settings, topics: [...settings.topics] } as never });
    const { settings: before } = await broker.sluice.command('bridges show', { name: 'full' });
    const page = await broker.open('#/bridges/full?change=yes');
    await page.getByRole('textbox', { name: 'User name' }).fill('grace');
    await page.getByRole('button', { name: 'Change it' }).click();
    await saysDone(page, 'Changed full');
    const { settings: after } = await broker.sluice.command('bridges show', { name: 'full' });
    expect(after).toEqual({ ...before, username: 'grace' });
  });

  test('each setting of a bridge can be filled in', async () => {
    const page = await broker.open('#/bridges?create=yes');
    await page.getByRole('textbox', { name: /^Name/ }).fill('filled');
    await page.getByRole('textbox', { name: 'Addresses of the peer' }).fill('mqtts://127.0.0.1:1');
    await page.getByRole('textbox', { name: 'Topic filter' }).fill('alarm/#');
    await page.getByRole('spinbutton', { name: /^Priority/ }).fill('7');
    await page.getByRole('textbox', { name: /^Pipeline/ }).fill('for-bridges');
    await page.getByRole('button', { name: 'Add topics' }).click();
    await page.getByRole('textbox', { name: 'Topic filter' }).last().fill('orders/#');
    await page.getByLabel('Direction').last().selectOption('in');
    await page.getByLabel('Which messages').last().selectOption('subscribed');
    expect(await page.getByRole('spinbutton', { name: /^Priority/ }).count()).toBe(1);
    for (const group of ['More about the connection', 'TLS', 'Queue, rate and limits', 'Who is told']) {
      await page.getByRole('group').filter({ hasText: group }).locator('summary').first().click();
    }
    await page.getByRole('spinbutton', { name: 'Keep alive, s' }).fill('20');
    await page.getByRole('spinbutton', { name: 'Between two attempts at most' }).fill('5000');
    await page.getByLabel('The next address is as good').check();
    await page.getByRole('textbox', { name: 'Protocols to offer' }).fill('one,two');
    await page.getByLabel("The peer's certificate must").uncheck();
    await page.getByLabel('When the queue is full').selectOption('drop-oldest');
    await page.getByLabel('Clients of the peer').check();
    await page.getByRole('textbox', { name: 'Topic there' }).fill('state/filled');
    await page.getByRole('button', { name: 'Make it' }).click();
    await page.getByRole('heading', { name: 'filled', level: 1 }).waitFor();
    await page.getByRole('cell', { name: 'for-bridges' }).waitFor();
    await page.getByRole('cell', { name: 'Only what is subscribed to' }).waitFor();
    expect((await broker.sluice.command('bridges show', { name: 'filled' })).settings).toMatchObject({
      ...{ keepAliveSeconds: 20, roundRobin: true, reconnect: { minimumMs: 1_000, maximumMs: 5_000 } },
      tls: { alpn: ['one', 'two'], verifyName: false },
      queue: { whenFull: 'drop-oldest' },
      notifications: { local: true, remote: true, remoteTopic: 'state/filled' },
      topics: [
        { filter: 'alarm/#', priority: 7, pipeline: 'for-bridges' },
        { filter: 'orders/#', direction: 'in', forward: 'subscribed', priority: 0 },
      ],
    });
    expect(await overflows(page)).toBe(false);
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
