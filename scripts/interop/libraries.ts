/** The client libraries: what each needs, how it is brought, and how it is run. None of them is of this project. */
import { execFile, execFileSync } from 'node:child_process';
import { copyFileSync, cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../project-root.ts';
import { checkNames, runChecks } from './checks.ts';
import { ClientProcess, type Command } from './client-process.ts';

export interface Broker {
  readonly host: string;
  readonly port: number;
  readonly webSocketPort: number;
}

type Version = 4 | 5;

export interface Library {
  readonly name: string;
  /** A command or file without which it cannot be had. */
  readonly needs: string;
  readonly versions: readonly Version[];
  /** Brings it into a folder of its own; returns its version. */
  install(folder: string): string;
  /** `ok`, or what was wrong, of each check. */
  check(folder: string, broker: Broker, version: Version): Promise<Map<string, string>>;
}

const both = [4, 5] as const;
const root = join(projectRoot(), 'scripts/interop');
const scriptMsMax = 240_000;

const run = (file: string, args: readonly string[], cwd: string): string =>
  execFileSync(file, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

const address = ({ host, port }: Broker) => [host, String(port)];

/** Its clients are processes, which `start` starts. */
const checked =
  (start: (folder: string, broker: Broker, version: Version) => Command): Library['check'] =>
  (folder, broker, version) =>
    runChecks((clientId, options) => ClientProcess.connect(start(folder, broker, version), version, clientId, options));

function python(name: string, packageName: string, program: string): Library {
  const interpreter = (folder: string) => join(folder, 'venv/bin/python');
  return {
    name,
    needs: 'python3',
    versions: both,
    install(folder) {
      run('python3', ['-m', 'venv', 'venv'], folder);
      run(interpreter(folder), ['-m', 'pip', 'install', '--quiet', packageName], folder);
      const shown = run(interpreter(folder), ['-m', 'pip', 'show', packageName], folder);
      return /^Version: (.*)$/m.exec(shown)![1]!;
    },
    check: checked((folder, broker) => [interpreter(folder), [join(root, 'python', program), ...address(broker)]]),
  };
}

function go(name: string, module: string, program: string, version: Version): Library {
  return {
    name,
    needs: 'go',
    versions: [version],
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

function java(name: string, { group, artifact, mainClass, versions }: JavaArtifact): Library {
  return {
    name,
    needs: 'mvn',
    versions,
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
      ['-XX:TieredStopAtLevel=1', '-cp', `${folder}:${folder}/lib/*`, mainClass, ...address(broker)],
    ]),
  };
}

const rumqttc: Library = {
  name: 'rumqttc',
  needs: 'cargo',
  versions: both,
  install(folder) {
    run('cargo', ['init', '-q', '--name', 'client', '--vcs', 'none'], folder);
    run('cargo', ['add', '-q', 'rumqttc', '--no-default-features'], folder);
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
  install(folder) {
    run('cc', ['-o', 'client', join(root, 'c/paho.c'), '-lpaho-mqtt3c'], folder);
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
  install: (folder) => /version (\S+)/.exec(run('sh', ['-c', 'mosquitto_sub --help || true'], folder))![1]!,
  async check(folder, broker, version) {
    const args = [join(root, 'mosquitto_tools.sh'), ...address(broker), String(version)];
    const said = await new Promise<string>((resolve) => {
      execFile('sh', args, { cwd: folder, timeout: scriptMsMax }, (_, stdout) => resolve(stdout));
    });
    const told = new Map([...said.matchAll(/^(\w+) (.*)$/gm)].map(([, check, outcome]) => [check!, outcome!]));
    return new Map(checkNames.map((check) => [check, told.get(check) ?? 'its script said nothing']));
  },
};

const webSocket = (path: string) => (broker: Broker) => `ws://${broker.host}:${broker.webSocketPort}${path}`;

export const libraries: readonly Library[] = [
  mqttJs('MQTT.js in Node, over TCP', 'node.mjs', ({ host, port }) => `mqtt://${host}:${port}`),
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
  mosquittoTools,
];
