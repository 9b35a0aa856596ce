/** What open pages cost: the broker's processor, the browser's memory, and how long messages take meanwhile. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Page } from 'playwright-core';
import { processUsage } from '../bench/process-usage.ts';
import type { BareBrowser, Memory } from './bare-browser.ts';
import { type FlowOptions, flow } from './flow.ts';
import type { Stage } from './stage.ts';

/** Pages that follow streams, each in a browser context of its own, where it counts as seen. */
async function openPages(stage: Stage, places: readonly string[]): Promise<Page[]> {
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

export interface MemorySample extends Memory {
  readonly seconds: number;
}

/** Looks at the memory of the browser, again and again, until `until` is over. */
export async function watchMemory(
  browser: BareBrowser,
  everySeconds: number,
  until: Promise<unknown>,
  tell: (sample: MemorySample) => void,
): Promise<MemorySample[]> {
  const samples: MemorySample[] = [];
  let isOver = false;
  const over = until.finally(() => {
    isOver = true;
  });
  const startedAt = performance.now();
  while (!isOver) {
    await Promise.race([over, delay(everySeconds * 1_000)]);
    const sample = { seconds: Math.round((performance.now() - startedAt) / 1_000), ...(await browser.memory()) };
    samples.push(sample);
    tell(sample);
  }
  return samples;
}
