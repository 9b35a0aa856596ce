/** The identifier of a client, or the bridge whose session it is: these have identifiers that no client can have. */
import { linkTo } from '../app/address.tsx';
import { texts } from '../texts.ts';
import { Name } from './name.tsx';

/** As `src/contracts/client-name.ts` of the broker has them. */
const form = /^\0bridge\/([^/]+)(?:\/\d+\.(\d)\.(.*))?$/s;

export function ClientName({ clientId, most = 60 }: { readonly clientId: string; readonly most?: number }) {
  const [, bridge, priority, pipeline] = form.exec(clientId) ?? [];
  if (bridge === undefined) return <Name text={clientId} most={most} />;
  return <Name text={texts.clients.bridge(bridge, priority ?? null, pipeline || null)} most={most} />;
}

/** The page of the client, or of its bridge. */
export function linkToClient(clientId: string): string {
  const bridge = form.exec(clientId)?.[1];
  return linkTo(bridge === undefined ? ['clients', clientId] : ['bridges', bridge]);
}

interface PublisherProps {
  /** Null: not known. */
  readonly publisher: {
    readonly kind: 'client' | 'will' | 'program' | 'broker';
    readonly clientId: string | null;
  } | null;
}

export function Publisher({ publisher }: PublisherProps) {
  if (publisher === null) return '–';
  const { kind, clientId } = publisher;
  if (clientId === null) return texts.happened.publishers[kind];
  return (
    <a href={linkToClient(clientId)}>
      {kind === 'will' && `${texts.happened.publishers.will} `}
      <ClientName clientId={clientId} most={40} />
    </a>
  );
}
