/** Whether the addresses can be listened on; a broker that runs already has them. */
import { connect } from 'node:net';
import { socketBeside, socketIn } from '../admin/control-socket.ts';
import type { Config } from '../config/schema.ts';
import { checkAddresses } from '../net/listen.ts';
import { type Finding, fault, ok } from './finding.ts';

export async function portFindings(config: Config, directory: string): Promise<Finding[]> {
  const isRunning = await answers(directory, config.store.kind === 'memory');
  const listeners = [
    ...config.listeners,
    ...(config.admin.listeners ?? []).map((each) => ({ ...each, kind: 'tcp' as const })),
  ];
  const findings: Finding[] = [];
  for (const { kind, host, port } of listeners) {
    const address = `${host.includes(':') ? `[${host}]` : host}:${port}`;
    const problem = await checkAddresses([{ kind, host, port }]).then(
      () => null,
      (error: Error) => error,
    );
    if (problem === null) findings.push(ok('port', `${address} is free`));
    else if (isRunning && (problem.cause as NodeJS.ErrnoException).code === 'EADDRINUSE') {
      findings.push(ok('port', `${address} is the running broker's`));
    } else findings.push(fault('port', problem.message, 'Change port or host of the listener, or end what has it'));
  }
  return findings;
}

/** Whether a broker with this data directory takes commands. */
function answers(directory: string, isInMemory: boolean): Promise<boolean> {
  let path: string;
  try {
    path = isInMemory ? socketBeside(directory) : socketIn(directory);
  } catch {
    return Promise.resolve(false);
  }
  return new Promise((resolve) => {
    const socket = connect(path);
    const answer = (isThere: boolean) => {
      socket.destroy();
      resolve(isThere);
    };
    socket.once('connect', () => answer(true)).once('error', () => answer(false));
  });
}
