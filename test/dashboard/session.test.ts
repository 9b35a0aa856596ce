/** Logging in and staying in: by a link, by a password, over a restart of the broker, behind a proxy, with TLS. */
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, expect, test } from 'vitest';
import { Certificates } from '../support/certificates.ts';
import { dashboard, describeInBrowser, eventually, saysDone } from './browser.ts';

describeInBrowser('whoever logs in', () => {
  const broker = dashboard();

  test('by a link has its token nowhere any more, and a second use says that it is used up', async () => {
    const { token } = await broker.sluice.command('login-links create', {});
    const page = await broker.newPage();
    await page.goto(`${broker.url}#token=${token}`);
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
    expect(page.url()).toBe(`${broker.url}#/`);
    const other = await broker.newPage();
    await other.goto(`${broker.url}#token=${token}`);
    await other.getByRole('alert').or(other.locator('.toast.failed')).first().waitFor();
    expect(await other.locator('body').textContent()).toContain('The link was used, has expired, or is none');
    await other.getByRole('heading', { name: 'Log in' }).waitFor();
  });

  test('without a link is told what is wrong, and how to get one', async () => {
    const page = await broker.newPage();
    await page.goto(broker.url);
    await page.getByLabel('User name').fill('ada');
    await page.getByLabel('Password').fill('wrong');
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByRole('alert').waitFor();
    expect(await page.getByRole('alert').textContent()).toContain('user name or the password is wrong');
    expect(await page.locator('code').textContent()).toBe('sluice admin login-link');
  });

  test('is told that the broker is away, and goes on where they were once it is back', async () => {
    const client = await broker.connect('survivor', ['x']);
    const page = await broker.open('#/clients/survivor');
    await page.getByRole('heading', { name: 'survivor' }).waitFor();
    await broker.stop();
    await page.locator('.away').waitFor();
    client.end(true);
    await broker.start();
    await eventually(() => page.locator('.away').count()).toBe(0);
    await page.getByText('Not connected').waitFor();
    await page.reload();
    await page.getByRole('heading', { name: 'survivor' }).waitFor();
    await page.getByRole('button', { name: 'Account' }).click();
    await page.getByRole('button', { name: 'Log out' }).click();
    await page.getByRole('heading', { name: 'Log in' }).waitFor();
  });
});

describeInBrowser('over TLS', () => {
  const certificates = new Certificates();
  afterAll(() => certificates.remove());
  const broker = dashboard({ admin: { listeners: [{ port: 0, tls: certificates.server('dashboard') }] } });

  test('the page works, and the cookie is for TLS only', async () => {
    const page = await broker.open('#/clients', { ignoreHTTPSErrors: true });
    await page.getByRole('heading', { name: 'Clients', level: 1 }).waitFor();
    expect(page.url()).toMatch(/^https:/);
    const cookies = await page.context().cookies();
    expect(cookies).toMatchObject([{ name: 'sluice_session', secure: true, httpOnly: true, sameSite: 'Strict' }]);
  });
});

describeInBrowser('behind a proxy that has the API below a path', () => {
  const origins: string[] = [];
  const broker = dashboard({ admin: { origins } });

  test('the page works, streams and actions too', async () => {
    const proxy = createServer((asked, response) => {
      const prefix = '/plant/broker';
      if (!asked.url!.startsWith(`${prefix}/`)) return void response.writeHead(404).end();
      const { host } = new URL(broker.url);
      const path = asked.url!.slice(prefix.length);
      const passed = request(`${new URL(broker.url).origin}${path}`, {
        method: asked.method,
        headers: { ...asked.headers, host },
      });
      passed.on('response', (answer) => {
        response.writeHead(answer.statusCode!, answer.headers);
        answer.pipe(response);
      });
      passed.on('error', () => response.destroy());
      response.on('close', () => passed.destroy());
      asked.pipe(passed);
    });
    proxy.listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    const origin = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    origins.push(origin);
    await broker.stop();
    await broker.start();
    try {
      await broker.connect('behind', ['x']);
      const { token } = await broker.sluice.command('login-links create', {});
      const page = await broker.newPage();
      await page.goto(`${origin}/plant/broker/#token=${token}`);
      await page.getByRole('heading', { name: 'Overview' }).waitFor();
      expect(page.url()).toBe(`${origin}/plant/broker/dashboard/#/`);
      await page.locator('.chart').first().waitFor();
      await page.goto(`${origin}/plant/broker/dashboard/#/clients/behind`);
      await page.getByRole('button', { name: 'Disconnect' }).click();
      await page.getByRole('dialog').getByRole('button', { name: 'Disconnect' }).click();
      await saysDone(page, 'Disconnected behind');
    } finally {
      proxy.closeAllConnections();
      proxy.close();
    }
  });
});
