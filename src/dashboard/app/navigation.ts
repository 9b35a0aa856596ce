/**
 * The pages, in the order in which they are offered. A page is loaded when somebody goes there, but for the overview,
 * where most people arrive.
 */
import lazy from 'preact-iso/lazy';
import { exec } from 'preact-iso/router';
import type { CommandName } from '../api/operations.ts';
import { Overview } from '../pages/overview/overview.tsx';
import type { IconName } from '../parts/icon.tsx';
import { texts } from '../texts.ts';
import { loaded } from './load.ts';

export interface PageEntry {
  /** As the router has it: `/clients/:clientId`. */
  readonly path: string;
  readonly title: string;
  /** Of the entry in the navigation; without one, other pages lead there. */
  readonly icon?: IconName;
  /** Under which heading the entry stands; absent: above all of them. */
  readonly group?: Group;
  /** Commands of which whoever may give none does not see the page. */
  readonly needs: readonly CommandName[];
  // biome-ignore lint/suspicious/noExplicitAny: the router gives a page what is in its path
  readonly page: any;
}

export type Group = keyof typeof texts.groups;

const { titles } = texts;

export const pages: readonly PageEntry[] = [
  {
    path: '/',
    title: titles.overview,
    icon: 'overview',
    needs: ['status'],
    page: Overview,
  },
  {
    path: '/clients',
    title: titles.clients,
    icon: 'clients',
    group: 'messages',
    needs: ['clients list'],
    page: lazy(() => loaded(() => import('../pages/clients/clients.tsx')).then(({ Clients }) => Clients)),
  },
  {
    path: '/clients/:clientId',
    title: titles.client,
    needs: ['clients show'],
    page: lazy(() => loaded(() => import('../pages/client/client.tsx')).then(({ Client }) => Client)),
  },
  {
    path: '/topics',
    title: titles.topics,
    icon: 'topics',
    group: 'messages',
    needs: ['topics watch'],
    page: lazy(() => loaded(() => import('../pages/topics/topics.tsx')).then(({ Topics }) => Topics)),
  },
  {
    path: '/retained',
    title: titles.retained,
    icon: 'retained',
    group: 'messages',
    needs: ['retained list'],
    page: lazy(() => loaded(() => import('../pages/retained/retained.tsx')).then(({ Retained }) => Retained)),
  },
  {
    path: '/console',
    title: titles.console,
    icon: 'console',
    group: 'messages',
    needs: ['publish', 'messages stream'],
    page: lazy(() => loaded(() => import('../pages/console/console.tsx')).then(({ Console }) => Console)),
  },
  {
    path: '/happened',
    title: titles.happened,
    icon: 'search',
    group: 'faults',
    needs: ['explain', 'drops list'],
    page: lazy(() => loaded(() => import('../pages/happened/happened.tsx')).then(({ Happened }) => Happened)),
  },
  {
    path: '/traces',
    title: titles.traces,
    icon: 'traces',
    group: 'faults',
    needs: ['traces list'],
    page: lazy(() => loaded(() => import('../pages/traces/traces.tsx')).then(({ Traces }) => Traces)),
  },
  {
    path: '/traces/:id',
    title: titles.trace,
    needs: ['traces events'],
    page: lazy(() => loaded(() => import('../pages/traces/trace.tsx')).then(({ Trace }) => Trace)),
  },
  {
    path: '/logs',
    title: titles.logs,
    icon: 'alarms',
    group: 'faults',
    needs: ['alarms list', 'log tail', 'audit tail'],
    page: lazy(() => loaded(() => import('../pages/logs/logs.tsx')).then(({ Logs }) => Logs)),
  },
  {
    path: '/pipelines',
    title: titles.pipelines,
    icon: 'pipelines',
    group: 'ways',
    needs: ['pipelines list', 'quarantine list'],
    page: lazy(() => loaded(() => import('../pages/pipelines/pipelines.tsx')).then(({ Pipelines }) => Pipelines)),
  },
  {
    path: '/bridges',
    title: titles.bridges,
    icon: 'bridges',
    group: 'ways',
    needs: ['bridges list'],
    page: lazy(() => loaded(() => import('../pages/bridges/bridges.tsx')).then(({ Bridges }) => Bridges)),
  },
  {
    path: '/bridges/:name',
    title: titles.bridge,
    needs: ['bridges show'],
    page: lazy(() => loaded(() => import('../pages/bridges/bridge.tsx')).then(({ Bridge }) => Bridge)),
  },
  {
    path: '/access',
    title: titles.access,
    icon: 'access',
    group: 'administration',
    needs: ['access explain', 'bans list', 'users list', 'keys list'],
    page: lazy(() => loaded(() => import('../pages/access/access.tsx')).then(({ Access }) => Access)),
  },
  {
    path: '/listeners',
    title: titles.listeners,
    icon: 'listeners',
    group: 'administration',
    needs: ['listeners list', 'certificates list', 'connections list'],
    page: lazy(() => loaded(() => import('../pages/listeners/listeners.tsx')).then(({ Listeners }) => Listeners)),
  },
  {
    path: '/configuration',
    title: titles.configuration,
    icon: 'configuration',
    group: 'administration',
    needs: ['config show'],
    page: lazy(() =>
      loaded(() => import('../pages/configuration/configuration.tsx')).then(({ Configuration }) => Configuration),
    ),
  },
];

/** Undefined: there is no such page. */
export const entryAt = (path: string): PageEntry | undefined =>
  pages.find((entry) => exec(path, entry.path, { path, query: {}, params: {} }) !== undefined);
