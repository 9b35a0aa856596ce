/** Debian's Prometheus and its promtool; tests that need them are left out where they are missing. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort, untilOpen } from '../ports.ts';

export const hasPromtool = spawnSync('promtool', ['--version']).error === undefined;
export const hasPrometheus = spawnSync('prometheus', ['--version']).error === undefined;

export interface Series {
  readonly metric: Readonly<Record<string, string>>;
  /** The latest: when, in seconds, and what. */
  readonly value: readonly [number, string];
}

export interface Prometheus {
  /** The answer of its HTTP API to this path, which must be a success. */
  get<Data>(path: string): Promise<Data>;
  /** `at`: seconds since 1970, by default now. */
  query(expression: string, at?: number): Promise<readonly Series[]>;
  stop(): Promise<void>;
}

/** Reads the metrics at `127.0.0.1:port/metrics` every `intervalMs`. `ruleFiles`: absolute paths. */
export async function startPrometheus(
  directory: string,
  port: number,
  ruleFiles: readonly string[],
  intervalMs = 250,
): Promise<Prometheus> {
  const own = await freePort();
  const scrape = { job_name: 'sluice', static_configs: [{ targets: [`127.0.0.1:${port}`] }] };
  const interval = `${intervalMs}ms`;
  const global = { scrape_interval: interval, scrape_timeout: interval, evaluation_interval: interval };
  // JSON is YAML.
  const config = { global, rule_files: ruleFiles, scrape_configs: [scrape] };
  const file = join(directory, 'prometheus.yml');
  writeFileSync(file, JSON.stringify(config));
  const flags = [`--config.file=${file}`, `--storage.tsdb.path=${join(directory, 'tsdb')}`];
  const child = spawn('prometheus', [...flags, `--web.listen-address=127.0.0.1:${own}`], { stdio: 'ignore' });
  const ended = new AbortController();
  child.once('exit', () => ended.abort()).once('error', () => ended.abort());
  if (!(await untilOpen(own, ended.signal))) throw new Error('prometheus did not start');
  async function get<Data>(path: string): Promise<Data> {
    const response = await fetch(`http://127.0.0.1:${own}/api/v1/${path}`);
    const { status, data, error } = (await response.json()) as { status: string; data: Data; error?: string };
    if (status !== 'success') throw new Error(`Prometheus refuses ${path}: ${error}`);
    return data;
  }
  return {
    get,
    async query(expression, at) {
      const time = at === undefined ? '' : `&time=${at}`;
      const { result } = await get<{ result: Series[] }>(`query?query=${encodeURIComponent(expression)}${time}`);
      return result;
    },
    async stop() {
      if (child.exitCode !== null) return;
      child.kill();
      await once(child, 'exit');
    },
  };
}
