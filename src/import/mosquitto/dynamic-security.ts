/**
 * The file of Mosquitto's dynamic security plugin: its clients become a password file, its roles and groups rules.
 *
 * There, the roles of a client are asked in the order of their priorities, then those of its groups, and what a client
 * may subscribe to is asked apart from what it is sent. Here, the first rule that matches decides, and a rule about
 * subscribing is about receiving as well. So clients with the same roles in the same order share a block of rules, and
 * where the two differ the rules are the stricter ones, never the wider ones.
 */
import * as z from 'zod';
import type { ConfigInput } from '../../config/schema.ts';
import { covers, parseFilter } from '../../protocol/topic.ts';
import { ImportError } from '../error.ts';
import type { Findings } from './findings.ts';
import { textOf } from './lines.ts';

export type RuleInput = NonNullable<NonNullable<ConfigInput['authorization']>['rules']>[number];

const named = (key: string) => z.object({ [key]: z.string(), priority: z.number().default(-1) });
const roleNames = z.array(named('rolename')).default([]);

const acl = z.object({
  acltype: z.string(),
  topic: z.string().default(''),
  priority: z.number().default(-1),
  allow: z.boolean().default(false),
});

const file = z.object({
  defaultACLAccess: z
    .object({
      publishClientSend: z.boolean().default(false),
      publishClientReceive: z.boolean().default(true),
      subscribe: z.boolean().default(false),
      unsubscribe: z.boolean().default(true),
    })
    .prefault({}),
  anonymousGroup: z.string().optional(),
  clients: z
    .array(
      z.object({
        username: z.string(),
        clientid: z.string().optional(),
        password: z.string().optional(),
        salt: z.string().optional(),
        iterations: z.number().optional(),
        encoded_password: z.string().optional(),
        disabled: z.boolean().default(false),
        roles: roleNames,
      }),
    )
    .default([]),
  groups: z
    .array(z.object({ groupname: z.string(), roles: roleNames, clients: z.array(named('username')).default([]) }))
    .default([]),
  roles: z
    .array(
      z.object({ rolename: z.string(), acls: z.array(acl).default([]), allowwildcardsubs: z.boolean().default(true) }),
    )
    .default([]),
});

type DynamicSecurity = z.output<typeof file>;
type Acl = z.output<typeof acl>;
type Client = DynamicSecurity['clients'][number];

export interface DynamicAccess {
  /** Lines of a password file. */
  readonly passwords: string;
  readonly rules: readonly RuleInput[];
}

/** Throws an ImportError if the file cannot be read or is no such file. */
export function dynamicAccess(path: string, findings: Findings): DynamicAccess {
  const read = readFile(path);
  return { passwords: passwordsOf(read, findings), rules: new RuleBuilder(read, findings).rules() };
}

function readFile(path: string): DynamicSecurity {
  let input: unknown;
  try {
    input = JSON.parse(textOf(path));
  } catch (cause) {
    if (cause instanceof ImportError) throw cause;
    throw new ImportError(`${path} (plugin_opt_config_file): ${(cause as Error).message}`, { cause });
  }
  const result = file.safeParse(input);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new ImportError(`${path} (plugin_opt_config_file): ${issue!.path.join('.')}: ${issue!.message}`);
}

function passwordsOf({ clients }: DynamicSecurity, findings: Findings): string {
  const lines: string[] = [];
  for (const { username, password, salt, iterations, encoded_password: encoded, disabled } of clients) {
    const parts = password === undefined || salt === undefined ? null : `$7$${iterations ?? 0}$${salt}$${password}`;
    const hash = encoded ?? parts;
    if (disabled) findings.note(`The client ${username} is disabled and left out`);
    else if (hash === null) {
      findings.note(`The client ${username} has no password and cannot log in, as with Mosquitto`);
    } else if (/[:\r\n]/.test(username) || username.startsWith('#')) {
      findings.note(`The client ${username} is left out: its name cannot stand in a password file`);
    } else lines.push(`${username}:${hash}`);
  }
  return lines.map((line) => `${line}\n`).join('');
}

const everybodyNamed = { username: '*' };

