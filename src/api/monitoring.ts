/**
 * What monitoring asks for, beside the API: metrics for Prometheus, and probes of health, which are open to everybody.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { CommandFailure } from '../contracts/failures.ts';
import { mayCall } from '../contracts/roles.ts';
import type { Callers } from './callers.ts';
import type { MetricsExposition } from './exposition.ts';
import { type BrokerCondition, type HealthReport, healthStatusCode, livez, readyz, startupz } from './health.ts';
import { placeOf } from './place.ts';

export interface Monitoring {
  readonly exposition: Pick<MetricsExposition, 'read'>;
  /** Who may read metrics without a key: whoever reaches a listener on a loopback address, everybody, or nobody. */
  readonly metrics: 'loopback' | 'open' | 'key';
  readonly condition: () => BrokerCondition;
}

export interface MonitoringTools {
  readonly monitoring: Monitoring;
}

/** Load balancers probe under names of their own, so the name of the host does not matter to these. */
export const probes: Readonly<Record<string, (condition: BrokerCondition) => HealthReport>> = {
  '/livez': livez,
  '/readyz': readyz,
  '/startupz': startupz,
};

/** What a reader of metrics needs, where a key is needed. */
const needed = { role: 'viewer', area: 'broker' } as const;

export function addMonitoring(app: FastifyInstance, { monitoring }: MonitoringTools, callers: Callers): void {
  const { exposition, metrics } = monitoring;
  app.get('/metrics', { config: { isPublic: true } }, async (request, reply) => {
    checkReader(request, metrics, callers);
    const { contentType, body } = await exposition.read({ accept: request.headers.accept });
    return reply.type(contentType).send(Buffer.from(body));
  });
  for (const [path, ask] of Object.entries(probes)) {
    app.get(path, { config: { isPublic: true, isForAnyHost: true } }, async (_, reply) => {
      const report = ask(monitoring.condition());
      return reply
        .code(healthStatusCode(report))
        .type('application/json')
        .send(Buffer.from(JSON.stringify(report)));
    });
  }
}

/** Throws a CommandFailure if whoever asks may not read metrics. */
function checkReader({ raw }: FastifyRequest, metrics: Monitoring['metrics'], callers: Callers): void {
  if (metrics === 'open' || (metrics === 'loopback' && placeOf(raw).isLoopback)) return;
  const caller = callers.of(raw);
  if (mayCall(caller, needed)) return;
  const what = `the role ${needed.role} for the area ${needed.area}`;
  throw new CommandFailure('forbidden', `${caller.name} may not read metrics: it needs ${what}`);
}
