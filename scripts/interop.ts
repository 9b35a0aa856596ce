/**
 * `npm run interop`: client libraries, as their registries serve them today, on a broker of this checkout. Each
 * connects with the versions of MQTT that it speaks and does what `interop/checks.ts` has.
 * docs/reference/clients.md has the table that this prints.
 */
import { execFile, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readOptions } from './command-line.ts';
import { checkNames } from './interop/checks.ts';
import { type Broker, libraries } from './interop/libraries.ts';
import { freePorts } from './ports.ts';
import { projectRoot } from './project-root.ts';
import { startSluice } from './start-sluice.ts';

const help = `npm run interop -- [options]

  --only TEXT    the libraries whose name contains TEXT
`;
const { values } = readOptions(help, { only: { type: 'string', default: '' } });

const versionNames = { 4: '3.1.1', 5: '5.0' } as const;

const folder = mkdtempSync(join(tmpdir(), 'sluice-interop-'));
const [port, webSocketPort, tlsPort, secureWebSocketPort] = (await freePorts(4)) as [number, number, number, number];
const broker: Broker = { host: '127.0.0.1', port, webSocketPort };
const certificates = join(folder, 'certs');
execFileSync(process.execPath, [join(projectRoot(), 'dist/program/main.js'), 'cert', '--dir', certificates]);
const certificateFile = join(certificates, 'ca.crt');
const secure: Broker = {
  ...{ host: 'localhost', port: tlsPort, webSocketPort: secureWebSocketPort },
  tls: { certificateFile },
};
const tls = `tls: { certFile: ${join(certificates, 'server.crt')}, keyFile: ${join(certificates, 'server.key')} }`;
const config = join(folder, 'sluice.yaml');
writeFileSync(
  config,
  [
    'listeners:',
    `  - { kind: tcp, port: ${port} }`,
    `  - { kind: ws, port: ${webSocketPort} }`,
    `  - { kind: tls, port: ${tlsPort}, ${tls} }`,
    `  - { kind: wss, port: ${secureWebSocketPort}, ${tls} }`,
    `store: { kind: level, directory: ${join(folder, 'data')} }`,
    'admin: { listeners: [] }',
  ].join('\n'),
);

const start = () => startSluice(config, port, join(folder, 'log'));

function has(needed: string): Promise<boolean> {
  return new Promise((resolve) =>
    execFile('sh', ['-c', `command -v ${needed} || test -e ${needed}`], (error) => resolve(error === null)),
  );
}

const overTls = 'over TLS';
const cellOf = (outcome: string | undefined) => (outcome === undefined ? '–' : outcome === 'ok' ? 'yes' : '**no**');

const server = await start();
const faults: string[] = [];
console.log(`| library | version | MQTT | QoS 0, 1, 2 | retained | will | shared | session resumed | over TLS |`);
console.log('|---|---|---|---|---|---|---|---|---|');
for (const [index, library] of libraries.entries()) {
  const { name, needs, versions } = library;
  if (!name.includes(values.only)) continue;
  if (!(await has(needs))) {
    faults.push(`${name}: not tried, there is no ${needs} here`);
    continue;
  }
  const own = join(folder, String(index));
  mkdirSync(own);
  const installed = library.install(own);
  for (const version of versions) {
    const found = await library.check(own, broker, version, checkNames);
    if (library.hasTls) {
      const [[, outcome]] = [...(await library.check(own, secure, version, [checkNames[0]!]))] as [[string, string]];
      found.set(overTls, outcome);
    }
    const cells = [...checkNames, overTls].map((check) => cellOf(found.get(check)));
    console.log(`| ${name} | ${installed} | ${versionNames[version]} | ${cells.join(' | ')} |`);
    for (const [check, outcome] of found)
      if (outcome !== 'ok') faults.push(`${name}, ${versionNames[version]}: ${check} ${outcome}`);
  }
}
for (const fault of faults) console.log(fault);
if (faults.length > 0) process.exitCode = 1;
server.kill('SIGTERM');
await once(server, 'exit');
rmSync(folder, { recursive: true });
