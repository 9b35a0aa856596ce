/**
 * The commands to a running broker: what each is asked and what it answers, one schema each. The socket of the data
 * directory, the command line and the library all take them from here. A command is added here and in `app.ts`.
 */
import { z } from 'zod';
import { canonicalAddress, sourceOf } from '../base/addresses.ts';
import { nearest } from '../base/nearest.ts';
import { pageItemsMax } from '../base/pages.ts';
import { ban } from './bans.ts';
import { expectation, finding } from './problems.ts';
import { text, whole } from './values.ts';
import { connectionView, queuedView, retainedView, sessionView, subscriptionView } from './views.ts';

/** As bans know it: of IPv6, a network. */
const bannedAddress = (given: string): string | null => {
  const address = canonicalAddress(given.replace(/\/64$/, ''));
  return address === null ? null : sourceOf(address);
};

const number = whole(1).describe('number of a message');
const chosen = z
  .union([z.literal('all'), z.array(number).min(1)], 'numbers of messages, or all')
  .describe('numbers of messages, or `all`');

const quarantined = z.strictObject({
  id: whole(1).describe('number; it rises with every message'),
  time: z.number().describe('when it came, in milliseconds since the epoch'),
  topic: z.string().describe('topic, as its publisher sent it'),
  qos: z.literal([0, 1, 2]).describe('QoS'),
  retain: z.boolean().describe('whether it was to be retained'),
  contentType: z.string().optional().describe('content type; absent: none'),
  bytes: z.int().describe('size of the payload'),
  clientId: z.string().nullable().describe('publisher; null if it was no client that was connected'),
  username: z.string().nullable().describe("the publisher's user name"),
  pipeline: z.string().describe('name of the pipeline'),
  version: z.string().describe("version of the pipeline's settings"),
  stage: z.string().describe('place and kind of the stage, as `2 validate`'),
  reason: z.string().describe('why the stage could not handle it'),
});
export type Quarantined = z.output<typeof quarantined>;

const count = (of: string) => z.strictObject({ count: z.int().describe(of) });
const nothing = z.strictObject({});

const pageKeys = {
  cursor: z.string().nullable().default(null).describe('of the page before; null: the first page'),
  limit: whole(1, pageItemsMax).default(100).describe('items at most'),
};
const page = z.strictObject(pageKeys);
const pageOf = <Item extends z.ZodType>(item: Item, items: string) =>
  z.strictObject({
    items: z.array(item).readonly().describe(items),
    cursor: z.string().nullable().describe('for the next page; null: there is none'),
  });

export const commands = {
  reload: {
    what: 'reads the configuration again and applies what can change',
    request: nothing,
    answer: z.strictObject({ summary: z.string().describe('what was applied, in words') }),
  },
  backup: {
    what: 'copies the data, as it is at one moment',
    request: z.strictObject({ directory: text.describe('an empty directory, or one that is not there') }),
    answer: z.strictObject({ records: z.int().describe('records that were copied') }),
  },
  'bans list': {
    what: 'tells who is banned',
    request: nothing,
    answer: z.strictObject({ bans: z.array(ban).readonly().describe('bans; the one that ends first comes first') }),
  },
  'bans clear': {
    what: 'lifts bans of an address, and of users and clients from it',
    request: z.strictObject({
      address: z
        .string()
        .refine((given) => bannedAddress(given) !== null, 'an address, as bans list gives it')
        .nullable()
        .describe('address, as `bans list` gives it; null: all'),
    }),
    answer: count('bans that were lifted'),
  },
  'quarantine list': {
    what: 'lists messages that a pipeline could not handle, oldest first',
    request: z.strictObject({
      after: whole(0).default(0).describe('number of the last message of the page before'),
      limit: whole(1, 200).default(200).describe('messages at most'),
    }),
    answer: z.strictObject({
      entries: z.array(quarantined).readonly().describe('messages, without their payloads'),
      count: z.int().describe('how many there are in all'),
    }),
  },
  'quarantine show': {
    what: 'gives one of them, with its payload',
    request: z.strictObject({ id: number }),
    answer: quarantined.extend({
      payload: z.base64().describe('payload, in base64'),
      userProperties: z
        .array(z.tuple([z.string(), z.string()]))
        .readonly()
        .describe('user properties'),
    }),
  },
  'quarantine replay': {
    what: 'sends some of them through the pipelines as they are now, in order',
    request: z.strictObject({ ids: chosen }),
    answer: z.strictObject({
      published: z.int().describe('messages that were published'),
      dropped: z.int().describe('messages that a stage dropped'),
      rejected: z.int().describe('messages that were refused, and stay'),
      quarantined: z.int().describe('messages that are in quarantine again, under new numbers'),
    }),
  },
  'quarantine drop': {
    what: 'forgets some of them',
    request: z.strictObject({ ids: chosen }),
    answer: count('messages that were forgotten'),
  },
  sessions: {
    what: 'lists sessions of connected and absent clients',
    request: page,
    answer: pageOf(sessionView, 'sessions, in no particular order'),
  },
  connections: {
    what: 'lists connections, with and without CONNECT',
    request: page,
    answer: pageOf(connectionView, 'connections, the oldest first'),
  },
  subscriptions: {
    what: 'lists subscriptions of all sessions',
    request: page,
    answer: pageOf(subscriptionView, 'subscriptions, by session'),
  },
  retained: {
    what: 'lists retained messages',
    request: page,
    answer: pageOf(retainedView, 'retained messages, in no particular order'),
  },
  queue: {
    what: 'lists messages that wait for a client',
    request: z.strictObject({ clientId: z.string().describe('client identifier'), ...pageKeys }),
    answer: pageOf(queuedView, 'messages, in order'),
  },
} as const satisfies Record<string, { what: string; request: z.ZodObject; answer: z.ZodObject }>;

