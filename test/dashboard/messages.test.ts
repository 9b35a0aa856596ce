/** Pages about messages: topics, what happened to them, retained ones, and the console. */
import { expect, test } from 'vitest';
import { dashboard, describeInBrowser, eventually, saysDone } from './browser.ts';

describeInBrowser('the page of topics', () => {
  const broker = dashboard();

  test('shows what is published as it comes, level by level, with the last messages', async () => {
    const publisher = await broker.connect('publisher');
    const subscriber = await broker.connect('reader', ['site/hall/#']);
    const page = await broker.open('#/topics');
    const publishing = setInterval(() => {
      publisher.publish('site/hall/temperature', '{"celsius":21.5}');
      publisher.publish('site/yard', 'wet');
    }, 100);
    try {
      await page.getByRole('link', { name: 'site' }).click();
      await page.getByRole('heading', { name: 'site', level: 1 }).waitFor();
      const yard = page.locator('tbody tr', { hasText: 'yard' });
      await yard.getByText('wet').waitFor();
      await eventually(() => yard.textContent()).toMatch(/\d/);
      await page.getByRole('link', { name: 'hall' }).click();
      await page.getByRole('link', { name: 'temperature' }).click();
      await page.locator('.payload').getByText('"celsius"').waitFor();
      await page.getByRole('tab', { name: 'Subscribers' }).click();
      await page.getByRole('link', { name: 'reader' }).waitFor();
    } finally {
      clearInterval(publishing);
    }
    subscriber.end(true);
  });

  test('publishes to a topic', async () => {
    const reader = await broker.connect('reader of one', ['orders/#']);
    const got = new Promise<string>((resolve) =>
      reader.once('message', (topic, payload) => resolve(`${topic} ${payload}`)),
    );
    const page = await broker.open('#/topics?below=orders/1/&tab=publish');
    await page.getByLabel('Payload').fill('shipped');
    await page.getByRole('button', { name: 'Publish' }).click();
    await page.getByText('Published', { exact: true }).waitFor();
    expect(await got).toBe('orders/1 shipped');
  });

  test('lists topics with a retained message that nobody publishes to, and finds one by its name', async () => {
    const publisher = await broker.connect('publisher of many');
    for (let n = 0; n < 30; n++) await publisher.publishAsync(`many/device-${n}`, 'x', { retain: true, qos: 1 });
    const page = await broker.open('#/topics?below=many/');
    await eventually(() => page.locator('tbody tr').count()).toBe(30);
    await page.getByRole('searchbox').fill('DEVICE-2');
    await eventually(() => page.locator('tbody tr').count()).toBe(11);
    await page.getByText('Retained').first().waitFor();
  });
});

describeInBrowser('the page of what happened', () => {
  const broker = dashboard({
    authorization: {
      default: 'allow',
      rules: [{ deny: 'publish', topics: ['closed/#'], for: { clientId: 'intruder' } }],
    },
  });

  test('says where a message would stop', async () => {
    await broker.connect('intruder');
    const page = await broker.open('#/happened');
    await page.getByLabel('Topic').fill('closed/1');
    await page.getByLabel('Published by').fill('intruder');
    await page.getByRole('button', { name: 'Ask' }).click();
    await page.getByText('It would not arrive').waitFor();
    await page.locator('.findings .stops').getByText('closed/#').waitFor();
    await page.getByLabel('Published by').fill('');
    await page.getByLabel('For').fill('nobody');
    await page.getByRole('button', { name: 'Ask' }).click();
    await page.locator('.findings .stops').waitFor();
  });

  test('finds what was dropped by topic, client and reason, and topics that nobody had subscribed to', async () => {
    const away = await broker.connect('away', ['lost/#']);
    await away.endAsync();
    const publisher = await broker.connect('publisher');
    await publisher.publishAsync('lost/1', 'x', { qos: 0 });
    await publisher.publishAsync('unheard/1', 'x', { qos: 1 });
    const page = await broker.open('#/happened?tab=drops&topic=lost/%23&client=away&reason=clientAway');
    const row = page.locator('tbody tr');
    await row.getByText('lost/1').waitFor();
    expect(await row.count()).toBe(1);
    await row.getByRole('link', { name: 'publisher' }).waitFor();
    await page.goto(`${broker.url}#/happened?tab=unmatched`);
    await page.getByRole('link', { name: 'unheard/1' }).waitFor();
  });
});

describeInBrowser('the page of retained messages', () => {
  const broker = dashboard();

  test('shows what is in one, and removes it once that is confirmed', async () => {
    const publisher = await broker.connect('publisher');
    const properties = { contentType: 'application/cbor', userProperties: { unit: 'C' } };
    await publisher.publishAsync('kept/1', Buffer.from('a1617418', 'hex'), { qos: 1, retain: true });
    await publisher.publishAsync('kept/2', Buffer.from('a161741815', 'hex'), { qos: 1, retain: true, properties });
    const page = await broker.open('#/retained');
    await page.getByRole('searchbox').fill('kept/2');
    await eventually(() => page.locator('tbody tr').count()).toBe(1);
    await page.getByRole('link', { name: 'kept/2' }).click();
    await page.locator('.payload').getByText('{"t":21}').waitFor();
    await page.getByText('application/cbor').waitFor();
    await page.getByRole('button', { name: 'Remove' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
    await saysDone(page, 'Removed the retained message of kept/2');
    await page.getByRole('searchbox').fill('kept/#');
    await eventually(() => page.locator('tbody tr').count()).toBe(1);
    await page.getByRole('link', { name: 'kept/1' }).waitFor();
  });
});

describeInBrowser('the console', () => {
  const broker = dashboard();

  test('publishes a message with all that MQTT 5 has, and shows it as it comes', async () => {
    const page = await broker.open('#/console?filter=talk/%23');
    await page.getByRole('button', { name: 'Subscribe' }).click();
    await page.getByText('Waiting for messages').waitFor();
    await page.getByLabel('Topic', { exact: true }).fill('talk/1');
    await page.getByLabel('Payload', { exact: true }).fill('68 65 6c 6c 6f');
    await page.getByText('Hexadecimal', { exact: true }).first().click();
    await page.getByText('Properties of MQTT 5').click();
    await page.getByLabel('Content Type').fill('text/plain');
    await page.getByLabel('User Properties').fill('from=me\nempty');
    await page.getByRole('button', { name: 'Publish' }).click();
    await page.getByText('Published', { exact: true }).waitFor();
    const message = page.locator('.messages > li').first();
    await message.getByText('hello').first().waitFor();
    await message.locator('summary').click();
    await message.getByText('text/plain').waitFor();
    await message.getByText('me', { exact: true }).waitFor();
    await page.getByText('The same for a shell').first().click();
    expect(await page.locator('code').first().textContent()).toContain('mosquitto_pub -t talk/1');
    await page.getByRole('button', { name: 'End' }).click();
    await page.getByText('Subscribe, to see messages').waitFor();
  });

  test('says why a message is refused, and remembers what was published', async () => {
    const page = await broker.open('#/console');
    await page.getByLabel('Topic', { exact: true }).fill('not/a/#');
    await page.getByRole('button', { name: 'Publish' }).click();
    await page.locator('.error').waitFor();
    await page.getByLabel('Topic', { exact: true }).fill('remembered');
    await page.getByRole('button', { name: 'Publish' }).click();
    await page.getByText('Published; nobody is subscribed').waitFor();
    await page.reload();
    await page.getByText('Published before').click();
    await page.getByRole('button', { name: 'Take over' }).click();
    expect(await page.getByLabel('Topic', { exact: true }).inputValue()).toBe('remembered');
  });
});
