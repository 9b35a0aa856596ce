/** The page of listeners, certificates and connections. */
import { connect } from 'node:net';
import { afterAll, expect, test } from 'vitest';
import { Certificates } from '../support/certificates.ts';
import { dashboard, describeInBrowser, eventually, hostileNames, overflows, saysDone } from './browser.ts';

const certificates = new Certificates();
afterAll(() => certificates.remove());

describeInBrowser('the page of listeners', () => {
  const broker = dashboard({
    listeners: [
      { kind: 'tcp', port: 0 },
      { kind: 'tls', port: 0, tls: certificates.server('server') },
    ],
  });

  test('a listener is stopped with its connections, and started again', async () => {
    const client = await broker.connect('through tcp');
    const closed = new Promise<void>((resolve) => client.once('close', () => resolve()));
    const page = await broker.open('#/listeners');
    const row = page.getByRole('table', { name: 'Listeners' }).locator('tbody tr', { hasText: 'mqtt://' });
    await eventually(() => row.textContent()).toMatch(/MQTTNoTakes connections11/);
    await row.getByRole('button', { name: 'Stop' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Also end its 1 connections').check();
    await dialog.getByRole('button', { name: 'Stop' }).click();
    await closed;
    await saysDone(page, /; 1 connection was ended/);
    await row.getByText('Stopped').waitFor();
    await expect(broker.connect('refused')).rejects.toThrow();
    await row.getByRole('button', { name: 'Start' }).click();
    await row.getByText('Takes connections').waitFor();
    await broker.connect('back');
    const api = page.locator('tbody tr', { hasText: 'HTTP API' });
    expect(await api.getByRole('button').count()).toBe(0);
  });

  test('certificates are listed with the time that is left, and read again', async () => {
    const page = await broker.open('#/listeners?tab=certificates');
    const row = page.getByRole('table', { name: 'Certificates' }).locator('tbody tr');
    await eventually(() => row.first().textContent()).toMatch(
      /^Certificate.*server.*localhost.*days.*server\.crt.*tls\.certFile/,
    );
    await page.getByRole('button', { name: 'Read the files again' }).click();
    await saysDone(page, 'Read the certificates of 1 listeners again');
  });

  test('connections are listed, also before their CONNECT, and found by client and address', async () => {
    await broker.connect('found');
    const silent = connect(Number(new URL(broker.mqttUrl).port), '127.0.0.1');
    try {
      const page = await broker.open('#/listeners?tab=connections');
      const rows = page.getByRole('table', { name: 'Connections' }).locator('tbody tr');
      await rows.getByText('Before CONNECT').waitFor();
      await page.getByRole('searchbox', { name: 'Client identifiers' }).fill('found');
      await eventually(() => rows.allTextContents()).toEqual([expect.stringMatching(/found.*Open/)]);
      await page.getByRole('searchbox', { name: 'Address' }).fill('10.0.0.0/8');
      await page.getByText('No connection fits').waitFor();
      await page.getByRole('searchbox', { name: 'Address' }).fill('nowhere');
      await page.getByRole('alert').getByText('an address').waitFor();
      await page.getByRole('searchbox', { name: 'Address' }).fill('127.0.0.1');
      await rows.getByRole('link', { name: 'found' }).waitFor();
    } finally {
      silent.destroy();
    }
  });

  test('clients are sent away before maintenance, and taken again', async () => {
    const client = await broker.connect('sent away');
    const closed = new Promise<void>((resolve) => client.once('close', () => resolve()));
    const page = await broker.open('#/listeners');
    await page.getByRole('button', { name: 'Send clients away' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Where they are told to go').fill('other.example:8883');
    await dialog.getByRole('button', { name: 'Send clients away' }).click();
    await closed;
    await page.getByText('those that are here are sent away').waitFor();
    await page.getByRole('button', { name: 'Take clients again' }).click();
    await saysDone(page, 'Clients are taken again');
    await broker.connect('taken');
  });

  test('shows names that somebody chose to do harm as they are', async () => {
    for (const name of hostileNames) await broker.connect(name);
    const page = await broker.open('#/listeners?tab=connections');
    await eventually(() => page.locator('tbody tr').count()).toBe(hostileNames.length);
    expect(await overflows(page)).toBe(false);
    expect(await page.getByRole('main').locator('script, img').count()).toBe(0);
    expect(await page.evaluate("'hacked' in window")).toBe(false);
  });
});

describeInBrowser('without TLS', () => {
  const broker = dashboard();

  test('the page says that there are no certificates', async () => {
    const page = await broker.open('#/listeners?tab=certificates');
    await page.getByText('No listener uses TLS').waitFor();
  });
});
