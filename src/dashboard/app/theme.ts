/** Light or dark: as the system has it, unless the reader has chosen. */
import { effect, signal } from '@preact/signals';
import { recall, remember } from './remembered.ts';

export const themes = ['system', 'light', 'dark'] as const;
export type Theme = (typeof themes)[number];

const known = recall('theme');
export const theme = signal<Theme>(themes.find((each) => each === known) ?? 'system');
const system = matchMedia('(prefers-color-scheme: dark)');
const systemIsDark = signal(system.matches);
system.addEventListener('change', () => {
  systemIsDark.value = system.matches;
});

/** What is shown: charts draw themselves anew when it changes. */
export const isDark = signal(false);

effect(() => {
  isDark.value = theme.value === 'system' ? systemIsDark.value : theme.value === 'dark';
  document.documentElement.dataset.theme = isDark.value ? 'dark' : 'light';
  remember('theme', theme.value === 'system' ? null : theme.value);
});
