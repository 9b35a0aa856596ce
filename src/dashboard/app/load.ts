/**
 * Parts of the dashboard that are loaded when they are needed. One that is not there any more is of another version of
 * the broker, which has its own: the whole page is loaded anew.
 */
import { returns, unanswered } from '../api/connection.ts';
import { recall, remember } from './remembered.ts';

/** A page that was loaded anew, and lacks the part again, is not loaded once more within this time. */
const patienceMs = 30_000;

export async function loaded<Part>(load: () => Promise<Part>): Promise<Part> {
  try {
    return await load();
  } catch (error) {
    if (!(await isThere())) {
      await comesBack();
      return loaded(load);
    }
    if (Date.now() - Number(recall('reloadedAt') ?? 0) < patienceMs) throw error;
    remember('reloadedAt', String(Date.now()));
    location.reload();
    return new Promise(() => {});
  }
}

const isThere = () =>
  fetch('.', { cache: 'no-store' }).then(
    ({ ok }) => ok,
    () => false,
  );

async function comesBack(): Promise<void> {
  const seen = returns.peek();
  unanswered();
  await new Promise<void>((resolve) => {
    const leave = returns.subscribe((now) => {
      if (now === seen) return;
      resolve();
      queueMicrotask(() => leave());
    });
  });
}
