/**
 * What a configuration file may say of what clients may do. docs/guides/authorization.md explains it.
 */
import { z } from 'zod';
import type { AuthorizationSettings } from '../contracts/access.ts';
import { parseFilter } from '../protocol/topic.ts';
import { network, networkText, qos, text } from './values.ts';

const placeholder = /\$\{(username|clientId|attributes\.[^${}/+#]+)\}/g;
const actions = z.enum(['publish', 'subscribe', 'all']);

const topics = z.string().refine((topic) => {
  const filled = topic.replaceAll(placeholder, 'x');
  return !filled.includes('${') && parseFilter(filled)?.shareName === null;
}, `a topic filter without $share, in which \${username}, \${clientId} and \${attributes.NAME} may stand`);

const oneOrMore = <T extends z.ZodType<string>>(each: T, what: string) => z.union([each, z.array(each).min(1)], what);
const patterns = oneOrMore(text, 'a text, or a list of them; * stands for any characters');

const networks = oneOrMore(network, `${networkText}, or a list of them`);

/** The schema would pass by a key of this name, and a rule without its condition is for everybody. */
function withoutProto(input: unknown, context: z.RefinementCtx): unknown {
  if (typeof input === 'object' && input !== null && Object.hasOwn(input, '__proto__')) {
    context.addIssue({ code: 'custom', path: ['__proto__'], message: 'no attribute of this name' });
  }
  return input;
}

const rule = z
  .strictObject({
    allow: actions.optional(),
    deny: actions.optional(),
    topics: z.array(topics).min(1).optional(),
    for: z
      .strictObject({
        username: patterns.optional(),
        group: patterns.optional(),
        clientId: patterns.optional(),
        address: networks.optional(),
        listener: patterns.optional(),
        attributes: z.preprocess(withoutProto, z.record(text, patterns)).optional(),
      })
      .optional(),
    retain: z.boolean().optional(),
    maxQoS: qos.optional(),
    shared: z.boolean().optional(),
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

export const authorization = z.strictObject({
  rules: z.array(rule).default([]),
  aclFile: text.optional(),
  default: z.enum(['allow', 'deny']).default('deny'),
});

type Assignable<T extends Expected, Expected> = T;
export type CheckedAuthorization = Assignable<z.output<typeof authorization>, AuthorizationSettings>;
