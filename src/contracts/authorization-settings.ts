/**
 * What a configuration file may say of what clients may do. docs/guides/authorization.md explains it.
 */
import * as z from 'zod';
import type { DeepReadonly } from '../base/freeze.ts';
import { parseFilter } from '../protocol/topic.ts';
import { httpRules } from './http-service.ts';
import { network, networkText, qos, text } from './values.ts';

const placeholder = /\$\{(username|clientId|attributes\.[^${}/+#]+)\}/g;
/** `all` is both: to publish, and to subscribe and be given what was subscribed to. */
const actions = z.enum(['publish', 'subscribe', 'all']);
export type RuleActions = z.output<typeof actions>;

const topics = z.string().refine((topic) => {
  const filled = topic.replaceAll(placeholder, 'x');
  return !filled.includes('${') && parseFilter(filled)?.shareName === null;
}, `a topic filter without $share, in which \${username}, \${clientId} and \${attributes.NAME} may stand`);

const oneOrMore = <T extends z.ZodType<string>>(each: T, what: string) => z.union([each, z.array(each).min(1)], what);
const patterns = oneOrMore(text, 'a text, or a list of them; * stands for any characters');
/** Texts in which `*` stands for any characters; one of them must fit. */
export type TextPatterns = DeepReadonly<z.output<typeof patterns>>;

const networks = oneOrMore(network, `${networkText}, or a list of them`);

/** The schema would pass by a key of this name, and a rule without its condition is for everybody. */
function withoutProto(input: unknown, context: z.RefinementCtx): unknown {
  if (typeof input === 'object' && input !== null && Object.hasOwn(input, '__proto__')) {
    context.addIssue({ code: 'custom', path: ['__proto__'], message: 'no attribute of this name' });
  }
  return input;
}

/** Which clients a rule is about: those for whom everything holds that is named here. */
const clients = z.strictObject({
  username: patterns.optional().describe('user names; `*` stands for any characters'),
  group: patterns.optional().describe("one of the client's groups"),
  clientId: patterns.optional().describe('client identifiers; `*` stands for any characters'),
  address: networks.optional().describe('addresses and networks such as `10.0.0.0/8`'),
  listener: patterns.optional().describe("the listener's URL"),
  attributes: z
    .preprocess(withoutProto, z.record(text, patterns))
    .optional()
    .describe('by name; a client that lacks one does not fit'),
});

export type RuleClients = DeepReadonly<z.output<typeof clients>>;

/** One of `allow` and `deny` is there. */
const rule = z
  .strictObject({
    allow: actions.optional().describe('what is allowed; `all`: to publish, to subscribe and to receive'),
    deny: actions.optional().describe('what is refused'),
    topics: z
      .array(topics)
      .min(1)
      .optional()
      .describe('topic filters, in which [placeholders](../guides/authorization.md) may stand; without it every topic'),
    for: clients.optional().describe('which clients it is about: those for whom all of it holds; without it all'),
    retain: z.boolean().optional().describe('only messages that are to be retained, or only others'),
    maxQoS: qos.optional().describe('only messages up to this QoS; subscriptions are granted no more'),
    shared: z.boolean().optional().describe('only shared subscriptions, or only others'),
  })
  .superRefine(({ allow, deny, retain, maxQoS, shared }, context) => {
    const complain = (message: string, path: string[] = []) => context.addIssue({ code: 'custom', path, message });
    if ((allow === undefined) === (deny === undefined)) complain('one of allow and deny: publish, subscribe or all');
    const action = allow ?? deny;
    // What cannot be asked about an action would silently never, or always, be so.
    if (retain !== undefined && action !== 'publish') complain('"publish" as the action beside it', ['retain']);
    if (shared !== undefined && action !== 'subscribe') complain('"subscribe" as the action beside it', ['shared']);
    if (maxQoS !== undefined && allow === undefined) complain('"allow" beside it', ['maxQoS']);
  });

export type RuleSettings = DeepReadonly<z.output<typeof rule>>;

export const authorization = z.strictObject({
  rules: z
    .array(rule)
    .default([])
    .describe('[rules](../guides/authorization.md), of which the first that matches decides'),
  aclFile: text.optional().describe("a file in Mosquitto's format, asked after the rules"),
  default: z
    .enum(['allow', 'deny'])
    .default('deny')
    .describe('what nothing matches, as soon as there are rules or an ACL file'),
  http: httpRules.optional().describe('a service that is asked about what the rules allow'),
});

export type AuthorizationSettings = DeepReadonly<z.output<typeof authorization>>;
