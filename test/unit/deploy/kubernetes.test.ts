/** The manifests ask for ports, paths and files that Sluice has, and fit each other. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { probes } from '../../../src/api/monitoring.ts';
import { assertSafeToListen } from '../../../src/config/anonymous.ts';
import { readConfig } from '../../../src/config/load.ts';
import { root, textOf } from '../docs/pages.ts';

type Labels = Readonly<Record<string, string>>;
interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly labels: Labels };
  readonly data: Readonly<Record<string, string>>;
  // biome-ignore lint/suspicious/noExplicitAny: each kind has another form.
  readonly spec: any;
}

const folder = 'deploy/kubernetes';
const files = readdirSync(join(root, folder));
const manifests = files
  .flatMap((file) => parseAllDocuments(textOf(`${folder}/${file}`)).map((each) => each.toJS() as Manifest))
  .filter(({ kind }) => kind !== 'Kustomization');
const named = (kind: string, name = 'sluice') =>
  manifests.find((each) => each.kind === kind && each.metadata.name === name)!;

const stateful = named('StatefulSet').spec;
const pod = stateful.template;
const [container] = pod.spec.containers;
const portsByName = new Map<string, number>(
  container.ports.map(({ name, containerPort }: { name: string; containerPort: number }) => [name, containerPort]),
);

function configuration() {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-kubernetes-'));
  try {
    const file = join(directory, 'sluice.yaml');
    writeFileSync(file, named('ConfigMap').data['sluice.yaml']!);
    return readConfig(file, {}).config;
  } finally {
    rmSync(directory, { recursive: true });
  }
}
const config = configuration();

test('the broker listens at the ports of the container, for others than the pod', () => {
  assertSafeToListen(config);
  const listening = [...config.listeners, ...config.admin.listeners!];

  expect(listening).toMatchObject([...portsByName.values()].map((port) => ({ host: '0.0.0.0', port })));
});

test.each(['startupProbe', 'livenessProbe', 'readinessProbe'])('%s asks what the API answers', (name) => {
  const { path, port } = container[name].httpGet;

  expect(Object.keys(probes)).toContain(path);
  expect(portsByName.get(port)).toBe(config.admin.listeners![0]!.port);
});

test('a start may take as long as that of the Debian package, and a stop longer than the broker takes', () => {
  const { periodSeconds, failureThreshold } = container.startupProbe;

  expect(periodSeconds * failureThreshold).toBe(15 * 60);
  expect(pod.spec.terminationGracePeriodSeconds).toBeGreaterThan(config.shutdownSeconds);
});

test('the container is started as the image is, and its user, data and configuration are where the image has them', () => {
  const dockerfile = textOf('Dockerfile');

  expect(container.args).toEqual(JSON.parse(/^CMD (\[.*\])$/m.exec(dockerfile)![1]!));
  const { runAsUser, runAsGroup, fsGroup } = pod.spec.securityContext;
  expect(`${runAsUser}:${runAsGroup}`).toBe(/^USER (.*)$/m.exec(dockerfile)![1]);
  expect(fsGroup).toBe(runAsGroup);
  const mounted = new Map(container.volumeMounts.map((mount: Labels) => [mount.mountPath, mount.name]));
  expect(mounted.get('/data')).toBe(stateful.volumeClaimTemplates[0].metadata.name);
  expect(mounted.get('/etc/sluice')).toBe(pod.spec.volumes[0].name);
});

test('the configuration names no file that is not mounted beside it', () => {
  const [{ configMap }, { secret }] = pod.spec.volumes[0].projected.sources;

  expect(configMap.name).toBe(named('ConfigMap').metadata.name);
  expect(parse(named('ConfigMap').data['sluice.yaml']!).authentication).toEqual([
    { kind: 'password-file', file: 'passwords' },
  ]);
  // As the guide makes it.
  expect(textOf('docs/guides/kubernetes.md')).toContain(`create secret generic ${secret.name} --from-file=passwords`);
});

test('services, budget and monitor select the pod, and ports by names that it has', () => {
  const labels: Labels = pod.metadata.labels;
  const selectors: Labels[] = [
    stateful.selector.matchLabels,
    named('Service').spec.selector,
    named('Service', 'sluice-internal').spec.selector,
    named('PodDisruptionBudget').spec.selector.matchLabels,
  ];

  for (const selector of selectors) expect(labels).toMatchObject(selector);
  for (const name of ['sluice', 'sluice-internal']) {
    for (const { port, targetPort } of named('Service', name).spec.ports)
      expect(portsByName.get(targetPort)).toBe(port);
  }
  expect(stateful.serviceName).toBe('sluice-internal');
  expect(config.admin.hosts).toEqual([stateful.serviceName]);
});

test('the monitor reads the metrics of the internal service only, under the job that the alerts name', () => {
  const { selector, endpoints, jobLabel } = named('ServiceMonitor').spec;
  const chosen = manifests.filter(
    ({ kind, metadata }) =>
      kind === 'Service' &&
      Object.entries(selector.matchLabels).every(([label, value]) => metadata.labels[label] === value),
  );

  expect(chosen.map(({ metadata }) => metadata.name)).toEqual(['sluice-internal']);
  expect(chosen[0]!.spec.ports.map(({ name }: { name: string }) => name)).toContain(endpoints[0].port);
  expect(endpoints[0].path).toBe('/metrics');
  expect(textOf('deploy/prometheus/alerts.yml')).toContain(`up{job="${chosen[0]!.metadata.labels[jobLabel]}"}`);
  expect(config.admin.metrics).toBe('open');
});

test('kustomization.yaml has every manifest but the one that needs an operator', () => {
  const { resources } = parse(textOf(`${folder}/kustomization.yaml`)) as { resources: string[] };

  expect([...resources, 'kustomization.yaml', 'servicemonitor.yaml'].sort()).toEqual(files.sort());
});
