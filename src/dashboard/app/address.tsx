/**
 * Where the reader is, behind `#` of the page's address. So it works below any path of a proxy, no server and no log of
 * one hears the names of clients, and a name may have its 65,535 bytes.
 */
import { signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useMemo } from 'preact/hooks';
import { LocationProvider } from 'preact-iso/router';

export interface Address {
  /** `/clients/sensor-7`, with each part encoded. */
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
}

export const address = signal<Address>(read());

function read(): Address {
  const { href } = location;
  const at = href.indexOf('#');
  const [path = '', query = ''] = (at < 0 ? '' : href.slice(at + 1)).split('?', 2);
  return { path: isPath(path) ? path : '/', query: Object.fromEntries(new URLSearchParams(query)) };
}

/** Somebody may have written anything there. */
function isPath(text: string): boolean {
  try {
    decodeURIComponent(text);
    return text.startsWith('/');
  } catch {
    return false;
  }
}

addEventListener('hashchange', () => {
  address.value = read();
});

/** For `href`. Parts of the path are encoded; what is null, undefined or empty is left out of the query. */
export function linkTo(
  path: readonly string[],
  query: Readonly<Record<string, string | null | undefined>> = {},
): string {
  const parameters = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) if (value) parameters.set(key, value);
  return `#/${path.map(encodeURIComponent).join('/')}${parameters.size > 0 ? `?${parameters}` : ''}`;
}

export const goTo = (link: string): void => {
  location.hash = link;
};

/** Changes the query of this page, without a new entry in the history. */
export function setQuery(changed: Readonly<Record<string, string | null>>): void {
  const { path, query } = address.peek();
  const parts = path.split('/').slice(1).map(decodeURIComponent);
  history.replaceState(null, '', linkTo(parts, { ...query, ...changed }));
  address.value = read();
}

/** The token of a link to log in, which is taken out of the address, so that nobody sees it there. */
export function takeToken(): string | null {
  const [, token] = /^#token=([\w-]{20,200})$/.exec(location.hash) ?? [];
  if (token === undefined) return null;
  history.replaceState(null, '', '#/');
  address.value = read();
  return token;
}

/** For the router, which knows nothing of `#`. */
export function AddressProvider({ children }: { children: ComponentChildren }) {
  const { path, query } = address.value;
  const value = useMemo(
    () => ({ url: path, path, query, route: goTo, back: () => history.back(), forward: () => history.forward() }),
    [path, query],
  );
  return <LocationProvider.ctx.Provider value={value}>{children}</LocationProvider.ctx.Provider>;
}
