/** The frame of every page: where one can go, who one is, light or dark. */

import { Fragment } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { ErrorBoundary } from 'preact-iso/lazy';
import { Route, Router } from 'preact-iso/router';
import { mayCall } from '../api/rights.ts';
import { logOut, session } from '../api/session.ts';
import { Deeds } from '../parts/deeds.tsx';
import { Icon, type IconName } from '../parts/icon.tsx';
import { Logo } from '../parts/logo.tsx';
import { Popover } from '../parts/popover.tsx';
import { Empty } from '../parts/states.tsx';
import { texts } from '../texts.ts';
import { address } from './address.tsx';
import { entryAt, type Group, type PageEntry, pages } from './navigation.ts';
import { type Theme, theme, themes } from './theme.ts';

const { shell: text } = texts;

const maySee = ({ needs }: PageEntry): boolean => needs.some(mayCall);

export function Shell() {
  const [isMenuOpen, setMenuOpen] = useState(false);
  const main = useRef<HTMLElement>(null);
  const { path } = address.value;
  const entry = entryAt(path);
  const isFirst = useRef(true);
  useEffect(() => {
    document.title = `${entry?.title ?? text.nowhere} · Sluice`;
    setMenuOpen(false);
    // Whoever does not see the page hears that it is another one.
    if (!isFirst.current) main.current!.focus();
    isFirst.current = false;
    scrollTo(0, 0);
  }, [path]);
  return (
    <div class={isMenuOpen ? 'shell menu-open' : 'shell'}>
      <button type="button" class="skip button" onClick={() => main.current!.focus()}>
        {text.skip}
      </button>
      <header class="top">
        <button
          type="button"
          class="icon-button menu-button"
          aria-expanded={isMenuOpen}
          aria-controls="navigation"
          aria-label={text.menu}
          onClick={() => setMenuOpen(!isMenuOpen)}
        >
          <Icon name={isMenuOpen ? 'close' : 'menu'} />
        </button>
        <a class="brand" href="#/">
          <Logo />
          Sluice
        </a>
        <Deeds />
        <ThemeChoice />
        <Account />
      </header>
      <Navigation path={path} />
      <main ref={main} tabIndex={-1} id="main">
        <ErrorBoundary>
          <Router>
            {pages.map((page) => (
              <Route key={page.path} path={page.path} component={maySee(page) ? page.page : Forbidden} />
            ))}
            <Route default component={Nowhere} />
          </Router>
        </ErrorBoundary>
      </main>
    </div>
  );
}

function Navigation({ path }: { readonly path: string }) {
  const groups = [undefined, ...(Object.keys(texts.groups) as Group[])];
  return (
    <nav class="navigation" id="navigation" aria-label={text.navigation}>
      {groups.map((group) => {
        const entries = pages.filter((page) => page.icon !== undefined && page.group === group && maySee(page));
        if (entries.length === 0) return null;
        return (
          <Fragment key={group}>
            {group !== undefined && <h2>{texts.groups[group]}</h2>}
            <Entries entries={entries} path={path} />
          </Fragment>
        );
      })}
    </nav>
  );
}

function Entries({ entries, path }: { readonly entries: readonly PageEntry[]; readonly path: string }) {
  const isAt = (link: string) => (link === '/' ? path === '/' : path === link || path.startsWith(`${link}/`));
  return (
    <ul>
      {entries.map((page) => (
        <li key={page.path}>
          <a href={`#${page.path}`} aria-current={isAt(page.path) ? 'page' : undefined}>
            <Icon name={page.icon!} />
            {page.title}
          </a>
        </li>
      ))}
    </ul>
  );
}

const themeIcons: Readonly<Record<Theme, IconName>> = { system: 'system', light: 'sun', dark: 'moon' };

function ThemeChoice() {
  return (
    <Popover label={text.theme} button={<Icon name={themeIcons[theme.value]} />}>
      <fieldset class="choices">
        <legend>{text.theme}</legend>
        {themes.map((each) => (
          <label key={each}>
            <input
              type="radio"
              name="theme"
              checked={theme.value === each}
              onChange={() => {
                theme.value = each;
              }}
            />
            <Icon name={themeIcons[each]} />
            {text.themes[each]}
          </label>
        ))}
      </fieldset>
    </Popover>
  );
}

function Account() {
  const now = session.value;
  if (now.state !== 'open') return null;
  const { name, role } = now.who;
  return (
    <Popover label={text.account} button={<Icon name="user" />}>
      <p>
        <strong dir="auto">{name}</strong>
        <br />
        {text.roles[role]}
      </p>
      <button type="button" class="button" onClick={() => void logOut()}>
        <Icon name="logOut" />
        {text.logOut}
      </button>
    </Popover>
  );
}

const Forbidden = () => (
  <div class="page">
    <h1>{text.forbidden}</h1>
    <Empty title={text.forbiddenMeans} />
  </div>
);

const Nowhere = () => (
  <div class="page">
    <h1>{text.nowhere}</h1>
    <p>
      <a href="#/">{text.toOverview}</a>
    </p>
  </div>
);
