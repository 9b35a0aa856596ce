/**
 * How long the first load of a page takes on a slow processor: from the address until the figures and charts of the
 * overview stand there and nothing keeps the page from answering, with nothing in the browser's cache.
 */
import type { Stage } from './stage.ts';

/** In milliseconds since the navigation. */
export interface LoadTimes {
  /** The first text is drawn. */
  readonly seen: number;
  /** The first figure of the broker stands there. */
  readonly figures: number;
  /** Whoever clicks is answered at once from here on: all that loads is there, and no task of 50 ms or more follows. */
  readonly interactive: number;
  readonly requests: number;
  readonly kilobytes: number;
}

/** Long enough that whatever the load has to do is done. */
const settledMs = 6_000;

/** What the page notes of itself, before anything else runs in it. */
const observer = `
  window.loadTimes = { longTaskEnd: 0, figures: 0, charts: 0 };
  new PerformanceObserver((list) => {
    for (const { startTime, duration } of list.getEntries())
      loadTimes.longTaskEnd = startTime + duration;
  }).observe({ type: 'longtask', buffered: true });
  const look = () => {
    if (loadTimes.figures === 0 && /\\d/.test(document.querySelector('.figure-value')?.textContent ?? ''))
      loadTimes.figures = performance.now();
    if (loadTimes.charts === 0 && document.querySelector('.chart canvas, .chart table') !== null)
      loadTimes.charts = performance.now();
  };
  new MutationObserver(look).observe(document, { childList: true, subtree: true, characterData: true });
`;

const times = `(() => {
  const resources = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')];
  return {
    ...loadTimes,
    seen: performance.getEntriesByName('first-contentful-paint')[0].startTime,
    requests: resources.length,
    kilobytes: resources.reduce((sum, { transferSize }) => sum + transferSize, 0) / 1000,
  };
})()`;

interface Noted {
  readonly longTaskEnd: number;
  readonly figures: number;
  readonly charts: number;
  readonly seen: number;
  readonly requests: number;
  readonly kilobytes: number;
}

export async function loadOnce(stage: Stage, slower: number): Promise<LoadTimes> {
  const context = await stage.loggedIn();
  const page = await context.newPage();
  const session = await context.newCDPSession(page);
  await session.send('Emulation.setCPUThrottlingRate', { rate: slower });
  await page.addInitScript(observer);
  await page.goto(stage.url, { waitUntil: 'commit' });
  // To look for something in the page meanwhile would cost it time.
  await page.waitForTimeout(settledMs);
  const noted = await page.evaluate<Noted>(times);
  await context.close();
  const { seen, figures, charts, longTaskEnd, requests, kilobytes } = noted;
  return { seen, figures, interactive: Math.max(figures, charts, longTaskEnd), requests, kilobytes };
}
