/** Everybody can use a page: it fits on small screens, and what axe finds in it, in both themes. */
import { AxeBuilder } from '@axe-core/playwright';
import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { eventually, overflows } from './browser.ts';
import { dashboardWithAll } from './places.ts';

/** What would move, also while something is on its way. */
const moving = (page: Page): Promise<string[]> =>
  page.evaluate(`(() => {
    const main = document.querySelector('main');
    const frames = [...document.querySelectorAll('.table-frame')];
    for (const frame of frames) frame.setAttribute('aria-busy', 'true');
    const spinner = document.createElement('span');
    spinner.className = 'spinner';
    main.append(spinner);
    const isMoving = (element) => {
      const { animationName, transitionDuration } = getComputedStyle(element);
      return animationName !== 'none' || Number.parseFloat(transitionDuration) > 0;
    };
    const found = [...document.querySelectorAll('*')].filter(isMoving).map(({ outerHTML }) => outerHTML.slice(0, 80));
    spinner.remove();
    for (const frame of frames) frame.setAttribute('aria-busy', 'false');
    return found;
  })()`);

export function hindersNobody(places: Readonly<Record<string, string>>): void {
  const broker = dashboardWithAll();

  // One look at each page for all of it: to open one costs more than what is looked at.
  test.each(Object.entries(places))('fits on a phone and at double size, and hinders nobody: %s', async (_, place) => {
    await broker.connect('sensor-1', ['plant/+/temperature']);
    const page = await broker.open(place, { viewport: { width: 360, height: 740 }, reducedMotion: 'reduce' });
    await page.getByRole('main').waitFor();
    await eventually(() => page.locator('.loading').count()).toBe(0);
    expect(await overflows(page), 'on a phone').toBe(false);
    expect(await moving(page), 'what moves').toEqual([]);
    // A window of 1280 by 1024 at 200 %.
    await page.setViewportSize({ width: 640, height: 512 });
    expect(await overflows(page), 'at 200 %').toBe(false);
    await page.setViewportSize({ width: 1280, height: 800 });
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      const axe = new AxeBuilder({ page });
      // Only colours differ.
      const { violations } = await (colorScheme === 'light' ? axe : axe.withRules(['color-contrast'])).analyze();
      const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
      expect(found, `what axe finds, ${colorScheme}`).toEqual([]);
    }
  });
}