export type CommandName = keyof typeof commands;
/** What a command is asked; what has a default may be left out. */
export type CommandRequest<Name extends CommandName> = z.input<(typeof commands)[Name]['request']>;
export type CommandAnswer<Name extends CommandName> = z.output<(typeof commands)[Name]['answer']>;

/** What carries out the commands. Each may reject with what to tell the operator. */
export type CommandHandlers = {
  readonly [Name in CommandName]: (
    request: z.output<(typeof commands)[Name]['request']>,
  ) => Promise<CommandAnswer<Name>>;
};

/** There is no such command, or it is asked wrongly; the message says what is wrong. */
export class RequestError extends Error {
  override readonly name = 'RequestError';
}

const isCommand = (name: string): name is CommandName => Object.hasOwn(commands, name);

/** Throws a RequestError. */
export function checkedName(name: string): CommandName {
  if (isCommand(name)) return name;
  const suggestion = nearest(name, Object.keys(commands));
  const hint = suggestion === null ? '' : `; did you mean "${suggestion}"?`;
  throw new RequestError(`The broker knows no command ${JSON.stringify(name)}${hint}`);
}

/** With defaults for what is left out. Throws a RequestError. */
export function checkedRequest<Name extends CommandName>(
  name: Name,
  request: unknown,
): z.output<(typeof commands)[Name]['request']> {
  const { data, error } = commands[name].request.safeParse(request);
  if (error === undefined) return data as z.output<(typeof commands)[Name]['request']>;
  throw new RequestError(
    problems(error, request)
      .map((problem) => `${name}: ${problem}`)
      .join('\n'),
  );
}

/** Throws an Error: the broker is of another version than who asks. */
export function checkedAnswer<Name extends CommandName>(name: Name, answer: unknown): CommandAnswer<Name> {
  const { data, error } = commands[name].answer.safeParse(answer);
  if (error === undefined) return data as CommandAnswer<Name>;
  const [problem] = problems(error, answer);
  throw new Error(`The broker answers ${name} as another version of Sluice does (${problem})`);
}

function problems({ issues }: z.ZodError, input: unknown): string[] {
  return issues.flatMap((issue) => {
    const path = issue.path.map(String);
    if (issue.code === 'unrecognized_keys')
      return issue.keys.map((key) => `${[...path, key].join('.')}: there is no such key`);
    const at = path.length === 0 ? '' : `${path.join('.')}: `;
    return `${at}${expectation(issue)}, ${finding(issue, input)}`;
  });
}

/** Of an address that a request named. */
export const addressOfBans = (given: string): string => bannedAddress(given)!;
