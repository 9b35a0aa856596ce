/** What open pages cost: the broker's processor, the browser's memory, and how long messages take meanwhile. */
import { setTimeout as delay } from 'node:timers/promises';
import type { CDPSession, Page } from 'playwright-core';
import { processUsage } from '../bench/process-usage.ts';
import { type FlowOptions, flow } from './flow.ts';
import type { Stage } from './stage.ts';

/** Pages that follow streams, each in a browser context of its own, where it counts as seen. */
export async function openPages(stage: Stage, places: readonly string[]): Promise<Page[]> {
  return Promise.all(
    places.map(async (place) => {
      const page = await (await stage.loggedIn()).newPage();
      await page.goto(stage.url + place);
      await page.getByRole('heading', { level: 1 }).waitFor();
      return page;
    }),
  );
}

export interface Turn {
  readonly pages: number;
  /** 0.25 is a quarter of one. */
  readonly brokerCores: number;
  readonly p99Ms: number;
  readonly lost: number;
}

/** So many pages at `place` for so many seconds of messages. */
export async function turn(
  stage: Stage,
  place: string,
  pages: number,
  seconds: number,
  options: FlowOptions,
): Promise<Turn> {
  const opened = await openPages(stage, Array<string>(pages).fill(place));
  // What they ask when they open is no part of what they cost open.
  await delay(5_000);
  const { pid } = stage.broker;
  const [before, startedAt] = [processUsage(pid)!.cpuSeconds, performance.now()];
  const { lost, lat_us } = await flow(stage.broker.urls.get('mqtt')!, seconds, options);
  const brokerCores = (processUsage(pid)!.cpuSeconds - before) / ((performance.now() - startedAt) / 1_000);
  for (const page of opened) await page.context().close();
  return { pages, brokerCores, p99Ms: lat_us.p99 / 1_000, lost };
}

export interface MemorySample {
  readonly seconds: number;
  /** Of all pages, after a collection of garbage: their objects, their nodes, and what listens to them. */
  readonly heapMegabytes: number;
  readonly nodes: number;
  readonly listeners: number;
  /** Of the browser with all its processes, by the system; 0 where there is no /proc. */
  readonly browserMegabytes: number;
}

/** Looks at the memory of the browser, again and again, until `until` is over. */
export async function watchMemory(
  stage: Stage,
  pages: readonly Page[],
  everySeconds: number,
  until: Promise<unknown>,
  tell: (sample: MemorySample) => void,
): Promise<MemorySample[]> {
  const sessions = await Promise.all(pages.map((page) => page.context().newCDPSession(page)));
  for (const session of sessions) await session.send('Performance.enable');
  const samples: MemorySample[] = [];
  let isOver = false;
  const over = until.finally(() => {
    isOver = true;
  });
  const startedAt = performance.now();
  while (!isOver) {
    await Promise.race([over, delay(everySeconds * 1_000)]);
    const all = await Promise.all(sessions.map(metricsOf));
    const sum = (name: string) => all.reduce((total, each) => total + (each.get(name) ?? 0), 0);
    const sample: MemorySample = {
      seconds: Math.round((performance.now() - startedAt) / 1_000),
      heapMegabytes: sum('JSHeapUsedSize') / 1e6,
      nodes: sum('Nodes'),
      listeners: sum('JSEventListeners'),
      browserMegabytes: await residentMegabytes(stage),
    };
    samples.push(sample);
    tell(sample);
  }
  return samples;
}

async function metricsOf(session: CDPSession): Promise<Map<string, number>> {
  await session.send('HeapProfiler.collectGarbage');
  const { metrics } = await session.send('Performance.getMetrics');
  return new Map(metrics.map(({ name, value }) => [name, value]));
}

async function residentMegabytes({ browser }: Stage): Promise<number> {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  await session.detach();
  return processInfo.reduce((sum, { id }) => sum + (processUsage(id)?.rssKilobytes ?? 0), 0) / 1_024;
}
