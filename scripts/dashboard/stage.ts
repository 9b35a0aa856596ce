/** A broker with its dashboard, and browsers that are logged in to it, for measuring both. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Browser, type BrowserContext, chromium } from 'playwright-core';
import { apiAddress, sluice } from '../api-of-broker.ts';
import { type RunningBroker, startBroker } from '../bench/brokers.ts';
import { fail } from '../command-line.ts';

export interface Stage {
  readonly broker: RunningBroker;
  /** `http://127.0.0.1:…/dashboard/`. */
  readonly url: string;
  readonly browser: Browser;
  readonly executablePath: string;
  /** An address that logs in, once. */
  loginUrl(): string;
  /** As a browser that has just been started, but for the cookie of somebody who has logged in before. */
  loggedIn(): Promise<BrowserContext>;
  stop(): Promise<void>;
}

/** As for the tests of the dashboard: the first is the same engine without windows. */
const places = ['/usr/bin/chromium-headless-shell', '/usr/bin/chromium', '/usr/bin/chromium-browser'];

/** `isFirst`: the broker runs before what else this machine has to do, where that may be asked for. */
export async function setStage(folder: string, isFirst: boolean): Promise<Stage> {
  const executablePath = process.env.CHROMIUM ?? places.find((path) => existsSync(path));
  if (executablePath === undefined) fail('Chromium is not installed (Debian: apt install chromium-headless-shell)');
  const broker = await startBroker('sluice', folder, {
    isDurable: true,
    isFirst,
    settings: 'admin: { listeners: [{ port: 0 }] }',
  });
  const url = new URL('dashboard/', await apiAddress(folder)).href;
  const server = await chromium.launchServer({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
  const browser = await chromium.connect(server.wsEndpoint());
  const loginUrl = () => {
    const answer = sluice('admin', 'login-link', '--json', '--data-dir', join(folder, 'data'));
    return `${url}#token=${(JSON.parse(answer) as { token: string }).token}`;
  };
  const first = await browser.newContext();
  const page = await first.newPage();
  await page.goto(loginUrl());
  await page.getByRole('heading', { level: 1 }).waitFor();
  const storageState = await first.storageState();
  await first.close();
  return {
    broker,
    url,
    browser,
    executablePath,
    loginUrl,
    loggedIn: () => browser.newContext({ storageState, viewport: { width: 1280, height: 800 } }),
    async stop() {
      await browser.close();
      await server.close();
      await broker.stop();
    },
  };
}
