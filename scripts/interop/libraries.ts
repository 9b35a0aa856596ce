/** The client libraries: what each needs, how it is brought, and how it is run. None of them is of this project. */
import { execFile, execFileSync, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { copyFileSync, cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { connectAsync } from 'mqtt';
import { endsWithUs } from '../child-processes.ts';
import { freePort } from '../ports.ts';
import { projectRoot } from '../project-root.ts';
import { runChecks } from './checks.ts';
import { ClientProcess, type Command } from './client-process.ts';

export interface Broker {
  readonly host: string;
  readonly port: number;
  readonly webSocketPort: number;
  /** Those ports are for TLS, by which the broker shows a certificate of this authority. */
  readonly tls?: Authority;
}

export interface Authority {
  readonly certificateFile: string;
}

type Version = 4 | 5;

export interface Library {
  readonly name: string;
  /** A command or file without which it cannot be had. */
  readonly needs: string;
  readonly versions: readonly Version[];
  /** Brings it into a folder of its own; returns its version. */
  install(folder: string): string;
  /** Its program can be told to use TLS. */
  readonly hasTls: boolean;
  /** `ok`, or what was wrong, of each check with one of these names; nothing of a check that it cannot do. */
  check(folder: string, broker: Broker, version: Version, names: readonly string[]): Promise<Map<string, string>>;
}

const both = [4, 5] as const;
const root = join(projectRoot(), 'scripts/interop');
const scriptMsMax = 240_000;
const metricMsMax = 60_000;

const run = (file: string, args: readonly string[], cwd: string): string =>
  execFileSync(file, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

const address = ({ host, port }: Broker) => [host, String(port)];

/** Where programs in OpenSSL's way, in Go and in Node look for the authority. */
function environment({ tls }: Broker): Record<string, string> {
  if (tls === undefined) return {};
  const { certificateFile } = tls;
  return { MQTT_TLS: '1', SSL_CERT_FILE: certificateFile, NODE_EXTRA_CA_CERTS: certificateFile };
}

/** Its clients are processes, which `start` starts. */
const checked =
  (start: (folder: string, broker: Broker, version: Version) => Command): Library['check'] =>
  (folder, broker, version, names) => {
    const [file, args] = start(folder, broker, version);
    const command: Command = [file, args, environment(broker)];
    return runChecks((clientId, options) => ClientProcess.connect(command, version, clientId, options), names);
  };

const interpreterIn = (folder: string) => join(folder, 'venv/bin/python');

function installPython(folder: string, packageName: string): string {
  run('python3', ['-m', 'venv', 'venv'], folder);
  run(interpreterIn(folder), ['-m', 'pip', 'install', '--quiet', packageName], folder);
  const shown = run(interpreterIn(folder), ['-m', 'pip', 'show', packageName], folder);
  return /^Version: (.*)$/m.exec(shown)![1]!;
}

function python(name: string, packageName: string, program: string): Library {
  return {
    name,
    needs: 'python3',
    versions: both,
    hasTls: true,
    install: (folder) => installPython(folder, packageName),
    check: checked((folder, broker) => [interpreterIn(folder), [join(root, 'python', program), ...address(broker)]]),
  };
}

function go(name: string, module: string, program: string, version: Version): Library {
  return {
    name,
    needs: 'go',
    versions: [version],
    hasTls: true,
    install(folder) {
      for (const file of ['lines.go', program]) copyFileSync(join(root, 'go', file), join(folder, file));
      run('go', ['mod', 'init', 'interop/client'], folder);
      run('go', ['get', `${module}@latest`], folder);
      run('go', ['mod', 'tidy'], folder);
      run('go', ['build', '-o', 'client', '.'], folder);
      return new RegExp(`${module} v(\\S+)`).exec(readFileSync(join(folder, 'go.mod'), 'utf8'))![1]!;
    },
    check: checked((folder, broker) => [join(folder, 'client'), address(broker)]),
  };
}

interface JavaArtifact {
  readonly group: string;
  readonly artifact: string;
  readonly mainClass: string;
  readonly versions: readonly Version[];
}

/** Java takes an authority from a store of its own format only, and the store must have a password. */
function trustStore(folder: string, { tls }: Broker): string[] {
  if (tls === undefined) return [];
  const file = join(folder, 'trusted.p12');
  const password = 'interop';
  if (!existsSync(file)) {
    const certificate = ['-alias', 'interop', '-file', tls.certificateFile];
    run('keytool', ['-importcert', '-noprompt', ...certificate, '-keystore', file, '-storepass', password], folder);
  }
  return [`-Djavax.net.ssl.trustStore=${file}`, `-Djavax.net.ssl.trustStorePassword=${password}`];
}

function java(name: string, { group, artifact, mainClass, versions }: JavaArtifact): Library {
  return {
    name,
    needs: 'mvn',
    versions,
    hasTls: true,
    install(folder) {
      const dependency = `<groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>[1,)</version>`;
      writeFileSync(
        join(folder, 'pom.xml'),
        `<project><modelVersion>4.0.0</modelVersion><groupId>interop</groupId><artifactId>client</artifactId>
        <version>1</version><dependencies><dependency>${dependency}</dependency></dependencies></project>`,
      );
      run('mvn', ['-q', '-B', 'dependency:copy-dependencies', '-DoutputDirectory=lib'], folder);
      const sources = ['Lines', mainClass].map((source) => join(root, 'java', `${source}.java`));
      run('javac', ['-d', '.', '-cp', 'lib/*', ...sources], folder);
      const jar = readdirSync(join(folder, 'lib')).find((file) => file.startsWith(`${artifact}-`))!;
      return jar.slice(artifact.length + 1, -'.jar'.length);
    },
    check: checked((folder, broker) => [
      'java',
      [
        ...['-XX:TieredStopAtLevel=1', ...trustStore(folder, broker), '-cp', `${folder}:${folder}/lib/*`, mainClass],
        ...address(broker),
      ],
    ]),
  };
}

const rumqttc: Library = {
  name: 'rumqttc',
  needs: 'cargo',
  versions: both,
  hasTls: true,
  install(folder) {
    run('cargo', ['init', '-q', '--name', 'client', '--vcs', 'none'], folder);
    run('cargo', ['add', '-q', 'rumqttc'], folder);
    for (const file of ['main.rs', 'v4.rs', 'v5.rs']) copyFileSync(join(root, 'rust', file), join(folder, 'src', file));
    run('cargo', ['build', '-q'], folder);
    return /"rumqttc"\nversion = "(.*)"/.exec(readFileSync(join(folder, 'Cargo.lock'), 'utf8'))![1]!;
  },
  check: checked((folder, broker) => [join(folder, 'target/debug/client'), address(broker)]),
};

const pahoC: Library = {
  name: 'Paho for C',
  needs: '/usr/include/MQTTClient.h',
  versions: both,
  hasTls: true,
  install(folder) {
    run('cc', ['-o', 'client', join(root, 'c/paho.c'), '-lpaho-mqtt3cs'], folder);
    // The library's own word for it lags behind.
    return /^Version: ([^-\n]*)/m.exec(run('dpkg-query', ['-s', 'libpaho-mqtt-dev'], folder))![1]!;
  },
  check: checked((folder, broker) => [join(folder, 'client'), address(broker)]),
};

/** `url` of the listener that it uses. On a page, the package of a browser's remote control is this project's. */
function mqttJs(name: string, program: 'node.mjs' | 'chromium.mjs', url: (broker: Broker) => string): Library {
  return {
    name,
    needs: program === 'chromium.mjs' ? 'chromium' : 'npm',
    versions: both,
    // A browser asks the system, which has never heard of the authority.
    hasTls: program === 'node.mjs',
    install(folder) {
      run('npm', ['install', '--prefix', folder, '--silent', '--no-audit', '--no-fund', 'mqtt'], folder);
      for (const file of ['client.mjs', program]) copyFileSync(join(root, 'javascript', file), join(folder, file));
      if (program === 'chromium.mjs')
        cpSync(join(projectRoot(), 'node_modules/playwright-core'), join(folder, 'node_modules/playwright-core'), {
          recursive: true,
        });
      const manifest = readFileSync(join(folder, 'node_modules/mqtt/package.json'), 'utf8');
      return (JSON.parse(manifest) as { version: string }).version;
    },
    check: checked((folder, broker) => [process.execPath, [join(folder, program), url(broker)]]),
  };
}

/** A command for each subscription and message: its script has the checks in its own words. */
const mosquittoTools: Library = {
  name: 'mosquitto_pub and mosquitto_sub',
  needs: 'mosquitto_sub',
  versions: both,
  hasTls: true,
  install: (folder) => /version (\S+)/.exec(run('sh', ['-c', 'mosquitto_sub --help || true'], folder))![1]!,
  async check(folder, broker, version, names) {
    const { tls } = broker;
    const secure = tls === undefined ? [] : [tls.certificateFile];
    const args = [join(root, 'mosquitto_tools.sh'), ...address(broker), String(version), ...secure];
    const said = await new Promise<string>((resolve) => {
      execFile('sh', args, { cwd: folder, timeout: scriptMsMax }, (_, stdout) => resolve(stdout));
    });
    const told = new Map([...said.matchAll(/^(\w+) (.*)$/gm)].map(([, check, outcome]) => [check!, outcome!]));
    return new Map(names.map((check) => [check, told.get(check) ?? 'its script said nothing']));
  },
};

/** As Node-RED's users have it, without its editor. */
const nodeRed: Library = {
  name: 'Node-RED, its MQTT nodes',
  needs: 'npm',
  versions: both,
  hasTls: true,
  install(folder) {
    run('npm', ['install', '--prefix', folder, '--silent', '--no-audit', '--no-fund', 'node-red'], folder);
    copyFileSync(join(root, 'javascript/node-red.mjs'), join(folder, 'client.mjs'));
    const manifest = readFileSync(join(folder, 'node_modules/node-red/package.json'), 'utf8');
    return (JSON.parse(manifest) as { version: string }).version;
  },
  check: checked((folder, broker) => [process.execPath, [join(folder, 'client.mjs'), ...address(broker)]]),
};

/**
 * A program and no library: it makes metrics of numbers, and only subscribes. So MQTT.js of this project publishes, and
 * two of the checks are done in its way.
 */
const mqttExporter: Library = {
  name: 'mqtt-exporter',
  needs: 'python3',
  versions: both,
  hasTls: true,
  install: (folder) => installPython(folder, 'mqtt-exporter'),
  async check(folder, broker, version, names) {
    const { host, port, tls } = broker;
    const topic = `interop/${randomUUID().slice(0, 8)}`;
    const secure = tls === undefined ? {} : { MQTT_ENABLE_TLS: 'true', MQTT_TLS_CA_CERT: tls.certificateFile };
    const own = tls === undefined ? {} : { ca: readFileSync(tls.certificateFile) };
    const publisher = await connectAsync(`${tls === undefined ? 'mqtt' : 'mqtts'}://${host}:${port}`, own);
    await publisher.publishAsync(`${topic}/kept`, '41', { qos: 1, retain: true });
    const metricsPort = await freePort();
    const exporter = endsWithUs(
      spawn(interpreterIn(folder), ['-m', 'mqtt_exporter.main'], {
        stdio: 'ignore',
        env: {
          ...{ ...process.env, ...secure, MQTT_ADDRESS: host, MQTT_PORT: String(port), MQTT_TOPIC: `${topic}/#` },
          ...{ MQTT_V5_PROTOCOL: String(version === 5), PROMETHEUS_ADDRESS: '127.0.0.1' },
          PROMETHEUS_PORT: String(metricsPort),
        },
      }),
    );
    /** `ok` once there is a metric with this value. */
    const shows = async (name: string, value: number) => {
      const label = `mqtt_${name}{topic="${topic.replaceAll('/', '_')}"} ${value}.0`;
      for (const end = Date.now() + metricMsMax; Date.now() < end; await delay(100)) {
        const text = await fetch(`http://127.0.0.1:${metricsPort}/metrics`).then(
          (answer) => answer.text(),
          () => '',
        );
        if (text.includes(label)) return 'ok';
      }
      return `no metric ${label}`;
    };
    const outcomes = new Map([['retained', await shows('kept', 41)]]);
    for (const qos of [0, 1, 2] as const) await publisher.publishAsync(`${topic}/qos${qos}`, String(qos), { qos });
    const shown = await Promise.all([0, 1, 2].map((qos) => shows(`qos${qos}`, qos)));
    outcomes.set('both_ways', shown.find((outcome) => outcome !== 'ok') ?? 'ok');
    await publisher.publishAsync(`${topic}/kept`, '', { qos: 1, retain: true });
    await publisher.endAsync();
    exporter.kill('SIGKILL');
    return new Map([...outcomes].filter(([name]) => names.includes(name)));
  },
};

const webSocket =
  (path: string) =>
  ({ host, webSocketPort, tls }: Broker) =>
    `${tls === undefined ? 'ws' : 'wss'}://${host}:${webSocketPort}${path}`;

export const libraries: readonly Library[] = [
  mqttJs(
    'MQTT.js in Node, over TCP',
    'node.mjs',
    ({ host, port, tls }) => `${tls === undefined ? 'mqtt' : 'mqtts'}://${host}:${port}`,
  ),
  ...['/', '/ws', '/mqtt'].map((path) => mqttJs(`MQTT.js in Node, \`${path}\``, 'node.mjs', webSocket(path))),
  ...['/', '/ws', '/mqtt'].map((path) => mqttJs(`MQTT.js in Chromium, \`${path}\``, 'chromium.mjs', webSocket(path))),
  python('Paho for Python', 'paho-mqtt', 'paho_client.py'),
  python('aiomqtt', 'aiomqtt', 'aiomqtt_client.py'),
  python('gmqtt', 'gmqtt', 'gmqtt_client.py'),
  go('Paho for Go', 'github.com/eclipse/paho.mqtt.golang', 'paho.go', 4),
  go('autopaho', 'github.com/eclipse/paho.golang', 'autopaho.go', 5),
  pahoC,
  java('Paho for Java (mqttv3)', {
    group: 'org.eclipse.paho',
    artifact: 'org.eclipse.paho.client.mqttv3',
    mainClass: 'PahoV3',
    versions: [4],
  }),
  java('Paho for Java (mqttv5)', {
    group: 'org.eclipse.paho',
    artifact: 'org.eclipse.paho.mqttv5.client',
    mainClass: 'PahoV5',
    versions: [5],
  }),
  java('HiveMQ client', { group: 'com.hivemq', artifact: 'hivemq-mqtt-client', mainClass: 'HiveMq', versions: both }),
  rumqttc,
  nodeRed,
  mqttExporter,
  mosquittoTools,
];
