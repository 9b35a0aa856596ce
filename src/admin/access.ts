/** What carries out `access explain`: what a client may do under the rules in force, and which rule says so. */
import type { AccessDecision, AccessRequest, ExplainingPolicy } from '../contracts/access.ts';
import type { CommandHandlers, CommandInput } from '../contracts/commands.ts';
import type { ClientIdentity } from '../contracts/hooks.ts';
import { isOwnClientId } from '../contracts/settings.ts';

export interface AccessTools {
  readonly policy: Pick<ExplainingPolicy, 'explain'>;
  /** Who a client was found to be; null: it has no session, or nothing is known of it. */
  readonly identityOf: (clientId: string) => ClientIdentity | null;
  readonly clientIds: 'any' | 'own';
}

type Request = CommandInput<'access explain'>;

export function accessHandlers(tools: AccessTools): Pick<CommandHandlers, 'access explain'> {
  return {
    async 'access explain'(request) {
      const { clientIds, policy } = tools;
      const client = clientOf(request, tools);
      const who = { clientId: client.clientId, username: client.username, groups: client.groups };
      const isForeign = clientIds === 'own' && !isOwnClientId(client.clientId, client.username);
      if (isForeign) return { ...foreign(client), client: who, delivery: null };
      const decision = policy.explain(client, asked(request));
      return { ...decision, client: who, delivery: deliveryOf(request, (what) => policy.explain(client, what)) };
    },
  };
}

const foreign = ({ username }: ClientIdentity): AccessDecision => ({
  isAllowed: false,
  code: 0x85,
  rule: `with clientIds: own, such a client does not come in; its identifier would have to begin with "${username ?? ''}:"`,
});

/** Of one that has a session, what is known of it; what the request says comes first. */
function clientOf(request: Request, { identityOf, clientIds }: AccessTools): ClientIdentity {
  const { clientId, username, groups, attributes, address, listener } = request;
  const id = clientId ?? (clientIds === 'own' ? username : null) ?? 'test';
  const known = clientId === null ? null : identityOf(clientId);
  const found = isSameUser(username, known) ? (known?.attributes ?? {}) : {};
  return {
    clientId: id,
    // What authentication found out belongs to the user that it found.
    username: username ?? known?.username ?? null,
    groups: groups ?? (isSameUser(username, known) ? (known?.groups ?? []) : []),
    attributes: attributes === null ? found : Object.fromEntries(attributes.map(pairOf)),
    protocolVersion: known?.protocolVersion ?? 5,
    transport: known?.transport ?? 'tcp',
    remoteAddress: address === null ? (known?.remoteAddress ?? '127.0.0.1:0') : `${address}:0`,
    listener: listener ?? known?.listener ?? 'mqtt://127.0.0.1:1883',
  };
}

const pairOf = (text: string) => [text.slice(0, text.indexOf('=')), text.slice(text.indexOf('=') + 1)] as const;

const isSameUser = (username: string | null, known: ClientIdentity | null) =>
  username === null || username === (known?.username ?? null);

function asked({ action, topic, qos, retain }: Request): AccessRequest {
  switch (action) {
    case 'publish':
      return { action, topic, qos: qos ?? 0, retain };
    case 'subscribe':
      return { action, filter: topic, qos: qos ?? 2 };
    case 'receive':
      return { action, topic };
  }
}

/** A subscription without wildcards is to one topic, whose messages are asked about again when they are delivered. */
function deliveryOf(
  { action, topic }: Request,
  explain: (request: AccessRequest) => AccessDecision,
): AccessDecision | null {
  if (action !== 'subscribe' || /[+#]/.test(topic)) return null;
  return explain({ action: 'receive', topic: topic.replace(/^\$share\/[^/]+\//, '') });
}
