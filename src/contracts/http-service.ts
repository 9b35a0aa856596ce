/** What a configuration may say of a service that is asked by HTTP, about who clients are or what they may do. */
import * as z from 'zod';
import type { DeepReadonly } from '../base/freeze.ts';
import { milliseconds, seconds, text, whole } from './values.ts';

/** Names beginning with SLUICE_ set settings themselves. */
export const variable = text.refine((name) => !name.startsWith('SLUICE_'), 'a name that does not begin with SLUICE_');
export const url = z
  .url({ protocol: /^https?$/, error: 'a URL, with https:// or http://' })
  .refine((text) => !/^[^/]*\/\/[^/?#]*@/.test(text), 'a URL without a name and a password; secrets come from a file');
export const isSecure = (text: string | undefined) => text === undefined || text.startsWith('https:');

export const timeoutMs = milliseconds(1, 60_000).default(3_000);

/** How a service of mosquitto-go-auth is spoken to, as its settings of these names have it. */
export const goAuthSettings = {
  paramsMode: z
    .enum(['json', 'form'])
    .default('json')
    .describe('with `form: mosquitto-go-auth`: how the question is written, as `auth_opt_http_params_mode` says'),
  responseMode: z
    .enum(['status', 'json', 'text'])
    .default('status')
    .describe('with `form: mosquitto-go-auth`: what of the answer decides, as `auth_opt_http_response_mode` says'),
};

export const httpService = {
  url: url.describe('the service that is asked. Required'),
  caFile: text.optional().describe('authorities of its certificate; without it the public ones'),
  timeoutMs: timeoutMs.describe('of a call'),
  callsAtOnce: whole(1, 1_000).default(32).describe('calls at one time'),
  cacheEntries: whole(1, 10_000_000).default(10_000).describe('answers that are remembered'),
  secretHeader: z
    .string()
    .regex(/^[\w!#$%&'*+.^`|~-]+$/, 'the name of a header')
    .default('authorization')
    .describe('the header that it is sent in'),
  secretFile: text
    .optional()
    .describe('a file with the value of `secretHeader`, which shows the service who is asking'),
  secretEnv: variable.optional().describe('or the name of an environment variable with it'),
};

interface Service {
  readonly url: string;
  readonly caFile?: string | undefined;
  readonly secretFile?: string | undefined;
  readonly secretEnv?: string | undefined;
}

export function checkService({ url, caFile, secretFile, secretEnv }: Service, context: z.core.$RefinementCtx): void {
  const refuse = (message: string, path: string[] = []) => context.addIssue({ code: 'custom', path, message });
  if (secretFile !== undefined && secretEnv !== undefined) refuse('one of secretFile and secretEnv');
  if (caFile !== undefined && !isSecure(url)) {
    refuse('it only beside a url with https://, whose server is to be trusted by it', ['caFile']);
  }
}

export const httpRules = z
  .strictObject({
    ...httpService,
    superuserUrl: url
      .optional()
      .describe('asked first, whether a user may do everything; on the host of `url`, or with the same `caFile`'),
    form: z
      .enum(['emqx', 'mosquitto-go-auth'])
      .default('emqx')
      .describe(
        'what is sent, and how answers are read: as by [these](../guides/authorization.md#a-service-of-yours-by-http)',
      ),
    ...goAuthSettings,
    callsWaiting: whole(1, 1_000_000)
      .default(1_000)
      .describe('questions that wait for a call; beyond, they are refused (0x97)'),
    cacheSeconds: seconds(0, 86_400)
      .default(30)
      .describe('how long an answer that allows is remembered; 0: not at all'),
    refusalCacheSeconds: seconds(0, 86_400).default(30).describe('the same for one that refuses'),
  })
  .superRefine((setting, context) => {
    checkService(setting, context);
    if (setting.superuserUrl !== undefined && !isSecure(setting.superuserUrl) && setting.caFile !== undefined) {
      context.addIssue({ code: 'custom', path: ['superuserUrl'], message: 'https:// as in url, beside a caFile' });
    }
  });

export type HttpRulesSettings = DeepReadonly<z.output<typeof httpRules>>;
