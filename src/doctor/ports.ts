/** Whether the addresses can be listened on; a broker that runs already has them. */
import type { Config } from '../config/schema.ts';
import { addressText, type ListenerAddress } from '../contracts/listener-url.ts';
import { checkAddresses } from '../net/listen.ts';
import { type Finding, fault, ok } from './finding.ts';
import { takesCommands } from './running.ts';

export async function portFindings(config: Config, directory: string): Promise<Finding[]> {
  const isRunning = await takesCommands(directory, config.store.kind === 'memory');
  const listeners: ListenerAddress[] = [
    ...config.listeners,
    ...(config.admin.listeners ?? []).map((each) => ({ ...each, kind: 'tcp' as const })),
  ];
  const findings: Finding[] = [];
  for (const listener of listeners) {
    const address = addressText(listener);
    const problem = await checkAddresses([listener]).then(
      () => null,
      (error: Error) => error,
    );
    if (problem === null) findings.push(ok('port', `${address} is free`));
    else if (isRunning && (problem.cause as NodeJS.ErrnoException | undefined)?.code === 'EADDRINUSE') {
      findings.push(ok('port', `${address} is the running broker's`));
    } else findings.push(fault('port', problem.message, 'Change where the listener listens, or end what has it'));
  }
  return findings;
}
