/** A whole broker with its HTTP API, and requests to it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type App, type AppOptions, startApp } from '../../../src/app.ts';
import { parseConfig } from '../../../src/config/load.ts';
import type { ConfigInput } from '../../../src/config/schema.ts';
import { type Answer, answerTo } from './api-client.ts';

export class RunningApp {
  readonly directory: string;
  app!: App;

  private constructor(directory: string) {
    this.directory = directory;
  }

  /** Its data is in a fresh directory, unless `config` says otherwise. */
  static async start(config: ConfigInput = {}, options: AppOptions = {}): Promise<RunningApp> {
    const running = new RunningApp(mkdtempSync(join(tmpdir(), 'sluice-running-')));
    const whole = {
      listeners: [{ kind: 'tcp' as const, port: 0 }],
      admin: { listeners: [{ port: 0 }] },
      store: { directory: join(running.directory, 'data') },
      log: { level: 'silent' as const },
      sysIntervalSeconds: 0,
      ...config,
    };
    running.app = await startApp(parseConfig(whole), options);
    return running;
  }

  get url(): string {
    return this.app.adminListeners[0]!.url;
  }

  /** Of its first listener. */
  get port(): number {
    return this.app.listeners[0]!.port;
  }

  /** On the socket of the data directory, as its owner; `path` below `/api/v1` unless it begins with two slashes. */
  ask(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const all = { ...(text === undefined ? {} : { 'Content-Type': 'application/json' }), ...headers };
    const target = {
      socketPath: join(this.directory, 'data', 'control.sock'),
      path: path.startsWith('//') ? path.slice(1) : `/api/v1${path}`,
    };
    return answerTo({ ...target, method, headers: all, agent: false }, text);
  }

  async stop(): Promise<void> {
    await this.app.close();
    rmSync(this.directory, { recursive: true });
  }
}
