/** What the list of clients says of each. */
import type { AnswerOf } from '../../api/client.ts';
import { ago, bytes, duration, exactTime, number } from '../../format.ts';
import { ClientName } from '../../parts/client-name.tsx';
import { Name } from '../../parts/name.tsx';
import type { Column } from '../../parts/table.tsx';
import { texts } from '../../texts.ts';

const { columns: text } = texts.clients;

export type Session = AnswerOf<'clients list'>['items'][number];

export const clientColumns: readonly Column<Session>[] = [
  {
    id: 'clientId',
    ...text.clientId,
    isFixed: true,
    cell: ({ clientId }) => <ClientName clientId={clientId} most={80} />,
  },
  { id: 'state', ...text.state, cell: (session) => <SessionState session={session} /> },
  { id: 'username', ...text.username, cell: ({ username }) => username !== null && <Name text={username} most={60} /> },
  { id: 'address', ...text.address, cell: ({ address }) => address },
  {
    id: 'version',
    ...text.version,
    isUsual: false,
    cell: ({ protocolVersion }) => texts.clients.versions[protocolVersion],
  },
  { id: 'listener', ...text.listener, isUsual: false, cell: ({ listener }) => listener },
  { id: 'subscriptions', ...text.subscriptions, isNumber: true, cell: (each) => number(each.subscriptions) },
  { id: 'queued', ...text.queued, isNumber: true, cell: ({ queuedMessages }) => number(queuedMessages) },
  { id: 'queuedBytes', ...text.queuedBytes, isNumber: true, isUsual: false, cell: (each) => bytes(each.queuedBytes) },
  { id: 'inFlight', ...text.inFlight, isNumber: true, cell: ({ inFlight }) => number(inFlight) },
  { id: 'memory', ...text.memory, isNumber: true, isUsual: false, cell: ({ memoryBytes }) => bytes(memoryBytes) },
  {
    id: 'expiry',
    ...text.expiry,
    isNumber: true,
    isUsual: false,
    cell: ({ expirySeconds }) => (expirySeconds === null ? texts.clients.never : duration(expirySeconds)),
  },
];

export const clusterClientColumns: readonly Column<Session>[] = [
  ...clientColumns,
  { id: 'node', ...text.node, cell: ({ node }) => node },
];

export function SessionState({ session }: { readonly session: Pick<Session, 'isConnected' | 'disconnectedAt'> }) {
  const { isConnected, disconnectedAt } = session;
  if (isConnected) return <span class="badge ok">{texts.clients.connected}</span>;
  if (disconnectedAt === null) return <span class="badge">{texts.clients.absent}</span>;
  return (
    <span class="badge" title={exactTime(disconnectedAt)}>
      {texts.clients.absentSince(ago(disconnectedAt, Date.now()))}
    </span>
  );
}
