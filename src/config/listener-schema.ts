/**
 * What a configuration may say of `listeners`: addresses, certificates, WebSocket, proxies.
 */
import * as z from 'zod';
import { listenerAuthentication } from '../contracts/authentication.ts';
import { clientIdPrefixMost, isMountPoint, versionNames } from '../contracts/listener-limits.ts';
import { network, qos, seconds, text, whole } from '../contracts/values.ts';

const certificate = {
  certFile: text.describe('PEM: the certificate, and behind it those that lead to its authority. Required'),
  keyFile: text.describe('its key. Required'),
  passphraseFile: text.optional().describe('a file with the passphrase of an encrypted key'),
  passphraseEnv: text.optional().describe('or the name of an environment variable with it'),
};

type Issues = z.core.$RefinementCtx;

const refuse = (context: Issues, path: (string | number)[], message: string) =>
  context.addIssue({ code: 'custom', path, message });

function onePassphrase(setting: { passphraseFile?: unknown; passphraseEnv?: unknown }, context: Issues): void {
  if (setting.passphraseFile === undefined || setting.passphraseEnv === undefined) return;
  refuse(context, ['passphraseEnv'], 'either passphraseFile or passphraseEnv');
}

const serverName = z.string().regex(/^(\*\.)?[^*\s]+$/, 'a host name, which may begin with "*."');

export const tls = z
  .strictObject({
    ...certificate,
    certificates: z
      .array(
        z
          .strictObject({
            serverNames: z.array(serverName).min(1).optional().describe('without it, the names in the certificate'),
            ...certificate,
          })
          .superRefine(onePassphrase),
      )
      .default([])
      .describe(
        'more certificates, for clients that ask for other names: each with `certFile`, `keyFile`, a ' +
          'passphrase as above, and `serverNames` (without it: the names in the certificate)',
      ),
    caFile: text
      .optional()
      .describe('authorities whose client certificates are valid; required unless `clientCertificate` is `none`'),
    crlFile: text.optional().describe('revocation lists'),
    clientCertificate: z
      .enum(['none', 'optional', 'required'])
      .default('none')
      .describe('whether clients must, may or need not show a certificate'),
    minVersion: z.enum(['TLSv1.2', 'TLSv1.3']).default('TLSv1.2').describe('the oldest version that is accepted'),
    ciphers: text.optional().describe("suites in OpenSSL's notation, instead of the default"),
  })
  .superRefine((setting, context) => {
    onePassphrase(setting, context);
    const { caFile, crlFile, clientCertificate } = setting;
    // Without it, a certificate from any public authority would be taken.
    const authority = 'a caFile with the authority of the client certificates';
    if (clientCertificate !== 'none' && caFile === undefined) refuse(context, ['clientCertificate'], authority);
    if (clientCertificate !== 'none') return;
    const asked = 'clientCertificate: optional or required beside it, or nobody is asked for a certificate';
    if (caFile !== undefined) refuse(context, ['caFile'], asked);
    if (crlFile !== undefined) refuse(context, ['crlFile'], asked);
  })
  .describe('certificate and key, and who must show a certificate');

const ofEveryKind = {
  ...listenerAuthentication,
  connections: whole(1)
    .optional()
    .describe(
      'connections to this listener at one time; beyond, they are closed at once. `limits.connections` is of all',
    ),
  protocolVersions: z
    .array(z.enum(versionNames))
    .min(1)
    .optional()
    .describe(
      'versions of MQTT that are accepted here, of `"3.1"`, `"3.1.1"` and `"5.0"`; without it all. Others: 0x84',
    ),
  maximumQoS: qos
    .optional()
    .describe(
      'highest QoS that is accepted and granted here, if it is below [that of the broker](#sessions-and-protocol)',
    ),
  mountPoint: text
    .refine(isMountPoint, 'the beginning of a topic, without wildcards, as "site7/"')
    .optional()
    .describe(
      'a prefix, as `site7/`, that is put before whatever clients of this listener publish and subscribe to, and ' +
        'taken away from what they are sent: [a place of their own](../guides/authorization.md#a-place-of-their-own)',
    ),
  clientIdPrefix: text
    .max(clientIdPrefixMost)
    .optional()
    .describe('how client identifiers begin that the broker gives to clients without one; without it `sluice-`'),
  aclFile: text
    .optional()
    .describe(
      "a file in Mosquitto's format for the clients of this listener, [in place of the common one](#authorization)",
    ),
};

