/** The client libraries: what each needs, how it is brought, and how it is run. None of them is of this project. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../project-root.ts';

export interface Broker {
  readonly host: string;
  readonly port: number;
  readonly webSocketPort: number;
}

export interface Library {
  readonly name: string;
  /** A command without which it cannot be had. */
  readonly needs: string;
  readonly versions: readonly (4 | 5)[];
  /** Brings it into a folder of its own; returns its version. */
  install(folder: string): string;
  /** `CHECK ok` or `CHECK failed: …`, a line for each, is what this prints. */
  command(folder: string, broker: Broker, version: 4 | 5): readonly [file: string, args: readonly string[]];
}

const both = [4, 5] as const;
const root = join(projectRoot(), 'scripts/interop');

const run = (file: string, args: readonly string[], cwd: string): string =>
  execFileSync(file, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

const address = ({ host, port }: Broker, version: number) => [host, String(port), String(version)];

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
    command: (folder, broker, version) => [interpreter(folder), [join(root, program), ...address(broker, version)]],
  };
}

function go(name: string, module: string, source: string, version: 4 | 5): Library {
  return {
    name,
    needs: 'go',
    versions: [version],
    install(folder) {
      copyFileSync(join(root, source, 'main.go'), join(folder, 'main.go'));
      run('go', ['mod', 'init', `interop/${source}`], folder);
      run('go', ['get', `${module}@latest`], folder);
      run('go', ['mod', 'tidy'], folder);
      run('go', ['build', '-o', 'client', '.'], folder);
      return new RegExp(`${module} v(\\S+)`).exec(readFileSync(join(folder, 'go.mod'), 'utf8'))![1]!;
    },
    command: (folder, broker, asked) => [join(folder, 'client'), address(broker, asked)],
  };
}

/** `url` of the listener that it uses. */
function mqttJs(name: string, url: (broker: Broker) => string): Library {
  return {
    name,
    needs: 'npm',
    versions: both,
    install(folder) {
      run('npm', ['install', '--prefix', folder, '--silent', '--no-audit', '--no-fund', 'mqtt'], folder);
      copyFileSync(join(root, 'mqtt_js.mjs'), join(folder, 'mqtt_js.mjs'));
      const manifest = readFileSync(join(folder, 'node_modules/mqtt/package.json'), 'utf8');
      return (JSON.parse(manifest) as { version: string }).version;
    },
    command: (folder, broker, version) => [
      process.execPath,
      [join(folder, 'mqtt_js.mjs'), url(broker), String(version)],
    ],
  };
}

const mosquittoTools: Library = {
  name: 'mosquitto_pub and mosquitto_sub',
  needs: 'mosquitto_sub',
  versions: both,
  install: (folder) => /version (\S+)/.exec(run('sh', ['-c', 'mosquitto_sub --help || true'], folder))![1]!,
  command: (_, broker, version) => ['sh', [join(root, 'mosquitto_tools.sh'), ...address(broker, version)]],
};

const webSocket = (path: string) => (broker: Broker) => `ws://${broker.host}:${broker.webSocketPort}${path}`;

export const libraries: readonly Library[] = [
  mqttJs('MQTT.js, over TCP', ({ host, port }) => `mqtt://${host}:${port}`),
  mqttJs('MQTT.js, WebSocket `/`', webSocket('/')),
  mqttJs('MQTT.js, WebSocket `/ws`', webSocket('/ws')),
  mqttJs('MQTT.js, WebSocket `/mqtt`', webSocket('/mqtt')),
  python('Paho for Python', 'paho-mqtt', 'paho_python.py'),
  python('aiomqtt', 'aiomqtt', 'aiomqtt_client.py'),
  python('gmqtt', 'gmqtt', 'gmqtt_client.py'),
  go('Paho for Go', 'github.com/eclipse/paho.mqtt.golang', 'paho_go', 4),
  go('autopaho', 'github.com/eclipse/paho.golang', 'autopaho', 5),
  mosquittoTools,
];
