/** What deploy/ has for a cluster: nodes and nats-servers find each other, and the nodes keep nothing. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { probes } from '../../../src/api/monitoring.ts';
import { assertSafeToListen } from '../../../src/config/anonymous.ts';
import { parseConfig } from '../../../src/config/load.ts';
import { textOf } from '../docs/pages.ts';

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly data: Readonly<Record<string, string>>;
  // biome-ignore lint/suspicious/noExplicitAny: each kind has another form.
  readonly spec: any;
}

const folder = 'deploy/kubernetes-cluster';
const manifestsOf = (file: string) =>
  parseAllDocuments(textOf(`${folder}/${file}`)).map((each) => each.toJS() as Manifest);
const named = (file: string, kind: string) => manifestsOf(file).find((each) => each.kind === kind)!;

describe('on Kubernetes', () => {
  const { spec: servers } = named('nats.yaml', 'StatefulSet');
  const natsConf = named('nats.yaml', 'ConfigMap').data['nats.conf']!;
  const { spec: nodes } = named('sluice.yaml', 'Deployment');
  const config = parseConfig(parse(named('sluice.yaml', 'ConfigMap').data['sluice.yaml']!));
  const pods = Array.from({ length: servers.replicas }, (_, which) => `nats-${which}.${servers.serviceName}`);

  test('the nodes know all nats-servers by the names of their pods, and these know each other', () => {
    assertSafeToListen(config);
    expect(config.cluster!.servers).toEqual(pods.map((pod) => `nats://${pod}:4222`));
    expect(parse(`[${/routes: \[(.*)\]/.exec(natsConf)![1]}]`)).toEqual(pods.map((pod) => `nats://${pod}:6222`));
    expect(servers.serviceName).toBe(named('nats.yaml', 'Service').metadata.name);
  });

  test('an acknowledged message is on the disks of the servers, which hold what the servers may store', () => {
    const gibibytes = Number(/(\d+)Gi/.exec(servers.volumeClaimTemplates[0].spec.resources.requests.storage)![1]);
    expect(natsConf).toContain('sync_interval: always');
    expect(Number(/max_file: (\d+)G/.exec(natsConf)![1])).toBeLessThan(gibibytes);
  });

  test('the nodes keep nothing, and listen and answer where the manifests ask', () => {
    const [container] = nodes.template.spec.containers;
    const ports = new Map(
      container.ports.map((each: { name: string; containerPort: number }) => [each.name, each.containerPort]),
    );
    expect(config.store.kind).toBe('memory');
    expect([...ports.values()]).toEqual(
      [...config.listeners, ...config.admin.listeners!].map((each) => Reflect.get(each, 'port')),
    );
    for (const name of ['startupProbe', 'livenessProbe', 'readinessProbe']) {
      expect(Object.keys(probes)).toContain(container[name].httpGet.path);
      expect(ports.get(container[name].httpGet.port)).toBe(config.admin.listeners![0]!.port);
    }
    expect(nodes.template.spec.terminationGracePeriodSeconds).toBeGreaterThan(config.shutdownSeconds);
  });

  test('kustomization.yaml has all manifests', () => {
    expect(parse(textOf(`${folder}/kustomization.yaml`)).resources).toEqual(['nats.yaml', 'sluice.yaml']);
  });
});

test('cluster.yaml of compose has the servers that its nodes name, and publishes the port that they listen on', () => {
  const compose = 'deploy/compose';
  const { services } = parse(textOf(`${compose}/cluster.yaml`), { merge: true });
  const config = parseConfig(parse(textOf(`${compose}/cluster-sluice.yaml`)));
  assertSafeToListen(config);
  const names = Object.keys(services);
  const servers = names.filter((name) => services[name].environment?.SERVER_NAME === name);
  expect(config.cluster!.servers).toEqual(servers.map((name) => `nats://${name}:4222`));
  for (const name of names.filter((each) => !servers.includes(each))) {
    const [port] = services[name].ports as string[];
    expect(port).toMatch(/^127\.0\.0\.1:\d+:1883$/);
    expect(services[name].hostname).toBe(name);
  }
  expect(Reflect.get(config.listeners[0]!, 'port')).toBe(1883);
  for (const file of ['cluster-nats.conf', 'cluster-sluice.yaml']) {
    expect(textOf(`${compose}/cluster.yaml`)).toContain(`./${file}:`);
    expect(textOf(join(compose, file))).not.toBe('');
  }
});
