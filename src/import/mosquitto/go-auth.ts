/**
 * The plugin mosquitto-go-auth with its HTTP backend: its service is asked as before, and needs no change. Other
 * backends look into databases, which nothing here does.
 */
import type { ConfigInput } from '../../config/schema.ts';
import { bracketed } from '../../contracts/listener-url.ts';
import { numberOf } from './findings.ts';
import type { PluginLines } from './model.ts';

type MechanismInput = NonNullable<ConfigInput['authentication']>[number];
export type HttpRulesInput = NonNullable<NonNullable<ConfigInput['authorization']>['http']>;

export interface GoAuth {
  readonly mechanism: MechanismInput;
  readonly rules: HttpRulesInput;
}

export const isGoAuth = ({ file }: PluginLines) => file.includes('go-auth');

export const isReadOfGoAuth = (name: string) =>
  /_opt_(backends|http_(host|port|(getuser|superuser|aclcheck)_uri|with_tls|response_mode|params_mode|timeout|method))$/.test(
    name,
  ) || /_opt_(cache|(auth|acl)_cache_seconds|disable_superuser)$/.test(name);

/** A text: why it cannot be had. */
export function goAuthOf(plugin: PluginLines, isPerListener: boolean): GoAuth | string {
  const option = (name: string) => plugin.last(`auth_opt_${name}`, `plugin_opt_${name}`);
  const text = (name: string) => option(name)?.value ?? null;
  const backends = text('backends');
  if (backends !== 'http') return `its backends (${backends ?? 'none'}) are not there, only its HTTP backend is`;
  if (isPerListener) return 'a service that is asked what clients may do is there for all listeners only';
  const method = text('http_method') ?? 'POST';
  if (method.toUpperCase() !== 'POST') return `its service is asked by ${method}, and here by POST only`;
  const [host, port, user, acl] = ['http_host', 'http_port', 'http_getuser_uri', 'http_aclcheck_uri'].map(text);
  if (!host || !port || !user || !acl) {
    return 'one of auth_opt_http_host, http_port, http_getuser_uri and http_aclcheck_uri is missing';
  }
  const scheme = text('http_with_tls') === 'true' ? 'https' : 'http';
  const urlOf = (path: string) => `${scheme}://${bracketed(host)}:${port}${path.startsWith('/') ? '' : '/'}${path}`;
  if (![user, acl].every((path) => URL.canParse(urlOf(path)))) return `${urlOf(acl)} is no URL`;
  const seconds = numberOf(option('http_timeout'), 1, 60);
  const common = {
    form: 'mosquitto-go-auth' as const,
    paramsMode: text('http_params_mode') === 'form' ? ('form' as const) : ('json' as const),
    responseMode: modeOf(text('http_response_mode')),
    timeoutMs: (seconds ?? 5) * 1_000,
  };
  const superuser = text('disable_superuser') === 'true' ? null : text('http_superuser_uri');
  const isCached = text('cache') === 'true';
  const keep = (name: string) => (isCached ? numberOf(option(name), 0, 86_400) : null);
  const [authSeconds, aclSeconds] = [keep('auth_cache_seconds'), keep('acl_cache_seconds')];
  return {
    mechanism: {
      kind: 'http',
      url: urlOf(user),
      ...common,
      ...(authSeconds === null ? {} : { cacheSeconds: authSeconds }),
    },
    rules: {
      url: urlOf(acl),
      ...(superuser === null ? {} : { superuserUrl: urlOf(superuser) }),
      ...common,
      ...(aclSeconds === null ? {} : { cacheSeconds: aclSeconds, refusalCacheSeconds: aclSeconds }),
    },
  };
}

const modeOf = (text: string | null): HttpRulesInput['responseMode'] =>
  text === 'json' || text === 'text' ? text : 'status';
