/** Everybody can use a page: what axe finds in it, in both themes. */
import { AxeBuilder } from '@axe-core/playwright';
import { expect, test } from 'vitest';
import { eventually } from './browser.ts';
import { dashboardWithAll } from './places.ts';

export function hindersNobody(places: Readonly<Record<string, string>>): void {
  const broker = dashboardWithAll();

  test.each(Object.entries(places))('has nothing that hinders anybody, in both themes: %s', async (_, place) => {
    await broker.connect('sensor-1', ['plant/+/temperature']);
    const page = await broker.open(place, { reducedMotion: 'reduce' });
    await page.getByRole('main').waitFor();
    await eventually(() => page.locator('.loading').count()).toBe(0);
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      const axe = new AxeBuilder({ page });
      // Only colours differ.
      const { violations } = await (colorScheme === 'light' ? axe : axe.withRules(['color-contrast'])).analyze();
      expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`)).toEqual([]);
    }
  });
}
