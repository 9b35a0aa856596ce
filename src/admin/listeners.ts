/** What carries out commands about listeners and their certificates. */
import type { CertificateView, ListenerView } from '../contracts/commands/listeners.ts';
import type { CommandHandlers } from '../contracts/commands.ts';
import { CommandFailure } from '../contracts/failures.ts';
import type { Listener } from '../contracts/transport.ts';

export interface ListenerTools {
  /** Of MQTT, in the order of the configuration. */
  readonly listeners: readonly (Listener & {
    /** Rejects, saying what is in the way. */
    start(): Promise<void>;
  })[];
  /** Of the API. */
  readonly adminListeners: readonly Pick<Listener, 'url' | 'expiring' | 'reloadCertificates'>[];
  readonly countOf: (url: string) => { readonly open: number; readonly accepted: number; readonly refused: number };
  /** Ends the connections that came through this listener; resolves with how many. */
  readonly disconnectFrom: (url: string) => Promise<number>;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

type Handlers = Pick<
  CommandHandlers,
  'listeners list' | 'listeners stop' | 'listeners start' | 'certificates list' | 'certificates renew'
>;

const dayMs = 86_400_000;

export function listenerHandlers(tools: ListenerTools): Handlers {
  const { listeners, adminListeners, disconnectFrom, now } = tools;
  const all = () => [...listeners, ...adminListeners];
  const find = (number: number) => {
    const listener = listeners[number];
    if (listener !== undefined) return listener;
    const ofApi = adminListeners[number - listeners.length];
    if (ofApi !== undefined) {
      throw new CommandFailure(
        'conflict',
        `Listener ${number} is of the HTTP API (${ofApi.url}), which is not stopped`,
      );
    }
    const what = `There is no listener ${number}; of MQTT there are ${listeners.length}, numbered from 0`;
    throw new CommandFailure('not-found', what);
  };
  return {
    'listeners list': async () => ({
      listeners: [
        ...listeners.map((each, number) => viewOf(each, number, tools)),
        ...adminListeners.map((each, index) => apiView(each, listeners.length + index)),
      ],
    }),
    async 'listeners stop'({ number, disconnect }) {
      const listener = find(number);
      await listener.close();
      return { count: disconnect ? await disconnectFrom(listener.url) : 0 };
    },
    async 'listeners start'({ number }) {
      const listener = find(number);
      await listener.start().catch(inTheWay);
      return viewOf(listener, number, tools);
    },
    'certificates list': async () => {
      const found = all().flatMap((listener) => certificatesOf(listener, now()));
      return { certificates: found.sort((one, other) => one.validUntil - other.validUntil) };
    },
    async 'certificates renew'() {
      const withFiles = all().filter(({ expiring }) => expiring.length > 0);
      await Promise.all(withFiles.map((listener) => listener.reloadCertificates())).catch(inTheWay);
      return { count: withFiles.length };
    },
  };
}

/** The operator can mend it. */
const inTheWay = (cause: Error): never => {
  throw new CommandFailure('conflict', cause.message, { cause });
};

function viewOf({ url, kind, isListening }: Listener, number: number, { countOf }: ListenerTools): ListenerView {
  const { open: connections, accepted, refused } = countOf(url);
  const known = kind as Exclude<typeof kind, 'local' | 'stream'>;
  const hasTls = kind === 'tls' || kind === 'wss';
  return { number, protocol: 'mqtt', url, kind: known, hasTls, isListening, connections, accepted, refused };
}

function apiView({ url }: { readonly url: string }, number: number): ListenerView {
  const hasTls = url.startsWith('https:');
  const kind = hasTls ? 'https' : 'http';
  const counts = { connections: null, accepted: null, refused: null };
  return { number, protocol: 'http', url, kind, hasTls, isListening: true, ...counts };
}

function certificatesOf({ url, expiring }: Pick<Listener, 'url' | 'expiring'>, now: number): CertificateView[] {
  return expiring.map(({ kind, name, file, subject, issuer, subjectAltNames, from, until }) => ({
    listener: url,
    kind,
    setting: name.slice(0, name.length - file.length - 1),
    ...{ file, subject, issuer, subjectAltNames },
    validFrom: from,
    validUntil: until,
    daysLeft: Math.floor((until - now) / dayMs),
  }));
}
