/**
 * One Chromium for all files of this folder: starting one takes seconds of processor time. It starts when the first
 * file asks for it, so that no other run has one. Each file connects to it and sees only what it opens itself.
 */
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { BrowserServer } from 'playwright-core';
import type { TestProject } from 'vitest/node';
import { buildDashboard } from '../support/build.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Answers with the address where Chromium takes connections; null: it is not installed. */
    browserUrl: string | null;
  }
}

/** The first is the same engine without windows: a page costs less, since nothing is drawn around it. */
const places = ['/usr/bin/chromium-headless-shell', '/usr/bin/chromium', '/usr/bin/chromium-browser'];

/** Vitest calls this at the beginning of a run, and what it returns at the end, however that comes. */
export default async function offerBrowser(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  const executablePath = process.env.CHROMIUM ?? places.find((path) => existsSync(path));
  if (executablePath === undefined) {
    project.provide('browserUrl', null);
    return undefined;
  }
  let browser: Promise<BrowserServer> | null = null;
  const door = createServer((_, response) => {
    browser ??= startBrowser(executablePath);
    browser.then(
      (server) => response.end(server.wsEndpoint()),
      (error: Error) => response.writeHead(500).end(`${executablePath} could not be started: ${error.message}`),
    );
  });
  door.listen(0, '127.0.0.1');
  await once(door, 'listening');
  project.provide('browserUrl', `http://127.0.0.1:${(door.address() as AddressInfo).port}`);
  // Of a run that watches.
  project.onTestsRerun(async () => void (browser !== null && (await buildDashboard())));
  return async () => {
    door.close();
    await (await browser)?.close();
  };
}

async function startBrowser(executablePath: string): Promise<BrowserServer> {
  await buildDashboard();
  const { chromium } = await import('playwright-core');
  return chromium.launchServer({
    executablePath,
    args: ['--no-sandbox', '--disable-gpu'],
    // Vitest decides what a signal means. Chromium ends with this process, since the pipe between them does.
    ...{ handleSIGINT: false, handleSIGTERM: false, handleSIGHUP: false },
  });
}
