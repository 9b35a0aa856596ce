/** What is more than a page can show at once, and names in certificates. */
import mqtt from 'mqtt';
import { afterAll, expect, test } from 'vitest';
import { Certificates, pem } from '../support/certificates.ts';
import { dashboard, describeInBrowser, eventually, hostileNames, overflows } from './browser.ts';

describeInBrowser('a list of 100,000 entries', () => {
  const broker = dashboard({ store: { kind: 'memory' } });

  test('is shown page by page, and searched, without being in the browser', async () => {
    const publisher = await broker.connect('publisher');
    for (let n = 0; n < 100_000; n++) publisher.publish(`many/${n}`, 'x', { retain: true });
    await publisher.publishAsync('many/last', 'x', { retain: true, qos: 1 });
    const page = await broker.open('#/retained');
    const rows = page.locator('tbody tr');
    await page.getByText('1 – 50').waitFor();
    await page.getByRole('button', { name: 'Next' }).click();
    await page.getByText('51 – 100').waitFor();
    expect(await rows.count()).toBe(50);
    await page.getByRole('searchbox').first().fill('many/99999');
    await eventually(() => rows.allTextContents()).toEqual([expect.stringContaining('many/99999')]);
    expect(await page.locator('*').count()).toBeLessThan(2_000);
    expect(await overflows(page)).toBe(false);

    await page.goto(`${broker.url}#/topics?below=many/`);
    await page
      .getByText(/beyond the first 200 of this level|No message has come/)
      .first()
      .waitFor();
    await eventually(() => rows.count()).toBe(200);
    await page.getByRole('searchbox').fill('99999');
    await eventually(() => rows.count()).toBe(1);
  });
});

describeInBrowser('certificates whose names somebody chose to do harm', () => {
  const certificates = new Certificates();
  afterAll(() => certificates.remove());
  const authority = certificates.authority('authority');
  // What a certificate can name: 64 characters. Names that begin with a quote are refused.
  const names = hostileNames.filter((name) => name.length <= 64 && !name.startsWith('"'));
  const server = authority.issue('server', { purpose: 'server', commonName: names[0]! });
  const broker = dashboard({
    listeners: [
      { kind: 'tls', port: 0, tls: { ...server, caFile: authority.certFile, clientCertificate: 'required' } },
    ],
    authentication: [{ kind: 'certificate' }],
  });

  test('are shown as they are, as users of clients and among certificates', async () => {
    for (const [at, commonName] of names.entries()) {
      const client = mqtt.connect(`mqtts://localhost:${broker.sluice.listeners[0]!.port}`, {
        ...pem(authority.issue(`client ${at}`, { commonName })),
        ...{ clientId: `device-${at}`, rejectUnauthorized: false, reconnectPeriod: 0 },
      });
      await new Promise<void>((resolve, reject) => client.once('connect', () => resolve()).once('error', reject));
    }
    const page = await broker.open('#/clients');
    const rows = page.locator('tbody tr');
    await eventually(() => rows.count()).toBe(names.length);
    for (const place of ['#/clients', '#/clients/device-0', '#/listeners?tab=connections']) {
      await page.goto(`${broker.url}${place}`);
      await page.getByText(names[0]!).first().waitFor();
      expect(await overflows(page), place).toBe(false);
    }
    await page.goto(`${broker.url}#/listeners?tab=certificates`);
    // As Node writes a name, with a backslash before each `<`.
    await page.getByText('window.hacked').first().waitFor();
    expect(await overflows(page)).toBe(false);
    expect(await page.getByRole('main').locator('script, img').count()).toBe(0);
    expect(await page.evaluate("'hacked' in window")).toBe(false);
  });
});