class RuleBuilder {
  readonly #read: DynamicSecurity;
  readonly #findings: Findings;
  readonly #roles: ReadonlyMap<string, readonly Acl[]>;
  readonly #groups: ReadonlyMap<string, readonly string[]>;

  constructor(read: DynamicSecurity, findings: Findings) {
    this.#read = read;
    this.#findings = findings;
    this.#roles = new Map(read.roles.map(({ rolename, acls }) => [rolename, byPriority(acls)]));
    this.#groups = new Map(read.groups.map(({ groupname, roles }) => [groupname, namesIn(roles, 'rolename')]));
    for (const { rolename, allowwildcardsubs } of read.roles) {
      if (!allowwildcardsubs) findings.note(`The role ${rolename} may subscribe with wildcards here`);
    }
  }

  rules(): RuleInput[] {
    const { anonymousGroup, defaultACLAccess } = this.#read;
    const named = this.#blocks().flatMap(([roles, usernames]) => this.#block(roles, { username: usernames }));
    const anonymous = this.#block(this.#groups.get(anonymousGroup ?? '') ?? [], undefined);
    const usual: RuleInput[] = [
      defaultACLAccess.publishClientSend ? { allow: 'publish' } : { deny: 'publish' },
      defaultACLAccess.subscribe && defaultACLAccess.publishClientReceive
        ? { allow: 'subscribe' }
        : { deny: 'subscribe' },
    ];
    // What follows is for anonymous clients, so those with a name have to be done with.
    const between = anonymous.length === 0 ? [] : usual.map((rule) => ({ ...rule, for: everybodyNamed }));
    return [...named, ...between, ...anonymous, ...usual];
  }

