/** What is there on every page: who is logged in, where one can go, whether the broker answers. */
import { useEffect } from 'preact/hooks';
import { connection, returns } from '../api/connection.ts';
import { findSession, session } from '../api/session.ts';
import { Loading } from '../parts/states.tsx';
import { Toasts } from '../parts/toasts.tsx';
import { AddressProvider } from './address.tsx';
import { Away } from './away.tsx';
import { Login } from './login.tsx';
import { Shell } from './shell.tsx';

export function App() {
  const { state } = session.value;
  // Asked first while the broker was away, or ended by its restart.
  const epoch = returns.value;
  useEffect(() => {
    if (epoch > 0) void findSession();
  }, [epoch]);
  return (
    <AddressProvider>
      <Away />
      {state === 'open' && <Shell />}
      {state === 'none' && <Login />}
      {state === 'unknown' && connection.value.state === 'open' && <Loading />}
      <Toasts />
    </AddressProvider>
  );
}
