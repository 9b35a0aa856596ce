/**
 * Looks at nats-servers that are to carry a cluster, and says what is wrong and what to change. It changes nothing, but
 * for a stream of its own that it takes away again.
 */
import type { NatsOptions } from '../cluster/nats/link.ts';
import { readAccount, readMonitor, readServer, type ServerFacts } from '../cluster/nats/server-facts.ts';
import { type Trial, tryOut } from '../cluster/nats/trial.ts';
import { accountFindings, monitorFindings, replicaFindings, serverFindings, trialFinding } from './cluster-findings.ts';
import { type Finding, fault, warning } from './finding.ts';

export interface ClusterCheckOptions {
  readonly nats: NatsOptions;
  /** `http://host:port`, each; empty: port 8222 of each server. */
  readonly monitors: readonly string[];
  /** Null: 3, or 1 where there is one server. */
  readonly replicas: 1 | 3 | 5 | null;
}

const accountRemedy = 'Where servers have just started, try again in some seconds; else let the account use JetStream';

export async function examineCluster({ nats, monitors, replicas }: ClusterCheckOptions): Promise<Finding[]> {
  const servers = await Promise.all(nats.servers.map((url) => readServer(url, nats).catch((error: Error) => error)));
  const reached = servers.filter((each): each is ServerFacts => !(each instanceof Error));
  const found = servers.flatMap((each) => {
    if (!(each instanceof Error)) return serverFindings(each);
    return [fault('server', each.message, 'Start it, or correct --servers, credentials or certificates')];
  });
  const asked = await Promise.all(monitorUrls(nats.servers, monitors).map(lookAtMonitor));
  found.push(...asked.flat());
  if (reached.length === 0) return found;
  const copies = replicas ?? (reached.length === 1 && nats.servers.length === 1 ? 1 : 3);
  found.push(...replicaFindings(reached, copies));
  const account = await readAccount(nats).catch((error: Error) => error);
  if (account instanceof Error) found.push(fault('account', account.message, accountRemedy));
  else found.push(...accountFindings(account));
  const trial = await tryOut(nats, copies).catch((error: Error) => error);
  found.push(trial instanceof Error ? failedTrial(trial, copies) : trialFinding(trial as Trial, copies));
  return found;
}

/** Monitoring listens beside the server, by default where the documents of NATS have it. */
function monitorUrls(servers: readonly string[], given: readonly string[]): readonly string[] {
  if (given.length > 0) return given;
  // The command has looked at their form.
  return [...new Set(servers.map((server) => `http://${new URL(server).hostname}:8222`))];
}

async function lookAtMonitor(url: string): Promise<Finding[]> {
  try {
    return monitorFindings(await readMonitor(url));
  } catch (error) {
    const { message, cause } = error as Error;
    const why = cause instanceof Error && cause.message !== '' ? cause.message : message;
    const remedy = 'Set http: 8222 in its configuration, and name all of them: --monitor http://HOST:8222,…';
    return [
      warning('monitoring', `${url} does not answer (${why}): sync_interval, storage and clock are unknown`, remedy),
    ];
  }
}

function failedTrial(error: Error, replicas: number): Finding {
  const remedy =
    replicas === 1
      ? 'Correct what it names; the logs of the server have more'
      : `Start at least ${replicas} servers as one cluster with JetStream, and let the account make streams`;
  return fault('trial', error.message, remedy);
}
