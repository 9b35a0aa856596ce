/** The dashboard: a page that speaks the public HTTP API of one broker, and nothing else. */
import { render } from 'preact';
import { findSession, logIn } from './api/session.ts';
import { address, takeToken } from './app/address.tsx';
import { App } from './app/app.tsx';
import { entryAt } from './app/navigation.ts';
import './app/theme.ts';
import { tellFailed } from './parts/toasts.tsx';

const token = takeToken();
// The page is on its way while the broker says who this is.
if (token === null) void findSession();
void entryAt(address.peek().path)?.page.preload?.();
render(<App />, document.getElementById('app')!);
if (token !== null) {
  logIn({ token }).catch(async (error: Error) => {
    // Whoever has a session needs no link: it may be the second click on it.
    await findSession();
    tellFailed(error);
  });
}
