/**
 * Imports go downwards only: a layer may import itself and what it names here, nothing else.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';

const source = resolve(import.meta.dirname, '../../src');

/** From the bottom up. A name without an entry is a file directly in `src`. */
const layers: Readonly<Record<string, readonly string[]>> = {
  base: [],
  protocol: ['base'],
  contracts: ['protocol', 'base'],
  codec: ['protocol', 'base'],
  core: ['contracts', 'protocol', 'base'],
  config: ['contracts', 'protocol', 'base'],
  net: ['contracts', 'protocol', 'base'],
  store: ['contracts', 'protocol', 'base'],
  admin: ['contracts', 'protocol', 'base'],
  pipeline: ['contracts', 'protocol', 'base'],
  auth: ['contracts', 'protocol', 'base'],
  telemetry: ['contracts', 'protocol', 'base'],
  cluster: ['contracts', 'protocol', 'base'],
  api: ['admin', 'net', 'contracts', 'protocol', 'base'],
  broker: ['core', 'codec', 'contracts', 'protocol', 'base'],
  // Its only way to the rest is the HTTP API.
  dashboard: [],
  bridge: ['broker', 'core', 'codec', 'contracts', 'protocol', 'base'],
  'rules.ts': ['config', 'auth', 'contracts', 'protocol'],
  'pipelines.ts': ['rules.ts', 'config', 'store', 'pipeline', 'contracts', 'protocol', 'base'],
  'authentication.ts': ['config', 'auth', 'contracts'],
  'bridging.ts': ['bridge', 'broker', 'config', 'net', 'contracts'],
  'clustering.ts': ['cluster', 'store', 'broker', 'config', 'contracts', 'base'],
  'reload.ts': [
    'bridge',
    'base',
    'authentication.ts',
    'pipelines.ts',
    'rules.ts',
    'broker',
    'config',
    'admin',
    'pipeline',
    'auth',
    'contracts',
  ],
  'pipeline-commands.ts': ['pipelines.ts', 'pipeline', 'contracts', 'base'],
  'users.ts': ['config', 'auth', 'contracts', 'base'],
  'alarms.ts': ['broker', 'net', 'admin', 'contracts', 'base'],
  'status.ts': ['broker', 'config', 'admin', 'contracts'],
  'logs.ts': ['broker', 'config', 'admin', 'contracts', 'base'],
  'program-connections.ts': ['broker', 'config', 'net', 'contracts', 'base'],
  'app.ts': [
    'program-connections.ts',
    'alarms.ts',
    'logs.ts',
    'users.ts',
    'pipeline-commands.ts',
    'status.ts',
    'reload.ts',
    'authentication.ts',
    'pipelines.ts',
    'rules.ts',
    'bridging.ts',
    'clustering.ts',
    'bridge',
    'broker',
    'config',
    'net',
    'store',
    'api',
    'admin',
    'pipeline',
    'auth',
    'telemetry',
    'contracts',
    'base',
  ],
  // Loaded by one command only.
  import: ['config', 'codec', 'contracts', 'protocol', 'base'],
  'broker-calls.ts': ['admin', 'contracts'],
  // Loaded by one command only.
  doctor: [
    'app.ts',
    'authentication.ts',
    'bridging.ts',
    'rules.ts',
    'broker',
    'config',
    'net',
    'admin',
    'store',
    'cluster',
    'contracts',
    'base',
  ],
  'index.ts': [
    'app.ts',
    'program-connections.ts',
    'broker-calls.ts',
    'broker',
    'config',
    'pipeline',
    'contracts',
    'protocol',
    'base',
  ],
  aedes: ['index.ts', 'broker', 'config', 'contracts', 'protocol'],
  cli: [
    'app.ts',
    'authentication.ts',
    'pipelines.ts',
    'rules.ts',
    'broker',
    'config',
    'contracts',
    'base',
    'store',
    'admin',
    'auth',
    'import',
    'cluster',
    'doctor',
  ],
};

