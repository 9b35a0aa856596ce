/** What each command says of itself, and parts that several have. */
import * as z from 'zod';
import { pageItemsMax } from '../../base/pages.ts';
import type { Area, Role } from '../roles.ts';
import { whole } from '../values.ts';

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export interface CommandLineDeclaration {
  /** Instead of its name: `admin key create`. */
  readonly words?: string;
  /** Keys that are arguments, behind those in the path of the route. */
  readonly arguments?: readonly string[];
  /** Options that are called otherwise than their keys. */
  readonly options?: Readonly<Record<string, string>>;
  /** A key that has a list of objects, of which one can be given by options of its own. */
  readonly itemsOf?: string;
  /** What its answer is a list of, for "no bans". */
  readonly lists?: string;
  /** Items of a list that are shown where `--limit` does not say how many; absent: all. */
  readonly limit?: number;
  /** Of what makes something: commands that give its events, and end it, by its `id`. */
  readonly follow?: { readonly events: string; readonly end: string };
}

export interface CommandDeclaration {
  /** In one line: "lists sessions of …". */
  readonly what: string;
  readonly area: Area;
  /** The least that is needed. */
  readonly role: Role;
  /**
   * In the HTTP API, below `/api/v1`. A key of the request in braces is part of the path; the others are in the query
   * of GET and DELETE, else in the body. What GET does changes nothing.
   */
  readonly route: `${Method} /${string}`;
  readonly request: z.ZodObject;
  /** Of a stream: one event. */
  readonly answer: z.ZodObject;
  /** It answers event after event until whoever asks has enough. */
  readonly isStream?: true;
  /** Its readers share their events: one of them is written once, and not for each reader. */
  readonly sharesEvents?: true;
  /** Over a WebSocket, what `{"acknowledge": number}` means: a command with `name`, that of the stream, and `upTo`. */
  readonly acknowledgedBy?: string;
  /** It is about messages and not about the broker: what is done is not in the audit log, only what was refused. */
  readonly isTraffic?: true;
  /** Its body may be as large as messages are. */
  readonly hasLargeBody?: true;
  /** The headers `traceparent` and `tracestate` are for the messages that it publishes. */
  readonly takesTraceContext?: true;
  /** How the command line has it, where its name, its request and its answer do not say it. */
  readonly cli?: CommandLineDeclaration;
  /**
   * What it is about where the broker is a node of a cluster: lists of all nodes are one (`list`), a client is looked
   * for at all nodes and asked about, or told, where it is (`client`), all nodes are asked in a way of its own (`all`),
   * or what is done here holds at all nodes by itself (`shared`). Absent: this node alone.
   */
  readonly nodes?: 'list' | 'client' | 'all' | 'shared';
  /** Sent again with the same `Idempotency-Key`, it is answered again and not done again. */
  readonly takesIdempotencyKey?: true;
}

export type CommandDeclarations = Readonly<Record<string, CommandDeclaration>>;

export const nothing = z.strictObject({});
export const count = (of: string) => z.strictObject({ count: z.int().describe(of) });

export const pageKeys = {
  cursor: z.string().nullable().default(null).describe('of the page before; null: the first page'),
  limit: whole(1, pageItemsMax).default(100).describe('items at most'),
};
export const page = z.strictObject(pageKeys);
export const pageOf = <Item extends z.ZodType>(item: Item, items: string) =>
  z.strictObject({
    items: z.array(item).readonly().describe(items),
    cursor: z.string().nullable().describe('for the next page; null: there is none'),
  });

/** Of what is in an answer, where it comes from. */
export const nodeKey = {
  node: z.string().optional().describe('node of the cluster that has it; absent: the broker is in no cluster'),
};
/** Nothing is missing in silence. */
export const unansweredKey = {
  unanswered: z
    .array(
      z.strictObject({
        node: z.string().describe('node of the cluster'),
        why: z.string().describe('why what it has is missing, or in part'),
      }),
    )
    .readonly()
    .optional()
    .describe('nodes whose part is missing here; absent: the broker is in no cluster'),
};
/** The same of a list that is one for all nodes of a cluster. */
export const pageOfNodes = <Keys extends z.ZodRawShape>(item: z.ZodObject<Keys, z.core.$strict>, items: string) =>
  z.strictObject({
    items: z
      .array(z.strictObject({ ...item.shape, ...nodeKey }))
      .readonly()
      .describe(items),
    cursor: z.string().nullable().describe('for the next page; null: there is none'),
    ...unansweredKey,
  });

/** The same for a request with keys of its own. */
export const pageWith = <Keys extends z.ZodRawShape>(keys: Keys) => z.strictObject({ ...keys, ...pageKeys });

export const clientIdKey = z.string().min(1).describe('client identifier');
