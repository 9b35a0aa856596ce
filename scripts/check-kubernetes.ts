/**
 * `npm run check:kubernetes`: the manifests of deploy/kubernetes and deploy/kubernetes-cluster against Kubernetes' own
 * schemas, unknown keys refused, and the ServiceMonitor against the Prometheus operator's. The schemas come in packages
 * (kubernetes-validate of PyPI, @kubernetes-models/prometheus-operator of npm), which are removed again.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { fail, readOptions } from './command-line.ts';
import { projectRoot } from './project-root.ts';

const help = `npm run check:kubernetes -- [options]   ends with 1 if a manifest is wrong

  --versions LIST   of Kubernetes, with commas between (1.27,1.31,1.37)
`;
const { values } = readOptions(help, { versions: { type: 'string', default: '1.27,1.31,1.37' } });
for (const needed of ['python3', 'npm'])
  if (spawnSync(needed, ['--version']).error !== undefined) fail(`there is no ${needed} in PATH: install it`);

const monitorPackage = '@kubernetes-models/prometheus-operator';
const manifests = join(projectRoot(), 'deploy/kubernetes');
const ofCluster = join(projectRoot(), 'deploy/kubernetes-cluster');
const folder = mkdtempSync(join(tmpdir(), 'sluice-kubernetes-'));
const run = (file: string, args: readonly string[]) =>
  execFileSync(file, args, { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] });

/** What is wrong with it, if anything. */
async function faultOfMonitor(file: string): Promise<string | undefined> {
  run('npm', ['install', '--prefix', folder, '--silent', '--no-audit', '--no-fund', monitorPackage]);
  // A module in that folder finds the package there.
  const module = join(folder, 'monitor.mjs');
  writeFileSync(module, `export { ServiceMonitor } from '${monitorPackage}/monitoring.coreos.com/v1/ServiceMonitor';`);
  const { ServiceMonitor } = await import(module);
  try {
    new ServiceMonitor(parse(readFileSync(file, 'utf8'))).validate();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

try {
  run('python3', ['-m', 'venv', 'venv']);
  run('venv/bin/python', ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', 'kubernetes-validate']);
  const ofOthers = ['kustomization.yaml', 'servicemonitor.yaml'];
  const files = [manifests, ofCluster].flatMap((each) =>
    readdirSync(each).flatMap((file) => (ofOthers.includes(file) ? [] : [join(each, file)])),
  );
  const versions = values.versions.split(',').flatMap((version) => ['-k', version]);
  const { status, stdout, stderr } = spawnSync(
    join(folder, 'venv/bin/kubernetes-validate'),
    ['--strict', ...versions, ...files],
    { encoding: 'utf8' },
  );
  process.stdout.write(`${stdout}${stderr}`);
  // A kind without a schema is only a warning to it.
  if (status !== 0 || /^WARN/m.test(stdout + stderr)) process.exitCode = 1;
  const fault = await faultOfMonitor(join(manifests, 'servicemonitor.yaml'));
  console.log(`servicemonitor.yaml: ${fault ?? 'passed'}`);
  if (fault !== undefined) process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true });
}