/** Packages with one owner, so that replacing one touches one folder. */
const packageOwners: Readonly<Record<string, readonly string[]>> = {
  'mqtt-packet': ['codec', 'aedes', 'cli'],
  '@opentelemetry/api': ['telemetry'],
  '@opentelemetry/sdk-trace-base': ['telemetry'],
  '@opentelemetry/resources': ['telemetry'],
  '@opentelemetry/exporter-trace-otlp-proto': ['telemetry'],
  mqtt: ['cli'],
  '@nats-io/jetstream': ['cluster'],
  '@nats-io/transport-node': ['cluster'],
  ws: ['net'],
  '@node-rs/argon2': ['auth'],
  jose: ['auth'],
  level: ['store'],
  zod: ['contracts', 'config', 'api', 'import'],
  fastify: ['api'],
  yaml: ['config'],
  'prom-client': ['api'],
  pino: ['admin'],
  'pino-pretty': ['admin'],
  'cbor-x': ['pipeline'],
  msgpackr: ['pipeline', 'import'],
  protobufjs: ['pipeline'],
  long: ['pipeline'],
  avsc: ['pipeline'],
  ajv: ['pipeline'],
  'ajv/dist/2020.js': ['pipeline'],
  jsonata: ['pipeline'],
  '@marcbachmann/cel-js': ['pipeline'],
  convert: ['pipeline'],
  'csv-parse/sync': ['pipeline'],
  'lossless-json': ['pipeline'],
  preact: ['dashboard'],
  'preact/hooks': ['dashboard'],
  'preact-iso/lazy': ['dashboard'],
  'preact-iso/router': ['dashboard'],
  '@preact/signals': ['dashboard'],
  uplot: ['dashboard'],
  'quickjs-emscripten-core': ['pipeline'],
  '@jitl/quickjs-ng-wasmfile-release-sync': ['pipeline'],
};

const layerOf = (file: string) => relative(source, file).split('/')[0]!;

function importsOf(file: string): string[] {
  const text = readFileSync(file, 'utf8');
  return [...text.matchAll(/(?:from|import)\s+'([^']+)'/g)].map((match) => match[1]!);
}

const files = readdirSync(source, { recursive: true, encoding: 'utf8' })
  .filter((file) => /\.tsx?$/.test(file))
  .map((file) => join(source, file));

test('every folder of src has a place in the layers', () => {
  expect(files.length).toBeGreaterThan(50);
  const unplaced = files.filter((file) => layers[layerOf(file)] === undefined);
  expect(unplaced).toEqual([]);
});

test('imports go downwards only', () => {
  const upward = files.flatMap((file) => {
    const layer = layerOf(file);
    const local = importsOf(file).filter((name) => name.startsWith('.'));
    const targets = local.map((name) => layerOf(resolve(dirname(file), name)));
    const wrong = targets.filter((target) => target !== layer && !layers[layer]!.includes(target));
    return wrong.map((target) => `${relative(source, file)} imports ${target}`);
  });
  expect(upward).toEqual([]);
});

test('each package is imported by its owner only', () => {
  const strays = files.flatMap((file) => {
    const packages = importsOf(file).filter((name) => !name.startsWith('.') && !name.startsWith('node:'));
    const wrong = packages.filter((name) => !packageOwners[name]?.includes(layerOf(file)));
    return wrong.map((name) => `${relative(source, file)} imports ${name}`);
  });
  expect(strays).toEqual([]);
});

/** What others than `core/` itself may import from there. All else is behind its door. */
const coreDoor: Readonly<Record<string, readonly string[]>> = {
  'core.ts': ['Core'],
  'client-session.ts': [
    'ClientSession',
    'OwnQueueLimits',
    'SessionWill',
    'SubscriptionOptions',
    'neverExpires',
    'programPrefix',
  ],
  'fan-out.ts': ['Resumable', 'WhenFull'],
  'footprint.ts': ['deliveryBytes', 'hold', 'letGo', 'messageFootprint', 'nameBytes', 'sessionBytes'],
  'pending-will.ts': ['PendingWill'],
  'prepared.ts': ['Prepared', 'asPublished', 'everybody', 'isWithheld', 'withheldFrom'],
  'sink.ts': ['DropReason', 'Sink', 'Obstacle', 'SkipReason', 'dropReasons'],
  'step-sizes.ts': ['StepSizes', 'defaultStepSizes'],
};

/** Each as the file that a statement imports from, and a name. */
function namesImportedBy(file: string): [from: string, name: string][] {
  const text = readFileSync(file, 'utf8');
  return [...text.matchAll(/^(?:import|export) ([^;]*?) from '(\.[^']+)';/gm)].flatMap(([, what, from]) => {
    const names = what!
      .replaceAll(/[{}]|\btype\b/g, ' ')
      .split(',')
      .map((name) => name.trim().split(' ')[0]!);
    return names.filter((name) => name !== '').map((name) => [resolve(dirname(file), from!), name] as [string, string]);
  });
}

