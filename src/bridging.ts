/** The bridges of a configuration: what they are given of the world. */
import { Bridges } from './bridge/bridges.ts';
import { credentialsOf } from './bridge/credentials.ts';
import type { Broker } from './broker/broker.ts';
import type { Config } from './config/schema.ts';
import type { QuarantineStore } from './contracts/pipeline.ts';
import { dial } from './net/connect.ts';
import { clientTls } from './net/tls-client.ts';

export interface BridgingParts {
  readonly broker: Broker;
  readonly quarantine: QuarantineStore;
  readonly settings: Config;
}

/** None is begun: see `Bridges.start`. */
export function openBridges(
  { broker, quarantine, settings }: BridgingParts,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): Bridges {
  const frameBytesMax = 2 * settings.limits.packetBytes;
  return broker.attach(
    (context) =>
      new Bridges(context, {
        ...{ quarantine, environment },
        dial: ({ address, tls, timeoutMs }, accept, failed) => {
          const isSecure = address.kind === 'tls' || address.kind === 'wss';
          const material = isSecure ? () => clientTls(tls ?? {}) : null;
          return dial({ address, tls: material, timeoutMs, frameBytesMax }, accept, failed);
        },
      }),
  );
}

/** What keeps bridges from coming to their peers: files and environment variables that they name, each in words. */
export async function problemsOfBridges(
  { bridges }: Config,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<{ readonly bridge: string; readonly problem: string }[]> {
  const problems: { bridge: string; problem: string }[] = [];
  for (const settings of bridges) {
    const note = (error: Error) => problems.push({ bridge: settings.name, problem: error.message });
    await credentialsOf(settings, environment).catch(note);
    if (settings.tls !== undefined) await clientTls(settings.tls).catch(note);
  }
  return problems;
}