  /** Roles in the order in which they are asked, and the users that have just these. */
  #blocks(): [roles: string[], usernames: string[]][] {
    const blocks = new Map<string, { roles: string[]; usernames: string[] }>();
    for (const client of this.#read.clients) {
      if (client.username.includes('*')) {
        this.#findings.note(`The client ${client.username} gets no rules: * stands for any characters in them`);
        continue;
      }
      if (client.clientid !== undefined) {
        this.#findings.note(
          `The client ${client.username} may use other client identifiers than ${client.clientid}; clientIds: own ties them to users`,
        );
      }
      const roles = this.#rolesOf(client);
      const key = JSON.stringify(roles);
      const block = blocks.get(key);
      if (block === undefined) blocks.set(key, { roles, usernames: [client.username] });
      else block.usernames.push(client.username);
    }
    return [...blocks.values()].map(({ roles, usernames }) => [roles, usernames]);
  }

  /** Who is in a group stands with the group. */
  #rolesOf({ username, roles }: Client): string[] {
    const groups = this.#read.groups.flatMap(({ groupname, clients }) =>
      clients
        .filter((each) => each.username === username)
        .map(({ priority }) => ({ groupname, priority: priority ?? -1 })),
    );
    const ofGroups = namesIn(groups, 'groupname').flatMap((name) => this.#groups.get(name) ?? []);
    return [...namesIn(roles, 'rolename'), ...ofGroups];
  }

  #block(roles: readonly string[], who: RuleInput['for']): RuleInput[] {
    const of = (type: string) =>
      roles.flatMap((role) => (this.#roles.get(role) ?? []).filter(({ acltype }) => acltype === type));
    const sends = this.#rulesOf(of('publishClientSend'), 'publish', who);
    const withheld = this.#withheld(of('publishClientReceive'));
    const subscriptions = this.#subscriptions(roles);
    const { publishClientReceive, subscribe } = this.#read.defaultACLAccess;
    // What nothing else decides may be subscribed to, but only received where a role allows that.
    const rest = subscribe ? [{ acltype: 'subscribePattern', topic: '#', priority: 0, allow: true }] : [];
    const known = publishClientReceive
      ? subscriptions
      : this.#receivable([...subscriptions, ...rest], of('publishClientReceive'));
    this.#noteHidden(known);
    return [...sends, ...this.#rulesOf([...withheld, ...known], 'subscribe', who)];
  }

  /** What may not be sent to a client although it may subscribe to it. */
  #withheld(received: readonly Acl[]): Acl[] {
    return received.filter(({ topic, allow }, index) => {
      const before = received.slice(0, index).filter((each) => each.allow);
      if (allow || before.some((each) => covers(each.topic, topic))) return false;
      if (before.length > 0) {
        this.#findings.note(
          `Stricter here: nothing of ${topic} is sent to clients that a role withholds it from, also where another role allows a part`,
        );
      }
      return true;
    });
  }

  /** A refusal hides its topics from a wider subscription, which in Mosquitto brings them. */
  #noteHidden(subscriptions: readonly Acl[]): void {
    for (const { topic, allow } of subscriptions) {
      if (allow) continue;
      this.#findings.note(`Stricter here: nothing of ${topic} comes by a wider subscription, since a role refuses it`);
    }
  }

  /** Of what may be subscribed to, what may be received as well. */
  #receivable(subscriptions: readonly Acl[], received: readonly Acl[]): Acl[] {
    const allowed = received.filter(({ allow }) => allow).map(({ topic }) => topic);
    return subscriptions.flatMap((each) => {
      if (!each.allow || allowed.some((topic) => covers(topic, each.topic))) return [each];
      const narrower = allowed.filter((topic) => covers(each.topic, topic));
      this.#findings.note(
        `Stricter here: subscribing to ${each.topic} is narrowed to what may be received: ${narrower.join(', ') || 'nothing'}`,
      );
      return narrower.map((topic) => ({ ...each, topic }));
    });
  }

  /**
   * A literal filter with wildcards cannot be told from what it covers: what it allows is what it brings, and where one
   * is refused, only the same one loses its effect in what follows.
   */
  #subscriptions(roles: readonly string[]): Acl[] {
    const refused = new Set<string>();
    return roles.flatMap((role) => {
      const acls = this.#roles.get(role) ?? [];
      const literal = acls.filter(({ acltype, topic, allow }) => {
        if (acltype !== 'subscribeLiteral') return false;
        if (!/[+#]/.test(topic)) return true;
        this.#findings.note(
          allow
            ? `subscribeLiteral ${topic} also lets its clients subscribe to a part of it`
            : `subscribeLiteral ${topic} is not refused by itself: its clients get what their other rules allow`,
        );
        if (!allow) refused.add(topic);
        return allow && !refused.has(topic);
      });
      return [...literal, ...acls.filter(({ acltype }) => acltype === 'subscribePattern')];
    });
  }

  /** Neighbours that say the same of other topics are one rule. */
  #rulesOf(acls: readonly Acl[], action: 'publish' | 'subscribe', who: RuleInput['for']): RuleInput[] {
    const rules: { allow: boolean; topics: string[] }[] = [];
    for (const { topic, allow } of acls) {
      const own = this.#topic(topic);
      if (own === null) continue;
      const last = rules.at(-1);
      if (last?.allow === allow) last.topics.push(own);
      else rules.push({ allow, topics: [own] });
    }
    return rules.map(({ allow, topics }) => ({
      [allow ? 'allow' : 'deny']: action,
      topics: [...new Set(topics)],
      ...(who === undefined ? {} : { for: who }),
    }));
  }

  /** Null: it cannot be a topic of a rule. */
  #topic(topic: string): string | null {
    if (topic === '$CONTROL' || topic.startsWith('$CONTROL/')) {
      this.#findings.note('Topics below $CONTROL do not exist: use the HTTP API, sluice users and sluice reload');
      return null;
    }
    const own = topic.replaceAll('%u', `\${username}`).replaceAll('%c', `\${clientId}`);
    const parsed = parseFilter(own.replaceAll(/\$\{\w+\}/g, 'x'));
    if (parsed !== null && parsed.shareName === null) return own;
    this.#findings.note(`The topic ${JSON.stringify(topic)} of a role is left out: it is no topic filter`);
    return null;
  }
}

function byPriority<T extends { readonly priority: number }>(all: readonly T[]): T[] {
  return [...all].sort((a, b) => b.priority - a.priority);
}

/** In the order in which they are asked: by priority, then by name. */
function namesIn(all: readonly Record<string, string | number>[], key: string): string[] {
  const name = (each: Record<string, string | number>) => String(each[key]);
  return [...all].sort((a, b) => Number(b.priority) - Number(a.priority) || (name(a) < name(b) ? -1 : 1)).map(name);
}