test('of the core, others import its door only', () => {
  const isOf = (file: string, name: string) => coreDoor[relative(join(source, 'core'), file)]?.includes(name) === true;
  const outside = files.filter((file) => layerOf(file) !== 'core');
  const imported = outside.flatMap((file) => {
    const fromCore = namesImportedBy(file).filter(([from]) => layerOf(from) === 'core');
    return fromCore.map(([from, name]) => ({ file: relative(source, file), from, name }));
  });
  expect(imported.length).toBeGreaterThan(20);
  const behindIt = imported.filter(({ from, name }) => !isOf(from, name));
  expect(behindIt.map(({ file, from, name }) => `${file} imports ${name} of ${relative(source, from)}`)).toEqual([]);
});

/** What is loaded with a file. Types are not, and `import()` is when it is reached. */
function loadedWith(file: string): string[] {
  const text = readFileSync(file, 'utf8').replaceAll(/^(import|export) type [^;]+;/gm, '');
  return [...text.matchAll(/^(?:import|export|\}) .*?'([^']+)';/gm)].map(([, name]) => {
    return name!.startsWith('.') ? resolve(dirname(file), name!) : name!;
  });
}

/** Each as its files, joined with arrows. */
function circlesOf(all: readonly string[], importsOfFile: (file: string) => string[]): string[] {
  const done = new Set<string>();
  const circles: string[] = [];
  const visit = (file: string, path: readonly string[]) => {
    if (path.includes(file)) {
      circles.push([...path.slice(path.indexOf(file)), file].map((each) => relative(source, each)).join(' → '));
    }
    if (done.has(file)) return;
    done.add(file);
    for (const next of importsOfFile(file)) if (next.startsWith(source)) visit(next, [...path, file]);
  };
  for (const file of all) visit(file, []);
  return circles;
}

test('no file is loaded by what it loads itself', () => {
  expect(circlesOf(files, loadedWith)).toEqual([]);
});

/** They are one structure: a session has subscriptions and deliveries, and these lead back to it. */
const sessionAndItsParts =
  /\/core\/(session|session-queue|send-window|subscription|shared-group|delivery|route|retained)\.ts$/;

test('no file of a folder needs a type of a file that needs it, but for what a session consists of', () => {
  const among = files.filter((file) => !sessionAndItsParts.test(file));
  const inFolder = (file: string) =>
    importsOf(file)
      .filter((name) => name.startsWith('.'))
      .map((name) => resolve(dirname(file), name))
      .filter((each) => layerOf(each) === layerOf(file) && !sessionAndItsParts.test(each));
  expect(among.flatMap(inFolder).length).toBeGreaterThan(300);
  expect(circlesOf(among, inFolder)).toEqual([]);
});

/** The packages that files load with what they import. */
const packagesOf = (entries: readonly string[]): string[] => everythingLoadedBy(entries).packages;

function everythingLoadedBy(entries: readonly string[]): { packages: string[]; files: string[] } {
  const seen = new Set<string>();
  const loaded = new Set<string>();
  const load = (file: string) => {
    if (seen.has(file)) return;
    seen.add(file);
    for (const name of loadedWith(file)) {
      if (name.startsWith(source)) load(name);
      else loaded.add(name);
    }
  };
  for (const file of entries) load(join(source, file));
  return { packages: [...loaded], files: [...seen].map((file) => relative(source, file)) };
}

test('a broker without pipelines loads nothing of what they need', () => {
  const loaded = packagesOf(['app.ts', 'index.ts', 'cli/start.ts']);
  const ofPipelines = Object.keys(packageOwners).filter((name) => packageOwners[name]!.includes('pipeline'));
  expect(loaded).toContain('zod');
  expect(loaded.filter((name) => ofPipelines.includes(name))).toEqual([]);
});

test('a broker without a cluster loads nothing of what one needs', () => {
  const loaded = packagesOf(['app.ts', 'index.ts', 'cli/start.ts']);
  const ofClusters = Object.keys(packageOwners).filter((name) => packageOwners[name]!.includes('cluster'));
  expect(ofClusters.length).toBeGreaterThan(0);
  expect(loaded.filter((name) => ofClusters.includes(name))).toEqual([]);
});

test('a broker that nobody asks loads nothing of what commands are asked and answer', () => {
  const { files: loaded } = everythingLoadedBy(['app.ts', 'cli/start.ts']);
  expect(loaded).toContain('broker/broker.ts');
  expect(loaded).not.toContain('contracts/commands.ts');
});

test('threads do not load the schema of settings', () => {
  const threads = files.map((file) => relative(source, file)).filter((file) => /(^|[/-])worker\.ts$/.test(file));
  expect(threads.length).toBeGreaterThan(2);
  expect(packagesOf(threads)).not.toContain('zod');
});
