/**
 * What probes of an orchestrator, a load balancer or a person ask: whether the broker lives, whether it should get
 * clients, and whether it has started. An answer says of each check whether it is all right and, if not, what is wrong.
 *
 * Anybody may ask, so reasons name nothing of the machine or of clients; the log has the rest.
 */

/** Read when somebody asks; each must be at hand. */
export interface BrokerCondition {
  /** `starting` until data is loaded and all listeners are open; `draining`: clients are sent away, and none taken. */
  readonly phase: 'starting' | 'running' | 'draining' | 'stopping';
  /** A bug in what all connections share was found: nothing is accepted or acknowledged any more. */
  readonly isBroken: boolean;
  /** The disk refuses writes, or hangs. */
  readonly isStoreFailing: boolean;
  /** Those of MQTT, in the order of the configuration. */
  readonly listeners: readonly { readonly isListening: boolean }[];
}

export interface HealthCheck {
  readonly name: 'eventLoop' | 'start' | 'stop' | 'store' | 'listeners';
  readonly isOk: boolean;
  /** Of one that is not: what is wrong, and what to do. */
  readonly reason?: string;
}

export interface HealthReport {
  /** `failing` if one of the checks is not all right. */
  readonly status: 'ok' | 'failing';
  readonly checks: readonly HealthCheck[];
}

/** 200 or 503, which is all that most probes look at. */
export const healthStatusCode = ({ status }: HealthReport): 200 | 503 => (status === 'ok' ? 200 : 503);

/** For `/livez`: failing means that the process is to be started anew. That there is an answer says most of it. */
export function livez({ isBroken }: BrokerCondition): HealthReport {
  return report(
    check('eventLoop', !isBroken, 'A bug has ended the broker: it takes and acknowledges nothing; start it anew'),
  );
}

/** For `/readyz`: failing means that no new clients should be sent here. Those that are connected stay. */
export function readyz({ phase, isBroken, isStoreFailing, listeners }: BrokerCondition): HealthReport {
  const closed = listeners.filter(({ isListening }) => !isListening).length;
  return report(
    check('eventLoop', !isBroken, 'A bug has ended the broker: it takes and acknowledges nothing; start it anew'),
    check('start', phase !== 'starting', 'The broker is starting: it loads its data or opens its listeners'),
    check('stop', phase !== 'draining' && phase !== 'stopping', `The broker is ${phase}: it takes no more clients`),
    check(
      'store',
      !isStoreFailing,
      'The disk refuses writes or does not answer, so nothing that needs it is acknowledged; the log says why',
    ),
    check(
      'listeners',
      closed === 0 || phase === 'starting',
      `${closed} of ${listeners.length} listeners are closed; the log says why`,
    ),
  );
}

/** For `/startupz`: failing until the start is over. From then on the other two are to be asked. */
export function startupz({ phase }: BrokerCondition): HealthReport {
  return report(
    check('start', phase !== 'starting', 'The broker is starting: it loads its data or opens its listeners'),
  );
}

const check = (name: HealthCheck['name'], isOk: boolean, reason: string): HealthCheck =>
  isOk ? { name, isOk } : { name, isOk, reason };

const report = (...checks: HealthCheck[]): HealthReport => ({
  status: checks.every(({ isOk }) => isOk) ? 'ok' : 'failing',
  checks,
});
