/** Every page, with something on it, in files of their own for those who run them at the same time. */
import { beforeAll } from 'vitest';
import { type Dashboard, dashboard } from './browser.ts';

/** Pages of clients and messages. One that is added is added here. */
export const messagePlaces = {
  overview: '#/',
  clients: '#/clients',
  'a client that is connected': '#/clients/sensor-1?tab=subscriptions',
  'what happened to a client': '#/clients/sensor-1',
  'a trace': '#/clients/sensor-1?tab=trace',
  'a client that is away': '#/clients/sensor-2?tab=queue',
  'a client that is not there': '#/clients/nobody',
  topics: '#/topics',
  'a topic': '#/topics?below=plant/kept/',
  'who subscribes to a topic': '#/topics?below=plant/kept/&tab=subscribers',
  'what happened': '#/happened',
  'an explanation': '#/happened?topic=plant/1&to=sensor-2&qos=1',
  drops: '#/happened?tab=drops',
  'slow clients': '#/happened?tab=slow',
  'retained messages': '#/retained',
  'a retained message': '#/retained?topic=plant/kept',
  'the console': '#/console?topic=plant/1&filter=plant/%23',
} as const;

/** Pages of running a broker. */
export const operationPlaces = {
  alarms: '#/logs',
  'the log': '#/logs?tab=log',
  'the audit log': '#/logs?tab=audit',
  'the audit log of the past': '#/logs?tab=audit&when=past',
  bridges: '#/bridges',
  'a bridge': '#/bridges/cloud',
  'a bridge to make': '#/bridges?create=yes',
  pipelines: '#/pipelines',
  'the quarantine': '#/pipelines?tab=quarantine',
  'a message in quarantine': '#/pipelines?tab=quarantine&id=1',
  'a message to try on pipelines': '#/pipelines?tab=try',
  'what somebody may do': '#/access',
  bans: '#/access?tab=bans',
  users: '#/access?tab=users',
  keys: '#/access?tab=keys',
  listeners: '#/listeners',
  certificates: '#/listeners?tab=certificates',
  connections: '#/listeners?tab=connections',
  'the configuration': '#/configuration',
  traces: '#/traces',
  'a trace that is not there': '#/traces/nothing',
  'no page': '#/nowhere',
} as const;

/** A broker that has what these pages show. */
export function dashboardWithAll(): Dashboard {
  const broker = dashboard({
    pipelines: [{ name: 'kept', filter: 'checked/#', stages: [{ decode: 'json' }] }],
    bridges: [{ name: 'cloud', addresses: ['mqtt://127.0.0.1:1'], topics: [{ filter: 'up/#', direction: 'out' }] }],
  });

  beforeAll(async () => {
    const away = await broker.connect('sensor-2', ['plant/#']);
    await away.endAsync();
    await broker.sluice.command('bans create', { client: 'banned', forSeconds: 3_600 });
    await broker.sluice.command('keys create', { name: 'job', role: 'viewer' });
    const publisher = await broker.connect('publisher', []);
    for (let n = 0; n < 5; n++) await publisher.publishAsync(`plant/${n}`, 'x', { qos: 1 });
    await publisher.publishAsync('checked/1', 'no JSON', { qos: 1 });
    await publisher.publishAsync('plant/kept', '{"t":21.5}', { qos: 1, retain: true });
  });

  return broker;
}
