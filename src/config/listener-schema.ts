/**
 * What a configuration may say of `listeners`: addresses, certificates, WebSocket, proxies.
 */
import { z } from 'zod';
import { listenerAuthentication } from '../contracts/authentication.ts';
import { network, text, whole } from '../contracts/values.ts';

const certificate = {
  certFile: text,
  keyFile: text,
  passphraseFile: text.optional(),
  passphraseEnv: text.optional(),
};

type Issues = z.core.$RefinementCtx;

const refuse = (context: Issues, path: (string | number)[], message: string) =>
  context.addIssue({ code: 'custom', path, message });

function onePassphrase(setting: { passphraseFile?: unknown; passphraseEnv?: unknown }, context: Issues): void {
  if (setting.passphraseFile === undefined || setting.passphraseEnv === undefined) return;
  refuse(context, ['passphraseEnv'], 'either passphraseFile or passphraseEnv');
}

const serverName = z.string().regex(/^(\*\.)?[^*\s]+$/, 'a host name, which may begin with "*."');

const tls = z
  .strictObject({
    ...certificate,
    certificates: z
      .array(
        z
          .strictObject({ serverNames: z.array(serverName).min(1).optional(), ...certificate })
          .superRefine(onePassphrase),
      )
      .default([]),
    caFile: text.optional(),
    crlFile: text.optional(),
    clientCertificate: z.enum(['none', 'optional', 'required']).default('none'),
    minVersion: z.enum(['TLSv1.2', 'TLSv1.3']).default('TLSv1.2'),
    ciphers: text.optional(),
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
  });

const address = (defaultPort: number) => ({
  host: text.default('127.0.0.1'),
  port: whole(0, 65_535).default(defaultPort),
  proxyProtocol: z.boolean().default(false),
  trustedProxies: z.array(network).default([]),
  handshakeTimeoutSeconds: whole(1, 3_600).optional(),
  ...listenerAuthentication,
});

/** What a browser sends: no path, no capitals, no port that the scheme implies. Anything else would never match. */
const origin = z
  .string()
  .refine(
    (text) => text === '*' || text === 'null' || /^[a-z][a-z\d+.-]*:\/\/[^/?#A-Z]+$/.test(text),
    'an origin as browsers send it, as https://dashboard.example or http://localhost:3000, or * for any',
  );

const path = z.string().regex(/^\//, 'a path that begins with /');
const defaultPaths = ['/mqtt', '/', '/ws'];

const webSocket = {
  paths: z.array(path).min(1).default(defaultPaths),
  /** From before there were several. */
  path: path.optional(),
  origins: z.array(origin).default([]),
  // Proxies cut a connection that is idle for 60 s.
  pingIntervalSeconds: whole(1, 55).default(25),
};

export const listener = z
  .discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('tcp'), ...address(1883) }),
    z.strictObject({ kind: z.literal('tls'), ...address(8883), tls }),
    z.strictObject({ kind: z.literal('ws'), ...address(8083), ...webSocket }),
    z.strictObject({ kind: z.literal('wss'), ...address(8084), ...webSocket, tls }),
  ])
  .superRefine((setting, context) => {
    const { kind, proxyProtocol, trustedProxies, handshakeTimeoutSeconds } = setting;
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
