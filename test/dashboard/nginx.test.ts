/**
 * The dashboard behind Debian's nginx, below a path and with TLS, by the configuration that the guide has, word for
 * word. Without nginx these tests are left out.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freePort, untilOpen } from '../../scripts/ports.ts';
import { Certificates } from '../support/certificates.ts';
import { dashboard, describeInBrowser, eventually } from './browser.ts';

const hasNginx = spawnSync('nginx', ['-v']).error === undefined;
if (!hasNginx) console.log('no nginx (Debian: apt install nginx-light): the dashboard is not tried behind it');

/** The configuration in the guide, with what differs here: each must stand there. */
function configurationOfGuide(changes: Readonly<Record<string, string>>): string {
  const guide = readFileSync(join(import.meta.dirname, '../../docs/guides/dashboard.md'), 'utf8');
  let [, text] = /```nginx\n([^`]+)```/.exec(guide)!;
  for (const [before, after] of Object.entries(changes)) {
    expect(text).toContain(before);
    text = text!.replaceAll(before, after);
  }
  return text!;
}

describe.runIf(hasNginx)('with nginx', () => {
  describeInBrowser('before it, below a path and with TLS', () => {
    const origins: string[] = [];
    const broker = dashboard({ admin: { origins } });
    const certificates = new Certificates();
    let origin = '';
    let url = '';
    let stop = async () => {};

    beforeAll(async () => {
      const { certFile, keyFile } = certificates.server('nginx');
      const port = await freePort();
      const server = configurationOfGuide({
        'listen 443 ssl': `listen 127.0.0.1:${port} ssl`,
        'server_name ops.example': 'server_name localhost',
        '/etc/nginx/ops.crt': certFile,
        '/etc/nginx/ops.key': keyFile,
        '127.0.0.1:18083': new URL(broker.url).host,
      });
      const folder = certificates.directory;
      const own = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
        (name) => `${name}_temp_path ${folder}/${name};`,
      );
      const config = join(folder, 'nginx.conf');
      // As whoever runs the tests, who may be root: its workers could not read the files of another user.
      const user = process.getuid?.() === 0 ? 'user root;' : '';
      writeFileSync(
        config,
        `${user} pid ${folder}/pid; events {} http { access_log off; ${own.join(' ')}\n${server}\n}`,
      );
      const args = ['-c', config, '-e', join(folder, 'nginx.log'), '-g', 'daemon off;'];
      const child = spawn('nginx', args, { stdio: 'ignore' });
      const ended = new AbortController();
      child.once('exit', () => ended.abort());
      stop = async () => {
        if (child.exitCode !== null) return;
        child.kill();
        await once(child, 'exit');
      };
      if (!(await untilOpen(port, ended.signal))) throw new Error(readFileSync(join(folder, 'nginx.log'), 'utf8'));
      origin = `https://localhost:${port}`;
      url = `${origin}/broker/dashboard/`;
      origins.push(origin);
      await broker.stop();
      await broker.start();
    });
    afterAll(async () => {
      await stop();
      certificates.remove();
    });

    async function logIn() {
      const { token } = await broker.sluice.command('login-links create', {});
      const page = await broker.newPage({ ignoreHTTPSErrors: true });
      await page.goto(`${origin}/broker/#token=${token}`);
      await page.getByRole('heading', { name: 'Overview' }).waitFor();
      expect(page.url()).toBe(`${url}#/`);
      return page;
    }

    test('the page works, streams and actions too, and its cookie is for that path and TLS only', async () => {
      const client = await broker.connect('behind nginx', ['x']);
      const closed = new Promise<void>((resolve) => client.once('close', () => resolve()));
      const page = await logIn();
      expect(await page.context().cookies()).toMatchObject([
        { name: 'sluice_session', path: '/broker/', secure: true, httpOnly: true, sameSite: 'Strict' },
      ]);
      await page.goto(`${url}#/console?filter=x`);
      await page.getByRole('button', { name: 'Subscribe' }).click();
      const publishing = setInterval(() => client.publish('x', 'through nginx'), 100);
      // One by one, and not when nginx has gathered enough of them.
      await page.locator('.messages > li').getByText('through nginx').first().waitFor();
      clearInterval(publishing);
      await page.goto(`${url}#/clients/behind%20nginx`);
      await page.getByRole('button', { name: 'Disconnect' }).click();
      await page.getByRole('dialog').getByRole('button', { name: 'Disconnect' }).click();
      await closed;
      await page.getByText('Not connected').waitFor();
    });

    test('a body of more than a megabyte is the broker’s to take or refuse, and not nginx’s', async () => {
      const page = await logIn();
      const status = await page.evaluate<number>(
        `fetch('../api/v1/publish', { method: 'POST', body: 'x'.repeat(1_500_000) }).then(({ status }) => status)`,
      );
      expect(status).not.toBe(413);
    });

    test('whoever is logged in stays so over a restart of the broker, which the page says and comes back from', async () => {
      await broker.connect('survivor', ['x']);
      const page = await logIn();
      await page.goto(`${url}#/clients/survivor`);
      await page.getByRole('heading', { name: 'survivor' }).waitFor();
      await broker.stop();
      await page.locator('.away').waitFor();
      await broker.start();
      await eventually(() => page.locator('.away').count()).toBe(0);
      await page.getByText('Not connected').waitFor();
      await page.reload();
      await page.getByRole('heading', { name: 'survivor' }).waitFor();
    });
  });
});
