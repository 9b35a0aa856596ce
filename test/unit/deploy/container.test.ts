/**
 * The Dockerfile and compose.yaml name ports, paths and files that there are. `scripts/install/container.sh` runs the
 * image.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { hasPromtool } from '../../../scripts/bench/prometheus.ts';
import { assertSafeToListen } from '../../../src/config/anonymous.ts';
import { readConfig } from '../../../src/config/load.ts';
import { root, textOf } from '../docs/pages.ts';

const dockerfile = textOf('Dockerfile').replaceAll(/ *\\\n */g, ' ');
/** Of the last stage, which is the image. */
const image = dockerfile.slice(dockerfile.lastIndexOf('\nFROM '));
const all = (text: string, instruction: string) =>
  [...text.matchAll(new RegExp(`^${instruction} (.*)$`, 'gm'))].map(([, rest]) => rest!);
const one = (instruction: string) => {
  const [found, ...more] = all(image, instruction);
  expect({ instruction, more }).toEqual({ instruction, more: [] });
  return found!;
};

describe('the image', () => {
  test('has bases of exact versions, by digest, with a Node that can replace itself', () => {
    const bases = all(dockerfile, 'ARG').filter((each) => each.startsWith('NODE_IMAGE'));

    expect(bases).toHaveLength(2);
    for (const base of bases) {
      const [, major, minor] = /=node:(\d+)\.(\d+)\.\d+-bookworm-slim@sha256:[0-9a-f]{64}$/.exec(base)!;
      expect(Number(major) * 100 + Number(minor)).toBeGreaterThanOrEqual(2215);
    }
    const others = all(dockerfile, 'FROM').filter((each) => !/\$NODE_IMAGE(_ARMV7)?\b|^base-\$TARGETARCH$/.test(each));
    expect(others).toEqual([]);
  });

  test('runs nothing on the processor that it is for, so that building needs no emulator', () => {
    expect(all(image, 'RUN')).toEqual([]);
    expect(all(dockerfile, 'FROM').filter((each) => each.endsWith(' AS build'))).toEqual([
      '--platform=$BUILDPLATFORM $NODE_IMAGE AS build',
    ]);
  });

  test('is built of files that are there and that .dockerignore lets through', () => {
    const allowed = textOf('.dockerignore')
      .split('\n')
      .filter((line) => line.startsWith('!'));
    const copied = all(dockerfile, 'COPY')
      .filter((each) => !each.startsWith('--from'))
      .flatMap((each) => each.split(' ').slice(0, -1));

    expect(copied.filter((file) => !existsSync(join(root, file)))).toEqual([]);
    expect(copied.filter((file) => !allowed.some((line) => `${file}/`.startsWith(`${line.slice(1)}/`)))).toEqual([]);
  });

  test('is started by the command, which takes the signals and gives itself the options of V8', () => {
    expect(JSON.parse(one('ENTRYPOINT'))).toEqual(['sluice']);
    expect(dockerfile).toContain('ln -s ../lib/sluice/dist/cli/sluice.cjs /image/usr/local/bin/sluice');
    expect((JSON.parse(one('CMD')) as string[])[0]).toBe('start');
    expect(one('HEALTHCHECK')).toMatch(/CMD \["sluice", "health", /);
  });

  test('has a user of its own, by number, whom the data belongs to', () => {
    expect(one('USER')).toBe('1883:1883');
    expect(dockerfile).toMatch(/groupadd --gid 1883 sluice && useradd --uid 1883 /);
    expect(image).toContain('COPY --from=build --chown=1883:1883 /image/data /data');
  });

  test('keeps the data in /data whatever a mounted configuration says, and commands find it there', () => {
    const argv = JSON.parse(one('CMD')) as string[];

    expect(argv).toEqual(['start', '--config', '/etc/sluice/sluice.yaml', '--data-dir', '/data']);
    expect(image).toContain('COPY deploy/container/sluice.yaml /etc/sluice/');
    expect(one('VOLUME')).toBe('/data');
    expect(one('WORKDIR')).toBe('/');
  });

  test("its configuration can be read, may listen, and has the image's ports", () => {
    const { config } = readConfig(join(root, 'deploy/container/sluice.yaml'), {});

    assertSafeToListen(config);
    expect(one('EXPOSE')).toBe('1883 8883 8083 8084 18083');
    for (const listener of config.listeners) {
      expect(listener).toMatchObject({ host: '0.0.0.0' });
      expect(one('EXPOSE').split(' ')).toContain(String('port' in listener && listener.port));
    }
  });
});

describe('compose.yaml', () => {
  interface Service {
    readonly image: string;
    readonly build?: string;
    readonly ports?: readonly string[];
    readonly volumes: readonly string[];
    readonly environment?: Readonly<Record<string, string>>;
    readonly stop_grace_period?: string;
  }
  const folder = 'deploy/compose';
  const { services, volumes } = parse(textOf(`${folder}/compose.yaml`)) as {
    readonly services: Readonly<Record<'sluice' | 'prometheus' | 'grafana', Service>>;
    readonly volumes: Readonly<Record<string, null>>;
  };
  const { config } = readConfig(join(root, folder, 'sluice.yaml'), {});
  const mounts = Object.values(services).flatMap((each) => each.volumes.map((mount) => mount.split(':')));
  const filesIn = (service: Service) =>
    new Map(service.volumes.map((mount) => mount.split(':') as [string, string]).map(([from, to]) => [to, from]));

  test('mounts files and volumes that there are', () => {
    for (const [from] of mounts) {
      if (from!.startsWith('.')) expect(existsSync(join(root, folder, from!)), from).toBe(true);
      else expect(Object.keys(volumes)).toContain(from);
    }
    expect(existsSync(join(root, folder, services.sluice.build!, 'Dockerfile'))).toBe(true);
  });

  test('opens the ports at which the broker listens, to this machine only', () => {
    assertSafeToListen(config);
    const opened = services.sluice.ports!.map((port) => port.split(':'));
    expect(opened.map(([address, , port]) => [address, Number(port)])).toEqual(
      config.listeners.map((listener) => ['127.0.0.1', 'port' in listener && listener.port]),
    );
    expect(services.grafana.ports!.every((port) => port.startsWith('127.0.0.1:'))).toBe(true);
  });

  test('gives the broker more time to stop than it takes', () => {
    expect(Number.parseInt(services.sluice.stop_grace_period!, 10)).toBeGreaterThan(config.shutdownSeconds);
  });

  test('has Prometheus read where the API is, under a name that it goes by', () => {
    const { scrape_configs } = parse(textOf(`${folder}/prometheus.yml`)) as {
      scrape_configs: { metrics_path: string; static_configs: { targets: string[] }[] }[];
    };
    const [scrape] = scrape_configs;
    expect(scrape).toMatchObject({ job_name: 'sluice', metrics_path: '/metrics' });
    expect(scrape!.static_configs[0]!.targets).toEqual([`sluice:${config.admin.listeners![0]!.port}`]);
    expect(config.admin).toMatchObject({ hosts: ['sluice'], metrics: 'open' });
  });

  test('has Grafana ask Prometheus and show the dashboard', () => {
    const { datasources } = parse(textOf(`${folder}/grafana/datasource.yaml`)) as { datasources: { url: string }[] };
    expect(datasources.map(({ url }) => new URL(url).hostname)).toEqual(['prometheus']);
    const { providers } = parse(textOf(`${folder}/grafana/dashboards.yaml`)) as {
      providers: { options: { path: string } }[];
    };
    const home = services.grafana.environment!.GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH!;
    expect(filesIn(services.grafana).get(home)).toBe('../grafana/sluice.json');
    expect(providers.map(({ options }) => options.path)).toEqual([dirname(home)]);
  });

  test('has images of exact versions', () => {
    for (const { image: name } of [services.prometheus, services.grafana]) expect(name).toMatch(/:v?\d+\.\d+\.\d+$/);
  });

  test.runIf(hasPromtool)('Prometheus takes its files as they are mounted', () => {
    const mounted = mkdtempSync(join(tmpdir(), 'sluice-compose-'));
    try {
      for (const [to, from] of filesIn(services.prometheus)) {
        if (from.startsWith('.')) cpSync(join(root, folder, from), join(mounted, to.split('/').at(-1)!));
      }
      const argv = ['check', 'config', join(mounted, 'prometheus.yml')];
      const { status, stdout, stderr } = spawnSync('promtool', argv, { encoding: 'utf8' });
      expect({ status, output: stdout + stderr }).toMatchObject({ status: 0 });
    } finally {
      rmSync(mounted, { recursive: true });
    }
  });
});
