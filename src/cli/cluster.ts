/** `sluice cluster check`: looks at nats-servers that are to carry a cluster. */
import { defaultNatsOptions } from '../cluster/nats/link.ts';
import { examineCluster } from '../doctor/cluster.ts';
import { printFindings } from './findings.ts';
import type { Io } from './io.ts';
import { CommandError, readOptions } from './usage.ts';

const help = `sluice cluster check --servers URL,… [options]     exit code 0: they can carry a cluster; 1: there is a fault

  -s, --servers URLS    the nats-servers, with commas between them: nats://HOST[:4222], or tls://…; with
                        nats://USER:PASSWORD@HOST others on this machine may see the password: better --creds
  --monitor URLS        their monitoring, with commas between them (http://HOST:8222 of each server)
  --replicas N          copies of everything: 1, 3 or 5 (3, or 1 where one server is named)
  --creds FILE          a file of credentials of NATS
  --cafile FILE         over TLS, trusting this authority
  --cert FILE           and showing this certificate
  --key FILE            whose key is here
  --json                as JSON, for scripts

Looks at versions, sync_interval, storage, limits and clocks, and stores something in a stream that it makes and takes
away. A broker with a section cluster in its configuration is a node of a cluster on such servers.
`;

const options = {
  servers: { type: 'string', short: 's' },
  monitor: { type: 'string' },
  replicas: { type: 'string' },
  creds: { type: 'string' },
  cafile: { type: 'string' },
  cert: { type: 'string' },
  key: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean' },
} as const;

export async function cluster(argv: readonly string[], io: Io): Promise<void> {
  const { values, positionals } = readOptions('cluster', argv, options);
  if (values.help) return void io.stdout.write(help);
  if (positionals.length !== 1 || positionals[0] !== 'check') {
    throw new CommandError('Use: sluice cluster check; see sluice cluster --help', 2);
  }
  const servers = urlsOf('--servers', values.servers, ['nats:', 'tls:']);
  if (servers.length === 0) throw new CommandError('--servers is missing; see sluice cluster --help', 2);
  const { cafile, cert, key } = values;
  if ((cert === undefined) !== (key === undefined)) throw new CommandError('--cert and --key go together', 2);
  const tls = {
    ...(cafile !== undefined && { caFile: cafile }),
    ...(cert !== undefined && key !== undefined && { certFile: cert, keyFile: key }),
  };
  const findings = await examineCluster({
    nats: {
      ...defaultNatsOptions,
      servers,
      credentialsFile: values.creds ?? null,
      tls: Object.keys(tls).length > 0 ? tls : null,
    },
    monitors: urlsOf('--monitor', values.monitor, ['http:', 'https:']),
    replicas: replicasOf(values.replicas),
  });
  printFindings(findings, values.json === true, io);
}

function replicasOf(text: string | undefined): 1 | 3 | 5 | null {
  if (text === undefined) return null;
  if (text === '1' || text === '3' || text === '5') return Number(text) as 1 | 3 | 5;
  throw new CommandError(`--replicas wants 1, 3 or 5, not "${text}"`, 2);
}

function urlsOf(option: string, text: string | undefined, protocols: readonly string[]): string[] {
  const urls = (text ?? '').split(',').filter((each) => each !== '');
  for (const url of urls) {
    const { protocol = '', hostname = '' } = URL.canParse(url) ? new URL(url) : {};
    if (!protocols.includes(protocol) || hostname === '' || !url.includes('//')) {
      throw new CommandError(
        `${option} wants ${protocols.map((each) => `${each}//HOST:PORT`).join(' or ')}, not "${url}"`,
        2,
      );
    }
  }
  return urls;
}
