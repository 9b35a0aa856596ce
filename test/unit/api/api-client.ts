/** An API with handlers of a test behind it, and a client of it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { type Agent, type IncomingHttpHeaders, type RequestOptions, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Commands } from '../../../src/admin/commands.ts';
import { Api } from '../../../src/api/api.ts';
import { keyHandlers } from '../../../src/api/key-commands.ts';
import { Keys } from '../../../src/api/keys.ts';
import type { Login } from '../../../src/api/login.ts';
import { LoginLinks, loginLinkHandlers } from '../../../src/api/login-links.ts';
import { LoginSessions } from '../../../src/api/login-sessions.ts';
import type { Monitoring } from '../../../src/api/monitoring.ts';
import type { AuditEvent } from '../../../src/contracts/audit.ts';
import { type CommandHandlers, type CommandName, commands } from '../../../src/contracts/commands.ts';
import { silentLog } from '../../../src/contracts/log.ts';
import { type LoginPenalties, noPenalties } from '../../../src/contracts/login-penalties.ts';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** Undefined if it is none. */
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into it, and fails if it is another
  readonly json: any;
}

export interface Asked {
  readonly key?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** Default: a connection of its own. */
  readonly agent?: Agent;
}

/** Sends a request and reads all of the answer. */
export function answerTo(options: RequestOptions, body: string | undefined): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request(options, async (response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of response) chunks.push(chunk as Buffer);
      const text = Buffer.concat(chunks).toString();
      let json: unknown;
      try {
        json = JSON.parse(text);
      } catch {}
      resolve({ status: response.statusCode!, headers: response.headers, text, json });
    });
    asked.on('error', reject);
    asked.end(body);
  });
}

export class TestApi {
  readonly directory = mkdtempSync(join(tmpdir(), 'sluice-api-'));
  readonly audited: AuditEvent[] = [];
  readonly logged: unknown[] = [];
  /** What a test does not set fails as a bug does. */
  handlers: { -readonly [Name in CommandName]?: CommandHandlers[Name] } = {};
  now = Date.now();
  readonly names = { hosts: ['broker.example'], origins: ['https://ops.example'] };
  readonly monitoring: { -readonly [Name in keyof Monitoring]: Monitoring[Name] } = {
    exposition: { read: async () => ({ contentType: 'text/plain; version=0.0.4', body: 'sluice_sessions 1\n' }) },
    metrics: 'loopback',
    condition: () => ({ phase: 'running', isBroken: false, isStoreFailing: false, listeners: [] }),
  };
  keys!: Keys;
  readonly sessions = LoginSessions.inMemory();
  readonly links = new LoginLinks();
  /** A test adds users, and says what their passwords are. */
  login: Login = { users: [], checkPassword: null, links: this.links };
  api!: Api;
  commands!: Commands;
  url = '';

  /** Without bans; a test that wants some sets what is asked. */
  penalties: LoginPenalties = { ...noPenalties };
  limits = {
    connections: 100,
    connectionsPerAddress: 0,
    requestsPerSecondPerAddress: 0,
    requestsPerSecondPerCaller: 0,
  };

  static async open(options: Partial<Pick<TestApi, 'penalties' | 'limits' | 'login'>> = {}): Promise<TestApi> {
    const opened = Object.assign(new TestApi(), options);
    opened.keys = await Keys.open(join(opened.directory, 'api-keys.json'));
    const unexpected = async (): Promise<never> => {
      throw new Error('not asked in this test');
    };
    const all = Object.fromEntries(
      Object.keys(commands).map((name) => [
        name,
        (...asked: unknown[]) =>
          ((opened.handlers[name as CommandName] ?? unexpected) as (...asked: unknown[]) => unknown)(...asked),
      ]),
    ) as unknown as CommandHandlers;
    const audit = { wants: () => true, record: (event: AuditEvent) => void opened.audited.push(event) };
    const log = { ...silentLog, error: (...line: unknown[]) => void opened.logged.push(line) };
    const now = () => opened.now;
    Object.assign(opened.handlers, keyHandlers(opened.keys, now));
    Object.assign(
      opened.handlers,
      loginLinkHandlers(opened.links, now, () => [opened.url]),
    );
    opened.commands = new Commands(all, audit);
    opened.api = new Api({
      commands: async () => opened.commands,
      keys: opened.keys,
      log,
      version: '1.2.3',
      now,
      names: opened.names,
      monitoring: opened.monitoring,
      audit,
      sessions: opened.sessions,
      login: opened.login,
      penalties: opened.penalties,
      limits: opened.limits,
    });
    await opened.api.listenOnSocket(opened.socketPath);
    opened.url = (await opened.api.listen({ host: '127.0.0.1', port: 0 })).url;
    return opened;
  }

  get socketPath(): string {
    return join(this.directory, 'control.sock');
  }

  async close(): Promise<void> {
    await this.api.close();
    rmSync(this.directory, { recursive: true });
  }

  /** A new key with this role. */
  async keyFor(
    role: 'viewer' | 'publisher' | 'operator' | 'admin',
    areas = ['broker', 'clients', 'keys'],
  ): Promise<string> {
    const wanted = { name: role, role, areas: areas as never, username: null, expiresAt: null };
    return (await this.keys.create(wanted, this.now)).secret;
  }

  /** Over the network, or on the socket where `socket` says so. */
  ask(method: string, path: string, { key, headers = {}, body, agent }: Asked = {}, socket = false): Promise<Answer> {
    const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
    const all = {
      ...(key === undefined ? {} : { Authorization: `Bearer ${key}` }),
      ...(text === undefined
        ? {}
        : { 'Content-Type': 'application/json', 'Content-Length': `${Buffer.byteLength(text as string)}` }),
      ...headers,
    };
    const { hostname, port } = new URL(this.url);
    const target = socket ? { socketPath: this.socketPath } : { hostname, port };
    return answerTo({ ...target, method, path, headers: all, agent: agent ?? false }, text as string | undefined);
  }

  onSocket(method: string, path: string, asked: Asked = {}): Promise<Answer> {
    return this.ask(method, path, asked, true);
  }
}