const address = (defaultPort: number) => ({
  host: text
    .default('127.0.0.1')
    .describe(
      'address to listen on; with other than a loopback address, ' +
        '[authentication](../guides/authentication.md) or `allowAnonymous` is needed',
    ),
  port: whole(0, 65_535)
    .default(defaultPort)
    .describe('0 takes any that is free. Defaults: `tcp` 1883, `tls` 8883, `ws` 8083, `wss` 8084'),
  proxyProtocol: z
    .boolean()
    .default(false)
    .describe(
      'each connection must begin with a PROXY header, versions 1 and 2: see [Run behind a ' +
        'proxy](../guides/proxies.md)',
    ),
  trustedProxies: z
    .array(network)
    .default([])
    .describe(
      'addresses and networks, as `[10.0.0.5, "fd00::/8"]`: who may send a PROXY header, and of `ws` ' +
        'and `wss` also whose `X-Forwarded-For` counts',
    ),
  handshakeTimeoutSeconds: seconds(1, 3_600)
    .optional()
    .describe('for PROXY header, TLS and HTTP together; without it 10. Not for `tcp` without `proxyProtocol`'),
  ...ofEveryKind,
});

/** What a browser sends: no path, no capitals, no port that the scheme implies. Anything else would never match. */
export const origin = z
  .string()
  .refine(
    (text) => text === '*' || text === 'null' || /^[a-z][a-z\d+.-]*:\/\/[^/?#A-Z]+$/.test(text),
    'an origin as browsers send it, as https://dashboard.example or http://localhost:3000, or * for any',
  );

const path = z.string().regex(/^\//, 'a path that begins with /');
const defaultPaths = ['/mqtt', '/', '/ws'];

const webSocket = {
  paths: z
    .array(path)
    .min(1)
    .default(defaultPaths)
    .describe('where upgrades are taken, with or without a slash at the end'),
  path: path.optional().describe('a single path instead of `paths`'),
  origins: z.array(origin).default([]).describe('[web pages that may connect](../guides/web-pages.md)'),
  // Proxies cut a connection that is idle for 60 s.
  pingIntervalSeconds: seconds(1, 55)
    .default(25)
    .describe('keeps proxies from cutting idle connections, which many do after 60 s'),
};

const unixSocket = {
  socket: text.describe(
    'path of the socket, of at most 103 bytes; its directory must exist. A socket that a killed process left is replaced. Required',
  ),
  mode: z
    .string()
    .regex(/^0?[0-7]{3}$/, 'permissions as three octal digits in quotation marks, as "660"')
    .default('660')
    .describe('permissions of the socket, in quotation marks: who may write to it may connect'),
};

export const listener = z
  .discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('tcp'), ...address(1883) }),
    z.strictObject({ kind: z.literal('tls'), ...address(8883), tls }),
    z.strictObject({ kind: z.literal('ws'), ...address(8083), ...webSocket }),
    z.strictObject({ kind: z.literal('wss'), ...address(8084), ...webSocket, tls }),
    z.strictObject({ kind: z.literal('unix'), ...unixSocket, ...ofEveryKind }),
  ])
  .superRefine((setting, context) => {
    if (setting.anyUsername === true && (setting.allowAnonymous !== true || setting.authentication?.length !== 0)) {
      refuse(context, ['anyUsername'], 'authentication: [] and allowAnonymous: true beside it');
    }
    if (setting.kind === 'unix') return;
    const { kind, port, aclFile, proxyProtocol, trustedProxies, handshakeTimeoutSeconds } = setting;
    // Rules tell listeners by their URLs.
    if (aclFile !== undefined && port === 0) refuse(context, ['aclFile'], 'a port of its own beside it, not 0');
    if ('path' in setting && setting.paths.join() !== defaultPaths.join()) {
      refuse(context, ['path'], 'either path or paths');
    }
    const [first] = trustedProxies;
    if (proxyProtocol && first === undefined) {
      refuse(context, ['proxyProtocol'], 'trustedProxies beside it: the addresses that the header is taken from');
    }
    if (!proxyProtocol && first !== undefined && (kind === 'tcp' || kind === 'tls')) {
      refuse(context, ['trustedProxies'], 'proxyProtocol: true beside it, or there is nothing to be told by a proxy');
    }
    if (handshakeTimeoutSeconds !== undefined && kind === 'tcp' && !proxyProtocol) {
      const other = 'limits.connectTimeoutSeconds instead: without TLS, HTTP or a PROXY header there is no handshake';
      refuse(context, ['handshakeTimeoutSeconds'], other);
    }
  });
