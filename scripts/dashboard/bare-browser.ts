/**
 * Chromium with nobody attached to its pages but for a moment. Whoever drives a browser, as Playwright does, has it
 * keep what its pages load, and so all of a stream that goes on for an hour.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { processUsage } from '../bench/process-usage.ts';
import { endsWithUs } from '../child-processes.ts';

export interface Memory {
  /** Of all pages, after a collection of garbage: their objects, their nodes, and what listens to them. */
  readonly heapMegabytes: number;
  readonly nodes: number;
  readonly listeners: number;
  /** Of the browser with all its processes, by the system; 0 where there is no /proc. */
  readonly browserMegabytes: number;
}

export interface BareBrowser {
  open(url: string): Promise<void>;
  memory(): Promise<Memory>;
  stop(): Promise<void>;
}

/** `folder`: for its profile. */
export async function startBareBrowser(executablePath: string, folder: string): Promise<BareBrowser> {
  const profile = join(folder, 'browser');
  const args = ['--no-sandbox', '--disable-gpu', '--remote-debugging-port=0', `--user-data-dir=${profile}`];
  const child = endsWithUs(spawn(executablePath, [...args, 'about:blank'], { stdio: 'ignore' }));
  const portFile = join(profile, 'DevToolsActivePort');
  while (!existsSync(portFile)) await delay(50);
  const door = `http://127.0.0.1:${readFileSync(portFile, 'utf8').split('\n')[0]}/json`;
  const ask = async <Answer>(path: string, method = 'GET') =>
    (await (await fetch(`${door}${path}`, { method })).json()) as Answer;
  return {
    async open(url) {
      await ask(`/new?${encodeURIComponent(url)}`, 'PUT');
    },
    async memory() {
      const targets = await ask<{ type: string; webSocketDebuggerUrl: string }[]>('');
      const pages = targets.filter(({ type }) => type === 'page');
      const all = await Promise.all(pages.map(({ webSocketDebuggerUrl }) => metricsOf(webSocketDebuggerUrl)));
      const sum = (name: string) => all.reduce((total, each) => total + (each.get(name) ?? 0), 0);
      const { webSocketDebuggerUrl } = await ask<{ webSocketDebuggerUrl: string }>('/version');
      const [{ processInfo }] = (await tell(webSocketDebuggerUrl, ['SystemInfo.getProcessInfo'])) as [ProcessInfo];
      const kilobytes = processInfo.reduce((total, { id }) => total + (processUsage(id)?.rssKilobytes ?? 0), 0);
      return {
        heapMegabytes: sum('JSHeapUsedSize') / 1e6,
        nodes: sum('Nodes'),
        listeners: sum('JSEventListeners'),
        browserMegabytes: kilobytes / 1_024,
      };
    },
    async stop() {
      if (child.exitCode !== null) return;
      child.kill();
      await once(child, 'exit');
    },
  };
}

interface ProcessInfo {
  readonly processInfo: readonly { readonly id: number }[];
}

interface Metrics {
  readonly metrics: readonly { readonly name: string; readonly value: number }[];
}

async function metricsOf(url: string): Promise<Map<string, number>> {
  const commands = ['Performance.enable', 'HeapProfiler.collectGarbage', 'Performance.getMetrics'];
  const { metrics } = (await tell(url, commands)).at(-1) as Metrics;
  return new Map(metrics.map(({ name, value }) => [name, value]));
}

/** Attaches, gives these commands of the DevTools protocol one after the other, and goes. Resolves with the results. */
async function tell(url: string, commands: readonly string[]): Promise<unknown[]> {
  const socket = new WebSocket(url);
  await once(socket, 'open');
  const results: unknown[] = [];
  for (const [id, method] of commands.entries()) {
    socket.send(JSON.stringify({ id, method }));
    const [text] = (await once(socket, 'message')) as [Buffer];
    results.push((JSON.parse(String(text)) as { result: unknown }).result);
  }
  socket.close();
  return results;
}
