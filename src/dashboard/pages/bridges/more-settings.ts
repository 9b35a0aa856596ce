/** Settings of a bridge that its form has below the usual ones: where each is, and as what it is filled in. */
import type { Operations } from '../../api/operations.ts';

export type Settings = Operations['bridges create']['request']['settings'];

/** Where it is, as `queue.maxBytes`, and what it is while nothing is given. */
export type MoreField =
  | { readonly path: string; readonly kind: 'text' | 'number' | 'words' }
  | { readonly path: string; readonly kind: 'check'; readonly usual: boolean }
  | { readonly path: string; readonly kind: 'choice'; readonly usual: string };

export const moreFields = {
  connection: [
    { path: 'roundRobin', kind: 'check', usual: false },
    { path: 'cleanStart', kind: 'check', usual: false },
    { path: 'usernameEnv', kind: 'text' },
    { path: 'passwordFile', kind: 'text' },
    { path: 'passwordEnv', kind: 'text' },
    { path: 'keepAliveSeconds', kind: 'number' },
    { path: 'connectTimeoutSeconds', kind: 'number' },
    { path: 'reconnect.minimumMs', kind: 'number' },
    { path: 'reconnect.maximumMs', kind: 'number' },
    { path: 'returnSeconds', kind: 'number' },
    { path: 'sessionExpirySeconds', kind: 'number' },
    { path: 'lazy.threshold', kind: 'number' },
    { path: 'lazy.idleSeconds', kind: 'number' },
  ],
  tls: [
    { path: 'tls.caFile', kind: 'text' },
    { path: 'tls.certFile', kind: 'text' },
    { path: 'tls.keyFile', kind: 'text' },
    { path: 'tls.passphraseFile', kind: 'text' },
    { path: 'tls.passphraseEnv', kind: 'text' },
    { path: 'tls.serverName', kind: 'text' },
    { path: 'tls.alpn', kind: 'words' },
    { path: 'tls.minVersion', kind: 'choice', usual: 'TLSv1.2' },
    { path: 'tls.ciphers', kind: 'text' },
    { path: 'tls.verifyName', kind: 'check', usual: true },
  ],
  queue: [
    { path: 'queue.maxBytes', kind: 'number' },
    { path: 'queue.maxAgeSeconds', kind: 'number' },
    { path: 'queue.whenFull', kind: 'choice', usual: 'refuse' },
    { path: 'rate.messagesPerSecond', kind: 'number' },
    { path: 'rate.bytesPerSecond', kind: 'number' },
    { path: 'maxInflight', kind: 'number' },
    { path: 'maxPacketBytes', kind: 'number' },
  ],
  notifications: [
    { path: 'notifications.local', kind: 'check', usual: true },
    { path: 'notifications.remote', kind: 'check', usual: false },
    { path: 'notifications.remoteTopic', kind: 'text' },
  ],
} as const satisfies Readonly<Record<string, readonly MoreField[]>>;

export type MoreGroup = keyof typeof moreFields;

type Tree = Readonly<Record<string, unknown>>;

/** Undefined: nothing is given. */
export function settingAt(settings: Settings, path: string): unknown {
  return path.split('.').reduce<unknown>((at, key) => (at as Tree | undefined)?.[key], settings);
}

/** `value`: undefined takes it out, and with the last one of a group the group. */
export function withSetting(settings: Settings, path: string, value: unknown): Settings {
  const changed = put(settings, path.split('.'), value) as unknown as Settings;
  const isOtherPassword = value !== undefined && (path === 'passwordFile' || path === 'passwordEnv');
  if (!isOtherPassword) return changed;
  const { password: _replaced, ...rest } = changed;
  return rest;
}

function put(tree: Tree, [key = '', ...rest]: readonly string[], value: unknown): Tree {
  const { [key]: before, ...others } = tree;
  const after = rest.length === 0 ? value : put((before ?? {}) as Tree, rest, value);
  const isNothing = after === undefined || (rest.length > 0 && Object.keys(after as Tree).length === 0);
  return isNothing ? others : { ...tree, [key]: after };
}

export const hasTls = ({ addresses }: Settings) => addresses.some((each) => /^(mqtts|wss):/.test(each));

/** What the command takes: settings for TLS may stand in the form while no address needs them. */
export function settingsToSend(settings: Settings): Settings {
  if (hasTls(settings)) return settings;
  const { tls: _unused, ...rest } = settings;
  return rest;
}
